"""The page in a browser."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect

from serving.web.app import create_app
from serving.web.config import GatewayConfig
from tests.serving.web import browser as browsers
from tests.serving.web.page.looking import (
    DESK,
    OpenPage,
    results,
)


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
