"""PMRF's networks (Ohayon, Michaeli, Elad: Posterior-Mean Rectified Flow, ICLR 2025).

SwinIR estimates the posterior mean of the clean picture, and an hourglass diffusion transformer (Crowson et al., ICML
2024) is the velocity that carries that mean, with a little noise, to a clean picture. Names, and hence keys, are those
of the released checkpoint.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

import torch
from torch import Tensor, nn

from likeness.methods.pmrf.layers import (
    FourierFeatures,
    Layer,
    LinearGEGLU,
    Merge,
    RMSNorm,
    Split,
    SplitOntoSkip,
    linear,
)
from likeness.nets.swinir import SwinIR, SwinIRConfig

KERNEL = 7  # side of the neighbourhoods, in tokens, at all levels but the coarsest
AUGMENTATIONS = 9  # values that described the augmentation in training; all are zero in use


@dataclass(frozen=True)
class FlowConfig:
    """The released sizes of the flow network; the tuples run from the finest level to the coarsest.

    ``feedforward``: hidden channels of each level; ``patch``: pixels along the side of a token of the finest level.
    """

    widths: tuple[int, ...] = (256, 512, 1024)
    depths: tuple[int, ...] = (2, 2, 8)
    heads: tuple[int, ...] = (4, 8, 16)
    feedforward: tuple[int, ...] = (768, 1536, 3072)
    patch: int = 4
    mapping_width: int = 768
    mapping_depth: int = 2
    mapping_feedforward: int = 2304

    @property
    def unit(self) -> int:
        """Height and width of a picture must be multiples of this, in pixels."""
        return self.patch << (len(self.widths) - 1)

    @property
    def smallest(self) -> int:
        """The least height and width: the last level with neighbourhoods must hold one."""
        return KERNEL * self.unit // 2


@dataclass(frozen=True)
class NetworkConfig:
    """The released sizes of both networks."""

    flow: FlowConfig = field(default_factory=FlowConfig)
    mean: SwinIRConfig = field(default_factory=SwinIRConfig)


class MappingBlock(nn.Module):
    """Two linear layers behind a norm, the input added: (B, width) -> the same."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.norm = RMSNorm(width)
        self.up_proj = LinearGEGLU(width, hidden)
        self.down_proj = linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.down_proj(self.up_proj(self.norm(x)))  # type: ignore[no-any-return]


class Mapping(nn.Module):
    """From the embeddings to the condition of all layers: (B, width) -> the same."""

    def __init__(self, config: FlowConfig) -> None:
        super().__init__()
        width = config.mapping_width
        self.in_norm = RMSNorm(width)
        self.blocks = nn.ModuleList(
            MappingBlock(width, config.mapping_feedforward) for _ in range(config.mapping_depth)
        )
        self.out_norm = RMSNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        x = self.in_norm(x)
        for block in self.blocks:
            x = block(x)
        return self.out_norm(x)  # type: ignore[no-any-return]


class Level(nn.ModuleList):
    """The layers of one level, one after the other."""

    def __init__(self, config: FlowConfig, level: int) -> None:
        kernel = KERNEL if level + 1 < len(config.widths) else None
        width, heads, hidden = config.widths[level], config.heads[level], config.feedforward[level]
        layers = (Layer(width, config.mapping_width, heads, hidden, kernel) for _ in range(config.depths[level]))
        super().__init__(layers)

    def forward(self, x: Tensor, positions: Tensor, condition: Tensor) -> Tensor:
        for layer in self:
            x = layer(x, positions, condition)
        return x


class FlowNetwork(nn.Module):
    """``forward(x, t)``: (B, 3, H, W) and times (B,) in [0, 1] -> velocities (B, 3, H, W), float32 or wider.

    H and W must be multiples of ``config.unit`` and at least ``config.smallest``; raises ValueError. Parameters are
    registered in the authors' order: their averaged weights are a list without names.
    """

    def __init__(self, config: FlowConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or FlowConfig()
        widths, condition, levels = config.widths, config.mapping_width, len(config.widths) - 1
        self.patch_in = Merge(3, widths[0], config.patch)
        self.time_emb = FourierFeatures(1, condition)
        self.time_in_proj = linear(condition, condition)
        self.aug_emb = FourierFeatures(AUGMENTATIONS, condition)
        self.aug_in_proj = linear(condition, condition)
        self.mapping = Mapping(config)
        self.down_levels = nn.ModuleList(Level(config, level) for level in range(levels))
        self.up_levels = nn.ModuleList(Level(config, level) for level in range(levels))
        self.mid_level = Level(config, levels)
        self.merges = nn.ModuleList(Merge(high, low) for high, low in pairwise(widths))
        self.splits = nn.ModuleList(SplitOntoSkip(low, high) for high, low in pairwise(widths))
        self.out_norm = RMSNorm(widths[0])
        self.patch_out = Split(widths[0], 3, config.patch)

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        unit, smallest = self.config.unit, self.config.smallest
        if any(side % unit or side < smallest for side in x.shape[2:]):
            raise ValueError(f"expected sides that are multiples of {unit} from {smallest} on, got {tuple(x.shape)}")
        wide, condition = torch.promote_types(x.dtype, torch.float32), self.condition(t)
        x = self.patch_in(x.movedim(1, 3))
        positions = axial_positions(x.shape[1], x.shape[2], x.device)
        skips = []
        for level, merge in zip(self.down_levels, self.merges, strict=True):
            x = level(x, positions, condition)
            skips.append((x, positions))
            x, positions = merge(x), halved(positions)
        x = self.mid_level(x, positions, condition)
        for level, split in zip(reversed(self.up_levels), reversed(self.splits), strict=True):
            skip, positions = skips.pop()
            x = level(split(x, skip), positions, condition)
        return self.patch_out(self.out_norm(x)).movedim(3, 1).to(wide)  # type: ignore[no-any-return]

    def condition(self, t: Tensor) -> Tensor:
        """Times (B,) -> (B, C). In float32 under autocast too: half precision would turn the angles by whole turns."""
        with torch.autocast(t.device.type, enabled=False):
            time = self.time_in_proj(self.time_emb(t[:, None]))
            augmentation = self.aug_in_proj(self.aug_emb(t.new_zeros(len(t), AUGMENTATIONS)))
            return self.mapping(time + augmentation)  # type: ignore[no-any-return]


class PMRFNet(nn.Module):
    """Both networks under their released names: ``mmse_model`` (pictures in [0, 1]) and ``model`` (the velocity)."""

    def __init__(self, config: NetworkConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or NetworkConfig()
        self.model = FlowNetwork(config.flow)
        self.mmse_model = SwinIR(config.mean)


def axial_positions(height: int, width: int, device: torch.device | None = None) -> Tensor:
    """(H, W, 2): (y, x) of the middle of each cell of a picture whose longer side spans [-1, 1]."""
    longest = max(height, width)
    y, x = (_centres(size, size / longest, device) for size in (height, width))
    return torch.stack(torch.meshgrid(y, x, indexing="ij"), dim=-1)


def _centres(count: int, reach: float, device: torch.device | None) -> Tensor:
    edges = torch.linspace(-reach, reach, count + 1, device=device)
    return (edges[:-1] + edges[1:]) / 2


def halved(positions: Tensor) -> Tensor:
    """The positions of merged tokens: the mean of each square of 2 x 2."""
    height, width, _ = positions.shape
    return positions.view(height // 2, 2, width // 2, 2, 2).mean((1, 3))
