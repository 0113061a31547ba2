"""``likeness compare``: the folders and files it leaves, failures, running again, and what a page may hold."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

import scenes
from likeness import cli
from likeness.cli import compare as compare_command
from likeness.methods import OptionError
from likeness.photo import PhotoError
from likeness.study.compare import Comparison, compare, split_methods

BAD_NAME = "<img src=x onerror=alert(1)>"
METHODS = ["pattern", "pattern:steps=3", "gfpgan"]  # the last has no weights here
Command = Callable[..., scenes.Ended]


@pytest.fixture(autouse=True)
def _home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIKENESS_HOME", str(tmp_path_factory.mktemp("home")))
    if not any(one.name == "compare" for one in cli.app.registered_commands):
        cli.app.command("compare")(compare_command.compare)


@pytest.fixture
def photos(tmp_path: Path) -> tuple[Path, Path]:
    """Blurred faces in a folder with a subfolder, and the true ones in another; one has a name that is HTML."""
    face = np.rint(scenes.aligned_face() * 255).astype(np.uint8)
    small = cv2.resize(face, (224, 224), interpolation=cv2.INTER_AREA)
    given, truth = tmp_path / "given", tmp_path / "truth"
    for folder, pixels in ((given, cv2.GaussianBlur(small, (0, 0), 3)), (truth, small)):
        (folder / "more").mkdir(parents=True)
        (folder / f"{BAD_NAME}.png").write_bytes(scenes.encoded(pixels, "PNG"))
        (folder / "more" / "b.png").write_bytes(scenes.encoded(pixels[:, ::-1].copy(), "PNG"))
    return given, truth


def run(photos: tuple[Path, Path], out: Path, methods: list[str] | None = None, **more: Any) -> Comparison:
    given, truth = photos
    return compare(given, out, methods or METHODS, **{"truth": truth, "aligned": True, **more})


def by_name(found: Comparison) -> dict[str, dict[str, Any]]:
    return {entry["name"]: entry for entry in found.document["methods"]}


def test_what_it_leaves(photos: tuple[Path, Path], tmp_path: Path, pattern: str) -> None:
    out = tmp_path / "out"
    found = run(photos, out)
    names = sorted([f"{BAD_NAME}.png", "more/b.png"])
    for folder in ("inputs", "truth", "pattern", "pattern_steps=3"):
        assert sorted(scenes.pictures(out / folder)) == names
    assert scenes.pictures(out / "truth") == scenes.pictures(photos[1])
    assert not (out / "gfpgan").exists()
    assert json.loads((out / "compare.json").read_text(encoding="utf-8")) == found.document
    assert found.page == out / "index.html"

    entries = by_name(found)
    assert list(entries) == ["input", *METHODS]
    assert entries["input"]["scores"]["psnr"]["count"] == 2
    assert entries["pattern"]["scores"]["psnr"]["value"] < entries["input"]["scores"]["psnr"]["value"]
    assert "models pull" in entries["gfpgan"]["error"]
    assert found.failures == [f"gfpgan: {entries['gfpgan']['error']}"]
    record = entries["pattern"]["pictures"]["more/b"]
    assert record["output"] == "pattern/more/b.png"
    assert record["values"]["identity-to-input"] == record["faces"][0]["identity_distance"]
    assert entries["pattern"]["scores"]["seconds"]["value"] > 0

    with (out / "values.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["method"], row["picture"]) for row in rows] == [
        (method, name) for method in ("input", *METHODS[:2]) for name in (BAD_NAME, "more/b")
    ]
    assert float(rows[0]["psnr"]) == pytest.approx(entries["input"]["pictures"][BAD_NAME]["values"]["psnr"], rel=1e-5)

    means = json.loads((out / "measure.json").read_text(encoding="utf-8"))
    assert means["metrics"]["niqe-faces"] == {"higher_is_better": False}
    assert set(means["methods"]) == {"input", "pattern", "pattern_steps=3"}  # the folders, as the rating knows them
    assert means["methods"]["pattern"]["psnr"] == entries["pattern"]["scores"]["psnr"]["value"]


def test_names_are_text_and_never_markup(photos: tuple[Path, Path], tmp_path: Path, pattern: str) -> None:
    found = run(photos, tmp_path / "out", ["pattern"])
    for html in (found.page.read_text(encoding="utf-8"), found._repr_html_()):
        assert "<img src=x" not in html
        assert "onerror=alert(1)>" not in html
    assert "&lt;img src=x onerror=alert(1)&gt;" in found.page.read_text(encoding="utf-8")
    assert "%3Cimg%20src%3Dx%20onerror%3Dalert%281%29%3E.png" in found.page.read_text(encoding="utf-8")


def test_running_again_keeps_pictures_and_values(photos: tuple[Path, Path], tmp_path: Path, pattern: str) -> None:
    out = tmp_path / "out"
    first = run(photos, out)
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.png")}
    again = run(photos, out, [*METHODS, "pattern:steps=9"])
    assert all(path.stat().st_mtime_ns == time for path, time in before.items())
    assert by_name(again)["pattern"] == by_name(first)["pattern"]  # with its seconds: they are of the run that worked
    assert by_name(again)["pattern:steps=9"]["error"] is None


def test_results_inside_the_folder_of_photos_are_no_photos(photos: tuple[Path, Path], pattern: str) -> None:
    given, _ = photos
    for _ in range(2):
        found = compare(given, given / "out", ["pattern"], aligned=True, metrics=["niqe-faces"])
        assert len(found.document["pictures"]) == 2
    globbed = compare(f"{given}/**/*.png", given / "out", ["pattern"], aligned=True, metrics=["niqe-faces"])
    assert len(globbed.document["pictures"]) == 2


def test_without_a_truth(photos: tuple[Path, Path], tmp_path: Path, pattern: str) -> None:
    found = run(photos, tmp_path / "out", ["pattern"], truth=None)
    assert list(found.document["metrics"]) == ["niqe-faces", "identity-to-input", "seconds"]
    assert not (tmp_path / "out" / "truth").exists()
    assert found.document["rankings"]["fidelity"]["places"] == []
    assert "--truth" in found.document["rankings"]["fidelity"]["sentence"]
    assert "identity distance to the input" in found.sentence
    assert found.failures == []


def test_a_broken_photo_fails_alone(photos: tuple[Path, Path], tmp_path: Path, pattern: str) -> None:
    (photos[0] / "broken.png").write_bytes(b"this is no picture")
    found = run(photos, tmp_path / "out", ["pattern"], metrics=["psnr"])
    assert any("broken.png" in line for line in found.failures)
    assert by_name(found)["pattern"]["scores"]["psnr"]["count"] == 2
    assert by_name(found)["pattern"]["pictures"]["broken"]["status"] == "failed"
    assert "broken" in found.page.read_text(encoding="utf-8")


def test_a_group_photo_shows_its_faces(tmp_path: Path, pattern: str) -> None:
    (tmp_path / "group.png").write_bytes(scenes.encoded(scenes.group(), "PNG"))
    found = compare(tmp_path / "group.png", tmp_path / "out", ["pattern"], samples=2, metrics=["niqe-faces"])
    faces = by_name(found)["pattern"]["pictures"]["group"]["faces"]
    assert [face["status"] for face in faces] == ["restored"] * 3
    html = found.page.read_text(encoding="utf-8")
    assert [f"{what}</option>" in html for what in ("whole photo", "face 1", "face 3", "face 4")] == [True] * 3 + [
        False
    ]
    assert html.count('class="map"') == 3  # the uncertainty of each
    few = compare(tmp_path / "group.png", tmp_path / "out", ["pattern"], samples=2, metrics=["niqe-faces"], shown=0)
    assert "The first 0 of 1 photos" in few.page.read_text(encoding="utf-8")


def test_the_command(photos: tuple[Path, Path], tmp_path: Path, pattern: str, command: Command) -> None:
    given, truth = photos
    out = tmp_path / "out"
    common = ("compare", given, "-o", out, "--aligned", "--truth", truth, "--metrics", "ssim", "--prefer", "fidelity")
    ended = command(*common, "--methods", "pattern", "--method", "pattern:steps=2")
    assert ended.status == 0, ended.err
    assert "pattern:steps=2" in ended.out
    assert "For fidelity" in ended.out
    assert "index.html" in ended.err
    ended = command(*common, "--methods", "pattern,gfpgan", "--json")
    assert ended.status == 1
    document = json.loads(ended.out)
    assert list(document["metrics"]) == ["ssim", "psnr", "identity-to-input", "seconds"]  # with what the rule needs
    assert ended.lines[0].startswith("failed: gfpgan: ")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--methods", "pattern,pattern"], "occurs twice"),
        (["--methods", "pattern", "--prefer", "beauty"], "unknown preference 'beauty'"),
        (["--methods", "pattern", "--metrics", "charm"], "unknown metric 'charm'"),
        (["--methods", "pattern:steps"], "a method looks like"),
        ([], "name the methods"),
        (["--methods", "inputs"], "cannot be called inputs"),
    ],
)
def test_wrong_use(
    arguments: list[str], said: str, photos: tuple[Path, Path], tmp_path: Path, pattern: str, command: Command
) -> None:
    ended = command("compare", photos[0], "-o", tmp_path / "out", "--aligned", *arguments)
    assert ended.status == 2
    assert said in ended.err
    assert len(ended.lines) == 1
    assert not (tmp_path / "out").exists()


def test_a_truth_of_other_names_is_wrong_use(photos: tuple[Path, Path], tmp_path: Path, pattern: str) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "z.png").write_bytes((photos[1] / "more" / "b.png").read_bytes())
    with pytest.raises(PhotoError, match=r"no picture in .*other has the name"):
        run(photos, tmp_path / "out", truth=other)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("a,b", ["a", "b"]),
        ("a:x=1,y=2,b", ["a:x=1,y=2", "b"]),
        ("a,x=1", ["a", "x=1"]),  # no option of a: it has no colon
        ("a:x=1,b:y=2", ["a:x=1", "b:y=2"]),
        ("a:x=1,y=z.pth", ["a:x=1", "y=z.pth"]),  # a file
        ("a:x=1,y=-2e3", ["a:x=1,y=-2e3"]),
    ],
)
def test_commas_between_methods_and_within_options(text: str, wanted: list[str]) -> None:
    assert split_methods(text) == wanted


def test_no_methods() -> None:
    with pytest.raises(OptionError, match="name the methods"):
        compare("x", "y", [])
