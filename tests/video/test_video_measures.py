"""Smoothing, flicker, colour and cuts, against closed forms."""

from __future__ import annotations

import itertools
import json
import math

import numpy as np
import pytest

from likeness.faces import CROP_SIZE, similarity_transform
from likeness.video import VideoSettings
from likeness.video.colour import Colour, add_change, to_rgb
from likeness.video.cuts import is_cut, thumbnail
from likeness.video.flicker import Flicker, difference
from likeness.video.smooth import OneEuro, Steady, blend, from_parameters, gate, parameters


def turned(angle: float, side: float, x: float, y: float) -> np.ndarray:
    """The similarity of a face at x, y."""
    corners = np.array([[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]]) * side
    turn = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    target = np.array([[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]]) * CROP_SIZE + (CROP_SIZE - 1) / 2
    return similarity_transform(corners @ turn + (x, y), target)


def test_parameters_are_centre_size_and_turn() -> None:
    values = parameters(turned(0.3, 100.0, 40.0, 60.0))
    np.testing.assert_allclose(values, [40.0, 60.0, math.log(100.0), 0.3], atol=1e-9)
    transform = turned(-1.0, 33.0, 5.0, 6.0)
    np.testing.assert_allclose(from_parameters(parameters(transform)), transform, atol=1e-9)


def test_one_euro_follows_its_equations() -> None:
    still = OneEuro(min_cutoff=1.0, beta=0.0)
    still(np.array([0.0]), 0.1)
    share = 1 / (1 + 1 / (2 * math.pi * 1.0 * 0.1))
    assert still(np.array([1.0]), 0.1)[0] == pytest.approx(share)
    assert still(np.array([1.0]), 0.1)[0] == pytest.approx(1 - (1 - share) ** 2)
    moving = OneEuro(min_cutoff=1.0, beta=5.0)
    moving(np.array([0.0]), 0.1)
    speed = 1 / (1 + 1 / (2 * math.pi * 0.1)) * 10.0
    assert moving(np.array([1.0]), 0.1)[0] == pytest.approx(1 / (1 + 1 / (2 * math.pi * (1 + 5 * speed) * 0.1)))


def test_one_euro_keeps_what_does_not_move_and_goes_on_from_its_state() -> None:
    random = np.random.default_rng(1).normal(size=(20, 4))
    whole, first = OneEuro(), OneEuro()
    outputs = [whole(values, 1 / 30) for values in random]
    for values in random[:9]:
        first(values, 1 / 30)
    second = OneEuro(state=json.loads(json.dumps(first.state)))
    for values, wanted in zip(random[9:], outputs[9:], strict=True):
        np.testing.assert_array_equal(second(values, 1 / 30), wanted)
    constant = OneEuro()
    for _ in range(5):
        np.testing.assert_array_equal(constant(np.full(4, 3.7), 1 / 30), np.full(4, 3.7))


def test_steady_calms_trembling_and_follows_motion() -> None:
    random = np.random.default_rng(0)
    steady, positions, raw = Steady(), [], []
    for _ in range(90):
        x, y = 100 + random.normal(0, 1.0, 2)
        raw.append(x)
        positions.append(parameters(steady(turned(0.0, 150.0, x, y), 1 / 30))[0])
    assert np.abs(np.diff(positions[10:])).mean() < 0.35 * np.abs(np.diff(raw[10:])).mean()
    steady = Steady()
    for k in range(60):  # a face width a second
        last = parameters(steady(turned(0.0, 150.0, 5.0 * k, 0.0), 1 / 30))[0]
    assert abs(last - 5.0 * 59) < 0.04 * 150


def test_steady_does_not_jump_at_half_a_turn() -> None:
    steady = Steady()
    angles = [parameters(steady(turned(a, 100, 0, 0), 1 / 30))[3] for a in (3.1, 3.13, -3.13, -3.1)]
    assert all(abs(math.remainder(b - a, 2 * math.pi)) < 0.1 for a, b in itertools.pairwise(angles))


def test_blending_happens_where_nothing_moved() -> None:
    before = np.full((512, 512, 3), 0.5, np.float32)
    now = before.copy()
    now[:, 256:] += 0.2
    weight = gate(now, before)
    assert weight[256, 60] == pytest.approx(1.0, abs=1e-3)
    assert weight[256, 450] < 1e-6
    blended = blend(np.zeros_like(now), np.ones_like(now), weight, 0.5)
    assert blended[256, 60, 0] == pytest.approx(0.5, abs=1e-3)
    assert blended[256, 450, 0] < 1e-6
    noisy = before + np.random.default_rng(0).normal(0, 0.03, before.shape).astype(np.float32)
    assert gate(noisy, before).mean() > 0.9  # noise is no motion


