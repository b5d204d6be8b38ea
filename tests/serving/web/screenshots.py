"""Pictures of the page over a real model: ``python -m tests.serving.web.screenshots OUT_DIR``."""

from __future__ import annotations

import argparse
import io
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page

from serving.process import ServerProcess
from serving.pushed_model import RUNS, model_dir
from serving.web.app import create_app
from serving.web.config import GatewayConfig
from tests.serving.web import browser as browsers

_DESK = {"viewport": {"width": 1280, "height": 900}}
_PHONE = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}


def main() -> None:
    parser = argparse.ArgumentParser(description="Pictures of the page over a real model.")
    parser.add_argument("out_dir", type=Path, metavar="OUT_DIR")
    parser.add_argument("--workdir", type=Path, help=f"the model's run (default: the latest under {RUNS}/)")
    arguments = parser.parse_args()
    executable = browsers.chromium()
    if executable is None:
        parser.error("Chromium must be on the PATH or named in CHROMIUM")
    pushed = model_dir(arguments.workdir)
    arguments.out_dir.mkdir(parents=True, exist_ok=True)
    with ServerProcess(pushed) as server:
        config = GatewayConfig(server=server.address, model_dir=pushed)
        with (
            browsers.served(create_app(config, log=io.StringIO())) as address,
            browsers.opened(executable) as browser,
        ):
            for scheme in ("light", "dark"):
                for name, settings in (("desk", _DESK), ("phone", _PHONE)):
                    page = _open(browser, address, color_scheme=scheme, **settings)
                    for scene, picture in _scenes(page):
                        path = arguments.out_dir / f"{scene}-{name}-{scheme}.png"
                        path.write_bytes(picture)
                        print(path)
                    page.context.close()


def _open(browser: Browser, address: str, **settings: Any) -> Page:
    page = browser.new_context(device_scale_factor=2, reduced_motion="reduce", **settings).new_page()
    page.goto(address)
    page.locator("#results > li").first.wait_for()
    return page


def _scenes(page: Page) -> Any:
    """Each scene's name and picture, as a person would come to them one after the other."""
    yield "1-popular", page.screenshot()

    page.locator("#tries button").first.click()
    page.get_by_role("heading", name="Results for").wait_for()
    yield "2-search", page.screenshot()

    details = page.locator("#asker")
    if details.get_attribute("open") is None:
        page.get_by_text("Who is asking").click()
    if page.locator("#customer option").count() > 2:
        page.get_by_label("Customer").select_option(index=1)
        _settle(page)
    page.get_by_role("button", name="Add to history").nth(1).click()
    _settle(page)
    yield "3-customer", page.screenshot(full_page=True)

    page.get_by_role("button", name="Similar to").first.click()
    page.get_by_role("heading", name="Similar to").wait_for()
    yield "4-similar", page.screenshot()


def _settle(page: Page) -> None:
    page.wait_for_load_state("networkidle")
    page.locator("#results:not([aria-busy])").wait_for()


if __name__ == "__main__":
    main()
