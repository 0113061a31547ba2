"""dlib's face recognition network (ResNet-29 with thin layers) in torch, so that gradients pass through it.

Architecture as dlib documents it (dnn_face_recognition_ex.cpp): 7x7 stem, then levels of 32, 64, 128, 256 and 256
filters; the block that halves a level adds its average-pooled input, the narrower of the two padded with zeros.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

LEVELS = (
    (32, 3, False),
    (64, 4, True),
    (128, 3, True),
    (256, 3, True),
    (256, 1, True),
)  # filters, blocks, halves
MEAN = (122.782, 117.001, 104.298)  # RGB, subtracted; then divided by 256


class _ConvAffine(nn.Module):
    """Convolution, then dlib's affine layer (a batch norm frozen into scale and shift). Stride 2 has no padding."""

    def __init__(self, inputs: int, outputs: int, size: int, stride: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, size, stride, padding=0 if stride > 1 else size // 2)
        self.scale = nn.Parameter(torch.ones(1, outputs, 1, 1))
        self.shift = nn.Parameter(torch.zeros(1, outputs, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x) * self.scale + self.shift  # type: ignore[no-any-return]

    def folded(self) -> nn.Conv2d:
        """The convolution that does both."""
        conv = copy.deepcopy(self.conv)
        scale = self.scale.view(-1, 1, 1, 1)
        assert conv.bias is not None
        with torch.no_grad():
            conv.weight.mul_(scale)
            conv.bias.mul_(scale.flatten()).add_(self.shift.flatten())
        return conv


class _Residual(nn.Module):
    def __init__(self, inputs: int, outputs: int, halve: bool) -> None:
        super().__init__()
        self.halve = halve
        self.first: nn.Module = _ConvAffine(inputs, outputs, 3, 2 if halve else 1)
        self.second: nn.Module = _ConvAffine(outputs, outputs, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        h = self.second(F.relu(self.first(x)))
        if self.halve:
            x = F.avg_pool2d(x, 2, 2)
        return F.relu(_add_padded(h, x))


def _add_padded(a: Tensor, b: Tensor) -> Tensor:
    """Sum of tensors whose sizes differ; the smaller is padded with zeros at the end of each axis."""
    sizes = [max(m, n) for m, n in zip(a.shape[1:], b.shape[1:], strict=True)]

    def pad(t: Tensor) -> Tensor:
        amounts: list[int] = []
        for have, want in zip(reversed(t.shape[1:]), reversed(sizes), strict=True):
            amounts += [0, want - have]
        return F.pad(t, amounts)

    return pad(a) + pad(b)


class DlibResNet(nn.Module):
    """``forward(chips)``: (B, 3, 150, 150) RGB in [0, 1] -> (B, 128) embeddings; ``features`` also gives the levels."""

    def __init__(self) -> None:
        super().__init__()
        self.stem: nn.Module = _ConvAffine(3, 32, 7, 2)
        width, levels = 32, []
        for filters, blocks, halves in LEVELS:
            level = []
            for index in range(blocks):
                level.append(_Residual(width, filters, halves and index == 0))
                width = filters
            levels.append(nn.Sequential(*level))
        self.levels = nn.ModuleList(levels)
        self.head = nn.Linear(width, 128, bias=False)
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1), persistent=False)
        self.mean: Tensor

    def features(self, chips: Tensor) -> list[Tensor]:
        """Outputs of the five levels, then the embedding."""
        h = F.relu(self.stem((chips * 255 - self.mean) / 256))
        h = F.max_pool2d(h, 3, 2)
        out = []
        for level in self.levels:
            h = level(h)
            out.append(h)
        return [*out, self.head(h.mean(dim=(2, 3)))]

    def forward(self, chips: Tensor) -> Tensor:
        return self.features(chips)[-1]

    def fold(self) -> None:
        """Make each convolution and its affine layer one, for inference; it cannot be filled any more."""
        for module in list(self.modules()):
            for name, child in list(module.named_children()):
                if isinstance(child, _ConvAffine):
                    setattr(module, name, child.folded())
        self.eval().requires_grad_(False).to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def load_layers(self, layers: Sequence[tuple[str, np.ndarray]]) -> None:
        """Fill with the layers of ``weights.dlib_format.read_layers``. Raises ValueError when they do not fit."""
        pairs = [m for m in self.modules() if isinstance(m, _ConvAffine)]
        kinds = [kind for kind, _ in layers]
        if kinds != ["con", "affine"] * len(pairs) + ["fc"]:
            raise ValueError(f"{len(layers)} layers do not make this network of {2 * len(pairs) + 1}")
        sizes: list[int] = []
        for pair in pairs:
            sizes += [pair.conv.weight.numel() + pair.conv.out_channels, 2 * pair.conv.out_channels]
        sizes.append(self.head.weight.numel())
        for index, ((kind, found), size) in enumerate(zip(layers, sizes, strict=True)):
            if found.size != size:
                raise ValueError(f"layer {index} ({kind}) has {found.size} numbers, not {size}")
        values = iter(torch.from_numpy(v) for _, v in layers)
        with torch.no_grad():
            for pair in pairs:
                outputs = pair.conv.out_channels
                assert pair.conv.bias is not None
                flat = next(values)
                pair.conv.weight.copy_(flat[:-outputs].view_as(pair.conv.weight))
                pair.conv.bias.copy_(flat[-outputs:])
                flat = next(values)
                pair.scale.copy_(flat[:outputs].view_as(pair.scale))
                pair.shift.copy_(flat[outputs:].view_as(pair.shift))
            self.head.weight.copy_(next(values).view(self.head.in_features, 128).T)
