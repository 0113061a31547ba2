"""Identity vectors."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from likeness.faces import (
    DlibDetector,
    DlibRecognizer,
    crop_face,
    identity_distance,
    load_recognizer,
)
from likeness.faces.identity import _chip
from likeness.faces.models import RECOGNITION, model_path

FACES = Path(os.environ.get("LIKENESS_FACES", Path(__file__).resolve().parents[3] / "shared" / "faces"))
LONDON = FACES / "london-even-000.tar"


def london(people: int) -> np.ndarray:
    """(people, 2, 512, 512, 3) float32: neutral and smiling photographs."""
    if not LONDON.is_file():
        pytest.skip(f"needs the photographs in {LONDON} (set LIKENESS_FACES to their folder)")
    image = pytest.importorskip("PIL.Image")
    crops = []
    with tarfile.open(LONDON) as archive:
        for name in sorted(archive.getnames())[: 2 * people]:
            stream = archive.extractfile(name)
            assert stream is not None
            crops.append(np.asarray(image.open(io.BytesIO(stream.read())).convert("RGB")))
    return (np.stack(crops).astype(np.float32) / 255).reshape(people, 2, 512, 512, 3)


@pytest.fixture(scope="module")
def crop(astronaut: np.ndarray, detector: DlibDetector) -> np.ndarray:
    return crop_face(astronaut, detector.detect(astronaut)[0].transform)


def test_a_degraded_copy_is_the_same_person(crop: np.ndarray, recognizer: DlibRecognizer) -> None:
    blurred = cv2.GaussianBlur(crop, (0, 0), 4)
    noisy = np.clip(crop + np.random.default_rng(0).normal(0, 0.05, crop.shape), 0, 1).astype(np.float32)
    darker = crop * np.float32(0.7)
    vectors = recognizer.embed(np.stack([crop, blurred, noisy, darker]))
    assert vectors.shape == (4, 128)
    assert vectors.dtype == np.float32
    distances = identity_distance(vectors[0], vectors[1:])
    assert distances.max() < 0.8 * recognizer.same_person


def test_agrees_with_dlibs_own_chip(
    astronaut: np.ndarray, crop: np.ndarray, detector: DlibDetector, recognizer: DlibRecognizer
) -> None:
    """The fixed chip says what the usual detect, landmark, chip of dlib says."""
    import dlib

    points = [dlib.point(round(x), round(y)) for x, y in detector.detect(astronaut)[0].landmarks]
    shape = dlib.full_object_detection(dlib.rectangle(175, 76, 265, 166), points)
    network = dlib.face_recognition_model_v1(str(model_path(RECOGNITION)))
    usual = np.array(network.compute_face_descriptor(dlib.get_face_chip(astronaut, shape, 150)))
    assert identity_distance(usual, recognizer.embed(crop[None])[0]) < 0.25


def test_the_vectors_are_dlibs(crop: np.ndarray, recognizer: DlibRecognizer) -> None:
    import dlib

    network = dlib.face_recognition_model_v1(str(model_path(RECOGNITION)))
    both = np.stack([crop, np.ascontiguousarray(crop[:, ::-1])])
    theirs = np.array([network.compute_face_descriptor(_chip(one)) for one in both])
    np.testing.assert_allclose(recognizer.embed(both), theirs, atol=3e-6)


def test_batch_size_does_not_matter(crop: np.ndarray, recognizer: DlibRecognizer) -> None:
    mirrored = np.ascontiguousarray(crop[:, ::-1])
    together = recognizer.embed(np.stack([crop, mirrored]))
    np.testing.assert_array_equal(recognizer.embed(crop[None])[0], together[0])
    assert recognizer.embed(np.zeros((0, 512, 512, 3), dtype=np.float32)).shape == (0, 128)


def test_real_people_are_told_apart(recognizer: DlibRecognizer) -> None:
    """Eight people, neutral and smiling: all pairs of one person below 0.55, all others above."""
    vectors = recognizer.embed(london(8).reshape(-1, 512, 512, 3))
    distances = identity_distance(vectors[:, None], vectors[None])
    person = np.arange(16) // 2
    same = person[:, None] == person[None]
    assert distances[same].max() < recognizer.same_person
    assert distances[~same].min() > recognizer.same_person


def test_distance() -> None:
    assert identity_distance(np.array([0.0, 3.0]), np.array([4.0, 0.0])) == 5.0
    assert isinstance(identity_distance(np.zeros(3), np.zeros(3)), float)
    assert identity_distance(np.zeros((4, 1, 3)), np.zeros((1, 5, 3))).shape == (4, 5)
    with pytest.raises(ValueError, match="one length"):
        identity_distance(np.zeros(3), np.zeros(4))


def test_wrong_use_is_refused(recognizer: DlibRecognizer) -> None:
    for crops in (np.zeros((512, 512, 3), np.float32), np.zeros((1, 512, 512, 3), np.uint8)):
        with pytest.raises(ValueError, match="crops must be"):
            recognizer.embed(crops)
    with pytest.raises(ValueError, match="not finite"):
        recognizer.embed(np.full((1, 512, 512, 3), np.nan, dtype=np.float32))
    with pytest.raises(ValueError, match="choose one of: dlib"):
        load_recognizer("arcface")
    assert load_recognizer("dlib").dimensions == 128
