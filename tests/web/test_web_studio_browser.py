"""The studio in a real browser before a real server: what a visitor sees, gets and is refused."""

from __future__ import annotations

import json
import os
import re
import threading
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from web_server import Served, running

import browser
import scenes

browser.needed()
pytest.importorskip("gradio", reason="needs gradio: pip install likeness[web]")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The studio in a process of its own, with no weights but the built-in ones."""
    folder = tmp_path_factory.mktemp("server")
    environment = {"LIKENESS_HOME": str(folder / "home"), "LIKENESS_OFFLINE": "1"}
    (folder / "scratch").mkdir()
    with running(folder / "scratch", api_only=False, env=environment) as served:
        yield served
    assert "Traceback" not in "".join(served.said), "".join(served.said)
    assert not list(served.scratch.glob("likeness-web-*")), "uploads, results and gradio's cache are deleted at the end"


SETTLED = 0.5  # seconds: gradio loses what is asked at the moment at which the stream of its last answers closes


class Studio:
    """The page, and what a visitor does with it."""

    def __init__(self, driver: Any, address: str, downloads: Path) -> None:
        self.driver, self.downloads = driver, downloads
        self.address = address

    def open(self) -> None:
        self.driver.get(self.address)
        shown = "['#restore-method input:checked', '#likeness-history'].every((one) => document.querySelector(one))"
        ready = f"return document.readyState === 'complete' && {shown}"
        browser.until(lambda: self.js(ready), "the page", 60)
        time.sleep(SETTLED)

    def js(self, script: str, *arguments: Any) -> Any:
        return self.driver.execute_script(script, *arguments)

    def one(self, selector: str) -> Any:
        return self.driver.find_element("css selector", selector)

    def all(self, selector: str) -> list[Any]:
        return self.driver.find_elements("css selector", selector)

    def text(self, selector: str) -> str:
        return " ".join(
            str(self.js("return document.querySelector(arguments[0])?.textContent || ''", selector)).split()
        )

    def see(self, selector: str) -> Any:
        found = self.one(selector)
        self.js("arguments[0].scrollIntoView({block: 'center'})", found)
        return found

    def click(self, selector: str) -> None:
        self.see(selector).click()

    def tab(self, name: str) -> None:
        tab = next(one for one in self.all(".tabs [role=tab]") if one.text == name)
        self.js("arguments[0].scrollIntoView({block: 'center'})", tab)
        tab.click()
        browser.until(lambda: tab.get_attribute("aria-selected") == "true", name)

    def drop(self, key: str, *files: Path) -> None:
        self.one(f"#{key}-drop input[type=file]").send_keys("\n".join(map(str, files)))

    def faces(self, key: str) -> list[Any]:
        try:
            return browser.until(lambda: self.all(f"#{key}-photos [data-face]"), "the faces", 60)
        except AssertionError as error:
            raise AssertionError(f"{error}; {self.text(f'#{key}-picker')}; {self.driver.get_log('browser')}") from None

    def wait_for(self, selector: str, pattern: str, seconds: float = 90) -> str:
        browser.until(lambda: re.search(pattern, self.text(selector)), f"{pattern} in {selector}", seconds)
        return self.text(selector)

    def downloaded(self, pattern: str) -> Path:
        def whole() -> Path | None:
            return next((p for p in self.downloads.glob(pattern) if p.stat().st_size), None)

        return browser.until(whole, f"the download of {pattern}")

    def loaded(self, selector: str) -> bool:
        script = "const all = [...document.querySelectorAll(arguments[0])];"
        return bool(self.js(f"{script} return all.length && all.every(i => i.complete && i.naturalWidth)", selector))


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, Path]]:
    folder = tmp_path_factory.mktemp("chromium")
    with browser.chromium(folder, size=(1280, 1000)) as driver:
        yield driver, folder / "downloads"


@pytest.fixture
def studio(server: Served, chromium: tuple[Any, Path]) -> Iterator[Studio]:
    """The page, freshly opened; afterwards: no error in the browser, and nothing was asked of anybody else."""
    driver, downloads = chromium
    driver.get("about:blank")  # gradio complains when a page is left midway
    for log in ("browser", "performance"):
        driver.get_log(log)
    opened = Studio(driver, server.address, downloads)
    opened.open()
    yield opened
    shots = os.environ.get("LIKENESS_SCREENSHOTS")
    if shots:
        driver.save_screenshot(str(Path(shots) / f"{os.environ['PYTEST_CURRENT_TEST'].split('::')[-1].split()[0]}.png"))
    errors = [entry["message"] for entry in driver.get_log("browser") if entry["level"] == "SEVERE"]
    assert errors == []
    asked = browser.requested(driver)
    assert asked
    assert {url for url in asked if not url.startswith((server.address, "data:", "blob:"))} == set()


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A group of three, and what is refused: text, too many pixels, a truncated file."""
    folder = tmp_path_factory.mktemp("photos")
    group = scenes.encoded(scenes.group(), "PNG")
    Image.new("L", (10_000, 10_000), 128).save(folder / "huge.png")
    contents = {
        "group.png": group,
        "text.jpg": b"no photo at all",
        "cut.jpg": scenes.encoded(scenes.portrait(256))[:6000],
        "one.jpg": scenes.encoded(scenes.portrait(256)),
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return {path.name: path for path in folder.iterdir()}


def set_steps(studio: Studio, steps: int) -> None:
    script = "const i = document.querySelector('#restore-steps input[type=number]'); i.value = arguments[0];"
    studio.js(script + "for (const e of ['input', 'change']) i.dispatchEvent(new Event(e, {bubbles: true}))", steps)


def test_two_faces_of_a_group_are_restored_and_the_zip_holds_them(studio: Studio, photos: dict[str, Path]) -> None:
    studio.drop("restore", photos["group.png"])
    ticks = studio.faces("restore")
    assert len(ticks) == 3
    assert all(tick.is_selected() for tick in ticks)
    assert len(studio.all("#restore-photos .box")) == 3
    ticks[2].click()
    assert len(studio.all("#restore-photos .box.off")) == 1
    set_steps(studio, 1)
    studio.click("#restore-go")
    studio.wait_for("#restore-status", "Done: 1 result")

    # the slider: by keyboard, and by the pointer on the picture
    browser.until(lambda: studio.loaded("#restore-results .stack img"), "the pictures")
    assert studio.js("return document.querySelector('.stack img').naturalWidth") == 900
    divider = studio.see("#restore-results .divider")
    divider.send_keys("\ue014" * 10)
    cut = "return parseFloat(document.querySelector('#restore-results .slider').style.getPropertyValue('--cut'))"
    assert studio.js(cut) == 55
    from selenium.webdriver import ActionChains

    stack = studio.see("#restore-results .stack")
    ActionChains(studio.driver).move_to_element_with_offset(stack, 0, 0).click_and_hold().move_by_offset(
        -stack.size["width"] // 4, 0
    ).release().perform()
    assert abs(studio.js(cut) - 25) < 1

    # the evidence, in words and numbers
    assert len(studio.all("#restore-results .verdict")) == 2
    words = studio.text("#restore-results")
    assert "Still the same person:" in words
    assert "Identity distance between the face before and after: 0." in words
    assert "face 3 (not chosen)" in words
    assert "Never take a restored face as evidence of who someone is" in words
    assert all(image.get_attribute("alt") for image in studio.all("#restore-results img"))

    # one file, and everything
    studio.click("#restore-results article a.button")
    single = studio.downloaded("group.png")
    studio.click("#restore-results .all a")
    with zipfile.ZipFile(studio.downloaded("likeness.zip")) as archive:
        report = json.loads(archive.read("report.json"))
        record = report["photos"][0]
        assert record["output"] in archive.namelist()
        assert archive.read(record["output"]) == single.read_bytes()
    assert [face["status"] for face in record["faces"]] == ["restored", "restored", "skipped"]
    changed = (scenes.load_pixels(single).astype(int) != scenes.group()).any(axis=2)
    boxes = [face["box"] for face in record["faces"]]
    assert changed[scenes.inside(boxes[0])].mean() > 0.5
    assert changed[scenes.inside(boxes[1])].mean() > 0.5
    assert not changed[scenes.inside(boxes[2])].any()
    assert not changed[scenes.far_outside(changed.shape, *boxes[:2])].any()


def test_two_methods_are_compared_and_the_history_shows_them_again(studio: Studio, photos: dict[str, Path]) -> None:
    studio.drop("restore", photos["one.jpg"])
    studio.faces("restore")
    studio.tab("Compare")
    studio.click("#compare-same")
    assert len(studio.faces("compare")) == 1
    studio.click("#compare-methods input")
    lines = studio.one("#compare-texts textarea")
    assert lines.get_attribute("value") == "likeness:steps=1"
    lines.clear()
    lines.send_keys("pattern")
    studio.click("#compare-go")
    assert "choose two methods" in studio.wait_for("#compare-status", "choose")
    lines.send_keys("\npattern:amount=0.4")
    studio.click("#compare-go")
    studio.wait_for("#compare-status", "Done: 2 results")
    browser.until(lambda: studio.loaded("#compare-results .stack img"), "the pictures")
    assert [one.text for one in studio.all("#compare-results .cell figcaption")] == [
        "Before",
        "pattern",
        "pattern amount=0.4",
    ]
    assert len(studio.all("#compare-results .verdict")) == 2

    from selenium.webdriver.support.ui import Select

    before = studio.one("#compare-results img.under").get_attribute("src")
    Select(studio.one("#compare-results select.left")).select_by_visible_text("Before")
    assert studio.one("#compare-results img.under").get_attribute("src") != before
    assert studio.text("#compare-results .tag.left") == "Before"

    studio.open()  # a reload begins a new session, and the browser remembers what was made
    studio.tab("History")
    browser.until(lambda: studio.all("#history-jobs label"), "the history")
    entry = studio.one("#history-jobs label")
    assert re.fullmatch(r"\d\d:\d\d · one.jpg · pattern, pattern amount=0.4 · done", entry.text)
    entry.click()
    browser.until(lambda: studio.loaded("#history-results .stack img"), "the pictures again")


def test_a_mask_is_painted_undone_and_erased(studio: Studio, photos: dict[str, Path]) -> None:
    studio.tab("Inpaint")
    assert "type likeness models pull difface-inpainting" in studio.wait_for("#inpaint-blocked", "DifFace")
    assert not studio.one("#inpaint-go").is_enabled()
    studio.drop("inpaint", photos["group.png"])
    browser.until(lambda: studio.all(".painter canvas"), "the painter")
    browser.until(lambda: studio.loaded(".paper img"), "the photo")
    from selenium.webdriver import ActionChains

    canvas = studio.see(".painter canvas")
    assert studio.js("return window.likeness.mask()") == ""
    ActionChains(studio.driver).move_to_element_with_offset(canvas, -100, 0).click_and_hold().move_by_offset(
        200, 0
    ).release().perform()
    share = float(studio.wait_for(".share", "% of the picture").split(" ")[0])
    expected = 100 * (200 * 40 + np.pi * 20**2) / (canvas.size["width"] * canvas.size["height"])
    assert share == pytest.approx(expected, rel=0.05)

    from likeness.web.studio.painter import mask_of
    from likeness.web.uploads import Upload

    upload = Upload("x", "group.png", photos["group.png"], "PNG", 900, 340, 0, 0.0)
    mask = mask_of(studio.js("return window.likeness.mask()"), upload)
    assert mask.shape == (340, 900)
    assert mask[170, 450]
    assert not mask[40].any()
    assert 100 * mask.mean() == pytest.approx(share, abs=0.1)

    canvas.send_keys("\ue015" * 4, " ")  # by keyboard: down, and a dab
    assert float(studio.text(".share").split(" ")[0]) > share
    studio.click(".painter .undo")
    assert float(studio.text(".share").split(" ")[0]) == share
    studio.click(".painter .wipe")
    assert studio.text(".share") == "Nothing is painted yet"


def test_what_is_no_photo_is_refused_file_by_file_and_a_good_one_works(
    studio: Studio, server: Served, photos: dict[str, Path]
) -> None:
    studio.drop("restore", photos["text.jpg"], photos["huge.png"], photos["cut.jpg"])
    said = studio.wait_for("#restore-said", "cut.jpg: ")
    lines = [one.text for one in studio.all("#restore-said .note.bad")]
    assert len(lines) == 3, said
    assert "text.jpg: this is not a photo" in lines[0]
    assert "huge.png: " in lines[1]
    assert "100 megapixels" in lines[1] or "10000" in lines[1], lines[1]
    assert re.search("truncat|damaged|ends", lines[2]), lines[2]
    assert not studio.all("#restore-photos [data-face]")
    studio.click("#restore-go")
    assert "no photo" in studio.wait_for("#restore-status", "photo")

    studio.drop("restore", photos["one.jpg"])
    studio.faces("restore")
    assert server.process.poll() is None
    leftover = [
        p
        for p in (next(server.scratch.glob("likeness-web-*")) / "gradio").rglob("*")
        if p.is_file() and p.stat().st_size
    ]
    assert leftover == [], "gradio keeps no copy of what was taken"
    set_steps(studio, 1)
    studio.click("#restore-go")
    studio.wait_for("#restore-status", "Done: 1 result")


def test_a_picture_is_pasted_and_a_folder_is_chosen(studio: Studio, photos: dict[str, Path], tmp_path: Path) -> None:
    studio.js(
        """const c = new OffscreenCanvas(40, 30), d = new DataTransfer(); c.getContext('2d').fillRect(0, 0, 40, 30);
        c.convertToBlob().then(b => { d.items.add(new File([b], 'pasted.png', {type: b.type}));
        const e = new ClipboardEvent('paste', {clipboardData: d, bubbles: true, cancelable: true});
        document.body.dispatchEvent(e) })"""
    )
    studio.wait_for("#restore-photos", "pasted.png")
    assert "No face was found" in studio.text("#restore-photos")
    (tmp_path / "album").mkdir()
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / "album" / name).write_bytes(scenes.encoded(scenes.landscape()) + name.encode())
    studio.one("#restore-picker .under-drop input[type=file]").send_keys(str(tmp_path / "album"))
    studio.wait_for("#restore-said", "3 photos ready")
    studio.click("#restore-photos .photo-card .remove")
    browser.until(lambda: len(studio.all("#restore-photos .photo-card")) == 2, "one to be removed")
    assert "pasted.png" not in studio.text("#restore-photos")


