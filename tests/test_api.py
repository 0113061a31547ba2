"""``likeness.restore`` in Python."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import likeness
import scenes
from likeness import api
from likeness.methods import OptionError
from likeness.photo import Photo, PhotoError


@pytest.fixture(autouse=True)
def _own_sessions() -> None:
    api._session.cache_clear()


def test_an_array_with_the_built_in_network() -> None:
    picture = scenes.portrait(256)
    before = picture.copy()
    result = likeness.restore(picture, steps=1)
    assert isinstance(result, likeness.Restoration)
    assert result.image.shape == picture.shape
    assert result.image.dtype == np.uint8
    assert np.array_equal(picture, before)  # the argument is not changed
    (face,) = result.faces
    assert face.status == "restored"
    assert face.identity_distance is not None
    here = scenes.inside(face.box)
    assert (result.image[here] != picture[here]).any(axis=2).mean() > 0.5
    far = scenes.far_outside(picture.shape, face.box)
    assert np.array_equal(result.image[far], picture[far])


def test_a_path_keeps_what_the_file_holds(tmp_path: Path, pattern: str) -> None:
    (tmp_path / "in.jpg").write_bytes(
        scenes.encoded(scenes.portrait(256), exif=scenes.exif(), icc_profile=scenes.icc())
    )
    result = likeness.restore(str(tmp_path / "in.jpg"), pattern)
    assert result.result.input == str(tmp_path / "in.jpg")
    path = result.save(tmp_path / "new" / "out.jpg")
    assert path == tmp_path / "new" / "out.jpg"
    from PIL import Image

    assert Image.open(path).getexif()[0x010F] == "Acme"
    assert Image.open(path).info["icc_profile"] == scenes.icc()
    assert np.abs(scenes.load_pixels(path).astype(int) - result.image).mean() < 3


@pytest.mark.parametrize("kind", ["uint8", "uint16", "float", "grey", "alpha", "Photo"])
def test_what_it_takes(pattern: str, kind: str) -> None:
    picture = scenes.portrait(256)
    given = {
        "uint8": picture,
        "uint16": picture.astype(np.uint16) * 257,
        "float": picture / 255,
        "grey": picture[..., 1],
        "alpha": np.concatenate([picture, picture[..., :1]], axis=2),
        "Photo": Photo.from_array(picture),
    }[kind]
    result = likeness.restore(given, pattern)
    assert [face.status for face in result.faces] == ["restored"]
    assert result.image.shape == (256, 256, 3)
    assert result.image.dtype == (np.uint16 if kind == "uint16" else np.uint8)
    assert (result.after.alpha is not None) == (kind == "alpha")


def test_it_shows_itself_before_and_after(pattern: str) -> None:
    html = likeness.restore(scenes.portrait(256), pattern)._repr_html_()
    shown = re.findall(r'src="(data:image/jpeg;base64,[^"]+)"', html)
    assert len(shown) == 2
    assert shown[0] != shown[1]
    assert "same person" in html
    assert "no face found" in likeness.restore(scenes.landscape(), pattern)._repr_html_()


def test_samples_and_their_spread(pattern: str) -> None:
    result = likeness.restore(scenes.portrait(256), pattern, samples=3)
    assert [s.shape for s in result.samples] == [(3, 512, 512, 3)]
    (spread,) = result.uncertainty()
    assert spread.shape == (512, 512)
    assert spread.max() > 0
    single = likeness.restore(scenes.portrait(256), pattern)
    assert [u.max() for u in single.uncertainty()] == [0]


def test_models_stay_loaded_for_equal_settings(pattern: str) -> None:
    sessions = [api._session(pattern, (("seed", seed),), ()) for seed in (1, 1, 2)]
    assert sessions[0] is sessions[1]
    assert sessions[0] is not sessions[2]


def test_what_is_wrong_is_said(tmp_path: Path, pattern: str) -> None:
    picture = scenes.portrait(64)
    with pytest.raises(PhotoError, match=r"nowhere\.jpg"):
        likeness.restore(tmp_path / "nowhere.jpg", pattern)
    with pytest.raises(PhotoError, match="shape"):
        likeness.restore(np.zeros((4, 4, 7), np.uint8), pattern)
    with pytest.raises(ValueError, match="blend"):
        likeness.restore(picture, pattern, blend=2)
    with pytest.raises(OptionError, match="fidelity"):
        likeness.restore(picture, pattern, fidelity=0.5)
    with pytest.raises(OptionError, match="nonsense"):
        likeness.restore(picture, "nonsense")
    with pytest.raises(PhotoError, match="square"):
        likeness.restore(scenes.landscape(), pattern, aligned=True)


def test_load_gives_a_restorer() -> None:
    import torch

    restorer = likeness.load("likeness", precision="fp32")
    crops = torch.from_numpy(scenes.aligned_face()).permute(2, 0, 1)[None]
    out = restorer.restore(crops, steps=1)
    assert out.shape == (1, 3, 512, 512)
    assert out.dtype == torch.float32
    assert 0 <= float(out.min()) <= float(out.max()) <= 1
    with pytest.raises(ValueError, match="expected"):
        restorer.restore(crops[0])


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="nonsense"):
        likeness.nonsense  # noqa: B018
