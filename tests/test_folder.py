"""A folder of photos, again and again: what is skipped, what is done again, what is never overwritten."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import scenes
from likeness import memory as memory_module
from likeness import pipeline
from likeness.folder import restore_files
from likeness.photo import PhotoError
from likeness.pipeline import Settings


class Stranger:
    """A recogniser that costs nothing."""

    name, dimensions, same_person = "stranger", 2, 0.55

    def embed(self, crops: np.ndarray) -> np.ndarray:
        return np.stack([crops.mean(axis=(1, 2, 3)), crops.std(axis=(1, 2, 3))], axis=1)


@pytest.fixture(autouse=True)
def _no_recognizer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline.session, "load_recognizer", lambda name: Stranger())


def small(number: int, side: int = 32) -> bytes:
    """An aligned "face" as a PNG file."""
    pixels = np.random.default_rng(number).integers(60, 190, (side, side, 3), np.uint8)
    return scenes.encoded(pixels, "PNG")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Three pictures."""
    source = tmp_path / "in"
    source.mkdir()
    for number, name in enumerate(("a", "b", "c")):
        (source / f"{name}.png").write_bytes(small(number))
    return source


def restore(source: Path | list[Path], out: Path, *, overwrite: bool = False, **settings: Any) -> dict[str, str]:
    """Restore as aligned faces; the status of each photo."""
    sources = source if isinstance(source, list) else [source]
    report = restore_files(sources, out, Settings(method="pattern", aligned=True, **settings), overwrite=overwrite)
    assert scenes.read_report(out) == report.as_dict()
    return {Path(p["input"]).name: p["status"] for p in report.photos}


def times(out: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in sorted(out.glob("*.png"))}


def changed(before: dict[str, int], after: dict[str, int]) -> set[str]:
    return {name for name in after if before.get(name) != after[name]}


def test_running_again_does_nothing_and_reports_the_same(photos: Path, tmp_path: Path, pattern: str) -> None:
    out = tmp_path / "out"
    assert restore(photos, out) == {"a.png": "restored", "b.png": "restored", "c.png": "restored"}
    before, report = times(out), scenes.read_report(out)
    assert len(before) == 3
    restore(photos, out)
    assert times(out) == before
    assert scenes.read_report(out) == report


def test_progress_counts_every_photo_also_those_done_before(photos: Path, tmp_path: Path, pattern: str) -> None:
    out = tmp_path / "out"
    restore(photos, out)
    (out / "b.png").unlink()
    seen: list[tuple[int, int]] = []
    settings = Settings(method="pattern", aligned=True)
    restore_files([photos], out, settings, progress=lambda done, total, record: seen.append((done, total)))
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_a_deleted_or_altered_output_is_made_again(photos: Path, tmp_path: Path, pattern: str) -> None:
    out = tmp_path / "out"
    restore(photos, out)
    before, whole = times(out), scenes.pictures(out)
    (out / "a.png").unlink()
    (out / "b.png").write_bytes((out / "b.png").read_bytes()[:-20])
    restore(photos, out)
    assert scenes.pictures(out) == whole
    assert changed(before, times(out)) == {"a.png", "b.png"}


def test_an_altered_input_is_made_again(photos: Path, tmp_path: Path, pattern: str) -> None:
    out = tmp_path / "out"
    restore(photos, out)
    before = times(out)
    (photos / "b.png").write_bytes(small(77))
    restore(photos, out)
    assert changed(before, times(out)) == {"b.png"}


@pytest.mark.parametrize(
    "other",
    [
        {"seed": 1},
        {"blend": 0.5},
        {"options": {"steps": 2}},
        {"samples": 2},
        {"identity_limit": 0.0},
    ],
    ids=lambda other: next(iter(other)),
)
def test_other_settings_make_it_again(photos: Path, tmp_path: Path, pattern: str, other: dict[str, Any]) -> None:
    out = tmp_path / "out"
    restore(photos, out)
    before = times(out)
    restore(photos, out, **other)
    assert changed(before, times(out)) == {"a.png", "b.png", "c.png"}


def test_the_batch_size_is_no_reason_to_do_it_again(photos: Path, tmp_path: Path, pattern: str) -> None:
    out = tmp_path / "out"
    restore(photos, out)
    before = times(out)
    restore(photos, out, batch=2)
    assert times(out) == before


def test_overwrite_does_all_again(photos: Path, tmp_path: Path, pattern: str) -> None:
    out = tmp_path / "out"
    restore(photos, out)
    before = times(out)
    restore(photos, out, overwrite=True)
    assert changed(before, times(out)) == set(before)


def test_a_foreign_file_is_not_overwritten(photos: Path, tmp_path: Path, pattern: str) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "b.png").write_bytes(b"the user's own")
    assert restore(photos, out) == {"a.png": "restored", "b.png": "failed", "c.png": "restored"}
    record = scenes.read_report(out)["photos"][1]
    assert str(out / "b.png") in record["reason"]
    assert "--overwrite" in record["reason"]
    assert record["output"] is None
    assert (out / "b.png").read_bytes() == b"the user's own"
    assert restore(photos, out)["b.png"] == "failed"  # nor the second time

    assert restore(photos, out, overwrite=True)["b.png"] == "restored"
    assert (out / "b.png").read_bytes() != b"the user's own"
    assert restore(photos, out)["b.png"] == "restored"  # now it is ours


def test_a_failed_photo_is_tried_again(photos: Path, tmp_path: Path, pattern: str) -> None:
    out = tmp_path / "out"
    good = (photos / "b.png").read_bytes()
    (photos / "b.png").write_bytes(good[:60])
    assert restore(photos, out)["b.png"] == "failed"
    (photos / "b.png").write_bytes(good)
    assert restore(photos, out)["b.png"] == "restored"


