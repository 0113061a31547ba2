"""How near a restored picture is to the truth, pixel by pixel: batches of tensors, one number for each picture.

``functional`` has PSNR and SSIM of single pictures in numpy; these agree with them.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

BASICSR_FLOOR = 1e-8  # what BasicSR's tensor PSNR (hence PMRF's) adds to the error
MS_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
_WINDOW, _SIGMA = 11, 1.5
_C1, _C2 = 0.01**2, 0.03**2


def luma(pictures: Tensor) -> Tensor:
    """(B, 3, H, W) RGB in [0, 1] -> (B, 1, H, W) float64 Y of ITU-R BT.601 in [16 / 255, 235 / 255], not rounded."""
    weights = torch.tensor([65.481, 128.553, 24.966], dtype=torch.float64, device=pictures.device) / 255
    return (pictures.double() * weights.view(1, 3, 1, 1)).sum(1, keepdim=True) + 16 / 255


def mean_squared_error(restored: Tensor, truth: Tensor) -> Tensor:
    """(B, 3, H, W) in [0, 1], twice -> (B,) float64 mean squared error at 255 levels, as PMRF reports it.

    Range [0, 65025]. higher_is_better: no. The RMSE of PMRF's tables is the root of the mean over all pictures; with
    the posterior mean in place of the truth it is their IndRMSE.
    """
    a, b = _pair(restored, truth, 0, False)
    return (a - b).square().mean(dim=(1, 2, 3)) * 255**2


def psnr(restored: Tensor, truth: Tensor, *, crop: int = 0, y_channel: bool = False, floor: float = 0.0) -> Tensor:
    """(B, 3, H, W) RGB in [0, 1], twice -> (B,) float64 peak signal-to-noise ratio in dB.

    Range [0, inf]; inf for equal pictures when ``floor`` is 0. higher_is_better: yes. ``crop``: pixels left out at
    each border. ``y_channel``: of the luma only; the peak stays 1. ``floor``: added to the mean squared error;
    ``BASICSR_FLOOR`` gives PMRF's numbers. Raises ValueError for shapes that differ or do not fit.
    """
    a, b = _pair(restored, truth, crop, y_channel)
    return -10 * torch.log10((a - b).square().mean(dim=(1, 2, 3)) + floor)


def ssim(restored: Tensor, truth: Tensor, *, crop: int = 0, y_channel: bool = False) -> Tensor:
    """(B, 3, H, W) RGB in [0, 1], twice -> (B,) float64 structural similarity, the mean over channels and places.

    Range [-1, 1]. higher_is_better: yes. Options as for ``psnr``. Raises ValueError for shapes that differ or that the
    window of 11 pixels does not fit in. Source: Wang, Bovik, Sheikh, Simoncelli, IEEE TIP 2004, eq. 13; the window is a
    Gaussian, sigma 1.5, taken only where it lies within the picture, as BasicSR (VQFR, PMRF) has it.
    """
    whole, _ = _ssim_maps(*_pair(restored, truth, crop, y_channel))
    return whole.mean(dim=(1, 2, 3))


def ms_ssim(restored: Tensor, truth: Tensor, weights: tuple[float, ...] = MS_WEIGHTS) -> Tensor:
    """(B, 3, H, W) RGB in [0, 1], twice -> (B,) float64 structural similarity over five halvings.

    Range [0, 1]: a negative contrast term counts as 0, since it is raised to a power. higher_is_better: yes. Raises
    ValueError for shapes that differ, or below 176 pixels a side (with five ``weights``). Source: Wang, Simoncelli,
    Bovik, Asilomar 2003, eq. 7; the mean over channels is taken before the power.
    """
    a, b = _pair(restored, truth, 0, False)
    least = _WINDOW * 2 ** (len(weights) - 1)
    if min(a.shape[-2:]) < least:
        raise ValueError(f"pictures must be at least {least}x{least} pixels, got {tuple(restored.shape)}")
    value = torch.ones(a.shape[0], dtype=a.dtype, device=a.device)
    for level, weight in enumerate(weights):
        if level:
            a, b = F.avg_pool2d(a, 2), F.avg_pool2d(b, 2)
        whole, contrast = _ssim_maps(a, b)
        term = whole if level == len(weights) - 1 else contrast
        value = value * term.mean(dim=(1, 2, 3)).clamp(min=0) ** weight
    return value


def _pair(restored: Tensor, truth: Tensor, crop: int, y_channel: bool) -> tuple[Tensor, Tensor]:
    """Both in float64, without their borders, or their luma."""
    if restored.shape != truth.shape:
        raise ValueError(f"pictures differ in shape: {tuple(restored.shape)} and {tuple(truth.shape)}")
    if restored.ndim != 4 or restored.shape[1] != 3:
        raise ValueError(f"pictures must be (B, 3, H, W), got {tuple(restored.shape)}")
    if not 0 <= 2 * crop < min(restored.shape[-2:]):
        raise ValueError(f"crop must leave something of {tuple(restored.shape)}, got {crop}")
    if y_channel:
        restored, truth = luma(restored), luma(truth)
    height, width = restored.shape[-2:]
    inside = (..., slice(crop, height - crop), slice(crop, width - crop))
    return restored.double()[inside], truth.double()[inside]


def _ssim_maps(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """The similarity at each place, and its contrast and structure term alone."""
    if min(a.shape[-2:]) < _WINDOW:
        raise ValueError(f"pictures must be at least {_WINDOW}x{_WINDOW} pixels for SSIM, got {tuple(a.shape)}")
    ma, mb = _local_mean(a), _local_mean(b)
    va, vb, cov = _local_mean(a * a) - ma * ma, _local_mean(b * b) - mb * mb, _local_mean(a * b) - ma * mb
    contrast = (2 * cov + _C2) / (va + vb + _C2)
    return contrast * (2 * ma * mb + _C1) / (ma * ma + mb * mb + _C1), contrast


def _local_mean(pictures: Tensor) -> Tensor:
    """The mean under the window wherever it lies within the picture: (B, C, H, W) float64 -> (B, C, H - 10, W - 10)."""
    x = torch.arange(_WINDOW, dtype=pictures.dtype, device=pictures.device) - _WINDOW // 2
    window = torch.exp(-x.square() / (2 * _SIGMA**2))
    window = window / window.sum()
    if pictures.device.type == "cpu":  # three times as fast as torch's float64 convolution
        inside = slice(_WINDOW // 2, -(_WINDOW // 2))
        line = window.numpy()
        planes = [cv2.sepFilter2D(plane, -1, line, line) for plane in pictures.flatten(0, 1).contiguous().numpy()]
        means = torch.from_numpy(np.stack(planes)[:, inside, inside])
        return means.view(*pictures.shape[:2], *means.shape[1:])
    weight = window.expand(pictures.shape[1], 1, 1, -1)
    rows = F.conv2d(pictures, weight, groups=pictures.shape[1])
    return F.conv2d(rows, weight.transpose(2, 3), groups=pictures.shape[1])
