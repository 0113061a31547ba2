"""Reference photographs: screened, and matched to the faces of a photo by identity. With real people's photographs."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

import scenes
from likeness.conditions.references import References
from likeness.faces import crop_face, load_detector
from likeness.methods import MethodCard, OptionError
from likeness.photo import Photo
from likeness.pipeline import Session, Settings, restore_photo

FACES = Path(os.environ.get("LIKENESS_FACES", Path(__file__).parents[2] / "../shared/faces")) / "london-even-000.tar"


class Personal(scenes.Pattern):
    """Keeps the references that it was given."""

    card = MethodCard("personal", "P", "none", "none", "one pass", True, needs=("references",))

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[np.ndarray] = []

    def restore(self, crops: Any, *, seed: int = 0, references: Any = None, **options: Any) -> Any:
        assert len(references) == len(crops) == 1
        assert references[0].shape[1:] == (3, 512, 512)
        self.seen.append(references[0])
        return super().restore(crops, seed=seed)


@pytest.fixture(scope="module")
def people() -> list[list[np.ndarray]]:
    """Two photographs, (512, 512, 3) uint8, of each of three people."""
    if not FACES.is_file():
        pytest.skip(f"no photographs at {FACES} (set LIKENESS_FACES)")
    with tarfile.open(FACES) as tar:
        names = sorted(name for name in tar.getnames() if name.endswith((".jpg", ".png")))
        found: dict[str, list[np.ndarray]] = {}
        for name in names:
            person = Path(name).name.split("_")[1]
            if len(found.setdefault(person, [])) < 2 and len(found) <= 3:
                member = tar.extractfile(name)
                assert member is not None
                found[person].append(np.asarray(Image.open(io.BytesIO(member.read())).convert("RGB")))
    return [photos for photos in found.values() if len(photos) == 2]


@pytest.fixture
def folder(tmp_path: Path) -> Callable[..., Path]:
    def write(**photos: np.ndarray) -> Path:
        for name, pixels in photos.items():
            path = tmp_path / "people" / f"{name.replace('__', '/')}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(scenes.encoded(pixels, "PNG"))
        return tmp_path / "people"

    return write


def degraded(face: np.ndarray) -> np.ndarray:
    small = cv2.resize(cv2.GaussianBlur(face, (0, 0), 4), (128, 128), interpolation=cv2.INTER_AREA)
    return cv2.resize(small, (512, 512), interpolation=cv2.INTER_CUBIC)


def test_two_people_in_one_photo_get_their_own(people: list[list[np.ndarray]], folder: Callable[..., Path]) -> None:
    (anna, anna_again), (bert, bert_again), (_, stranger) = people
    where = folder(anna__1=anna_again, bert__1=bert_again)
    both = np.concatenate([degraded(bert), degraded(stranger), degraded(anna)], axis=1)
    restorer = Personal()
    finished = restore_photo(Session(Settings(reference=where), restorer), Photo.from_array(both), "both.png")
    places = [int((face.box[0] + face.box[2]) // 1024) for face in finished.result.faces]
    records = dict(zip(places, finished.result.faces, strict=True))
    assert [records[i].status for i in range(3)] == ["restored", "kept", "restored"]
    assert str(records[0].note).startswith("as bert, 1 reference, at distance 0.")
    assert str(records[2].note).startswith("as anna")
    assert "looks like this face" in str(records[1].reason)
    seen = dict(zip([place for place in places if place != 1], restorer.seen, strict=True))
    for place, photo in ((0, bert_again), (2, anna_again)):
        assert np.array_equal(seen[place][0], crop_of(photo).transpose(2, 0, 1))
    assert finished.photo is not None
    assert np.array_equal(finished.photo.pixels[:, 600:900], both[:, 600:900])


def crop_of(photo: np.ndarray) -> np.ndarray:
    return crop_face(photo, load_detector("dlib").detect(photo)[0].transform)


def test_a_face_without_references_goes_to_the_fallback(
    people: list[list[np.ndarray]], folder: Callable[..., Path]
) -> None:
    (anna, again), (bert, _), _ = people
    both = np.concatenate([degraded(anna), degraded(bert)], axis=1)
    session = Session(Settings(reference=folder(only=again), fallback="likeness"), Personal())
    left, right = sorted(restore_photo(session, Photo.from_array(both)).result.faces, key=lambda face: face.box[0])
    assert left.status == right.status == "restored"
    assert str(left.note).startswith("as people")
    assert str(right.note).startswith("restored by likeness: nobody in")


def test_photographs_are_screened(people: list[list[np.ndarray]], folder: Callable[..., Path]) -> None:
    (anna, again), (bert, _), _ = people
    blurred = cv2.GaussianBlur(again, (0, 0), 6)
    where = folder(a=anna, b=again, c=bert, d=blurred, e=scenes.landscape(), f=cv2.resize(again, (70, 70)))
    (where / "text.jpg").write_text("no picture")
    found = References(where, load_detector("dlib"))
    (person,) = found.people
    assert len(person.crops) == 2
    assert [path.name for path in found.used["people"]] in (["a.png", "b.png"], ["b.png", "a.png"])
    said = "\n".join(sorted(found.notes))
    for file, why in (
        ("c.png", "not the same"),
        ("d.png", "blurred"),
        ("e.png", "no face"),
        ("f.png", ""),
        ("text", ""),
    ):
        assert any(note.startswith(file) and why in note for note in found.notes), said
    assert len(found.notes) == 5


def test_no_more_than_four_are_used(people: list[list[np.ndarray]], folder: Callable[..., Path]) -> None:
    anna = people[0][0]
    found = References(folder(**{f"a{i}": np.roll(anna, 5 * i, axis=1) for i in range(6)}), load_detector("dlib"))
    assert found.people[0].crops.shape == (4, 512, 512, 3)


def test_what_cannot_work_is_refused(folder: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is not a folder"):
        References(tmp_path / "absent", load_detector("dlib"))
    with pytest.raises(ValueError, match=r"no photograph that can be used \(e\.png is not used: no face found\)"):
        References(folder(e=scenes.landscape()), load_detector("dlib"))
    with pytest.raises(OptionError, match="personal needs photographs of the same person: give them with --reference"):
        Session(Settings(), Personal())
    with pytest.raises(OptionError, match="needs nothing that could be missing"):
        Session(Settings(fallback="likeness"), scenes.Pattern())
