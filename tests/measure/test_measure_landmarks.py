"""From heatmaps to points, from 98 points to 68, and distances between them."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from likeness.measure.landmarks import landmark_distance
from likeness.nets.fan import FAN, decode, fan_input, find_landmarks, find_landmarks_68, to_68


def peak(x: int, y: int, **neighbours: float) -> Tensor:
    """(64, 64) with a peak of 1 at x, y; ``right``, ``left``, ``below``, ``above`` beside it."""
    heatmap = torch.zeros(64, 64)
    heatmap[y, x] = 1
    for name, value in neighbours.items():
        dx, dy = {"right": (1, 0), "left": (-1, 0), "below": (0, 1), "above": (0, -1)}[name]
        heatmap[y + dy, x + dx] = value
    return heatmap


@pytest.mark.parametrize(
    ("heatmap", "point"),
    [
        (peak(10, 20), (10.5, 20.5)),  # neighbours alike: the middle of the cell
        (peak(10, 20, right=0.5), (10.75, 20.5)),
        (peak(10, 20, left=0.5, right=0.2, above=0.1), (10.25, 20.25)),
        (peak(10, 20, below=0.3, above=0.1), (10.5, 20.75)),
        (peak(63, 20, below=0.3), (63.5, 20.75)),  # its right neighbour is the first of the next row
    ],
)
def test_one_point(heatmap: Tensor, point: tuple[float, float]) -> None:
    assert decode(heatmap[None, None])[0, 0].tolist() == list(point)


def test_the_published_scripts_borders() -> None:
    """A point in the last row changes the lower neighbour of all points of that picture; the first row, the upper."""
    inner, low, high = peak(10, 20, below=0.3), peak(30, 63), peak(30, 0)
    alone = decode(torch.stack([inner])[None])[0, 0].tolist()
    assert alone == [10.5, 20.75]
    assert decode(torch.stack([inner, low])[None])[0, 0].tolist() == [10.5, 20.5]  # 0.3 is no longer looked at
    raised = peak(10, 20, above=0.3)
    assert decode(torch.stack([raised, high])[None])[0, 0].tolist() == [10.5, 20.5]
    both = decode(torch.stack([torch.stack([inner, inner]), torch.stack([inner, low])]))
    assert both[0, 0].tolist() == alone  # the other picture's points do not matter
    corner = decode(peak(63, 63)[None, None])[0, 0]
    assert corner.tolist() == [63.5, 63.75]  # no lower neighbour but itself


def test_fan_input_is_opencvs_resize() -> None:
    image = np.random.default_rng(0).integers(0, 256, (512, 512, 3), dtype=np.uint8)
    want = cv2.resize(image, (256, 256), interpolation=cv2.INTER_LINEAR)
    got = fan_input(torch.from_numpy(image).permute(2, 0, 1)[None] / 255)
    assert np.array_equal((got[0] * 255).round().byte().permute(1, 2, 0).numpy(), want)


@pytest.fixture(scope="module")
def net() -> FAN:
    torch.manual_seed(0)
    return FAN(modules=2, points=98, width=16).eval()


@torch.inference_mode()
def test_landmarks_of_crops(net: FAN) -> None:
    crops = torch.rand(4, 3, 512, 512, generator=torch.Generator().manual_seed(0))
    points = find_landmarks(net, crops)
    assert points.shape == (4, 98, 2)
    assert points.dtype == torch.float32
    assert 0 <= float(points.min()) <= float(points.max()) <= 512
    want = decode(net(fan_input(crops))[-1][:, :98]) * 8
    assert torch.equal(points, want)
    assert torch.equal(find_landmarks_68(net, crops), to_68(want) - 0.5)
    # Peaks of equal height may differ by rounding in a batch; these do not.
    assert torch.equal(points, torch.cat([find_landmarks(net, crop[None]) for crop in crops]))


@torch.inference_mode()
def test_landmarks_of_other_shapes(net: FAN) -> None:
    wide = find_landmarks(net, torch.rand(1, 3, 100, 300, generator=torch.Generator().manual_seed(1)))
    assert float(wide[..., 0].max()) > 100 >= float(wide[..., 1].max())
    with pytest.raises(ValueError, match=r"\(B, 3, H, W\)"):
        find_landmarks(net, torch.zeros(3, 64, 64))


def test_98_points_become_68() -> None:
    """A face drawn by its parts: each scheme's marks of one part must lie at the same places."""
    x = np.linspace
    outline = np.stack([x(0, 32, 33), 100 - (x(0, 32, 33) - 16) ** 2], 1)
    brow = np.stack([x(0, 4, 5), np.zeros(5)], 1)  # the upper edge, from left to right
    lower = brow + np.array([0, 2])
    left_brow = np.concatenate([brow, lower[4:0:-1]])  # then the lower one, from the right to the left
    right_brow = np.concatenate([brow, lower[3::-1]])
    nose = np.stack([x(50, 58, 9), x(50, 58, 9)], 1)
    eye = np.stack([[0, 1, 2, 3, 4, 3, 2, 1], [0, 1, 1, 1, 0, -1, -1, -1]], 1).astype(float)
    mouth = np.stack([x(70, 89, 20), x(70, 89, 20)], 1)
    parts = [outline, left_brow + 200, right_brow + 300, nose, eye + 400, eye + 500, mouth, np.full((2, 2), 999.0)]
    got = to_68(torch.from_numpy(np.concatenate(parts))).numpy()
    assert got.shape == (68, 2)
    assert np.array_equal(got[:17], outline[::2])
    assert np.array_equal(got[17:22], brow + 200 + [(0, 0), (0, 1), (0, 1), (0, 1), (0, 1)])
    assert np.array_equal(got[22:27], brow + 300 + [(0, 1), (0, 1), (0, 1), (0, 1), (0, 0)])
    assert np.array_equal(got[27:36], nose)
    assert np.array_equal(got[36:42], eye[[0, 1, 3, 4, 5, 7]] + 400)
    assert np.array_equal(got[42:48], eye[[0, 1, 3, 4, 5, 7]] + 500)
    assert np.array_equal(got[48:], mouth)
    with pytest.raises(ValueError, match="98"):
        to_68(torch.zeros(68, 2))


def test_landmark_distance_by_hand() -> None:
    a = torch.zeros(2, 2, 2)
    b = torch.tensor([[[3.0, 4], [0, 0]], [[0, 1], [1, 0]]])
    assert landmark_distance(a, b).tolist() == [2.5, 1.0]
    with pytest.raises(ValueError, match=r"\(2, 2, 2\) and \(1, 2, 2\)"):
        landmark_distance(a, b[:1])
