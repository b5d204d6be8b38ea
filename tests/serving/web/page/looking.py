"""Ways to look at the page, and what a test of it needs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.serving.web import browser as browsers

PHONE = {"width": 390, "height": 844}


DESK = {"width": 1280, "height": 900}


OpenPage = Callable[..., Page]


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


NEEDS_CHROMIUM = [
    pytest.mark.slow,
    pytest.mark.skipif(
        browsers.chromium() is None, reason="no Chromium on the PATH; install one, or name it in CHROMIUM"
    ),
]
