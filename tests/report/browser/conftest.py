"""One headless Chromium for all tests of the page."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from depthprune.base.language import language
from depthprune.report.html.page import write_report
from tests.report.browser.window import Window
from tests.report.page_analyses import CELLS, analysed, large, results_of, small


@pytest.fixture(scope="session")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Start Chromium; where there is none the tests skip, but not in CI."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    chromedriver = shutil.which("chromedriver")
    try:
        from selenium import webdriver
        from selenium.webdriver.chrome.service import Service
    except ImportError:
        _missing("selenium is not installed: pip install selenium")
    if chromium is None or chromedriver is None:
        _missing("Chromium is not installed: apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    profile = tmp_path_factory.mktemp("chromium")
    for argument in (
        "--headless=new",
        "--disable-gpu",
        "--no-first-run",
        f"--user-data-dir={profile}",
    ):
        options.add_argument(argument)
    if os.geteuid() == 0:
        options.add_argument("--no-sandbox")
    # In a container /dev/shm may be too small for a page.
    options.add_argument("--disable-dev-shm-usage")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    started = webdriver.Chrome(options=options, service=Service(chromedriver))
    yield started
    started.quit()


@pytest.fixture
def window(driver: Any) -> Window:
    """Return the browser at 1400 pixels, in light colours."""
    found = Window(driver)
    found.resize(1400)
    found.prefer(scheme="light")
    return found


@pytest.fixture(scope="session")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return the pages that are looked at, by name."""
    folder = tmp_path_factory.mktemp("pages")
    evil = ["<script>window.broken=1</script>", "</script><img src=x onerror=broken=1>", "a&b"]
    analyses = {
        "small": small(),
        "large": large(),
        "evil": analysed(results_of(CELLS, names=evil, model="<svg onload=broken=1>")),
        "one dataset, no pairs": analysed(results_of({(0,): [0.1], (1,): [0.2]})),
        "nothing ranked": analysed(results_of({(0,): [0.1, None], (1, 2): [None, 0.2]})),
    }
    written = {
        name: write_report(analysis, folder / f"{number}.html")
        for number, (name, analysis) in enumerate(analyses.items())
    }
    with language("zh"):
        return written | {"chinese": write_report(small(), folder / "zh.html")}


def _missing(reason: str) -> None:
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)
