"""Outputs behind an address, without a cluster: what is sent in which order, recalled, and removed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from quick import Stranger

import scenes
from likeness import pipeline
from likeness.folder import key_of, restore_tasks
from likeness.photo import PhotoError
from likeness.pipeline import Session, Settings
from likeness.scale import places
from likeness.scale.far import FarMemory, make_task

pytest.importorskip("fsspec", reason="needs fsspec, which Ray Data brings: the extra scale")


class Far:
    """One photo and its far folder; each call of ``restore`` starts from nothing here, as a new worker does."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.calls = folder, 0
        self.photo, self.out = folder / "in" / "a.png", folder / "out"
        self.photo.parent.mkdir()
        pixels = np.random.default_rng(0).integers(60, 190, (32, 32, 3), np.uint8)
        self.photo.write_bytes(scenes.encoded(pixels, "PNG"))

    def restore(self, **settings: Any) -> dict[str, Any]:
        """The record."""
        session = Session(Settings(method="pattern", aligned=True, **settings))
        self.calls += 1
        scratch = self.folder / "scratch" / str(self.calls)
        task = make_task(self.photo.as_uri(), Path("a"), self.out.as_uri(), key_of(session), scratch)
        ((_, record),) = restore_tasks(session, [task])
        return record

    def when(self) -> int:
        """The picture was written then."""
        return (self.out / "a.png").stat().st_mtime_ns


@pytest.fixture
def far(tmp_path: Path, pattern: str, monkeypatch: pytest.MonkeyPatch) -> Far:
    """A photo that is not restored yet."""
    monkeypatch.setattr(pipeline.session, "load_recognizer", lambda name: Stranger())
    return Far(tmp_path)


def test_done_and_intact_is_not_done_again(far: Far) -> None:
    record = far.restore()
    assert (record["status"], record["output"]) == ("restored", "a.png")
    assert record["input"] == far.photo.as_uri()
    when = far.when()
    assert far.restore() == record
    assert far.when() == when
    whole = scenes.pictures(far.out)
    (far.out / "a.png").write_bytes(whole["a.png"][:-9])
    far.restore()
    assert scenes.pictures(far.out) == whole
    (far.out / "a.png").unlink()
    far.restore()
    assert scenes.pictures(far.out) == whole


def test_pictures_of_an_earlier_way_are_removed_there(far: Far) -> None:
    far.restore(samples=2)
    names = set(scenes.pictures(far.out))
    assert len(names) == 5
    altered = far.out / "a.samples" / "face-1-mean.png"
    altered.write_bytes(b"altered by the user")
    far.restore()
    assert set(scenes.pictures(far.out)) == {"a.png", "a.samples/face-1-mean.png"}


@pytest.mark.parametrize("after", [0, 1, 2])
def test_stopped_after_any_file(far: Far, monkeypatch: pytest.MonkeyPatch, after: int) -> None:
    """Three files are sent: the intention, the picture, the record. Whatever is missing is made good."""

    class Killed(BaseException):
        """Stands for kill -9."""

    send, count = places.send, 0

    def dying(file: Path, address: str) -> None:
        nonlocal count
        if count == after:
            raise Killed
        count += 1
        send(file, address)

    with monkeypatch.context() as patch:
        patch.setattr(places, "send", dying)
        with pytest.raises(Killed):
            far.restore()
    assert (far.out / "a.png").exists() == (after == 2)
    assert far.restore()["status"] == "restored"


def test_a_storage_that_fails_in_the_middle_is_a_record(far: Far) -> None:
    far.out.mkdir()
    (far.out / "a.samples").write_bytes(b"a file, where a folder is needed")
    record = far.restore(samples=2)
    assert (record["status"], record["output"]) == ("failed", None)
    assert record["reason"].startswith(f"{far.out.as_uri()}/a.samples/")
    (far.out / "a.samples").unlink()
    assert far.restore(samples=2)["status"] == "restored"


def test_an_input_that_is_not_there_is_one_line(far: Far) -> None:
    far.photo.unlink()
    with pytest.raises(PhotoError, match="no such file"):
        far.restore()


def test_a_damaged_memory_means_doing_it_again(far: Far, tmp_path: Path) -> None:
    far.restore()
    (far.out / ".likeness" / "a.json").write_bytes(b"{")
    assert FarMemory(Path("a"), tmp_path / "s", "key", far.out.as_uri()).owns("a.png")
    assert far.restore()["status"] == "restored"