def test_a_failed_face_is_tried_again(
    photos: Path, tmp_path: Path, pattern: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def out_of_memory(*_: Any, **__: Any) -> Any:
        raise RuntimeError("out of memory")

    def faces() -> list[str]:
        return [face["status"] for photo in scenes.read_report(out)["photos"] for face in photo["faces"]]

    out = tmp_path / "out"
    with monkeypatch.context() as patch:
        patch.setattr(scenes.Pattern, "restore", out_of_memory)
        restore(photos, out)
    assert faces() == ["failed"] * 3
    restore(photos, out)
    assert faces() == ["restored"] * 3


def test_inputs_with_one_stem_do_not_overwrite_each_other(tmp_path: Path, pattern: str) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    (source / "sub").mkdir(parents=True)
    pixels = np.random.default_rng(0).integers(60, 190, (32, 32, 3), np.uint8)
    (source / "a.jpg").write_bytes(scenes.encoded(pixels))
    (source / "a.png").write_bytes(small(1))
    (source / "A.webp").write_bytes(scenes.encoded(pixels[::-1], "WEBP", lossless=True))
    (source / "sub" / "a.jpg").write_bytes(scenes.encoded(pixels[:, ::-1]))
    restore(source, out)
    outputs = [photo["output"] for photo in scenes.read_report(out)["photos"]]
    assert len(outputs) == 4
    assert len({name.casefold() for name in outputs}) == 4
    assert sorted(outputs) == sorted(scenes.pictures(out))
    assert "sub/a.jpg" in outputs
    before = {name: (out / name).stat().st_mtime_ns for name in outputs}
    restore(source, out)
    assert {name: (out / name).stat().st_mtime_ns for name in outputs} == before


def test_the_output_folder_may_lie_in_the_input_folder(photos: Path, pattern: str) -> None:
    """``likeness restore . -o out``: the second time, the first results are no inputs."""
    out = photos / "out"
    first = restore(photos, out)
    before = times(out)
    assert restore(photos, out) == first
    assert times(out) == before
    assert sorted(scenes.pictures(out)) == ["a.png", "b.png", "c.png"]


def test_restored_photos_may_be_inputs_of_another_run(photos: Path, tmp_path: Path, pattern: str) -> None:
    restore(photos, tmp_path / "one")
    assert len(restore(tmp_path / "one", tmp_path / "two")) == 3


@pytest.mark.parametrize("link", [False, True], ids=["itself", "a link to it"])
def test_the_inputs_own_folder_is_refused(photos: Path, tmp_path: Path, pattern: str, link: bool) -> None:
    before = scenes.pictures(photos)
    out = photos
    if link:
        out = tmp_path / "link"
        out.symlink_to(photos)
    with pytest.raises(PhotoError, match="overwritten"):
        restore_files([photos], out, Settings(method="pattern", aligned=True))
    assert scenes.pictures(photos) == before
    assert sorted(p.name for p in photos.iterdir()) == ["a.png", "b.png", "c.png"]


def test_damaged_memory_means_doing_it_again(photos: Path, tmp_path: Path, pattern: str) -> None:
    out = tmp_path / "out"
    restore(photos, out)
    before = times(out)
    memory = sorted((out / memory_module.FOLDER).rglob("*.json"))
    assert len(memory) == 3
    memory[0].write_text("{")
    memory[1].write_text("[]")
    memory[2].write_bytes(b"\xff\xfe")
    assert set(restore(photos, out).values()) == {"restored"}
    assert changed(before, times(out)) == set(before)


def test_a_place_that_cannot_be_written_fails_one_photo(photos: Path, tmp_path: Path, pattern: str) -> None:
    """A folder stands where the picture should go; works as root too, whom no permission stops."""
    out = tmp_path / "out"
    (out / "b.png").mkdir(parents=True)
    assert restore(photos, out, overwrite=True) == {
        "a.png": "restored",
        "b.png": "failed",
        "c.png": "restored",
    }
    reason = scenes.read_report(out)["photos"][1]["reason"]
    assert str(out / "b.png") in reason
    assert "None" not in reason


class Killed(BaseException):
    """Stands for kill -9."""


@pytest.mark.parametrize("after", range(0, 10, 1))
def test_stopped_after_any_file_and_run_again(
    photos: Path, tmp_path: Path, pattern: str, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    """Three photos are nine renames (intention, picture, memory), the report is one; stop before each."""
    whole, out = tmp_path / "whole", tmp_path / "out"
    restore(photos, whole)
    count = 0
    replace = Path.replace

    def dying(self: Path, target: Any) -> Path:
        nonlocal count
        if count == after:
            raise Killed
        count += 1
        return replace(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", dying)
        with pytest.raises(Killed):
            restore(photos, out)
    assert count == after
    done = times(out)
    restore(photos, out)
    assert scenes.pictures(out) == scenes.pictures(whole)
    for record, other in zip(scenes.read_report(out)["photos"], scenes.read_report(whole)["photos"], strict=True):
        assert scenes.without_times(record) == scenes.without_times(other)
    finished = after // 3  # photos whose memory was complete
    assert len(changed(done, times(out)) & set(done)) == len(done) - finished


def test_samples_left_of_a_photo_are_made_again(photos: Path, tmp_path: Path, pattern: str) -> None:
    out = tmp_path / "out"
    restore(photos, out, samples=2)
    whole = scenes.pictures(out)
    assert len(whole) == 3 + 3 * 4
    shutil.rmtree(out / "b.samples")
    restore(photos, out, samples=2)
    assert scenes.pictures(out) == whole
