"""AdaFace's backbones: who is it, as 512 numbers (Kim, Jain, Liu, CVPR 2022).

Names, and hence keys, are meant to be those of the authors' PyTorch checkpoints (IR-50, IR-101) after ``model.``. They
were written from a description and are not verified against a released file: a file that differs is refused by its
keys, not loaded in part. A network that differs in what has no keys would not be noticed.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import groupby
from math import isqrt
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

SIDE = 112  # pixels of an aligned chip
DEPTHS = {"ir50": (3, 4, 14, 3), "ir101": (3, 13, 30, 3)}
WIDTHS = (64, 128, 256, 512)
PREFIX, HEAD = "model.", "head."  # the head is for training only


class Block(nn.Module):
    """Norm, convolution, norm, PReLU, convolution (with the stride), norm, around a shortcut; nothing after the sum.

    Where the width stays, the shortcut takes each stride-th pixel.
    """

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.shortcut_layer: nn.Module = nn.MaxPool2d(1, stride)
        if inputs != outputs:
            self.shortcut_layer = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )
        self.res_layer = nn.Sequential(
            nn.BatchNorm2d(inputs),
            nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.PReLU(outputs),
            nn.Conv2d(outputs, outputs, 3, stride, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.res_layer(x) + self.shortcut_layer(x)  # type: ignore[no-any-return]


class AdaFace(nn.Module):
    """``forward(x)``: (B, 3, side, side) BGR in [-1, 1], aligned -> (B, features) of length 1.

    ``AdaFace(DEPTHS["ir50"])`` is the published IR-50. ``side`` is a multiple of 2 to the number of levels.
    """

    def __init__(
        self,
        depths: tuple[int, ...] = DEPTHS["ir50"],
        widths: tuple[int, ...] = WIDTHS,
        features: int = 512,
        side: int = SIDE,
    ) -> None:
        super().__init__()
        self.side = side
        before = widths[0]
        self.input_layer = nn.Sequential(
            nn.Conv2d(3, before, 3, padding=1, bias=False), nn.BatchNorm2d(before), nn.PReLU(before)
        )
        blocks = []
        for width, depth in zip(widths, depths, strict=True):
            blocks += [Block(before, width, 2), *(Block(width, width, 1) for _ in range(1, depth))]
            before = width
        self.body = nn.Sequential(*blocks)
        self.output_layer = nn.Sequential(
            nn.BatchNorm2d(before),
            nn.Dropout(0.4),
            nn.Flatten(),
            nn.Linear(before * (side >> len(widths)) ** 2, features),
            nn.BatchNorm1d(features, affine=False),
        )

    def forward(self, x: Tensor) -> Tensor:
        return F.normalize(self.output_layer(self.body(self.input_layer(x))), eps=1e-12)


def unpack(checkpoint: Mapping[str, Any]) -> dict[str, Tensor]:
    """The backbone's tensors: under "state_dict" (as the authors trained it) or flat, keys perhaps after ``model.``.

    The head is left out.
    """
    nested = checkpoint.get("state_dict")
    held = nested if isinstance(nested, Mapping) else checkpoint
    tensors = {k: v for k, v in held.items() if isinstance(v, Tensor) and not k.startswith(HEAD)}
    if tensors and all(key.startswith(PREFIX) for key in tensors):
        tensors = {key.removeprefix(PREFIX): value for key, value in tensors.items()}
    return tensors


def recognise(tensors: Mapping[str, Tensor]) -> AdaFace | None:
    """The network of these tensors (of ``unpack``), unfilled, of whatever size; None when they are of another one.

    A level begins where the width changes.
    """
    outputs: list[int] = []
    while (weight := tensors.get(f"body.{len(outputs)}.res_layer.1.weight")) is not None:
        outputs.append(len(weight) if weight.ndim == 4 else 0)
    last = tensors.get("output_layer.3.weight")
    if (
        "input_layer.0.weight" not in tensors
        or last is None
        or last.ndim != 2
        or 0 in (*outputs, len(last), len(outputs))
    ):
        return None
    levels = [(width, len(list(group))) for width, group in groupby(outputs)]
    widths, depths = zip(*levels, strict=True)
    side = isqrt(last.shape[1] // widths[-1]) << len(levels)
    return AdaFace(depths, widths, len(last), side) if side else None
