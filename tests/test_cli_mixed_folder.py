"""A folder as people have it: good photos, broken ones and odd ones, through the real command, once."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

import scenes

PHONE = scenes.on_canvas(256, 330, (scenes.portrait(256), 0, 40))  # as it is to be seen
BROKEN = ("cut.jpg", "text.jpg")
UMLAUT = "Tür zum Gärtchen, größer.jpg"


@dataclass(frozen=True)
class Mixed:
    """The folder, what came out, and how."""

    source: Path
    out: Path
    ended: scenes.Ended
    report: dict[str, Any]

    def record(self, name: str) -> dict[str, Any]:
        return next(photo for photo in self.report["photos"] if Path(photo["input"]).name == name)


def deep_portrait() -> np.ndarray:
    fine = np.random.default_rng(3).integers(0, 256, (280, 280, 3))  # the low byte: only 16 bits hold it
    return (scenes.portrait(280).astype(np.uint16) << 8) + fine.astype(np.uint16)


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Mixed:
    root = tmp_path_factory.mktemp("mixed")
    source, out = root / "in", root / "out"
    source.mkdir()
    good = scenes.encoded(scenes.portrait(256), exif=scenes.exif(), icc_profile=scenes.icc())
    (source / "good.jpg").write_bytes(good)
    (source / "group.jpg").write_bytes(scenes.encoded(scenes.group()))
    (source / "nobody.jpg").write_bytes(scenes.encoded(scenes.landscape(), exif=scenes.exif()))
    (source / "cut.jpg").write_bytes(good[: len(good) // 2])
    (source / "text.jpg").write_text("this is not a photo\n")
    scenes.save_deep(source / "deep.png", deep_portrait())
    alpha = np.tile(np.arange(256, dtype=np.uint8), (256, 1))[:, :, None]
    (source / "alpha.png").write_bytes(scenes.encoded(np.concatenate([scenes.portrait(256), alpha], axis=2), "PNG"))
    (source / "phone.jpg").write_bytes(scenes.encoded(np.rot90(PHONE), exif=scenes.exif(orientation=6)))
    (source / UMLAUT).write_bytes(scenes.encoded(scenes.portrait(260)))
    ended = scenes.likeness("restore", source, "-o", out)
    return Mixed(source, out, ended, scenes.read_report(out))


def test_it_ends_with_one_line_for_each_failure(mixed: Mixed) -> None:
    assert mixed.ended.status == 1, mixed.ended.err
    assert mixed.ended.out == ""
    assert "Traceback" not in mixed.ended.err
    for name in BROKEN:
        assert len([line for line in mixed.ended.lines if name in line]) == 1
    assert len(mixed.ended.lines) == len(BROKEN) + 1, mixed.ended.err
    assert "report.json" in mixed.ended.lines[-1]
    assert all(str(count) in mixed.ended.lines[-1] for count in ("8 faces", "6 photos", "2 photos failed"))


def test_there_is_a_record_for_every_photo_and_face(mixed: Mixed) -> None:
    assert {Path(p["input"]).name for p in mixed.report["photos"]} == {p.name for p in mixed.source.iterdir()}
    faces = {Path(p["input"]).name: len(p["faces"]) for p in mixed.report["photos"]}
    expected = dict.fromkeys(("good.jpg", "deep.png", "alpha.png", "phone.jpg", UMLAUT), 1)
    assert faces == {**expected, "group.jpg": 3, "nobody.jpg": 0, "cut.jpg": 0, "text.jpg": 0}
    for photo in mixed.report["photos"]:
        for face in photo["faces"]:
            assert face["status"] == "restored"
            assert face["reason"] is None
            x0, y0, x1, y1 = face["box"]
            assert 0 <= x0 < x1
            assert 0 <= y0 < y1
            assert face["score"] > 0
            assert 0 < face["identity_distance"] < 1
            assert face["same_person"] == (face["identity_distance"] <= 0.55)
            assert face["seconds"] > 0
    for name in BROKEN:
        record = mixed.record(name)
        assert record["status"] == "failed"
        assert name in record["reason"]
        assert record["output"] is None
    assert mixed.report["summary"]["photos"] == {"restored": 6, "kept": 1, "skipped": 0, "failed": 2}


def test_the_outputs_are_those_of_the_report_and_nothing_else(mixed: Mixed) -> None:
    outputs = [photo["output"] for photo in mixed.report["photos"] if photo["output"]]
    assert sorted(outputs) == sorted(scenes.pictures(mixed.out))
    assert len(outputs) == 7
    assert UMLAUT in outputs
    assert not list(mixed.out.rglob(".likeness-*"))


def test_the_photo_without_a_face_is_the_same_file(mixed: Mixed) -> None:
    record = mixed.record("nobody.jpg")
    assert (record["status"], record["reason"], record["faces"]) == ("kept", "no face found", [])
    assert (mixed.out / "nobody.jpg").read_bytes() == (mixed.source / "nobody.jpg").read_bytes()


@pytest.mark.parametrize("name", ["deep.png", "alpha.png"])
def test_only_the_face_is_changed(mixed: Mixed, name: str) -> None:
    (face,) = mixed.record(name)["faces"]
    before, after = (
        cv2.imread(str(folder / name), cv2.IMREAD_UNCHANGED)[..., :3] for folder in (mixed.source, mixed.out)
    )
    assert before.dtype == after.dtype == (np.uint16 if name == "deep.png" else np.uint8)
    assert before.shape == after.shape
    here = scenes.inside(face["box"])
    assert (before[here] != after[here]).any(axis=2).mean() > 0.5
    far = scenes.far_outside(before.shape, face["box"])
    assert far.mean() > 0.3
    assert np.array_equal(before[far], after[far])


def test_transparency_is_kept(mixed: Mixed) -> None:
    before, after = (np.asarray(Image.open(folder / "alpha.png")) for folder in (mixed.source, mixed.out))
    assert after.shape == (256, 256, 4)
    assert np.array_equal(before[..., 3], after[..., 3])


def test_all_sixteen_bits_are_kept(mixed: Mixed) -> None:
    after = scenes.load_deep(mixed.out / "deep.png")
    far = scenes.far_outside(after.shape, mixed.record("deep.png")["faces"][0]["box"])
    assert len(np.unique(after[far] & 255)) == 256


def test_metadata_and_profile_are_kept(mixed: Mixed) -> None:
    before, after = Image.open(mixed.source / "good.jpg"), Image.open(mixed.out / "good.jpg")
    assert after.format == "JPEG"
    assert after.getexif()[0x010F] == "Acme"
    assert dict(after.getexif().get_ifd(0x8825)) == dict(before.getexif().get_ifd(0x8825))
    assert len(after.getexif().get_ifd(0x8825)) == 4
    assert after.info["icc_profile"] == before.info["icc_profile"]


def test_a_rotated_phone_photo_is_upright(mixed: Mixed) -> None:
    stored, after = Image.open(mixed.source / "phone.jpg"), Image.open(mixed.out / "phone.jpg")
    assert stored.size == (256, 330)
    assert after.size == (330, 256)
    assert after.getexif().get(0x0112, 1) == 1
    assert after.getexif()[0x010F] == "Acme"
    pixels = scenes.load_pixels(mixed.out / "phone.jpg").astype(int)
    (face,) = mixed.record("phone.jpg")["faces"]
    far = scenes.far_outside(pixels.shape, face["box"])
    assert np.abs(pixels - PHONE)[far].mean() < 3


def test_all_faces_of_a_group_change_and_what_is_between_does_not(mixed: Mixed) -> None:
    before, after = (scenes.load_pixels(f / "group.jpg").astype(int) for f in (mixed.source, mixed.out))
    boxes = [face["box"] for face in mixed.record("group.jpg")["faces"]]
    widths = [x1 - x0 for x0, _, x1, _ in boxes]
    assert widths == sorted(widths, reverse=True)
    far = scenes.far_outside(before.shape, *boxes)
    assert far.mean() > 0.1
    assert np.abs(before - after)[far].mean() < 1  # JPEG is written again: not exact
    for box in boxes:
        assert np.abs(before - after)[scenes.inside(box)].mean() > 1


def test_without_the_broken_files_all_is_good(mixed: Mixed, tmp_path: Path) -> None:
    """Also: outputs of the first run are taken over, and --json says the same as the report."""
    out = tmp_path / "out"
    shutil.copytree(mixed.out, out)
    before = {name: (out / name).stat().st_mtime_ns for name in scenes.pictures(out)}
    good = [path for path in sorted(mixed.source.iterdir()) if path.name not in BROKEN]
    ended = scenes.likeness("restore", *good, "-o", out, "--json")
    assert ended.status == 0, ended.err
    assert ended.lines == []
    assert ended.out.count("\n") == 1
    printed = json.loads(ended.out)
    assert printed == scenes.read_report(out)
    assert [p["status"] for p in printed["photos"]].count("restored") == 6
    assert {name: (out / name).stat().st_mtime_ns for name in before} == before
