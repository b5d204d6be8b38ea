"""The page as people use it: by mouse and by keyboard, on a desk and on a phone, by day and by night."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, Route, expect

from serving.client import Client
from serving.web.app import create_app
from serving.web.config import GatewayConfig
from serving.web.keys import add_key
from tests.serving.web import browser as browsers

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        browsers.chromium() is None, reason="no Chromium on the PATH; install one, or name it in CHROMIUM"
    ),
]

PHONE = {"width": 390, "height": 844}
DESK = {"width": 1280, "height": 900}

OpenPage = Callable[..., Page]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    # Not for longer than this module: as long as it is open, its event loop is this thread's.
    with browsers.opened(browsers.chromium() or "") as browser:
        yield browser


@pytest.fixture(scope="module")
def address(server_address: str, model_dir: Path) -> Iterator[str]:
    config = GatewayConfig(server=server_address, model_dir=model_dir)
    with browsers.served(create_app(config, log=io.StringIO())) as address:
        yield address


@pytest.fixture
def open_page(browser: Browser, address: str) -> Iterator[OpenPage]:
    """Opens the page; when the test is over, nothing of it may have gone wrong in the browser."""
    contexts: list[Any] = []
    problems: list[str] = []
    requested: list[str] = []

    def open_page(url: str = address, *, viewport: Any = DESK, fails: bool = False, **settings: Any) -> Page:
        context = browser.new_context(viewport=viewport, **settings)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.on("pageerror", lambda error: problems.append(str(error)))
        if not fails:
            page.on("console", lambda message: problems.append(message.text))
        page.on("request", lambda request: requested.append(request.url))
        page.goto(url)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert problems == []
    # Nothing is fetched from elsewhere.
    assert {urlsplit(url).hostname for url in requested} == {"127.0.0.1"}


@pytest.fixture
def page(open_page: OpenPage) -> Page:
    page = open_page()
    expect(results(page)).to_have_count(6)
    return page


def results(page: Page) -> Any:
    return page.locator("#results > li")


def result(page: Page, title: str) -> Any:
    return results(page).filter(has=page.get_by_role("heading", name=title))


def titles(page: Page) -> list[str]:
    return page.locator("#results h3").all_inner_texts()


def search(page: Page, query: str) -> None:
    page.get_by_label("What are they looking for?").fill(query)
    expect(page.get_by_role("heading", level=2, name="Results")).to_have_text(f"Results for “{query}”")


def add_to_history(page: Page, title: str) -> None:
    page.get_by_role("button", name=f"Add to history: {title}").click()
    expect(page.locator("#history")).to_contain_text(title)
    expect(page.locator("#results")).not_to_have_attribute("aria-busy", "true")


def test_page_begins_with_what_is_popular(page: Page, server_address: str) -> None:
    with Client(server_address) as client:
        (expected,) = client.recommend(user_ids=[""])

    expect(page.get_by_role("heading", name="Popular with everybody")).to_be_visible()
    assert titles(page) == [item.title for item in expected]


def test_typing_is_enough_to_search(page: Page, server_address: str) -> None:
    search(page, "a red apron")

    with Client(server_address) as client:
        (expected,) = client.search(["a red apron"])
    assert titles(page) == [item.title for item in expected]
    expect(page.locator("#facts")).to_contain_text("6 results in ")
    expect(page.locator("#announcement")).to_contain_text("Results for “a red apron”: 6 results in ")
    expect(page.locator("#server")).to_have_text("tandem, version 1")


def test_result_shows_its_columns_its_score_and_what_brought_it(page: Page, server_address: str) -> None:
    for item in ("Apron é", "Easel é"):
        add_to_history(page, item)
    page.get_by_label("Leave out what is in the history").uncheck()

    apron = result(page, "Apron é")
    expect(apron).to_contain_text("Price19.50")
    expect(apron).to_contain_text("Roomkitchen")
    expect(apron).to_contain_text("by text")
    expect(apron).to_contain_text("text 100 % · behaviour 0 %")
    easel = result(page, "Easel é")
    expect(easel).to_contain_text("by both")
    expect(easel).to_contain_text("text 50 % · behaviour 50 %")
    with Client(server_address) as client:
        (expected,) = client.recommend(histories=[["easel", "apron"]], exclude_seen=False)
    (score,) = [item.score for item in expected if item.item_id == "easel"]
    expect(easel.locator(".score")).to_have_text(f"Score {score:.3f}")


def test_result_says_because_of_what_it_is_recommended(page: Page) -> None:
    because = page.locator("#results .because")
    expect(because).to_have_text(["Popular now"] * 6)

    add_to_history(page, "Fork é")
    expect(because).to_have_text(["Because of Fork é"] * 5)

    page.get_by_label("Leave out what is in the history").uncheck()
    expect(result(page, "Fork é").locator(".because")).to_have_text("They had it before")

    search(page, "a gift")
    expect(because).to_have_text(["Near in meaning"] * 6)


def test_misspelt_word_is_corrected_and_may_be_searched_for_as_typed(page: Page) -> None:
    page.get_by_label("What are they looking for?").fill("aprom")

    expect(page.get_by_role("heading", name="Results for “apron”")).to_be_visible()
    page.get_by_role("button", name="Search instead for aprom").click()
    expect(page.get_by_role("heading", name="Results for “aprom”")).to_be_visible()
    expect(page.get_by_role("button", name="Search instead for aprom")).to_have_count(0)


def test_typing_offers_completions(page: Page) -> None:
    page.get_by_label("What are they looking for?").fill("bas")

    expect(page.locator("#suggestions option")).to_have_attribute("value", "Basket é")


def test_values_refine_a_search_and_numbers_order_it(page: Page) -> None:
    search(page, "a gift")
    before = titles(page)
    hall = page.get_by_role("checkbox", name="hall (")
    expect(hall).to_be_visible()
    hall.check()
    expect(page.locator("#facts")).to_contain_text("2 results")
    expect(page.get_by_role("checkbox", name="hall (")).to_be_checked()

    # Another question begins anew.
    search(page, "a gift for me")
    expect(page.locator("#facts")).to_contain_text("6 results")
    search(page, "a gift")
    page.get_by_label("Order").select_option("-price")
    expect(page.locator("#results h3").first).to_have_text(before[-1])


def test_reason_is_called_by_its_title_and_without_one_by_its_id(page: Page) -> None:
    def explain(route: Route) -> None:
        answer = route.fetch().json()
        answer["results"] = answer["results"][:2]
        for item, title in zip(answer["results"], ("Fork é", ""), strict=True):
            item |= {"reason": "history", "reason_item_id": "elsewhere", "reason_title": title}
        route.fulfill(json=answer)

    page.route("**/api/recommend", explain)
    page.get_by_label("Customer").select_option("12352")

    words = ["Because of Fork é", "Because of elsewhere"]
    expect(page.locator("#results .because")).to_have_text(words)


def test_item_clicked_into_the_history_changes_the_results(page: Page) -> None:
    search(page, "a gift")
    before = titles(page)

    add_to_history(page, "Fork é")

    expect(results(page)).to_have_count(5)
    after = titles(page)
    assert "Fork é" not in after
    assert after != [title for title in before if title != "Fork é"]
    expect(page.locator(".move").first).to_be_visible()
    page.get_by_role("button", name="Remove Fork é from the history").click()
    expect(results(page)).to_have_count(6)
    assert titles(page) == before


def test_known_customer_comes_with_a_history_that_can_be_changed(page: Page) -> None:
    page.get_by_label("Customer").select_option("12352")
    expect(page.get_by_role("heading", name="Recommended for customer 12352")).to_be_visible()
    expect(page.locator("#history li")).to_have_count(2)
    expect(page.locator("#history-note")).to_contain_text("what the model remembers")

    with page.expect_request("**/api/recommend") as request:
        add_to_history(page, "Fork é")

    body = {"user_id": "12352", "history": ["fork", "basket", "candle"], "k": 10, "exclude_seen": True}
    assert request.value.post_data_json == body
    page.get_by_role("button", name="Start over").click()
    expect(page.locator("#history li")).to_have_count(2)


def test_customer_can_be_made_up(page: Page) -> None:
    page.get_by_label("Customer").select_option("Somebody else …")
    expect(page.get_by_label("Their id")).to_be_focused()

    with page.expect_request("**/api/recommend") as request:
        page.keyboard.type("nobody-yet")

    assert (request.value.post_data_json or {})["user_id"] == "nobody-yet"
    expect(page.get_by_role("heading", name="Recommended for customer nobody-yet")).to_be_visible()


def test_similar_items_and_back(page: Page) -> None:
    search(page, "a gift")
    before = titles(page)

    page.get_by_role("button", name="Similar to Fork é").click()

    expect(page.get_by_role("heading", name="Similar to Fork é")).to_be_focused()
    expect(results(page)).to_have_count(5)
    page.get_by_role("button", name="Back").click()
    expect(page.get_by_role("heading", name="Results for “a gift”")).to_be_focused()
    expect(results(page)).to_have_count(6)
    assert titles(page) == before


def test_as_many_results_as_asked_for_and_the_history_too_if_wished(page: Page) -> None:
    page.get_by_label("Results", exact=True).select_option("5")
    expect(results(page)).to_have_count(5)
    page.get_by_label("Results", exact=True).select_option("50")
    add_to_history(page, "Fork é")
    expect(results(page)).to_have_count(5)

    page.get_by_label("Leave out what is in the history").uncheck()

    expect(results(page)).to_have_count(6)
    expect(page.get_by_role("button", name="Remove from history: Fork é")).to_be_visible()


def test_example_of_a_query_is_one_click(page: Page) -> None:
    page.get_by_role("button", name="Search for something for the hall").click()

    expect(page.get_by_label("What are they looking for?")).to_have_value("something for the hall")
    expect(page.get_by_role("heading", name="Results for “something for the hall”")).to_be_visible()


def test_markup_in_a_text_is_shown_as_it_is(page: Page) -> None:
    search(page, "<img src=x onerror=alert(1)>")

    assert page.locator("main img").count() == 0


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


def test_key_is_asked_for_once_and_kept_for_the_tab(
    open_page: OpenPage, server_address: str, model_dir: Path, tmp_path: Path
) -> None:
    key = add_key(tmp_path / "keys", "shop")
    config = GatewayConfig(server=server_address, model_dir=model_dir, keys=tmp_path / "keys")
    with browsers.served(create_app(config, log=io.StringIO())) as address:
        page = open_page(address, fails=True)
        dialog = page.get_by_role("dialog", name="This gateway asks for a key")
        expect(dialog.get_by_label("API key")).to_be_focused()
        assert Axe().run(page).violations_count == 0

        dialog.get_by_label("API key").fill("wrong")
        page.keyboard.press("Enter")
        expect(dialog).to_contain_text("The gateway does not know this key; try another.")
        dialog.get_by_label("API key").fill(key)
        page.keyboard.press("Enter")
        expect(results(page)).to_have_count(6)
        expect(dialog).to_be_hidden()
        page.reload()
        expect(results(page)).to_have_count(6)
        expect(dialog).to_be_hidden()
        assert page.evaluate("localStorage.length") == 0
        assert key not in page.url + page.content()


def test_failure_is_told_and_can_be_tried_again(open_page: OpenPage) -> None:
    page = open_page(fails=True)
    expect(results(page)).to_have_count(6)

    def refuse(route: Route) -> None:
        route.fulfill(status=503, json={"error": "The model server cannot answer at the moment."})

    page.route("**/api/search", refuse)
    page.get_by_label("What are they looking for?").fill("a gift")
    expect(page.get_by_role("alert")).to_contain_text("The model server cannot answer at the moment.")
    expect(page.locator("#server")).to_have_text("The model does not answer")
    assert Axe().run(page).violations_count == 0
    page.unroute("**/api/search")
    page.get_by_role("button", name="Try again").click()

    expect(page.get_by_role("heading", name="Results for “a gift”")).to_be_visible()
    expect(page.get_by_role("alert")).to_be_hidden()


def test_answer_that_is_no_json_is_a_failure_too(open_page: OpenPage) -> None:
    page = open_page(fails=True)
    expect(results(page)).to_have_count(6)
    page.route("**/api/search", lambda route: route.fulfill(status=502, body="<h1>Bad gateway</h1>"))

    page.get_by_label("What are they looking for?").fill("a gift")

    expect(page.get_by_role("alert")).to_contain_text("The gateway answered 502.")


def test_answer_to_an_older_question_does_not_replace_a_newer_one(open_page: OpenPage) -> None:
    page = open_page()
    expect(results(page)).to_have_count(6)
    held: list[Route] = []
    page.route("**/api/search", lambda route: held.append(route) if not held else route.fallback())
    query = page.get_by_label("What are they looking for?")
    with page.expect_request("**/api/search"):
        query.fill("slow")
    search(page, "fast")

    for route in held:
        route.fulfill(
            json={"results": [], "model": {"name": "old", "version": 0}, "took_ms": 1, "model_ms": 1}
        )

    expect(page.get_by_role("heading", name="Results for “fast”")).to_be_visible()
    expect(results(page)).to_have_count(6)
