"""The page when something fails: a key is missing, no answer comes, or an old one comes late."""

from __future__ import annotations

import io
from pathlib import Path

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Route, expect

from serving.web.app import create_app
from serving.web.config import GatewayConfig
from serving.web.keys import add_key
from tests.serving.web import browser as browsers
from tests.serving.web.page.looking import (
    NEEDS_CHROMIUM,
    OpenPage,
    results,
    search,
)

pytestmark = NEEDS_CHROMIUM


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