def test_a_job_is_cancelled_and_another_outlives_its_page(studio: Studio, photos: dict[str, Path]) -> None:
    studio.drop("restore", photos["group.png"])
    studio.faces("restore")
    set_steps(studio, 9)
    studio.click("#restore-go")
    studio.wait_for("#restore-status", "face 1 of 3")
    assert studio.all("#restore-status [role=progressbar]")
    studio.click("#restore-cancel")
    studio.wait_for("#restore-status", "Cancelling|Cancelled")
    studio.wait_for("#restore-status", "Cancelled")
    browser.until(lambda: studio.one("#restore-go").is_enabled(), "the button to be back", 60)

    set_steps(studio, 1)
    studio.click("#restore-go")
    kept = "return JSON.parse(window.likeness.history()).length"
    browser.until(lambda: studio.js(kept) >= 2 and "Cancelled" not in studio.text("#restore-status"), "the job")
    studio.open()  # at once: a new session, with nobody following the job
    studio.driver.get_log("browser")  # gradio complains when a page is left midway
    studio.tab("History")
    browser.until(lambda: studio.all("#history-jobs label"), "the history")
    studio.click("#history-jobs label")
    studio.wait_for("#history-said", "Done: 1 result")
    browser.until(lambda: len(studio.all("#history-results .verdict")) == 3, "its results")


