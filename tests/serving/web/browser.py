"""Chromium without a window, and a gateway for it on a real port."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import threading
from collections.abc import Iterator

import uvicorn
from playwright.sync_api import Browser, sync_playwright
from starlette.types import ASGIApp


def chromium() -> str | None:
    """The machine's Chromium: ``CHROMIUM``, else the first of the usual names on the PATH."""
    names = ("chromium", "chromium-browser", "google-chrome")
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, names)), None)


@contextlib.contextmanager
def opened(executable: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        # As root, which tests in a container are, Chromium has no sandbox.
        browser = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        yield browser
        browser.close()


@contextlib.contextmanager
def served(app: ASGIApp) -> Iterator[str]:
    """Serves an application for a while; gives its address."""
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False, ws="none"))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        server.should_exit = True
        thread.join()
