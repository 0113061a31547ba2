"""RRDBNet, the generator of ESRGAN and Real-ESRGAN: residual-in-residual dense blocks, then nearest x2 twice.

Wang et al., "ESRGAN", ECCV Workshops 2018, and "Real-ESRGAN: Training Real-World Blind Super-Resolution with Pure
Synthetic Data", ICCV Workshops 2021.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SLOPE = 0.2  # of the leaky ReLUs
RESIDUAL = 0.2  # what a block adds is scaled down by this


def _conv(inputs: int, outputs: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, padding=1)


def _leaky(x: Tensor) -> Tensor:
    return F.leaky_relu(x, SLOPE, inplace=True)


class DenseBlock(nn.Module):
    """Five convolutions, each of which sees the input and all that came before it."""

    def __init__(self, width: int, growth: int) -> None:
        super().__init__()
        self.conv1 = _conv(width, growth)
        self.conv2 = _conv(width + growth, growth)
        self.conv3 = _conv(width + 2 * growth, growth)
        self.conv4 = _conv(width + 3 * growth, growth)
        self.conv5 = _conv(width + 4 * growth, width)

    def forward(self, x: Tensor) -> Tensor:
        seen = x
        for conv in (self.conv1, self.conv2, self.conv3, self.conv4):
            seen = torch.cat([seen, _leaky(conv(seen))], dim=1)
        return self.conv5(seen) * RESIDUAL + x  # type: ignore[no-any-return]


class ResidualDenseBlock(nn.Module):
    """Three dense blocks around a shortcut."""

    def __init__(self, width: int, growth: int) -> None:
        super().__init__()
        self.rdb1, self.rdb2, self.rdb3 = (DenseBlock(width, growth) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        return self.rdb3(self.rdb2(self.rdb1(x))) * RESIDUAL + x  # type: ignore[no-any-return]


class RRDBNet(nn.Module):
    """``forward(x)``: (B, 3, H, W) RGB in [0, 1] -> (B, 3, scale * H, scale * W), not clipped.

    ``scale`` 4, 2 or 1. It always enlarges four times inside: for 2 and 1 the picture is first pixel-unshuffled by
    ``multiple`` (2 and 4), of which H and W must be multiples. 23 blocks, or 6 in the small released network.
    """

    def __init__(self, scale: int = 4, width: int = 64, blocks: int = 23, growth: int = 32) -> None:
        super().__init__()
        if scale not in (1, 2, 4):
            raise ValueError(f"scale must be 1, 2 or 4, got {scale}")
        self.scale, self.multiple = scale, 4 // scale
        self.conv_first = _conv(3 * self.multiple**2, width)
        self.body = nn.Sequential(*(ResidualDenseBlock(width, growth) for _ in range(blocks)))
        self.conv_body = _conv(width, width)
        self.conv_up1 = _conv(width, width)
        self.conv_up2 = _conv(width, width)
        self.conv_hr = _conv(width, width)
        self.conv_last = _conv(width, 3)

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> RRDBNet | None:
        """The unfilled network whose weights these are, by keys and shapes; None when they are of another one."""
        first, growth = tensors.get("conv_first.weight"), tensors.get("body.0.rdb1.conv1.weight")
        if first is None or growth is None or first.shape[1] not in (3, 12, 48):
            return None
        scale = {3: 4, 12: 2, 48: 1}[first.shape[1]]
        blocks = 1 + max(int(key.split(".")[1]) for key in tensors if key.startswith("body."))
        return cls(scale, first.shape[0], blocks, growth.shape[0])

    @property
    def reach(self) -> int:
        """How far, in pixels of the input, an output pixel can be influenced; little comes from that far."""
        return self.multiple * (4 + 15 * len(self.body))

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv_first(F.pixel_unshuffle(x, self.multiple) if self.multiple > 1 else x)
        h = h + self.conv_body(self.body(h))
        h = _leaky(self.conv_up1(F.interpolate(h, scale_factor=2, mode="nearest")))
        h = _leaky(self.conv_up2(F.interpolate(h, scale_factor=2, mode="nearest")))
        h = _leaky(self.conv_hr(h))
        # In bfloat16 a bright picture would have only 128 levels, hence the last layer at the weights' precision.
        with torch.autocast(h.device.type, enabled=False):
            return self.conv_last(h.to(self.conv_last.weight.dtype))  # type: ignore[no-any-return]
