"""Augmentation: pure, seeded, and in the right one of the two pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import scenes
from likeness.degrade import apply_steps
from likeness.train.augment import (
    FEATURES,
    OCCLUSIONS,
    age,
    draw_ageing,
    lend_features,
    occlude_face,
    sharpen_picture,
    shift_tone,
    warp_face,
)
from likeness.train.data import TONE, Pairs
from likeness.train.recipe import DataConfig


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize("change", [*OCCLUSIONS, "tone", "age", "warp", "lend", "crisp"])
def test_pure_seeded_and_in_range(change: str) -> None:
    face = scenes.aligned_face()
    before = face.copy()

    def apply(seed: int) -> np.ndarray:
        if change == "tone":
            return shift_tone(face, rng(seed), 0.2)
        if change == "warp":
            return warp_face(face, rng(seed), 3.0)
        if change == "crisp":
            return sharpen_picture(face, rng(seed), 1.5)
        if change == "lend":
            return lend_features(face, face[:, ::-1], rng(seed))
        return age(face, rng(seed)) if change == "age" else occlude_face(face, rng(seed), change)

    results = [apply(seed) for seed in range(4)]
    assert np.array_equal(face, before)
    assert all(np.array_equal(apply(seed), result) for seed, result in enumerate(results))
    for result in results:
        assert result.shape == (512, 512, 3)
        assert result.dtype == np.float32
        assert 0 <= result.min() <= result.max() <= 1
        assert np.abs(result - face).max() > 0.02
    assert not np.array_equal(results[0], results[1])


@pytest.mark.parametrize("kind", OCCLUSIONS)
def test_an_occlusion_covers_some_of_the_face_and_leaves_the_rest(kind: str) -> None:
    face = scenes.aligned_face()
    covered = [(np.abs(occlude_face(face, rng(seed), kind) - face).max(axis=2) > 0.02).mean() for seed in range(12)]
    assert min(covered) > 0.003
    assert max(covered) < 0.5


def test_glasses_are_about_the_eyes() -> None:
    face = scenes.aligned_face()
    for seed in range(6):
        changed = np.abs(occlude_face(face, rng(seed), "glasses") - face).max(axis=2) > 0.02
        assert changed[180:310].any(axis=0).sum() > 200
        assert not changed[330:].any()
        assert not changed[:160].any()


def test_what_is_not_there_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown occlusion 'hat'; known: patch, glasses, hand"):
        occlude_face(scenes.aligned_face(), rng(), "hat")
    with pytest.raises(ValueError, match=r"expected \(512, 512, 3\) float32"):
        occlude_face(np.zeros((64, 64, 3), np.float32), rng())
    with pytest.raises(ValueError, match="at least 0"):
        shift_tone(scenes.aligned_face(), rng(), -1)
    with pytest.raises(ValueError, match="at least 0"):
        warp_face(scenes.aligned_face(), rng(), float("nan"))
    with pytest.raises(ValueError, match="at least 0"):
        sharpen_picture(scenes.aligned_face(), rng(), -0.5)
    with pytest.raises(ValueError, match="expected two faces"):
        lend_features(scenes.aligned_face(), np.zeros((64, 64, 3), np.float32), rng())


def test_a_warp_moves_pixels_by_what_it_says() -> None:
    """Of a ramp, whose values are places."""
    places = np.repeat(np.linspace(0, 1, 512, dtype=np.float32)[None, :, None], 512, axis=0).repeat(3, axis=2)
    inside = (slice(64, 448), slice(64, 448), 0)
    moved = np.concatenate([((warp_face(places, rng(s), 4.0) - places) * 511)[inside].ravel() for s in range(8)])
    assert 2.5 < moved.std() < 4.5
    assert np.abs(warp_face(places, rng(), 0.0) - places).max() < 1e-5
    steps = np.abs(np.diff((warp_face(places, rng(), 4.0) - places)[..., 0][64:448, 64:448] * 511, axis=0))
    assert steps.max() < 0.7  # smooth: neighbours move alike


def test_only_features_are_lent_and_light_stays() -> None:
    face, other = scenes.aligned_face(), np.ascontiguousarray(scenes.aligned_face()[:, ::-1] * np.float32(0.5))
    mixed = [lend_features(face, other, rng(seed)) for seed in range(12)]
    changed = [(np.abs(one - face).max(axis=2) > 0.02) for one in mixed]
    assert min(one.mean() for one in changed) > 0.005  # always at least one of them
    anywhere = np.any(changed, axis=0)
    for centres, _ in FEATURES.values():
        for x, y in centres:
            assert anywhere[y - 15 : y + 15, x - 15 : x + 15].mean() > 0.3
    assert not anywhere[:120].any()
    assert not anywhere[470:].any()
    assert all(abs(float(one.mean() - face.mean())) < 0.01 for one in mixed)  # the other is half as bright


def test_tone_of_nothing_is_nothing_and_grey_stays_grey() -> None:
    face = scenes.aligned_face()
    assert np.allclose(shift_tone(face, rng(), 0.0), face, atol=1e-6)
    grey = np.repeat(face.mean(axis=2, keepdims=True), 3, axis=2)
    assert np.ptp(shift_tone(grey, rng(), 0.3), axis=2).max() < 1e-5


def test_ageing_is_of_the_paper_alone() -> None:
    operations = {step.op for seed in range(20) for step in draw_ageing(rng(seed))}
    assert operations == {"grey", "fade", "paper_grain", "scratches"}
    face = scenes.aligned_face()
    assert np.array_equal(age(face, rng(3)), apply_steps(face, draw_ageing(rng(3))))


# In training


def pairs(shard: Path, **changes: Any) -> Pairs:
    settings = {"sources": [str(shard)], "crop": 512, "workers": 0, "mixture": {"sr-x8": 1.0}, **changes}
    return Pairs(DataConfig.model_validate(settings), 1)


def same(a: torch.Tensor, b: torch.Tensor) -> bool:
    return bool(torch.equal(a, b))


def edges(picture: torch.Tensor) -> float:
    return float(picture.diff(dim=2).square().mean())


def test_each_switch_changes_what_it_says_and_nothing_else(shard: Path) -> None:
    plain = pairs(shard)[5]
    occluded = pairs(shard, occlude=1.0)[5]
    assert not same(occluded["clean"], plain["clean"])
    untouched = (occluded["clean"] - plain["clean"]).abs().amax(0) == 0
    assert untouched.float().mean() > 0.3  # the same picture, flip, place and jitter: only something lies before it
    toned = pairs(shard, tone=0.2)[5]
    assert not same(toned["clean"], plain["clean"])
    aged = pairs(shard, age=1.0)[5]
    assert not same(aged["degraded"], plain["degraded"])
    warped, lent, crisp = pairs(shard, warp=4.0)[5], pairs(shard, lend=1.0)[5], pairs(shard, crisp=2.0)[5]
    assert edges(crisp["clean"]) > 1.05 * edges(plain["clean"])
    assert not same(warped["clean"], plain["clean"])
    assert ((lent["clean"] - plain["clean"]).abs().amax(0) == 0).float().mean() > 0.3
    assert not same(lent["clean"], plain["clean"])
    eyed = pairs(shard, eyes=1.0)[5]
    changed = ((eyed["clean"] - plain["clean"]).abs().amax(0) > 0).float().mean()
    assert 0 < changed < 0.02
    for sample in (occluded, toned, aged, warped, lent, crisp, eyed):
        assert same(sample["place"], plain["place"])
    assert same(
        pairs(shard, occlude=1.0, tone=0.1, age=0.5)[5]["degraded"],
        pairs(shard, occlude=1.0, tone=0.1, age=0.5)[5]["degraded"],
    )


def test_the_target_of_an_aged_print_has_its_tone_and_not_its_damage(shard: Path) -> None:
    dataset = pairs(shard, age=1.0, jitter=0.0)
    plain = pairs(shard, jitter=0.0)
    for number in range(3):
        extra = np.random.default_rng([1, number, 1])
        extra.random(), extra.random()
        steps = [step for step in draw_ageing(extra) if step.op in TONE]
        clean = (plain[number]["clean"].numpy().transpose(1, 2, 0) + 1) / 2
        expected = apply_steps(np.ascontiguousarray(clean, np.float32), steps) * 2 - 1
        assert np.allclose(dataset[number]["clean"].numpy().transpose(1, 2, 0), expected, atol=1e-4)


def test_a_clean_draw_stays_clean(shard: Path) -> None:
    sample = pairs(shard, mixture={"clean": 1.0}, age=1.0, occlude=1.0)[0]
    assert same(sample["degraded"], sample["clean"])
