"""``likeness restore``: wrong use, and what its options do; in this process, with a method for free."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import scenes
from likeness.degrade import degrade

Command = Callable[..., scenes.Ended]


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """One face, as PNG."""
    path = tmp_path / "in" / "photo.png"
    path.parent.mkdir()
    path.write_bytes(scenes.encoded(scenes.portrait(256), "PNG"))
    return path


@pytest.fixture
def group(tmp_path: Path) -> Path:
    """Three faces, as PNG."""
    path = tmp_path / "group.png"
    path.write_bytes(scenes.encoded(scenes.group(), "PNG"))
    return path


@pytest.fixture
def crop(tmp_path: Path) -> Path:
    """An aligned face, 512x512, as PNG."""
    path = tmp_path / "crop.png"
    path.write_bytes(scenes.encoded(np.rint(scenes.aligned_face() * 255).astype(np.uint8), "PNG"))
    return path


def restored(command: Command, source: Path, out: Path, *options: object, status: int = 0) -> dict[str, Any]:
    """The record of the one photo."""
    ended = command("restore", source, "-o", out, "--method", "pattern", *options)
    assert ended.status == status, ended.err
    (record,) = scenes.read_report(out)["photos"]
    return dict(record)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--method", "nonsense"], ["nonsense", "likeness"]),  # the choices are named
        (["--fidelity", "1.5"], ["fidelity", "1.5"]),
        (["--reference", "."], ["likeness takes no references"]),
        (["--steps", "0"], ["steps", "0"]),
        (["--steps", "51"], ["steps", "51"]),
        (["--device", "cuda"], ["cuda", "--device auto"]),
        (["--device", "tpu"], ["tpu", "cpu"]),
        (["--precision", "int3"], ["int3", "fp32"]),
        (["--device", "cpu", "--precision", "fp16"], ["fp16", "bf16"]),
        (["--backend", "fast"], ["fast", "openvino"]),
        (["--detector", "eyes"], ["eyes", "dlib"]),
        (["--faces", "some"], ["faces", "largest"]),
        (["--samples", "0"], ["samples"]),
        (["--blend", "1.5"], ["blend", "1.5"]),
        (["--seed", "-1"], ["seed"]),
        (["--weights", "nowhere.safetensors"], ["nowhere.safetensors"]),
        (["--weights", "weights.pth"], ["weights.pth", "not there"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_use_is_one_line_and_writes_nothing(
    command: Command, photo: Path, tmp_path: Path, options: list[str], words: list[str]
) -> None:
    import torch

    if "cuda" in options and torch.cuda.is_available():
        pytest.skip("this machine has CUDA")
    ended = command("restore", photo, "-o", tmp_path / "out", *options)
    assert (ended.status, ended.out) == (2, "")
    assert len(ended.lines) == 1, ended.err
    assert all(word in ended.lines[0] for word in words)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("missing", ["nowhere", "empty", "in/*.tif"])
def test_no_inputs_is_wrong_use(command: Command, photo: Path, tmp_path: Path, missing: str) -> None:
    (tmp_path / "empty").mkdir()
    ended = command("restore", tmp_path / missing, "-o", tmp_path / "out")
    assert (ended.status, ended.out) == (2, "")
    assert len(ended.lines) == 1, ended.err
    assert missing in ended.lines[0]
    assert not (tmp_path / "out").exists()


def test_a_photo_is_never_its_own_output(command: Command, photo: Path) -> None:
    before = photo.read_bytes()
    for options in ([], ["--overwrite"]):
        ended = command("restore", photo, "-o", photo.parent, *options)
        assert (ended.status, ended.out) == (2, "")
        assert len(ended.lines) == 1, ended.err
        assert str(photo) in ended.lines[0]
    assert [path.name for path in photo.parent.iterdir()] == ["photo.png"]
    assert photo.read_bytes() == before


@pytest.mark.parametrize("where", ["file", "file/below"])
def test_an_output_folder_that_cannot_be_is_wrong_use(
    command: Command, photo: Path, tmp_path: Path, pattern: str, where: str
) -> None:
    (tmp_path / "file").write_text("the user's own")
    ended = command("restore", photo, "-o", tmp_path / where, "--method", pattern)
    assert (ended.status, ended.out) == (2, "")
    assert len(ended.lines) == 1, ended.err
    assert str(tmp_path / where) in ended.lines[0]
    assert (tmp_path / "file").read_text() == "the user's own"


def test_json_prints_one_document_and_failures_one_line(
    command: Command, crop: Path, tmp_path: Path, pattern: str
) -> None:
    (tmp_path / "text.jpg").write_text("no picture")
    out = tmp_path / "out"
    ended = command("restore", crop, tmp_path / "text.jpg", "-o", out, "--method", pattern, "--aligned", "--json")
    assert ended.status == 1
    assert json.loads(ended.out) == scenes.read_report(out)
    assert len(ended.lines) == 1
    assert "text.jpg" in ended.lines[0]


def test_samples_write_every_face_and_where_they_differ(
    command: Command, group: Path, tmp_path: Path, pattern: str
) -> None:
    out = tmp_path / "out"
    record = restored(command, group, out, "--samples", 3)
    assert len(record["faces"]) == 3
    assert all(face["uncertainty"] > 0 for face in record["faces"])
    assert all(0 < face["identity_spread"] < 1 for face in record["faces"])
    assert len(record["extra_outputs"]) == 3 * (3 + 2)
    found = scenes.pictures(out)
    assert sorted(found) == sorted([record["output"], *record["extra_outputs"]])
    for face in (1, 2, 3):
        mine = [name for name in record["extra_outputs"] if f"face-{face}-" in name]
        (spread,) = (name for name in mine if "uncertainty" in name and name.endswith(".png"))
        mine.remove(spread)
        (average,) = (name for name in mine if name.endswith("-mean.png"))
        mine.remove(average)
        pictures = [scenes.load_pixels(out / name).astype(int) for name in mine]
        assert [picture.shape for picture in pictures] == [(512, 512, 3)] * 3
        assert (pictures[0] != pictures[1]).any()
        assert (pictures[1] != pictures[2]).any()
        mean = scenes.load_pixels(out / average).astype(int)
        assert np.abs(mean - np.mean(pictures, axis=0)).max() <= 1
        heat, deviation = scenes.load_pixels(out / spread), np.std(pictures, axis=0).mean(axis=2)
        assert heat.shape == (512, 512, 3)
        assert heat[deviation > 20].sum(axis=1).mean() > heat[deviation == 0].sum(axis=1).mean() + 100


def test_one_sample_says_nothing_of_uncertainty(command: Command, crop: Path, tmp_path: Path, pattern: str) -> None:
    record = restored(command, crop, tmp_path / "out", "--aligned")
    assert record["faces"][0]["uncertainty"] is None
    assert record["extra_outputs"] == []


def test_blend_goes_from_the_photo_to_the_restoration(
    command: Command, photo: Path, tmp_path: Path, pattern: str
) -> None:
    seen, distance = {}, {}
    for blend in (0, 0.5, 1):
        out = tmp_path / f"out{blend}"
        record = restored(command, photo, out, "--blend", blend)
        seen[blend] = scenes.load_pixels(out / record["output"]).astype(int)
        distance[blend] = record["faces"][0]["identity_distance"]
    before = scenes.load_pixels(photo).astype(int)
    assert np.array_equal(seen[0], before)
    assert np.abs(seen[1] - before).max() > 20
    low, high = np.minimum(seen[0], seen[1]), np.maximum(seen[0], seen[1])
    assert ((low <= seen[0.5]) & (seen[0.5] <= high)).all()
    inner = (seen[1] > 0) & (seen[1] < 255)  # where nothing was clipped
    assert np.abs(seen[0.5] - (seen[0] + seen[1]) / 2)[inner].max() <= 1
    assert distance[0] == 0 < distance[0.5] < distance[1]  # the evidence is about what is written


def test_only_the_largest_face(command: Command, group: Path, tmp_path: Path, pattern: str) -> None:
    record = restored(command, group, tmp_path / "out", "--faces", "largest")
    faces = record["faces"]
    assert [face["status"] for face in faces] == ["restored", "skipped", "skipped"]
    assert faces[0]["box"][2] - faces[0]["box"][0] > max(face["box"][2] - face["box"][0] for face in faces[1:])
    assert all("largest" in face["reason"] for face in faces[1:])
    before, after = scenes.load_pixels(group), scenes.load_pixels(tmp_path / "out" / record["output"])
    far = scenes.far_outside(before.shape, faces[0]["box"])
    assert far[scenes.inside(faces[1]["box"])].any()
    assert np.array_equal(before[far], after[far])


def test_small_faces_are_skipped_with_a_reason(command: Command, photo: Path, tmp_path: Path, pattern: str) -> None:
    record = restored(command, photo, tmp_path / "out", "--min-face", 500)
    assert (record["status"], [f["status"] for f in record["faces"]]) == ("kept", ["skipped"])
    assert "500" in record["faces"][0]["reason"]
    assert record["faces"][0]["identity_distance"] is None
    assert (tmp_path / "out" / "photo.png").read_bytes() == photo.read_bytes()


def test_an_identity_limit_keeps_the_photos_own_face(
    command: Command, group: Path, tmp_path: Path, pattern: str
) -> None:
    record = restored(command, group, tmp_path / "out", "--identity-limit", 0)
    assert record["status"] == "kept"
    assert [face["status"] for face in record["faces"]] == ["kept"] * 3
    for face in record["faces"]:
        assert face["identity_distance"] > 0
        assert "limit" in face["reason"]
        assert f"{face['identity_distance']:.2f}" in face["reason"]
    assert (tmp_path / "out" / "group.png").read_bytes() == group.read_bytes()


def test_aligned_restores_all_of_the_crop(command: Command, crop: Path, tmp_path: Path) -> None:
    """With the real network: up to the border, without a mask, without a search for faces."""
    out = tmp_path / "out"
    degraded, _ = degrade(scenes.aligned_face(), "idm", seed=1)  # a good picture may be left as it is
    crop.write_bytes(scenes.encoded(np.rint(degraded * 255).astype(np.uint8), "PNG"))
    assert command("restore", crop, "-o", out, "--aligned", "--steps", "1").status == 0
    (record,) = scenes.read_report(out)["photos"]
    assert record["faces"][0]["box"] == [0, 0, 512, 512]
    before, after = scenes.load_pixels(crop).astype(int), scenes.load_pixels(out / "crop.png").astype(int)
    changed = (before != after).any(axis=2)
    assert after.shape == (512, 512, 3)
    for edge in (changed[:8], changed[-8:], changed[:, :8], changed[:, -8:]):
        assert edge.mean() > 0.3


def test_aligned_refuses_what_is_not_square(command: Command, tmp_path: Path, pattern: str) -> None:
    source = tmp_path / "wide.png"
    source.write_bytes(scenes.encoded(scenes.landscape(64, 80), "PNG"))
    ended = command("restore", source, "-o", tmp_path / "out", "--aligned", "--method", pattern)
    assert ended.status == 1
    assert len([line for line in ended.lines if "wide.png" in line]) == 1
    (record,) = scenes.read_report(tmp_path / "out")["photos"]
    assert record["status"] == "failed"
    assert "80x64" in record["reason"]
    assert "square" in record["reason"]
    assert scenes.pictures(tmp_path / "out") == {}
