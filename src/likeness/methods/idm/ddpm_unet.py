"""The U-Net of DDPM (Ho et al. 2020, appendix B), with the names of its port to PyTorch.

It is told the step t by Ho's sines, or the noise level sqrt(gamma) by SR3's: only the names and the input of the first
two linear layers differ, ``temb.dense`` and ``gamma_emb.dense``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from likeness.methods.idm.sr3_unet import noise_level_features
from likeness.nets.vq import GROUPS, AttentionBlock, Downsample, Upsample, conv3, group_norm, norm_swish

EMBEDDINGS = {"t": "temb", "gamma": "gamma_emb"}
NEARLY_ZERO = 1e-5  # gain of the convolutions that begin as (almost) nothing: Ho's scale of variance is 1e-10


@dataclass(frozen=True)
class DDPMConfig:
    """Sizes; the defaults are those proposed for IDM at 512 pixels: 122,897,027 parameters.

    papers/001 states: Ho's architecture, attention at 32x32 to 8x8, 120 M parameters. ``ch_mult``: width of each level
    as a multiple of ``ch``, halving the size from one to the next; ``attention``: the levels that have it (the middle
    always does); ``conditioning``: "t" or "gamma". Widths are multiples of 32.
    """

    ch: int = 128
    ch_mult: tuple[int, ...] = (1, 1, 1, 2, 2, 4, 4)
    num_res_blocks: int = 2
    attention: tuple[int, ...] = (4, 5, 6)
    in_channels: int = 6
    out_channels: int = 3
    conditioning: str = "t"
    dropout: float = 0.0


def step_features(t: Tensor, width: int) -> Tensor:
    """Step t from 0, (B,), -> (B, width): its sines, then its cosines, of falling frequency. ``width`` is even."""
    half = width // 2
    k = torch.arange(half, dtype=torch.float32, device=t.device)
    angle = t.float()[..., None] * torch.exp(k * -(math.log(1e4) / (half - 1)))
    return torch.cat([angle.sin(), angle.cos()], dim=-1)


class Embedding(nn.Module):
    """A step t, or a noise level sqrt(gamma) in [0, 1], (B,), -> (B, 4 ch)."""

    def __init__(self, ch: int, conditioning: str) -> None:
        super().__init__()
        self.ch, self.features = ch, step_features if conditioning == "t" else noise_level_features
        self.dense = nn.ModuleList([nn.Linear(ch, 4 * ch), nn.Linear(4 * ch, 4 * ch)])

    def forward(self, level: Tensor) -> Tensor:
        first, second = self.dense
        return second(nn.functional.silu(first(self.features(level, self.ch))))  # type: ignore[no-any-return]


class ResnetBlock(nn.Module):
    """Twice norm, swish, 3x3 convolution, the embedding added between them; plus the input."""

    def __init__(self, inputs: int, outputs: int, embedding: int, dropout: float) -> None:
        super().__init__()
        self.norm1 = group_norm(inputs)
        self.conv1 = conv3(inputs, outputs)
        self.temb_proj = nn.Linear(embedding, outputs)
        self.norm2 = group_norm(outputs)
        self.dropout = nn.Dropout(dropout)
        self.conv2 = conv3(outputs, outputs)
        self.nin_shortcut = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else None

    def forward(self, x: Tensor, temb: Tensor) -> Tensor:
        h = self.conv1(norm_swish(self.norm1, x))
        h = h + self.temb_proj(nn.functional.silu(temb))[:, :, None, None]
        h = self.conv2(self.dropout(norm_swish(self.norm2, h)))
        return h + (x if self.nin_shortcut is None else self.nin_shortcut(x))  # type: ignore[no-any-return]


class Level(nn.Module):
    """The blocks of one size: their widths are given, and whether attention follows each."""

    def __init__(self, inputs: list[int], width: int, config: DDPMConfig, attention: bool) -> None:
        super().__init__()
        self.block = nn.ModuleList(ResnetBlock(n, width, 4 * config.ch, config.dropout) for n in inputs)
        self.attn = nn.ModuleList(AttentionBlock(width) for _ in inputs if attention)

    def step(self, index: int, x: Tensor, temb: Tensor) -> Tensor:
        """Block ``index``, and its attention."""
        x = self.block[index](x, temb)
        return self.attn[index](x) if len(self.attn) else x


class DownLevel(Level):
    """Returns the output of each block, and last that of halving the size where it is halved."""

    def __init__(self, inputs: list[int], width: int, config: DDPMConfig, attention: bool, halve: bool) -> None:
        super().__init__(inputs, width, config, attention)
        self.downsample = Downsample(width) if halve else None

    def forward(self, x: Tensor, temb: Tensor) -> list[Tensor]:
        outputs = []
        for index in range(len(self.block)):
            x = self.step(index, x, temb)
            outputs.append(x)
        return outputs if self.downsample is None else [*outputs, self.downsample(x)]


class UpLevel(Level):
    """Takes from the end of ``skips`` one for each block, then doubles the size where it is doubled."""

    def __init__(self, inputs: list[int], width: int, config: DDPMConfig, attention: bool, double: bool) -> None:
        super().__init__(inputs, width, config, attention)
        self.upsample = Upsample(width) if double else None

    def forward(self, x: Tensor, skips: list[Tensor], temb: Tensor) -> Tensor:
        for index in range(len(self.block)):
            x = self.step(index, torch.cat([x, skips.pop()], dim=1), temb)
        return x if self.upsample is None else self.upsample(x)


class Middle(nn.Module):
    """Block, attention, block at the smallest size."""

    def __init__(self, width: int, config: DDPMConfig) -> None:
        super().__init__()
        self.block_1 = ResnetBlock(width, width, 4 * config.ch, config.dropout)
        self.attn_1 = AttentionBlock(width)
        self.block_2 = ResnetBlock(width, width, 4 * config.ch, config.dropout)

    def forward(self, x: Tensor, temb: Tensor) -> Tensor:
        return self.block_2(self.attn_1(self.block_1(x, temb)), temb)  # type: ignore[no-any-return]


class DDPMUNet(nn.Module):
    """``forward(x, level)``: x (B, in_channels, H, W), level (B,) -> (B, out_channels, H, W).

    ``level`` is the step t (from 0) or the noise level sqrt(gamma), as ``conditioning`` says; H and W are multiples of
    ``factor``. Freshly built it gives almost zero (Ho's initial weights).
    """

    def __init__(self, config: DDPMConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or DDPMConfig()
        self.conditioning = config.conditioning
        self.factor = 1 << (len(config.ch_mult) - 1)
        widths = [config.ch * mult for mult in config.ch_mult]
        last = len(widths) - 1
        self.add_module(EMBEDDINGS[config.conditioning], Embedding(config.ch, config.conditioning))
        self.conv_in = conv3(config.in_channels, config.ch)
        skips, before, down = [config.ch], config.ch, []
        for i, width in enumerate(widths):
            inputs = [before] + [width] * (config.num_res_blocks - 1)
            down.append(DownLevel(inputs, width, config, i in config.attention, halve=i < last))
            skips += [width] * (config.num_res_blocks + (i < last))
            before = width
        self.down = nn.ModuleList(down)
        self.mid = Middle(before, config)
        up = []
        for i, width in reversed(list(enumerate(widths))):
            inputs = [n + skips.pop() for n in [before] + [width] * config.num_res_blocks]
            up.append(UpLevel(inputs, width, config, i in config.attention, double=i > 0))
            before = width
        self.up = nn.ModuleList(up[::-1])
        self.norm_out = group_norm(before)
        self.conv_out = conv3(before, config.out_channels)
        self.initialise()

    def initialise(self) -> None:
        """Ho's initial weights: uniform by the average of inputs and outputs; what ends a residual, almost zero."""
        for name, module in self.named_modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                last = name.endswith(("conv2", "proj_out", "conv_out"))
                nn.init.xavier_uniform_(module.weight, gain=NEARLY_ZERO if last else 1.0)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, x: Tensor, level: Tensor) -> Tensor:
        temb = self.get_submodule(EMBEDDINGS[self.conditioning])(level)
        skips = [self.conv_in(x)]
        for down in self.down:
            skips += down(skips[-1], temb)
        h = self.mid(skips[-1], temb)
        for up in reversed(self.up):
            h = up(h, skips, temb)
        return self.conv_out(norm_swish(self.norm_out, h))  # type: ignore[no-any-return]


def read_sizes(tensors: Mapping[str, Tensor]) -> DDPMConfig | None:
    """The sizes of the network of these tensors; None when they are of another."""
    first, last = tensors.get("conv_in.weight"), tensors.get("conv_out.weight")
    told = [name for name, key in EMBEDDINGS.items() if f"{key}.dense.0.weight" in tensors]
    count = len({key.split(".")[1] for key in tensors if key.startswith("down.")})
    blocks = [tensors.get(f"down.{i}.block.0.conv1.weight") for i in range(count)]
    if first is None or last is None or first.ndim != 4 or not blocks or len(told) != 1:
        return None
    ch, widths = first.shape[0], [0 if block is None else block.shape[0] for block in blocks]
    if not ch or ch % GROUPS or any(not width or width % ch for width in widths):
        return None
    return DDPMConfig(
        ch=ch,
        ch_mult=tuple(width // ch for width in widths),
        num_res_blocks=len({key.split(".")[3] for key in tensors if key.startswith("down.0.block.")}),
        attention=tuple(i for i in range(count) if f"down.{i}.attn.0.norm.weight" in tensors),
        in_channels=first.shape[1],
        out_channels=last.shape[0],
        conditioning=told[0],
    )
