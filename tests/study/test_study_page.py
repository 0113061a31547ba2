"""The page in a real browser, from disk: the slider, the zoom that all pictures share, the maps, and no network."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import browser as chromium
import scenes
from likeness.study.compare import compare

chromium.needed()

SIDE = 160
BAD_NAME = "<img src=x onerror=alert(1)>"
RED, BLUE = (200, 40, 40), (40, 40, 200)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with chromium.chromium(tmp_path_factory.mktemp("browser")) as driver:
        yield driver


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Input: red with a green square at the top left; truth: blue; a method that draws a pattern; one that fails."""
    from likeness import methods

    folder = tmp_path_factory.mktemp("page")
    for name, colour in (("given", RED), ("truth", BLUE)):
        pixels = np.full((SIDE, SIDE, 3), colour, np.uint8)
        if name == "given":
            pixels[: SIDE // 4, : SIDE // 4] = (20, 220, 20)
        (folder / name).mkdir()
        (folder / name / f"{BAD_NAME}.png").write_bytes(scenes.encoded(pixels, "PNG"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LIKENESS_HOME", str(folder / "home"))
        patch.setitem(methods.METHODS, "pattern", "scenes")
        truth = folder / "truth"
        options: dict[str, Any] = {"truth": truth, "aligned": True, "samples": 2, "metrics": ["psnr", "niqe-faces"]}
        return compare(folder / "given", folder / "out", ["pattern", "gfpgan"], **options).page


@pytest.fixture
def opened(browser: Any, page: Path) -> Any:
    """The page, freshly opened, when its viewer has started; afterwards: no complaint, and nothing left the disk."""
    for log in ("browser", "performance"):
        browser.get_log(log)
    browser.get(page.as_uri())
    wait(browser, "return document.querySelector('.difference figcaption').textContent.includes('Mean')")
    yield browser
    assert browser.get_log("browser") == []
    asked = chromium.requested(browser)
    assert asked
    assert {url.partition(":")[0] for url in asked} <= {"file", "data"}, asked


def wait(browser: Any, script: str) -> None:
    from selenium.webdriver.support.ui import WebDriverWait

    WebDriverWait(browser, 60).until(lambda one: one.execute_script(script))


def one(browser: Any, selector: str) -> Any:
    return browser.find_element("css selector", selector)


def pixels(browser: Any, selector: str) -> np.ndarray:
    """What is seen of an element, all of it in sight."""
    see(browser, selector)
    return np.asarray(Image.open(io.BytesIO(one(browser, selector).screenshot_as_png)).convert("RGB")).astype(int)


def see(browser: Any, selector: str) -> Any:
    """The element, scrolled to the middle of the window."""
    found = one(browser, selector)
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", found)
    return found


def at(picture: np.ndarray, x: float, y: float) -> np.ndarray:
    """The mean colour around a place, in shares of width and height."""
    row, column = round(y * picture.shape[0]), round(x * picture.shape[1])
    return picture[row - 3 : row + 3, column - 3 : column + 3].mean(axis=(0, 1))


def near(colour: np.ndarray, wanted: tuple[int, int, int]) -> bool:
    return bool(np.abs(colour - wanted).max() < 25)


def choose(browser: Any, side: str, title: str) -> None:
    from selenium.webdriver.support.ui import Select

    Select(one(browser, f"select.{side}")).select_by_visible_text(title)


def test_left_of_the_line_is_one_picture_right_of_it_the_other(opened: Any) -> None:
    choose(opened, "b", "truth")
    for share in (50, 20, 80):
        slide(opened, share)
        seen = pixels(opened, ".stage")
        assert near(at(seen, share / 100 - 0.1, 0.4), RED)
        assert near(at(seen, share / 100 + 0.1, 0.4), BLUE)
    choose(opened, "a", "truth")
    choose(opened, "b", "input")
    seen = pixels(opened, ".stage")
    assert near(at(seen, 0.6, 0.4), BLUE)
    assert near(at(seen, 0.95, 0.4), RED)


def slide(browser: Any, share: float) -> None:
    """As a drag of the range does."""
    script = "const r = document.querySelector('.divider'); r.value = arguments[0]; r.dispatchEvent(new Event('input'))"
    browser.execute_script(script, share)


def test_the_line_moves_by_keys_and_by_the_pointer(opened: Any) -> None:
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys

    choose(opened, "b", "truth")
    one(opened, ".divider").send_keys(Keys.END)
    assert near(at(pixels(opened, ".stage"), 0.9, 0.4), RED)
    one(opened, ".divider").send_keys(Keys.HOME)
    assert near(at(pixels(opened, ".stage"), 0.1, 0.4), BLUE)
    stage = see(opened, ".stage")
    quarter = stage.size["width"] // 4
    ActionChains(opened).move_to_element(stage).click_and_hold().move_by_offset(quarter, 0).release().perform()
    assert 73 < float(one(opened, ".divider").get_property("value")) < 77
    seen = pixels(opened, ".stage")
    assert near(at(seen, 0.65, 0.4), RED)
    assert near(at(seen, 0.85, 0.4), BLUE)


def test_all_pictures_of_a_photo_are_magnified_together(opened: Any) -> None:
    choose(opened, "b", "input")
    panes = (".stage", '.cell[data-key="m0"] .pane')
    for pane in panes:
        assert near(at(pixels(opened, pane), 0.35, 0.35), RED)
    one(opened, ".in").click()
    one(opened, ".in").click()  # 2.25 times
    assert one(opened, ".factor").text.startswith("2.3")
    from selenium.webdriver.common.action_chains import ActionChains

    stage = see(opened, ".stage")
    corner = ActionChains(opened).move_to_element_with_offset(stage, -200, -200).click_and_hold()
    corner.move_by_offset(380, 380).release().perform()  # to the right and down: the first quarter comes in sight
    opened.execute_script("document.activeElement.blur()")
    for pane in panes:
        assert near(at(pixels(opened, pane), 0.35, 0.35), (20, 220, 20)), pane
    one(opened, ".home").click()
    for pane in panes:
        assert near(at(pixels(opened, pane), 0.35, 0.35), RED)


def test_wheel_with_ctrl_magnifies_and_arrow_keys_move(opened: Any) -> None:
    from selenium.webdriver.common.keys import Keys

    wheel = "document.querySelector('.stage').dispatchEvent(new WheelEvent('wheel', {deltaY: -400, ctrlKey: %s, " \
            "cancelable: true, clientX: 0, clientY: 0}))"  # fmt: skip
    opened.execute_script(wheel % "false")
    assert one(opened, ".factor").text == "1.0 ×"  # the page scrolls
    opened.execute_script(wheel % "true")
    assert one(opened, ".factor").text == "2.7 ×"
    x = "return document.querySelector('.photo').style.getPropertyValue('--x')"
    one(opened, ".stage").send_keys(Keys.ARROW_RIGHT)
    before = float(opened.execute_script(x).rstrip("%"))
    one(opened, ".stage").send_keys(Keys.ARROW_RIGHT)
    assert float(opened.execute_script(x).rstrip("%")) == pytest.approx(before - 10)
    one(opened, ".stage").send_keys(Keys.ESCAPE)
    assert one(opened, ".factor").text == "1.0 ×"


def test_difference_and_uncertainty_follow_the_choice(opened: Any) -> None:
    caption = one(opened, ".difference figcaption")
    choose(opened, "b", "input")
    wait(opened, "return document.querySelector('.difference figcaption').textContent.includes('Mean: 0.0')")
    assert at(pixels(opened, ".difference .pane"), 0.5, 0.5).max() < 20
    assert not one(opened, ".uncertainty").is_displayed()
    choose(opened, "b", "truth")
    wait(opened, "return !document.querySelector('.difference figcaption').textContent.includes('Mean: 0.0')")
    assert at(pixels(opened, ".difference .pane"), 0.5, 0.5).min() > 100  # far beyond the brightest
    assert "4 times as bright" in caption.text
    choose(opened, "b", "pattern")
    assert one(opened, ".uncertainty").is_displayed()
    assert "standard deviation of 0.1" in one(opened, ".uncertainty figcaption").text


def test_names_reasons_and_labels(opened: Any) -> None:
    assert one(opened, "#photo-1 h3").text == BAD_NAME
    assert "gfpgan: the weights" in one(opened, ".failed").text
    assert "could not run" in one(opened, ".failed-row").text
    assert "restored; identity distance to the input" in one(opened, '.cell[data-key="m1"]').text
    unnamed = """return [...document.querySelectorAll('img, button, select, input, [role=img], [tabindex]')].filter(e =>
      !(e.alt || e.getAttribute('aria-label') || e.textContent.trim() || e.closest('label') || e.closest('.cell') ||
      e.closest('.difference, .uncertainty'))).map(e => e.outerHTML.slice(0, 200))"""
    assert opened.execute_script(unnamed) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_in_light_and_dark(opened: Any, scheme: str) -> None:
    feature = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    size = {"width": 400, "height": 800, "deviceScaleFactor": 1, "mobile": True}
    try:
        opened.execute_cdp_cmd("Emulation.setEmulatedMedia", feature)
        opened.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        assert opened.execute_script("return document.documentElement.scrollWidth") <= 400
        back = opened.execute_script("return getComputedStyle(document.body).backgroundColor")
        assert (back == "rgb(255, 255, 255)") == (scheme == "light")
    finally:
        opened.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        opened.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
