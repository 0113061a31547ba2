"""Many photos through ``stream``: memory, order, faces that fail; with a network that costs nothing."""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import scenes
from likeness import pipeline
from likeness.faces import Face
from likeness.photo import Photo
from likeness.pipeline import Session, Settings, restore_photo, stream
from likeness.pipeline.work import FaceWork, Finished
from likeness.results import FaceResult


class Stranger:
    """A recogniser that costs nothing: the mean and the spread of a crop."""

    name, dimensions, same_person = "stranger", 2, 0.55

    def embed(self, crops: np.ndarray) -> np.ndarray:
        return np.stack([crops.mean(axis=(1, 2, 3)), crops.std(axis=(1, 2, 3))], axis=1)


class Boxes:
    """A detector that finds as many faces as the photo's first pixel says, side by side, each 40 wide."""

    name = "boxes"

    def detect(self, pixels: np.ndarray) -> list[Face]:
        scale = 512 / 40
        return [
            Face(
                (x, 0, x + 40, 40),
                np.array([[x, 0.0]]),
                1.0,
                np.array([[scale, 0, -scale * x], [0, scale, 0]]),
            )
            for x in range(0, 40 * int(pixels[0, 0, 0]), 40)
        ]


@pytest.fixture(autouse=True)
def _no_recognizer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline.session, "load_recognizer", lambda name: Stranger())


def session(restorer: Any = None, **settings: Any) -> Session:
    return Session(Settings(aligned=True, **settings), restorer or scenes.Pattern())


def session_of_groups(restorer: Any = None, **settings: Any) -> Session:
    made = session(restorer, **settings)
    made.detector = Boxes()
    made.settings = Settings(**settings)
    return made


def grey(value: int, height: int = 16, width: int = 16) -> Photo:
    return Photo.from_array(np.full((height, width, 3), value, np.uint8))


def with_faces(count: int) -> Photo:
    return grey(count, 40, max(40, 40 * count))


def keep(finished: Finished) -> Finished:
    return finished


@pytest.mark.parametrize("batch", [1, 4])
def test_memory_does_not_grow_with_the_number_of_photos(batch: int) -> None:
    alive: set[int] = set()
    most = 0

    def photos() -> Iterator[tuple[str, Photo]]:
        nonlocal most
        for number in range(200):
            photo = grey(number)
            alive.add(number)
            weakref.finalize(photo, alive.discard, number)
            most = max(most, len(alive))
            yield str(number), photo
            del photo

    def write(finished: Finished) -> str:
        return finished.result.status

    assert list(stream(session(batch=batch), photos(), write)) == ["restored"] * 200
    assert 1 < most <= batch + 8


def test_a_slow_writer_holds_the_others_back() -> None:
    """Photos waiting to be written count as well."""
    alive: set[int] = set()
    most = 0

    def photos() -> Iterator[tuple[str, Photo]]:
        nonlocal most
        for number in range(30):
            photo = grey(number)
            alive.add(number)
            weakref.finalize(photo, alive.discard, number)
            most = max(most, len(alive))
            yield str(number), photo
            del photo

    def write(finished: Finished) -> str:
        time.sleep(0.1)
        return finished.result.input

    results = list(stream(session(batch=2), photos(), write))
    assert results == [str(n) for n in range(30)]
    assert most <= 2 + 8


def test_memory_hardly_grows_with_the_number_of_faces(monkeypatch: pytest.MonkeyPatch) -> None:
    """A restored face is pasted at once and its pictures let go of, while the others wait for their turn."""
    made = session_of_groups(batch=2)
    restore, alive, most = made.restore, 0, 0

    def gone() -> None:
        nonlocal alive
        alive -= 1

    def counted(faces: list[FaceWork]) -> None:
        nonlocal alive, most
        restore(faces)
        for face in faces:
            alive += 1
            weakref.finalize(face.samples[0], gone)
        most = max(most, alive)

    monkeypatch.setattr(made, "restore", counted)
    (lean,) = stream(made, [("a", with_faces(40))], keep, keep=False)
    assert 2 <= most <= 2 * 2 + 4
    assert (alive, lean.restored) == (0, ())
    (whole,) = stream(session_of_groups(batch=2), [("a", with_faces(40))], keep)
    assert len(whole.restored) == 40
    assert whole.restored[0].samples[0].shape == (512, 512, 3)
    assert lean.photo is not None
    assert whole.photo is not None
    assert np.array_equal(lean.photo.pixels, whole.photo.pixels)
    assert scenes.without_times(lean.result.as_dict()) == scenes.without_times(whole.result.as_dict())


@pytest.mark.parametrize("batch", [1, 3, 8])
def test_results_come_in_the_order_of_the_jobs(batch: int) -> None:
    counts = [1, 0, 5, 0, 0, 2, 1, 9, 0, 1, 1, 3, 0]
    jobs = [(f"{i}: {count} faces", with_faces(count)) for i, count in enumerate(counts)]
    found = list(stream(session_of_groups(batch=batch), jobs, keep))
    assert [f.result.input for f in found] == [name for name, _ in jobs]
    assert [len(f.result.faces) for f in found] == counts
    assert all(face.status == "restored" for f in found for face in f.result.faces)
    assert [f.result.status for f in found] == ["restored" if count else "kept" for count in counts]


class Together(Boxes):
    """Finds faces in a photo only while another thread looks at another photo, if one comes in time."""

    def __init__(self) -> None:
        self.barrier = threading.Barrier(2)

    def detect(self, pixels: np.ndarray) -> list[Face]:
        self.barrier.wait(timeout=5)
        if pixels[0, 0, 0] == 2:  # the earlier of the two is done last
            time.sleep(0.05)
        return super().detect(pixels)