def test_weights_say_their_licence_and_offline_is_one_line(studio: Studio) -> None:
    studio.tab("Models")
    studio.wait_for("#models-table", "CodeFormer")
    assert len(studio.all("#models-table tbody tr")) > 15
    box = studio.one("#models-which input")

    def choose(name: str) -> None:
        box.click()
        browser.until(lambda: [o for o in studio.all("[role=option]") if o.text.startswith(name + " ")], name)[
            0
        ].click()

    choose("codeformer")
    studio.wait_for("#models-terms", "S-Lab")
    studio.click("#models-pull")
    studio.wait_for("#models-said", "licence must be accepted")
    studio.click("#models-accept input")
    studio.click("#models-pull")
    assert studio.wait_for("#models-said", "LIKENESS_OFFLINE").startswith("!codeformer is not here")


WIDE = """return [...document.querySelectorAll('body *')].filter(e => e.checkVisibility()
&& !e.closest('[aria-hidden=true], .gone, #live') && e.getBoundingClientRect().right > innerWidth + 1)
.map(e => e.outerHTML.slice(0, 120))"""


@pytest.mark.parametrize("tab", ["Restore", "Compare", "Inpaint", "Models", "History"])
def test_a_phone_scrolls_only_downwards(phone: Studio, tab: str) -> None:
    phone.tab(tab)
    assert phone.js("return innerWidth") == 390
    assert phone.js("return document.documentElement.scrollWidth") <= 390
    assert phone.js(WIDE) == []


