"""LaMa (Suvorov et al. 2022): fills a hole by convolutions that see the whole picture. DifFace's estimate for filling.

Names, and hence keys, are those of the released checkpoint: one flat list, ``model``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from likeness.methods.difface.ffc import FFCBlock, FFCResidual, Parts

FIRST = "model.1.ffc.convl2l.weight"


@dataclass(frozen=True)
class LamaConfig:
    """The released sizes. ``width``: channels at full size, doubled at each of the ``halvings``.

    ``far``: how many channels of the coarsest maps are the global part; ``blocks``: residual blocks there.
    """

    width: int = 64
    halvings: int = 3
    blocks: int = 18
    far: int = 384

    @property
    def parts(self) -> tuple[int, int]:
        """Channels of the coarsest maps, local and global."""
        return (self.width << self.halvings) - self.far, self.far


class Join(nn.Module):
    """Both parts as one map, the local channels first."""

    def forward(self, near: Tensor, far: Tensor) -> Tensor:
        return torch.cat([near, far], dim=1)


class Lama(nn.Module):
    """``forward(x)``: (B, 4, H, W), RGB in [0, 1] with 0 in the hole, and the hole (1 = to fill) -> RGB in [0, 1].

    H and W must be multiples of 8, and at least 16.
    """

    def __init__(self, config: LamaConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or LamaConfig()
        width, last = config.width, config.halvings - 1
        modules: list[nn.Module] = [nn.ReflectionPad2d(3), FFCBlock((4, 0), (width, 0), 7)]
        for level in range(config.halvings):
            before, after = width << level, width << (level + 1)
            parts = config.parts if level == last else (after, 0)
            modules.append(FFCBlock((before, 0), parts, 3, stride=2, padding=1))
        modules += [FFCResidual(config.parts) for _ in range(config.blocks)]
        modules.append(Join())
        for level in range(last, -1, -1):
            before, after = width << (level + 1), width << level
            modules.append(nn.ConvTranspose2d(before, after, 3, stride=2, padding=1, output_padding=1))
            modules += [nn.BatchNorm2d(after), nn.ReLU(inplace=True)]
        modules += [nn.ReflectionPad2d(3), nn.Conv2d(width, 3, 7), nn.Sigmoid()]
        self.model = nn.ModuleList(modules)

    def forward(self, x: Tensor) -> Tensor:
        pad, *rest = self.model
        parts: Parts = (pad(x), None)
        joined = 1 + self.config.halvings + self.config.blocks
        for block in rest[:joined]:
            parts = block(*parts)
        x = rest[joined](*parts)
        for module in rest[joined + 1 :]:
            x = module(x)
        return x


def read_lama_config(tensors: Mapping[str, Tensor]) -> LamaConfig | None:
    """The sizes of the network of these tensors; None when they are of another."""
    halvings = sum(bool(re.fullmatch(r"model\.\d+\.ffc\.convl2l\.weight", key)) for key in tensors) - 1
    blocks = sum(bool(re.fullmatch(r"model\.\d+\.conv1\.ffc\.convl2l\.weight", key)) for key in tensors)
    far = tensors.get(f"model.{halvings + 1}.ffc.convl2g.weight")
    if FIRST not in tensors or far is None or not blocks:
        return None
    return LamaConfig(tensors[FIRST].shape[0], halvings, blocks, far.shape[0])
