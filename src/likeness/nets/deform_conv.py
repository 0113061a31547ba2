"""Modulated deformable convolution in plain torch (Dai et al. 2017; Zhu et al. 2019, "Deformable ConvNets v2").

Each tap of the kernel reads the input at its own, fractional place and is weighted by a mask. The readings are sums
of four rows of a table, which is what ``embedding_bag`` computes: exactly, borders included, in one pass over memory.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

CHUNK = {"cpu": 2**21, "other": 2**26}  # numbers sampled at a time: on a CPU they should stay in its cache


def deform_conv2d(x: Tensor, offset: Tensor, mask: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Stride 1, and zeros around the picture such that it keeps its size.

    ``x`` (B, C, H, W); ``weight`` (outputs, C, kh, kw), kh and kw odd; ``offset`` (B, 2 * G * kh * kw, H, W) in
    pixels, ordered group, tap (row by row), then dy, dx; ``mask`` (B, G * kh * kw, H, W), ordered group, tap. Each of
    the G groups moves C / G channels. A place outside the picture reads zero, bilinearly blended at the border.
    Returns (B, outputs, H, W). Sampling is done in float32 at least, whatever the types; raises ValueError for shapes
    that do not fit.
    """
    b, c, h, w = x.shape
    outputs, _, kh, kw = weight.shape
    taps, groups = kh * kw, mask.shape[1] // (kh * kw)
    if offset.shape != (b, 2 * groups * taps, h, w) or mask.shape != (b, groups * taps, h, w) or c % groups:
        shapes = ", ".join(str(tuple(t.shape)) for t in (x, offset, mask, weight))
        raise ValueError(f"input, offset, mask and weight do not fit: {shapes}")
    wide = torch.promote_types(x.dtype, torch.float32)
    rows = x.to(wide).reshape(b, groups, c // groups, h * w).transpose(2, 3).reshape(b, groups * h * w, c // groups)
    kernel = weight.reshape(outputs, groups, c // groups, taps).transpose(2, 3).reshape(outputs, -1)
    shift = offset.to(wide).reshape(b, groups * taps, 2, h * w)
    modulation = mask.to(wide).reshape(b, groups * taps, h * w)
    pixel = torch.arange(h * w, device=x.device)[:, None]
    tap = torch.arange(taps, device=x.device).repeat(groups)
    table = torch.arange(groups, device=x.device, dtype=torch.int32).repeat_interleave(taps)[:, None] * (h * w)
    step = max(1, CHUNK["cpu" if x.device.type == "cpu" else "other"] // (taps * c))
    made = []
    for sample in range(b):
        for start in range(0, h * w, step):
            part = slice(start, start + step)
            row = shift[sample, :, 0, part].T + (pixel[part] // w - kh // 2 + tap // kw)
            column = shift[sample, :, 1, part].T + (pixel[part] % w - kw // 2 + tap % kw)
            index, share = _corners(row, column, h, w)
            index, share = index + table, share * modulation[sample, :, part].T[..., None]
            read = F.embedding_bag(
                index.view(-1, 4), rows[sample], mode="sum", per_sample_weights=share.view(-1, 4)
            )  # (pixels * groups * taps, C / groups)
            made.append(F.linear(read.view(len(row), -1), kernel, bias))
    # contiguous: torch's group norm loses three digits on a CPU when the channels come last
    return torch.cat(made).view(b, h, w, outputs).permute(0, 3, 1, 2).contiguous()


def _corners(row: Tensor, column: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    """The four pixels around each place, and their bilinear shares: both (..., 4). Pixels outside have no share."""
    top, left = row.floor(), column.floor()
    below, right = row - top, column - left
    (y0, sy0), (y1, sy1) = _along(top, 1 - below, height), _along(top + 1, below, height)
    (x0, sx0), (x1, sx1) = _along(left, 1 - right, width), _along(left + 1, right, width)
    y0, y1 = y0 * width, y1 * width
    index = torch.stack([y0 + x0, y0 + x1, y1 + x0, y1 + x1], dim=-1)
    return index, torch.stack([sy0 * sx0, sy0 * sx1, sy1 * sx0, sy1 * sx1], dim=-1)


def _along(place: Tensor, share: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Whole places along an axis and their shares -> indices within the axis, and no share for those outside it."""
    index = place.to(torch.int32).clamp(0, size - 1)  # within, even when the place is not a number
    return index, share * ((place >= 0) & (place < size))


class ModulatedDeformConv(nn.Module):
    """3x3 deformable convolution whose offsets and mask are predicted from another feature map by ``conv_offset``.

    ``forward(x, guide)``: (B, inputs, H, W), (B, inputs, H, W) -> (B, outputs, H, W). The 27 * groups predicted
    channels are two thirds offsets, used as they are, and one third the mask before its sigmoid.
    """

    def __init__(self, inputs: int, outputs: int, groups: int = 4) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(outputs, inputs, 3, 3))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.conv_offset = nn.Conv2d(inputs, groups * 27, 3, padding=1)

    def forward(self, x: Tensor, guide: Tensor) -> Tensor:
        predicted = self.conv_offset(guide)
        offset, mask = predicted.tensor_split([predicted.shape[1] * 2 // 3], dim=1)
        return deform_conv2d(x, offset, mask.sigmoid(), self.weight, self.bias)