@pytest.fixture(scope="module")
def phone(server: Served, chromium: tuple[Any, Path], photos: dict[str, Path]) -> Iterator[Studio]:
    """390 pixels wide, in the dark, with a result."""
    driver, downloads = chromium
    metrics = {"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": True}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    dark = {"features": [{"name": "prefers-color-scheme", "value": "dark"}]}
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", dark)
    opened = Studio(driver, server.address, downloads)
    opened.open()
    opened.drop("restore", photos["group.png"])
    opened.faces("restore")
    set_steps(opened, 1)
    opened.click("#restore-go")
    opened.wait_for("#restore-status", "Done")
    yield opened
    driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def test_the_dark_is_dark_and_can_be_read(phone: Studio) -> None:
    def colour(what: str, selector: str) -> np.ndarray:
        found = phone.js(f"return getComputedStyle(document.querySelector(arguments[0])).{what}", selector)
        return np.array([int(v) for v in re.findall(r"\d+", found)[:3]])

    assert colour("backgroundColor", "body").max() < 50
    assert colour("color", ".head h1").min() > 200


def test_every_control_has_a_name(studio: Studio, photos: dict[str, Path]) -> None:
    """What a screen reader would say, by the browser's own accessibility tree."""
    studio.drop("restore", photos["one.jpg"])
    studio.faces("restore")
    tree = studio.driver.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    roles = {"button", "checkbox", "radio", "slider", "textbox", "spinbutton", "combobox", "tab", "image", "link"}
    unnamed = [
        node["role"]["value"]
        for node in tree
        if not node.get("ignored") and node.get("role", {}).get("value") in roles and not node["name"]["value"].strip()
    ]
    assert unnamed == []
    assert studio.js("return document.querySelector('#live').getAttribute('aria-live')") == "polite"
    assert "1 photo ready" in studio.text("#live")


def test_a_machine_that_is_too_small_says_so_and_nothing_else(chromium: tuple[Any, Path], tmp_path: Path) -> None:
    import uvicorn

    from likeness.web.engine import Engine
    from likeness.web.limits import Limits
    from likeness.web.server import make_app

    with pytest.MonkeyPatch.context() as patch, Engine(Limits(memory_bytes=2**60), tmp_path) as engine:
        patch.setenv("GRADIO_TEMP_DIR", "")  # the studio sets it; afterwards it is as it was
        small = uvicorn.Server(uvicorn.Config(make_app(engine), port=0, log_level="error"))
        thread = threading.Thread(target=small.run)
        thread.start()
        try:
            browser.until(lambda: small.started, "the server")
            port = small.servers[0].sockets[0].getsockname()[1]
            driver, _ = chromium
            driver.get(f"http://127.0.0.1:{port}/")
            found = browser.until(lambda: driver.find_elements("css selector", ".too-small"), "the sentence", 60)
            assert "GB of memory" in found[0].text
            assert not driver.find_elements("css selector", "[role=tab], input")
        finally:
            small.should_exit = True
            thread.join()
