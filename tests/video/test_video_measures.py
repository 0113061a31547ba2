"""Smoothing, flicker, colour and cuts, against closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest

from likeness.faces import CROP_SIZE, similarity_transform
from likeness.pipeline import Settings
from likeness.video import VideoSettings
from likeness.video.colour import Colour, add_change, to_rgb
from likeness.video.cuts import is_cut, thumbnail
from likeness.video.flicker import Flicker, difference
from likeness.video.plan import Course, fades, make_plan
from likeness.video.smooth import blend, fitted, from_parameters, gate, local_lines, parameters, steadied
from likeness.video.track import Track


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


def test_local_lines_keep_lines_and_are_symmetric_in_time() -> None:
    random = np.random.default_rng(0)
    times = np.cumsum(random.uniform(0.5, 3.0, 60)) / 30  # a variable frame rate
    line = np.stack([3.0 * times - 1, -times], axis=1)
    np.testing.assert_allclose(local_lines(times, line, times, 0.2), line, atol=1e-9)
    noisy = line + random.normal(0, 0.1, line.shape)
    smooth = local_lines(times, noisy, times, 0.4)
    assert np.abs(smooth - line).mean() < 0.5 * np.abs(noisy - line).mean()
    turned_back = local_lines(-times[::-1], noisy[::-1], -times[::-1], 0.4)[::-1]
    np.testing.assert_allclose(turned_back, smooth, atol=1e-9)  # as much of the future as of the past: no lag


def test_one_wrong_detection_does_not_pull_the_alignment() -> None:
    times = np.arange(40) / 30
    values = np.random.default_rng(0).normal(0, 0.01, (40, 1))
    values[20] = 1.0
    assert abs(local_lines(times, values, times, 0.2)[20, 0]) < 0.02
    assert abs(local_lines(times, values, times, 0.2, robust=False)[20, 0]) > 0.04


def test_steadied_has_the_flows_detail_and_the_detectors_place() -> None:
    random = np.random.default_rng(0)
    times = np.arange(90) / 30
    truth = np.stack([100 + 40 * np.sin(3 * times), 50 + 90 * times, 5 + 0.1 * times, 0.2 * times], axis=1)
    drift = np.cumsum(random.normal(0, 0.01, truth.shape), axis=0) * [1, 1, 0.001, 0.001]
    found = truth + random.normal(0, 1, truth.shape) * [1.5, 1.5, 0.01, 0.01]
    found[30:55] = np.nan  # lost, and the first too
    found[0] = np.nan
    got = steadied(times, truth + drift + [8, -5, 0, 0], found)
    steps = np.abs(np.diff(got - truth, axis=0))[:, :2].mean()
    assert steps < 0.05
    assert np.abs(got - truth)[:, :2].mean() < 0.8
    raw = steadied(times, truth + drift, found, sigma=0.0)
    np.testing.assert_allclose(raw[60:], found[60:])
    assert np.abs(np.diff(raw - truth, axis=0))[60:, :2].mean() > 20 * steps


def test_a_restoration_comes_and_goes_smoothly_but_for_cuts() -> None:
    times = np.arange(30) / 30
    active = np.ones(30, bool)
    active[:4] = False
    weights = fades(times, active, (True, True), 0.33)
    assert not weights[:4].any()
    assert 0 < weights[4] < 0.05
    assert (np.diff(weights[3:14]) > 0).all()
    assert np.abs(np.diff(weights)).max() < 0.2
    assert (weights[14:] == 1).all()  # a cut follows
    late = fades(times, np.ones(30, bool), (True, False), 0.33)
    assert (late[:20] == 1).all()
    assert 0 < late[-1] < 0.05
    np.testing.assert_array_equal(fades(times, active, (False, False), 0.0), active)


def course(track: Track, **options: object) -> Course:
    (only,) = make_plan([track], [], 40, Settings(**options), VideoSettings())
    return only


def shrinking() -> Track:
    """A face of 60 pixels that shrinks to 34 in frames 5 to 34."""
    track = Track(1, 5, np.zeros(4), (0, 0, 1, 1), 1.0, np.zeros((48, 48), np.uint8))
    for k in range(30):
        values = np.array([100.0 + k, 80.0, math.log(60 - 26 * k / 29), 0.0])
        track.add(1, (5 + k) / 30, values, values)
    return track


def test_a_plan_knows_what_is_left_out_and_why() -> None:
    small = course(shrinking(), min_face=50)
    left = sorted(small.reasons)
    assert left == list(range(left[0], 30))
    assert np.exp(small.values[left[0], 2]) == pytest.approx(40, abs=1.0)  # 0.8 of the limit once it was large enough
    assert set(small.reasons.values()) == {"smaller than --min-face 50 px"}
    assert not small.weight[left].any()
    assert (small.weight[: left[0]] > 0).all()
    assert small.weight[left[0] - 1] < 0.05
    assert not course(shrinking(), min_face=70).weight.any()
    face = small.face(10)
    assert face.box[0] < 105 < face.box[2]
    assert face.size == pytest.approx(60 - 26 * 5 / 29, rel=0.02)


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


def test_a_crop_loses_what_the_video_has_no_pixels_for() -> None:
    x = np.mgrid[0:512, 0:512][1]
    fine = np.repeat((0.5 + 0.4 * np.sin(2 * np.pi * x / 3))[..., None], 3, axis=2).astype(np.float32)
    coarse = np.repeat((0.5 + 0.4 * np.sin(2 * np.pi * x / 40))[..., None], 3, axis=2).astype(np.float32)
    row = (200, slice(50, -50))
    assert np.ptp(fitted(fine, 3.0)[row]) < 0.2 * np.ptp(fine[row])
    assert np.ptp(fitted(coarse, 3.0)[row]) > 0.95 * np.ptp(coarse[row])
    assert fitted(fine, 1.0) is fine


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
