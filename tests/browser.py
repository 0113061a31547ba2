"""Headless Chromium for the tests of pages: started with one profile, asked what it fetched, waited for."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest

CHROMIUM, DRIVER = (shutil.which(name) for name in ("chromium", "chromedriver"))
FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--no-first-run", "--hide-scrollbars",
)  # fmt: skip
T = TypeVar("T")


def needed() -> Any:
    """``selenium.webdriver``; skips the module when it, the browser or its driver is not here."""
    if not (CHROMIUM and DRIVER):
        pytest.skip("needs chromium and chromedriver", allow_module_level=True)
    return pytest.importorskip("selenium.webdriver", reason="needs selenium")


@contextmanager
def chromium(folder: Path, *flags: str, size: tuple[int, int] = (1200, 1600)) -> Iterator[Any]:
    """A driver with its profile below ``folder`` and downloads to ``folder/downloads``."""
    webdriver = needed()
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in (*FLAGS, f"--user-data-dir={folder / 'profile'}", f"--window-size={size[0]},{size[1]}", *flags):
        options.add_argument(flag)
    (folder / "downloads").mkdir(parents=True, exist_ok=True)
    options.add_experimental_option("prefs", {"download.default_directory": str(folder / "downloads")})
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    try:
        yield driver
    finally:
        driver.quit()


def requested(driver: Any) -> list[str]:
    """The addresses that were asked for since this was last called, but for those of the browser's own pages."""
    found = [_request(entry["message"]) for entry in driver.get_log("performance")]
    return [url for url in found if url and not url.startswith("chrome://")]


def _request(message: str) -> str | None:
    event = json.loads(message)["message"]
    return event["params"]["request"]["url"] if event["method"] == "Network.requestWillBeSent" else None


def until(true: Callable[[], T], what: str, seconds: float = 30.0) -> T:
    """Wait for ``true()`` to be true, and return it; AssertionError naming ``what`` otherwise."""
    end = time.monotonic() + seconds
    while not (found := true()):
        assert time.monotonic() < end, f"waited {seconds:g} s for {what}"
        time.sleep(0.1)
    return found
