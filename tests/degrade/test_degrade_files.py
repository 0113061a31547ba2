"""`likeness degrade`: folders of photos, the manifest, and images that can be made again from it."""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from likeness.degrade.files import MANIFEST, degrade_files, reproduce
from likeness.photo import PhotoError, read_photo

GOOD, UMLAUTS, BROKEN = "astronaut.png", "Grüße aus Köln.jpg", "truncated.jpg"


def encoded(image: np.ndarray, format_: str) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format_)
    return buffer.getvalue()


@pytest.fixture
def folder(tmp_path: Path, degrade_astronaut: np.ndarray) -> Path:
    """A good photo, one with umlauts and spaces in its name and place, and a truncated JPEG."""
    here = tmp_path / "photos"
    (here / "unter ordner").mkdir(parents=True)
    (here / GOOD).write_bytes(encoded(degrade_astronaut[40:168, 150:278], "PNG"))
    (here / "unter ordner" / UMLAUTS).write_bytes(encoded(degrade_astronaut[:200:2, :300:2], "JPEG"))
    data = encoded(degrade_astronaut[:256, :256], "JPEG")
    (here / BROKEN).write_bytes(data[: len(data) // 3])
    return here


def by_name(entries: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {Path(entry["input"]).name: entry for entry in entries}


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        assert image.format == "PNG"
        assert image.mode == "RGB"
        return np.asarray(image)


def test_a_folder_with_a_broken_photo(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    entries = degrade_files([folder], out, "idm", 3)
    named = by_name(entries)
    assert set(named) == {GOOD, UMLAUTS, BROKEN}
    assert BROKEN in named[BROKEN]["error"]
    assert len(named[BROKEN]["error"].splitlines()) == 1
    assert "output" not in named[BROKEN]
    assert sorted(p.relative_to(out).as_posix() for p in out.rglob("*") if p.is_file()) == [
        "astronaut.png",
        MANIFEST,
        "unter ordner/Grüße aus Köln.png",
    ]
    lines = (out / MANIFEST).read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in lines] == entries
    for name in (GOOD, UMLAUTS):
        entry = named[name]
        assert "error" not in entry
        assert (entry["recipe"], entry["seed"]) == ("idm", 3)
        written = out / entry["output"]
        assert hashlib.sha256(written.read_bytes()).hexdigest() == entry["output_sha256"]
        assert hashlib.sha256(Path(entry["input"]).read_bytes()).hexdigest() == entry["input_sha256"]
        clean = read_photo(Path(entry["input"]))
        assert pixels(written).shape == clean.pixels.shape
        assert np.abs(pixels(written).astype(int) - clean.pixels).mean() > 1


@pytest.mark.parametrize("recipe", ["idm", "surveillance", "old-photo"])
def test_the_manifest_makes_the_same_pixels_again(folder: Path, tmp_path: Path, recipe: str) -> None:
    out = tmp_path / "out"
    degrade_files([folder], out, recipe, 11)
    checked = 0
    for line in (out / MANIFEST).read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        if "error" not in entry:
            again = reproduce(entry, read_photo(Path(entry["input"])))
            assert np.array_equal(again.pixels, pixels(out / entry["output"]))
            checked += 1
    assert checked == 2


def test_a_picture_does_not_depend_on_its_neighbours(folder: Path, tmp_path: Path) -> None:
    together = degrade_files([folder], tmp_path / "a", "idm", 3)
    (folder / BROKEN).unlink()
    (folder / GOOD).unlink()  # they come before it in the list
    alone = degrade_files([folder], tmp_path / "b", "idm", 3)
    assert by_name(together)[UMLAUTS]["output_sha256"] == by_name(alone)[UMLAUTS]["output_sha256"]
    other = degrade_files([folder], tmp_path / "c", "idm", 4)
    assert by_name(alone)[UMLAUTS]["output_sha256"] != by_name(other)[UMLAUTS]["output_sha256"]


def test_a_picture_does_not_depend_on_a_neighbour_of_its_name(folder: Path, tmp_path: Path) -> None:
    """`astronaut.png` beside `astronaut.jpg`: the output is called otherwise, but is the same picture."""
    alone = by_name(degrade_files([folder], tmp_path / "a", "idm", 3))[GOOD]
    Image.new("RGB", (64, 64), "red").save(folder / "astronaut.jpg")
    beside = by_name(degrade_files([folder], tmp_path / "b", "idm", 3))[GOOD]
    assert beside["output"] != alone["output"]
    assert beside["output_sha256"] == alone["output_sha256"]


def test_photos_of_one_content_are_degraded_differently(folder: Path, tmp_path: Path) -> None:
    (folder / "copy.png").write_bytes((folder / GOOD).read_bytes())
    named = by_name(degrade_files([folder], tmp_path / "out", "idm", 3))
    assert named["copy.png"]["steps"] != named[GOOD]["steps"]


def test_nothing_to_degrade_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(PhotoError, match="no photos in"):
        degrade_files([tmp_path / "empty"], tmp_path / "out", "idm", 0)
    with pytest.raises(KeyError, match="unknown recipe"):
        degrade_files([tmp_path / "empty"], tmp_path / "out", "nope", 0)
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has file names that are not UTF-8")
def test_a_name_that_is_not_utf8_does_not_stop_the_others(folder: Path, tmp_path: Path) -> None:
    os.rename(os.fsencode(folder / GOOD), os.fsencode(folder) + b"/caf\xe9.png")  # noqa: PTH104
    out = tmp_path / "out"
    entries = degrade_files([folder], out, "idm", 3)
    assert sum("error" not in entry for entry in entries) == 2
    assert len((out / MANIFEST).read_bytes().splitlines()) == 3


def test_the_command(folder: Path, tmp_path: Path) -> None:
    """Exit status 0 all good, 1 some failed and the rest written, 2 wrong use with one line."""

    def run(*args: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "likeness", "degrade", str(folder), *args]
        return subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)

    wrong = run("-o", "wrong", "--recipe", "idn")
    assert wrong.returncode == 2
    assert len(wrong.stderr.splitlines()) == 1
    assert "unknown recipe 'idn'" in wrong.stderr
    assert "surveillance" in wrong.stderr
    assert not (tmp_path / "wrong").exists()

    some = run("-o", "some", "--seed", "3")
    assert some.returncode == 1
    assert BROKEN in some.stderr
    assert "Traceback" not in some.stderr
    assert some.stdout == ""
    assert (tmp_path / "some" / "unter ordner" / "Grüße aus Köln.png").is_file()

    (folder / BROKEN).unlink()
    good = run("-o", "good", "--seed", "3", "--recipe", "idm")
    assert good.returncode == 0, good.stderr
    assert "2 images degraded by idm" in good.stderr
    assert np.array_equal(pixels(tmp_path / "good" / GOOD), pixels(tmp_path / "some" / GOOD))
