"""Detection and alignment on the astronaut portrait."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from face_scenes import ASTRONAUT_POINTS

from likeness.faces import DLIB5_TEMPLATE, DlibDetector, load_detector
from likeness.faces.geometry import apply_transform


def test_finds_the_astronaut_and_not_her_shuttle(astronaut: np.ndarray, detector: DlibDetector) -> None:
    """dlib alone also reports the shuttle model beside her, with a score of 0.12."""
    faces = detector.detect(astronaut)
    assert len(faces) == 1
    assert np.abs(faces[0].landmarks - ASTRONAUT_POINTS).max() < 4
    assert faces[0].score > 1
    x0, y0, x1, y1 = faces[0].box
    assert 165 < x0 < 185 < 255 < x1 < 275
    assert 65 < y0 < 85 < 155 < y1 < 175


@pytest.mark.parametrize(("scale", "degrees"), [(0.5, 0), (1, 15), (1, -15), (2, 0), (4, 10)])
def test_scaled_and_turned(place: Callable, detector: DlibDetector, scale: float, degrees: float) -> None:
    photo, points = place(1300, 1100, scale, degrees, (650, 520))
    faces = detector.detect(photo)
    assert len(faces) == 1
    assert np.abs(faces[0].landmarks - points).max() < 5 * max(scale, 0.7)
    aligned = apply_transform(faces[0].transform, points)
    assert np.abs(aligned - DLIB5_TEMPLATE).max() < 22  # pixels of the 512 frame; her smile lifts the nose base
    assert faces[0].size == pytest.approx(180 * scale, rel=0.06)


def test_a_group_is_sorted_by_size(place: Callable, detector: DlibDetector) -> None:
    photo, _ = place(1000, 500, 0.6, -10, (150, 200))
    photo[:, 300:] = place(700, 500, 1.5, 12, (380, 230))[0]
    faces = detector.detect(photo)
    assert [np.array(face.box).round(-2)[0] for face in faces] == [600, 100]
    assert faces[0].area > 4 * faces[1].area


def test_a_huge_face_is_aligned_on_the_full_photo(place: Callable, detector: DlibDetector) -> None:
    photo, points = place(3600, 3000, 12, 5, (1800, 1600))
    faces = detector.detect(photo)
    assert len(faces) == 1
    assert np.abs(faces[0].landmarks - points).max() < 50


def test_smallest_face(place: Callable, detector: DlibDetector) -> None:
    """A face 45 pixels wide is found with one doubling, not without."""
    photo, _ = place(400, 300, 0.5, 0, (200, 150))
    assert len(detector.detect(photo)) == 1
    assert DlibDetector(upsample=0).detect(photo) == []


def test_threads_that_share_a_detector_find_what_one_finds(place: Callable, detector: DlibDetector) -> None:
    """The photos differ, so mixing them up would show; it keeps no more of dlib's than were at work at once."""
    photos = [place(420, 320, 0.6 + 0.1 * i, 3 * i - 9, (210, 160))[0] for i in range(6)] * 3
    alone = [detector.detect(photo) for photo in photos]
    with ThreadPoolExecutor(3) as pool:
        together = list(pool.map(detector.detect, photos))
    assert [len(faces) for faces in alone] == [1] * len(photos)
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one[0].landmarks, other[0].landmarks)
        assert one[0].score == other[0].score
    assert 1 <= len(detector._idle) <= 3


def test_no_face_in_noise_or_in_a_landscape(detector: DlibDetector) -> None:
    data = pytest.importorskip("skimage.data")
    noise = np.random.default_rng(0).integers(0, 256, (400, 600, 3), dtype=np.uint8)
    for pixels in (noise, data.coffee(), data.rocket(), data.chelsea()):
        assert detector.detect(pixels) == []


@pytest.mark.parametrize("shape", [(1, 1), (1, 500), (500, 1), (7, 5), (40, 40), (3000, 2)])
def test_tiny_pictures_have_no_face(detector: DlibDetector, shape: tuple[int, int]) -> None:
    assert detector.detect(np.full((*shape, 3), 128, dtype=np.uint8)) == []


def test_grey_photos_and_views_work_and_twice_is_the_same(astronaut: np.ndarray, detector: DlibDetector) -> None:
    grey = astronaut.mean(axis=2).astype(np.uint8)
    view = np.broadcast_to(grey[..., None], (*grey.shape, 3))  # not contiguous, not writable
    first, second = detector.detect(view)[0], detector.detect(view)[0]
    np.testing.assert_array_equal(first.transform, second.transform)
    flipped = detector.detect(astronaut[:, ::-1])[0]
    assert flipped.landmarks[:, 0].mean() == pytest.approx(511 - first.landmarks[:, 0].mean(), abs=4)


def test_wrong_use_is_refused(detector: DlibDetector) -> None:
    with pytest.raises(ValueError, match="uint8"):
        detector.detect(np.zeros((50, 50, 3), dtype=np.float32))
    with pytest.raises(ValueError, match=r"\(H, W, 3\)"):
        detector.detect(np.zeros((50, 50), dtype=np.uint8))
    with pytest.raises(ValueError, match="choose one of: dlib"):
        load_detector("retina")
    with pytest.raises(ValueError, match="upsample"):
        DlibDetector(upsample=-1)
    assert load_detector("dlib").name == "dlib"