def test_two_photos_are_prepared_at_once_and_come_in_order() -> None:
    made = session_of_groups()
    made.detector, made.readers = Together(), 2
    found = list(stream(made, [(str(i), with_faces(2 - i % 2)) for i in range(8)], keep))
    assert [f.result.input for f in found] == [str(i) for i in range(8)]
    assert [len(f.result.faces) for f in found] == [2, 1] * 4


def test_readers_are_one_unless_the_detector_leaves_cores_idle(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    threads = torch.get_num_threads()
    assert Session(Settings(), scenes.Pattern()).readers == min(4, threads)
    assert session().readers == 1  # aligned faces: nothing to find
    monkeypatch.setattr(pipeline.session.parts, "find_detector", lambda name, device: Boxes())
    assert Session(Settings(), scenes.Pattern()).readers == 1
    torch.set_num_threads(1)
    try:
        monkeypatch.undo()
        assert Session(Settings(), scenes.Pattern()).readers == 1
    finally:
        torch.set_num_threads(threads)


def test_faces_of_several_photos_share_a_batch() -> None:
    restorer = scenes.Pattern()
    list(stream(session_of_groups(restorer, batch=4), [(str(i), with_faces(1)) for i in range(8)], keep))
    assert restorer.calls == 2


def test_the_record_is_the_same_whatever_the_batch() -> None:
    jobs = [(str(i), with_faces(i % 3)) for i in range(5)]
    seen = []
    for batch in (1, 4):
        found = list(stream(session_of_groups(batch=batch), jobs, keep))
        seen.append([(scenes.without_times(f.result.as_dict()), f.photo.pixels.tobytes()) for f in found if f.photo])
    assert seen[0] == seen[1]


class Broken(scenes.Pattern):
    """Fails at one of its calls: raises, or gives NaN for one face of the batch."""

    def __init__(self, at: int, how: str) -> None:
        super().__init__()
        self.at, self.how = at, how

    def restore(self, crops: Any, *, seed: int = 0, **options: Any) -> Any:
        out = super().restore(crops, seed=seed, **options)
        if self.calls == self.at:
            if self.how == "raise":
                raise RuntimeError("out of memory\nand many more lines")
            out[0, 0, 7, 7] = float("nan")
        return out


@pytest.mark.parametrize(
    ("how", "reason"),
    [("raise", "pattern failed: out of memory"), ("nan", "pattern gave values that are not finite")],
)
def test_a_face_that_fails_is_reported_and_the_others_are_restored(how: str, reason: str) -> None:
    jobs = [("a", with_faces(1)), ("b", with_faces(2)), ("c", with_faces(1))]
    found = list(stream(session_of_groups(Broken(3, how)), jobs, keep))
    faces = [[(f.status, f.reason) for f in photo.result.faces] for photo in found]
    good, bad = ("restored", None), ("failed", reason)
    assert faces == [[good], [good, bad], [good]]
    assert [photo.result.failed for photo in found] == [False, True, False]
    pixels, original = found[1].photo.pixels, jobs[1][1].pixels  # type: ignore[union-attr]
    assert (pixels[:, :40] != original[:, :40]).any()
    assert (pixels[:, 40:] == original[:, 40:]).all()  # the failed face is as it was


def test_a_failed_sample_fails_the_face() -> None:
    """A mean over fewer samples than were asked for would be a wrong uncertainty."""
    found = restore_photo(session(Broken(2, "nan"), samples=3), grey(90))
    assert [face.status for face in found.result.faces] == ["failed"]


def test_nan_in_a_batch_spoils_its_own_face_only() -> None:
    found = list(stream(session_of_groups(Broken(1, "nan"), batch=4), [("a", with_faces(3))], keep))
    assert [face.status for face in found[0].result.faces] == ["failed", "restored", "restored"]


def test_an_unreadable_photo_does_not_stop_the_others(tmp_path: Any) -> None:
    (tmp_path / "text.jpg").write_text("not a picture")
    jobs = [
        ("a", grey(1)),
        ("text.jpg", tmp_path / "text.jpg"),
        ("gone.jpg", tmp_path / "gone.jpg"),
        ("b", grey(2)),
    ]
    found = list(stream(session(), jobs, keep))
    assert [f.result.status for f in found] == ["restored", "failed", "failed", "restored"]
    for photo, name in zip(found[1:3], ("text.jpg", "gone.jpg"), strict=True):
        assert photo.photo is None
        assert name in str(photo.result.reason)
        assert "\n" not in str(photo.result.reason)


def test_what_write_raises_is_raised() -> None:
    def write(finished: Finished) -> None:
        raise ZeroDivisionError("a bug")

    with pytest.raises(ZeroDivisionError):
        list(stream(session(), [("a", grey(1))], write))


def test_no_jobs_give_no_results() -> None:
    assert list(stream(session(), [], keep)) == []


def test_padding_is_no_face() -> None:
    """A batch of 8 for one face: one record."""
    found = restore_photo(session(batch=8), grey(90))
    assert [type(face) for face in found.result.faces] == [FaceResult]


@pytest.mark.parametrize(
    ("settings", "what"),
    [
        ({"samples": 0}, "samples"),
        ({"samples": 65}, "samples"),
        ({"blend": -0.1}, "blend"),
        ({"blend": 1.1}, "blend"),
        ({"blend": float("nan")}, "blend"),
        ({"faces": "some"}, "faces"),
        ({"min_face": -1}, "min_face"),
        ({"seed": -1}, "seed"),
        ({"batch": -1}, "batch"),
        ({"batch": 257}, "batch"),
        ({"identity_limit": -0.5}, "identity_limit"),
    ],
)
def test_wrong_settings_are_refused(settings: dict[str, Any], what: str) -> None:
    with pytest.raises(ValueError, match=f"^{what} must be"):
        Settings(**settings)
