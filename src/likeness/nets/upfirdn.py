"""Resampling in the StyleGAN2 family: FIR smoothing and enlarging, and changes of size around a network.

The filter is that of Karras et al., Analyzing and Improving the Image Quality of StyleGAN (CVPR 2020): the outer
product of [1, 3, 3, 1]. Zero insertion, padding and filtering are written as one depth-wise (transposed) convolution.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def fir_kernel(gain: float = 1.0) -> Tensor:
    """(4, 4) kernel whose sum is ``gain``."""
    line = torch.tensor([1.0, 3.0, 3.0, 1.0])
    kernel = torch.outer(line, line)
    return kernel / kernel.sum() * gain


def full_precision(x: Tensor) -> torch.autocast:
    """A context without autocast on the device of ``x``, for small tensors where rounding would show."""
    return torch.autocast(x.device.type, enabled=False)


class _Fir(nn.Module):
    """Holds the kernel. ``stored``: it belongs to the state dict, as in the files of GPEN and pSp."""

    def __init__(self, gain: float, stored: bool) -> None:
        super().__init__()
        self.register_buffer("kernel", fir_kernel(gain), persistent=stored)
        self.kernel: Tensor

    def depthwise(self, channels: int) -> Tensor:
        return self.kernel.expand(channels, 1, *self.kernel.shape)


class Blur(_Fir):
    """FIR smoothing with ``pad`` zeros on every side, of which every ``stride``-th pixel is kept.

    (B, C, H, W) -> (B, C, H', W'), H' = (H + 2 pad - 4) // stride + 1.
    """

    def __init__(self, pad: int, gain: float = 1.0, stride: int = 1, stored: bool = False) -> None:
        super().__init__(gain, stored)
        self.pad, self.stride = pad, stride

    def forward(self, x: Tensor) -> Tensor:
        kernel = self.depthwise(x.shape[1]).flip(2, 3)
        return F.conv2d(x, kernel, stride=self.stride, padding=self.pad, groups=x.shape[1])


class Upsample(_Fir):
    """Twice the size: zeros between the pixels, then the FIR filter. (B, C, H, W) -> (B, C, 2H, 2W), full precision."""

    def __init__(self, stored: bool = False) -> None:
        super().__init__(4.0, stored)

    def forward(self, x: Tensor) -> Tensor:
        with full_precision(x):
            return F.conv_transpose2d(
                x.to(self.kernel.dtype), self.depthwise(x.shape[1]), stride=2, padding=1, groups=x.shape[1]
            )


def to_size(x: Tensor, size: int) -> Tensor:
    """(B, C, H, W) -> (B, C, size, size): enlarged bilinearly, reduced by averaging the area; as it is if it fits.

    For a factor of two this is what bilinear resizing without antialiasing (OpenCV's default) gives as well.
    """
    if x.shape[-2:] == (size, size):
        return x
    if x.shape[-1] > size:
        return F.adaptive_avg_pool2d(x, size)
    return F.interpolate(x, size=(size, size), mode="bilinear", align_corners=False)


def bicubic_down(x: Tensor, factor: int) -> Tensor:
    """(B, C, H, W) -> (B, C, H // factor, W // factor): bicubic with the kernel widened, as pSp and PULSE reduce.

    Keys' cubic (a = -0.5) at 4 ``factor`` taps, of sum 1; the picture is reflected at its borders.
    """
    at = ((torch.arange(4 * factor, device=x.device) - 2 * factor + 0.5) / factor).abs()
    near, far = 1.5 * at**3 - 2.5 * at**2 + 1, -0.5 * at**3 + 2.5 * at**2 - 4 * at + 2
    taps = torch.where(at <= 1, near, torch.where(at < 2, far, torch.zeros_like(at)))
    kernel = (taps / taps.sum()).expand(x.shape[1], 1, -1).to(x.dtype)
    before, after = 3 * factor // 2, 3 * factor - 3 * factor // 2
    padded = F.pad(x, (before, after, before, after), mode="reflect")
    rows = F.conv2d(padded, kernel[..., None], stride=(factor, 1), groups=x.shape[1])
    return F.conv2d(rows, kernel[:, :, None], stride=(1, factor), groups=x.shape[1])