def test_flicker_is_the_mean_change_inside_the_mask() -> None:
    still, brighter = np.zeros((8, 8, 3), np.float32), np.full((8, 8, 3), 0.1, np.float32)
    mask = np.zeros((8, 8), np.float32)
    mask[:4] = 1
    brighter[4:] = 0.9
    assert difference(still, still, mask) == 0.0
    assert difference(brighter, still, mask) == pytest.approx(0.1)
    mask[4:] = 0.5
    assert difference(brighter, still, mask) == pytest.approx((32 * 0.1 + 16 * 0.9) / 48)
    for wrong in (np.zeros((4, 4)), np.zeros((8, 8))):
        with pytest.raises(ValueError, match="mask"):
            difference(still, still, wrong)


def test_flicker_is_told_as_a_ratio() -> None:
    one, two = Flicker(), Flicker()
    assert one.as_dict() == {"pairs": 0, "input": None, "output": None, "ratio": None}
    one.add(0.1, 0.2)
    two.add(0.3, 0.2)
    one.join(two)
    assert one.as_dict() == {"pairs": 2, "input": 51.0, "output": 51.0, "ratio": 1.0}


TAGS = {"primaries": 1, "transfer": 1, "range_tag": 1}


@pytest.mark.parametrize("bits", [8, 10])
@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("matrix", [1, 5, 9, 2])
def test_white_black_and_red_are_themselves(bits: int, full: bool, matrix: int) -> None:
    colour = Colour(matrix, full, bits=bits, shift=(1, 1), grey=False, **TAGS)
    steps, dtype = 2 ** (bits - 8), np.uint8 if bits == 8 else np.uint16
    top = 255 if bits == 8 else 65535
    white, black = (2**bits - 1, 0) if full else (235 * steps, 16 * steps)
    for luma, wanted in ((white, top), (black, 0)):
        planes = [np.full((4, 6), luma, dtype)] + [np.full((2, 3), 128 * steps, dtype)] * 2
        rgb = to_rgb(planes, colour)
        assert rgb.shape == (4, 6, 3)
        assert np.abs(rgb.astype(int) - wanted).max() <= (1 if bits == 8 else 130)


@pytest.mark.parametrize("shift", [(0, 0), (1, 0), (1, 1)])
def test_a_change_arrives_and_nothing_else_does(shift: tuple[int, int]) -> None:
    colour = Colour(1, False, bits=8, shift=shift, grey=False, **TAGS)
    random = np.random.default_rng(0)
    small = (20 >> shift[1], 24 >> shift[0])
    planes = [random.integers(60, 180, (20, 24)).astype(np.uint8)]
    planes += [random.integers(118, 138, small).astype(np.uint8) for _ in range(2)]
    kept = [plane.copy() for plane in planes]
    before = to_rgb(planes, colour)
    add_change(planes, before, before, colour, (0, 0, 24, 20))
    for plane, same in zip(planes, kept, strict=True):
        np.testing.assert_array_equal(plane, same)
    after = before.copy()
    after[4:12, 6:14] += np.uint8(20)
    add_change(planes, before, after, colour, (5, 3, 15, 13))
    rgb = to_rgb(planes, colour).astype(int)
    assert np.abs(rgb[6:10, 8:12] - after[6:10, 8:12]).max() <= 2
    for plane, same in zip(planes[1:], kept[1:], strict=True):
        np.testing.assert_array_equal(plane, same)  # grey changes no colour
    outside = np.ones((20, 24), bool)
    outside[4:12, 6:14] = False
    np.testing.assert_array_equal(planes[0][outside], kept[0][outside])


def test_grey_has_one_plane() -> None:
    colour = Colour(1, False, bits=8, shift=(0, 0), grey=True, **TAGS)
    planes = [np.full((3, 5), 126, np.uint8)]
    rgb = to_rgb(planes, colour)
    assert np.abs(rgb.astype(int) - 128).max() <= 1
    add_change(planes, rgb, rgb + np.uint8(10), colour, (0, 0, 5, 3))
    assert (planes[0] == 126 + round(10 / 255 * 219)).all()


def test_a_cut_is_another_picture_in_other_colours() -> None:
    y, x = np.mgrid[0:90, 0:160]
    scene = np.stack([x, y, 0 * x + 60], axis=2).astype(np.uint8)
    panned, darker = np.roll(scene, 8, axis=1), (scene * 0.9).astype(np.uint8)
    other = np.stack([255 - y, 0 * x + 200, x], axis=2).astype(np.uint8)
    first = thumbnail(scene)
    assert not any(is_cut(first, thumbnail(picture)) for picture in (scene, panned, darker))
    assert is_cut(first, thumbnail(other))
    assert is_cut(first, thumbnail(other.astype(np.uint16) << 8))


@pytest.mark.parametrize(
    "wrong", [{"smooth": 1.0}, {"detect_every": 0}, {"noise": "none"}, {"codec": "vhs"}, {"crf": 60}, {"segment": 0}]
)
def test_settings_name_what_is_wrong(wrong: dict) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        VideoSettings(**wrong)
