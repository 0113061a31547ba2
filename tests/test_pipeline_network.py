"""The built-in network in the pipeline: seeds, batches, and that it restores at all."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

import scenes
from likeness.measure import psnr
from likeness.photo import Photo
from likeness.pipeline import Session, Settings, restore_photo
from likeness.pipeline.work import FaceWork


@pytest.fixture(scope="module")
def sharp() -> Session:
    """Two steps, so that noise takes part; batch 4."""
    return Session(Settings(precision="fp32", aligned=True, batch=4))


@pytest.fixture(scope="module")
def crops() -> list[np.ndarray]:
    """Four different crops, two of them with the face."""
    face = scenes.aligned_face()
    noise = np.random.default_rng(0).random((512, 512, 3), np.float32)
    blurred = cv2.GaussianBlur(face, (0, 0), 6)
    return [face, blurred, noise, np.full_like(face, 0.5)]


def restored(session: Session, crops: list[np.ndarray]) -> list[np.ndarray]:
    face = Session.prepare(session, "x", Photo.from_array(np.zeros((8, 8, 3), np.uint8))).chosen[0].face
    work = [FaceWork(face, crop) for crop in crops]
    session.restore(work)
    assert [w.error for w in work] == [None] * len(work)
    return [w.samples[0] for w in work]


def test_a_face_is_bit_identical_whichever_faces_share_its_batch(sharp: Session, crops: list[np.ndarray]) -> None:
    full = restored(sharp, crops)
    turned = restored(sharp, [crops[3], crops[0], crops[1]])  # other places, other neighbours, one left out
    assert np.array_equal(turned[1], full[0])
    assert np.array_equal(turned[2], full[1])
    assert np.array_equal(turned[0], full[3])
    assert not np.array_equal(full[0], full[1])


def test_batches_of_one_and_eight_agree_to_rounding(crops: list[np.ndarray]) -> None:
    seen = []
    for batch in (1, 8):
        session = Session(Settings(precision="fp32", aligned=True, batch=batch, options={"steps": 1}))
        together = [restored(session, [crop])[0] for crop in crops[:2]] if batch == 1 else restored(session, crops[:2])
        seen.append([np.rint(picture * 255) for picture in together])
    for one, eight in zip(*seen, strict=True):
        assert np.abs(one - eight).max() <= 1


def test_same_seed_same_pixels_other_seed_other_pixels() -> None:
    photo = Photo.from_array(scenes.aligned_face())
    session = Session(Settings(precision="fp32", aligned=True, seed=5))
    first, again = (restore_photo(session, photo).restored[0].samples[0] for _ in range(2))
    other = restore_photo(Session(Settings(precision="fp32", aligned=True, seed=6)), photo).restored[0].samples[0]
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_samples_are_the_following_seeds() -> None:
    photo = Photo.from_array(scenes.aligned_face())
    several = restore_photo(Session(Settings(precision="fp32", aligned=True, samples=2)), photo)
    single = restore_photo(Session(Settings(precision="fp32", aligned=True, seed=1)), photo)
    samples = several.restored[0].samples
    assert len(samples) == 2
    assert np.array_equal(samples[1], single.restored[0].samples[0])
    assert not np.array_equal(samples[0], samples[1])
    assert (several.result.faces[0].uncertainty or 0) > 0
    assert single.result.faces[0].uncertainty is None


def test_the_posterior_mean_is_nearer_to_the_clean_face() -> None:
    clean = scenes.aligned_face()
    small = cv2.resize(cv2.GaussianBlur(clean, (0, 0), 3), (128, 128), interpolation=cv2.INTER_AREA)
    small = small + np.random.default_rng(1).normal(0, 10 / 255, small.shape).astype(np.float32)
    degraded = np.clip(cv2.resize(small, (512, 512), interpolation=cv2.INTER_CUBIC), 0, 1)
    session = Session(Settings(aligned=True, options={"steps": 1}))
    out = restored(session, [degraded])[0]
    assert psnr(out, clean) > psnr(degraded, clean)
