"""Holes: exactly the masked pixels are replaced, and every mask that does not fit is named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import scenes
from likeness.conditions.holes import Holes
from likeness.methods import MethodCard, OptionError
from likeness.photo import Photo, PhotoError
from likeness.pipeline import Session, Settings, restore_photo
from likeness.pipeline.work import Finished


class Filler(scenes.Pattern):
    """Fills holes with 0.75, and changes everything else too, which must not reach the photo."""

    card = MethodCard("filler", "F", "none", "none", "one pass", False, needs=("hole",))

    def restore(self, crops: Any, *, seed: int = 0, hole: Any = None, **options: Any) -> Any:
        assert hole.shape == (1, 1, 512, 512)
        self.hole = hole[0, 0]
        return crops * 0 + 0.75


def picture(path: Path, pixels: np.ndarray) -> Path:
    path.write_bytes(scenes.encoded(pixels, "PNG"))
    return path


def masked(mask: np.ndarray) -> np.ndarray:
    return np.repeat(np.uint8(255) * mask[..., None], 3, axis=2)


def run(pixels: np.ndarray, hole: Path | str, restorer: Filler | None = None, **settings: Any) -> Finished:
    session = Session(Settings(hole=str(hole), **settings), restorer or Filler())
    return restore_photo(session, Photo.from_array(pixels.copy()), "photo.jpg")


@pytest.mark.parametrize("side", [256, 512, 1400], ids=["face enlarged", "nearly as it is", "face reduced"])
def test_only_the_hole_changes(side: int, tmp_path: Path) -> None:
    photo, mask = scenes.portrait(side), np.zeros((side, side), bool)
    mask[side // 5 : side // 4, side * 2 // 5 : side // 2] = True
    finished = run(photo, picture(tmp_path / "mask.png", masked(mask)))
    assert finished.photo is not None
    after = finished.photo.pixels
    assert np.array_equal(after[~mask], photo[~mask])
    assert (after[mask] == 191).all()
    (record,) = finished.result.faces
    assert record.status == "restored"
    assert record.note is not None
    assert "filled in" in record.note


def test_what_the_hole_touches_in_the_crop_is_hole(tmp_path: Path) -> None:
    mask, restorer = np.zeros((256, 256), bool), Filler()
    mask[60, 110] = True  # one pixel of the photo, several of the crop
    run(scenes.portrait(256), picture(tmp_path / "mask.png", masked(mask)), restorer)
    rows, columns = np.nonzero(restorer.hole)
    assert set(np.unique(restorer.hole)) == {0.0, 1.0}
    assert 4 <= np.ptp(rows) <= 24  # the crop is cubic: a pixel reaches two pixels of the photo
    assert 4 <= np.ptp(columns) <= 24


def test_black_pixels_are_holes(tmp_path: Path) -> None:
    photo = scenes.portrait(256).copy()
    photo[photo.sum(axis=2) == 0] = 1
    photo[62:66, 122:126] = 0
    after = run(photo, "black").photo
    assert after is not None
    changed = (after.pixels != photo).any(axis=2)
    assert changed[62:66, 122:126].all()
    assert changed.sum() == 16


def test_a_folder_of_masks_goes_by_name(tmp_path: Path) -> None:
    mask = np.zeros((256, 256), bool)
    mask[60:70, 100:120] = True
    picture(tmp_path / "photo.png", masked(mask))
    assert run(scenes.portrait(256), tmp_path).result.status == "restored"
    (tmp_path / "photo.png").rename(tmp_path / "other.png")
    result = run(scenes.portrait(256), tmp_path).result
    assert result.status == "failed"
    assert "no mask called photo" in str(result.reason)


def test_enlarged_photos_are_filled_at_their_size(tmp_path: Path) -> None:
    mask = np.zeros((256, 256), bool)
    mask[60:70, 100:120] = True
    after = run(scenes.portrait(256), picture(tmp_path / "mask.png", masked(mask)), scale=2).photo
    assert after is not None
    assert after.pixels.shape == (512, 512, 3)
    assert (after.pixels[120:140, 200:240] == 191).all()


def test_a_hole_beside_the_face_keeps_it(tmp_path: Path) -> None:
    mask = np.zeros((256, 256), bool)
    mask[250:, 250:] = True
    (face,) = run(scenes.portrait(256), picture(tmp_path / "mask.png", masked(mask))).result.faces
    assert (face.status, face.reason) == ("kept", "the hole does not touch this face")


def test_what_does_not_fit_is_named(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"filler needs to know which pixels to fill: give a mask .* --hole"):
        Session(Settings(), Filler())
    with pytest.raises(OptionError, match="pattern takes no hole"):
        Session(Settings(hole="black"), scenes.Pattern())
    with pytest.raises(ValueError, match="is not there"):
        Holes(tmp_path / "absent.png")
    small = picture(tmp_path / "mask.png", masked(np.ones((20, 30), bool)))
    with pytest.raises(PhotoError, match=r"mask .* is 30x20, the photo 256x256"):
        Holes(small).of(Photo.from_array(scenes.portrait(256).copy()), "photo.jpg", [])
