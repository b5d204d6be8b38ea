"""The page for everybody: by keyboard, on a phone, in the dark, without motion, and for screen readers."""

from __future__ import annotations

from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.serving.web.page.looking import (
    DESK,
    NEEDS_CHROMIUM,
    PHONE,
    OpenPage,
    add_to_history,
    results,
    search,
    titles,
)

pytestmark = NEEDS_CHROMIUM


def test_keyboard_alone_is_enough(page: Page) -> None:
    def focused() -> str:
        name: str = page.evaluate(
            "document.activeElement.getAttribute('aria-label') || document.activeElement.textContent.trim()"
        )
        return name

    page.keyboard.press("Tab")
    assert focused() == "Skip to the results"
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Popular with everybody")).to_be_focused()
    page.keyboard.press("Tab")
    first = titles(page)[0]
    assert focused() == f"Add to history: {first}"

    # What took its place has the focus, so that the next one can be added at once.
    page.keyboard.press("Enter")
    expect(results(page)).to_have_count(5)
    assert focused() == f"Add to history: {titles(page)[0]}"
    expect(page.locator("#announcement")).to_contain_text("Recommended for this history: 5 results in ")

    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Shift+Tab")
    assert focused() == f"Remove {first} from the history"
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="History", exact=True)).to_be_focused()
    expect(results(page)).to_have_count(6)

    page.get_by_label("What are they looking for?").focus()
    page.keyboard.type("a gift")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Results for “a gift”")).to_be_visible()
    expect(page.get_by_label("What are they looking for?")).to_be_focused()


@pytest.mark.parametrize(
    ("scheme", "viewport"), [("light", DESK), ("dark", PHONE)], ids=["desk by day", "phone by night"]
)
def test_accessibility_rules_hold(open_page: OpenPage, scheme: str, viewport: Any) -> None:
    page = open_page(color_scheme=scheme, viewport=viewport, reduced_motion="reduce")
    if viewport is PHONE:
        page.get_by_text("Who is asking").click()
    page.get_by_label("Customer").select_option("12352")
    search(page, "a gift")
    add_to_history(page, "Fork é")
    page.get_by_label("Leave out what is in the history").uncheck()
    expect(results(page)).to_have_count(6)

    found = Axe().run(page)

    assert found.violations_count == 0, found.generate_report()
    page.get_by_label("What are they looking for?").fill("")
    expect(page.get_by_text("Because of Fork é").first).to_be_visible()

    found = Axe().run(page)

    assert found.violations_count == 0, found.generate_report()


def test_nothing_is_wider_than_a_phone(open_page: OpenPage) -> None:
    page = open_page(viewport=PHONE, is_mobile=True, has_touch=True)
    page.get_by_text("Who is asking").tap()
    page.get_by_label("Customer").select_option("12352")
    search(page, "a word" + "longer" * 30)
    add_to_history(page, "Fork é")

    for width in (390, 320):
        page.set_viewport_size({"width": width, "height": 844})
        assert page.evaluate("document.documentElement.scrollWidth") == width
    buttons = page.locator("#results button, #history button").all()
    assert min((button.bounding_box() or {"height": 0})["height"] for button in buttons) >= 44


def test_page_is_dark_in_the_dark(open_page: OpenPage) -> None:
    colours = [
        open_page(color_scheme=scheme).evaluate(
            "[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color]"
        )
        for scheme in ("light", "dark")
    ]

    assert colours == [["rgb(245, 244, 240)", "rgb(28, 29, 32)"], ["rgb(19, 21, 24)", "rgb(236, 236, 234)"]]


@pytest.mark.parametrize(("motion", "moves"), [("no-preference", True), ("reduce", False)])
def test_nothing_moves_for_who_wants_no_motion(open_page: OpenPage, motion: str, moves: bool) -> None:
    page = open_page(reduced_motion=motion)
    search(page, "a gift")
    add_to_history(page, "Fork é")
    expect(results(page)).to_have_count(5)
    page.locator(".move").first.wait_for()

    animation = page.locator(".move").first.evaluate("mark => getComputedStyle(mark).animationName")
    transition = page.locator("#results").evaluate("list => getComputedStyle(list).transitionDuration")

    assert (animation != "none", transition != "0s") == (moves, moves)
