"""SRVGGNetCompact, the small network of Real-ESRGAN: a plain row of convolutions at the input's resolution.

Published with Wang et al., "Real-ESRGAN", ICCV Workshops 2021 (files realesr-general-x4v3.pth and
realesr-animevideov3.pth).
"""

from __future__ import annotations

from collections.abc import Mapping
from math import isqrt

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class SRVGGNetCompact(nn.Module):
    """``forward(x)``: (B, 3, H, W) RGB in [0, 1] -> (B, 3, scale * H, scale * W), not clipped.

    It adds what it computes to the input enlarged by repetition. ``convs`` is 32 in the general network, 16 in the
    one for animation.
    """

    multiple = 1  # any H and W

    def __init__(self, scale: int = 4, width: int = 64, convs: int = 32) -> None:
        super().__init__()
        self.scale = scale
        layers: list[nn.Module] = [nn.Conv2d(3, width, 3, padding=1), nn.PReLU(width)]
        for _ in range(convs):
            layers += [nn.Conv2d(width, width, 3, padding=1), nn.PReLU(width)]
        self.body = nn.ModuleList([*layers, nn.Conv2d(width, 3 * scale**2, 3, padding=1)])
        self.upsampler = nn.PixelShuffle(scale)

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> SRVGGNetCompact | None:
        """The unfilled network whose weights these are, by keys and shapes; None when they are of another one."""
        first, slopes = tensors.get("body.0.weight"), tensors.get("body.1.weight")
        if first is None or slopes is None or first.ndim != 4 or slopes.ndim != 1:
            return None
        last = max(int(key.split(".")[1]) for key in tensors if key.startswith("body."))
        outputs = tensors[f"body.{last}.weight"].shape[0]
        return cls(isqrt(outputs // 3), first.shape[0], (last - 2) // 2)

    @property
    def reach(self) -> int:
        """How far, in pixels of the input, an output pixel is influenced."""
        return len(self.body) // 2 + 1

    def forward(self, x: Tensor) -> Tensor:
        h = x
        for layer in self.body[:-1]:
            h = layer(h)
        last = self.body[-1]
        assert isinstance(last, nn.Conv2d)
        # In bfloat16 a bright picture would have only 128 levels, hence the last layer at the weights' precision.
        with torch.autocast(h.device.type, enabled=False):
            h = self.upsampler(last(h.to(last.weight.dtype)))
            return h + F.interpolate(x.to(h.dtype), scale_factor=self.scale, mode="nearest")  # type: ignore[no-any-return]
