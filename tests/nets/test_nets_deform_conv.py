"""Modulated deformable convolution against scalar loops and against the plain convolution."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from likeness.nets import deform_conv
from likeness.nets.deform_conv import ModulatedDeformConv, deform_conv2d


def bilinear(x: np.ndarray, row: float, column: float) -> float:
    """One channel (H, W) read at a place; pixels outside are zero."""
    top, left = math.floor(row), math.floor(column)
    total = 0.0
    for i, share_i in ((top, 1 - (row - top)), (top + 1, row - top)):
        for j, share_j in ((left, 1 - (column - left)), (left + 1, column - left)):
            if 0 <= i < x.shape[0] and 0 <= j < x.shape[1]:
                total += share_i * share_j * x[i, j]
    return total


def by_loops(x: Tensor, offset: Tensor, mask: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    b, c, h, w = x.shape
    outputs, _, kh, kw = weight.shape
    groups = mask.shape[1] // (kh * kw)
    out = bias.view(1, -1, 1, 1).expand(b, outputs, h, w).numpy().copy()
    x, offset, mask, weight = (t.numpy() for t in (x, offset, mask, weight))
    for n in range(b):
        for i in range(h):
            for j in range(w):
                for tap in range(kh * kw):
                    for channel in range(c):
                        place = channel // (c // groups) * kh * kw + tap
                        row = i - kh // 2 + tap // kw + offset[n, 2 * place, i, j]
                        column = j - kw // 2 + tap % kw + offset[n, 2 * place + 1, i, j]
                        read = bilinear(x[n, channel], row, column) * mask[n, place, i, j]
                        out[n, :, i, j] += weight[:, channel, tap // kw, tap % kw] * read
    return torch.from_numpy(out)


def example(kernel: tuple[int, int] = (3, 3), groups: int = 2) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    torch.manual_seed(0)
    b, c, h, w, outputs, taps = 2, 4, 4, 5, 3, kernel[0] * kernel[1]
    offset = torch.randn(b, 2 * groups * taps, h, w, dtype=torch.float64) * 2
    offset[:, :, 0] = offset[:, :, 0].round()  # exactly on pixels and on the border
    offset[:, :, :, 0] *= 5  # far outside
    offset[0, :, 2, 2] = -1e9
    x = torch.randn(b, c, h, w, dtype=torch.float64)
    weight, bias = torch.randn(outputs, c, *kernel, dtype=torch.float64), torch.randn(outputs, dtype=torch.float64)
    return x, offset, torch.rand(b, groups * taps, h, w, dtype=torch.float64), weight, bias


@pytest.mark.parametrize(("kernel", "groups"), [((3, 3), 2), ((3, 3), 4), ((1, 3), 1)])
def test_equals_scalar_loops(kernel: tuple[int, int], groups: int) -> None:
    given = example(kernel, groups)
    torch.testing.assert_close(deform_conv2d(*given), by_loops(*given), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("chunk", [1, 7 * 9 * 4, 2**20])  # one pixel at a time; a share that does not divide 20; all
def test_the_share_done_at_a_time_changes_nothing(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    given = example()
    whole = deform_conv2d(*given)
    monkeypatch.setitem(deform_conv.CHUNK, "cpu", chunk)
    torch.testing.assert_close(deform_conv2d(*given), whole, rtol=1e-12, atol=1e-12)


def test_without_offset_it_is_a_convolution() -> None:
    x, offset, mask, weight, bias = example()
    plain = F.conv2d(x, weight, bias, padding=1)
    given = torch.zeros_like(offset), torch.ones_like(mask)
    torch.testing.assert_close(deform_conv2d(x, *given, weight, bias), plain, rtol=1e-12, atol=1e-12)
    single = deform_conv2d(x.float(), given[0].float(), given[1].float(), weight.float(), bias.float())
    torch.testing.assert_close(single, plain.float(), rtol=1e-4, atol=1e-5)


def test_a_whole_offset_is_a_shifted_convolution() -> None:
    x, offset, mask, weight, bias = example()
    shift = torch.zeros_like(offset)
    shift[:, 1::2] = 2  # every place is read two pixels to the right
    moved = F.conv2d(F.pad(x, (1, 3, 1, 1)), weight, bias)[..., 2:]
    got = deform_conv2d(x, shift, torch.ones_like(mask), weight, bias)
    torch.testing.assert_close(got, moved, rtol=1e-12, atol=1e-12)


def test_gradients_flow_to_all_inputs() -> None:
    given = [t[:1].clone().requires_grad_() if t.ndim == 4 and i < 3 else t.requires_grad_()
             for i, t in enumerate(example())]  # fmt: skip
    deform_conv2d(*given).square().sum().backward()
    assert all(t.grad is not None and t.grad.isfinite().all() and t.grad.any() for t in given)


def test_an_offset_that_is_no_number_reaches_only_its_pixel() -> None:
    x, offset, mask, weight, bias = example()
    offset[0, 3, 1, 1] = math.nan
    out = deform_conv2d(x, offset, mask, weight, bias)
    assert out[0, :, 1, 1].isnan().all()
    assert out.isnan().sum() == out.shape[1]


def test_shapes_that_do_not_fit_are_refused() -> None:
    x, offset, mask, weight, bias = example()
    with pytest.raises(ValueError, match="do not fit"):
        deform_conv2d(x, offset[:, :-2], mask, weight, bias)


def test_the_module_splits_what_it_predicts() -> None:
    torch.manual_seed(0)
    net = ModulatedDeformConv(8, 5, groups=2)
    torch.nn.init.normal_(net.weight)
    x, guide = torch.randn(2, 8, 6, 7), torch.randn(2, 8, 6, 7)
    first, second, mask = net.conv_offset(guide).chunk(3, dim=1)
    wanted = deform_conv2d(x, torch.cat([first, second], 1), mask.sigmoid(), net.weight, net.bias)
    torch.testing.assert_close(net(x, guide), wanted)
    assert {k: tuple(v.shape) for k, v in net.state_dict().items()} == {
        "weight": (5, 8, 3, 3), "bias": (5,), "conv_offset.weight": (54, 8, 3, 3), "conv_offset.bias": (54,),
    }  # fmt: skip
