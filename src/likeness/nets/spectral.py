"""Spectral normalisation for inference (Miyato et al., Spectral Normalization for GANs, ICLR 2018).

Networks are built with ``torch.nn.utils.spectral_norm``, which gives the released keys (``weight_orig``, ``weight_u``,
``weight_v``), and divides the weight by its largest singular value in every call. Weights that no longer change need
that only once.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import remove_spectral_norm, spectral_norm


def spectral_conv(inputs: int, outputs: int, size: int, dilation: int = 1, bias: bool = True) -> nn.Conv2d:
    """A spectrally normalised convolution that keeps height and width (zero padding)."""
    padding = dilation * (size // 2)
    return spectral_norm(nn.Conv2d(inputs, outputs, size, padding=padding, dilation=dilation, bias=bias))


@torch.no_grad()
def power_iteration(net: nn.Module, steps: int = 1) -> None:
    """Let every spectral norm of ``net`` take steps of its power iteration, from the vectors that it stores.

    A call in training mode begins with one step.
    """
    for module in _normalised(net):
        matrix, u, v = module.weight_orig.flatten(1), module.weight_u, module.weight_v
        for _ in range(steps):
            v.copy_(F.normalize(matrix.T @ u, dim=0, eps=1e-12))
            u.copy_(F.normalize(matrix @ v, dim=0, eps=1e-12))


@torch.no_grad()
def fold_spectral_norm(net: nn.Module) -> None:
    """Replace every spectrally normalised weight of ``net`` by the plain weight that it stands for in evaluation."""
    for module in _normalised(net):
        trained = module.weight_orig.requires_grad
        remove_spectral_norm(module)
        module.requires_grad_(trained)


def _normalised(net: nn.Module) -> list[Any]:
    return [module for module in net.modules() if hasattr(module, "weight_orig")]
