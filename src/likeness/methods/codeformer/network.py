"""CodeFormer's network (Zhou et al. 2022): an encoder, a transformer that guesses the codes of the clean face, and the
decoder of a VQGAN, into which the encoder's features are fused as much as the user trusts the picture.

Names, and hence keys, are those of the released checkpoint.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from likeness.nets.vq import AttentionBlock, Codebook, Downsample, ResidualBlock, Upsample, conv3, group_norm

SHORTCUT = "conv_out"


@dataclass(frozen=True)
class NetworkConfig:
    """The released sizes. ``widths`` are the channels from the full size down, halving at each step.

    ``tokens`` is the number of places of the coarsest map, a square number; ``fused`` are the sizes in pixels at which
    encoder features can be fused into the decoder.
    """

    widths: tuple[int, ...] = (64, 128, 128, 256, 256, 512)
    codes: int = 1024
    code_dim: int = 256
    tokens: int = 256
    dim: int = 512
    heads: int = 8
    layers: int = 9
    feedforward: int = 1024
    fused: tuple[int, ...] = (32, 64, 128, 256)

    @property
    def size(self) -> int:
        """Height and width of the picture."""
        return int(self.tokens**0.5) << (len(self.widths) - 1)


def _residual(inputs: int, outputs: int) -> ResidualBlock:
    return ResidualBlock(inputs, outputs, SHORTCUT)


class Encoder(nn.Module):
    """(B, 3, size, size) -> (B, code_dim, size / 32, size / 32), and the features before each halving.

    One flat list, as released; ``kept`` gives for a size in pixels the index whose output is kept. There is no swish
    between the last norm and the last convolution.
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        size, before = config.size, config.widths[0]
        blocks: list[nn.Module] = [conv3(3, before)]
        self.kept: dict[int, int] = {}
        for width in config.widths[:-1]:
            blocks += [_residual(before, width), _residual(width, width)]
            self.kept[size] = len(blocks) - 1
            blocks.append(Downsample(width))
            size, before = size // 2, width
        last = config.widths[-1]
        blocks += [_residual(before, last), AttentionBlock(last), _residual(last, last), AttentionBlock(last)]
        blocks += [_residual(last, last), AttentionBlock(last), _residual(last, last)]
        blocks += [group_norm(last), conv3(last, config.code_dim)]
        self.blocks = nn.ModuleList(blocks)

    def forward(self, x: Tensor, sizes: tuple[int, ...]) -> tuple[Tensor, dict[int, Tensor]]:
        wanted = {self.kept[size]: size for size in sizes}
        features = {}
        for index, block in enumerate(self.blocks):
            x = block(x)
            if index in wanted:
                features[wanted[index]] = x
        return x, features


class Generator(nn.Module):
    """The decoder, again one flat list: (B, code_dim, h, h) -> (B, 3, size, size).

    ``fusing`` gives the index after which features of a size in pixels are fused: the first block of each size.
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        widths = config.widths[::-1]
        last = widths[0]
        blocks: list[nn.Module] = [conv3(config.code_dim, last), _residual(last, last), AttentionBlock(last)]
        blocks += [_residual(last, last), _residual(last, last), AttentionBlock(last)]
        blocks += [_residual(last, last), AttentionBlock(last)]
        self.fusing: dict[int, int] = {}
        size = int(config.tokens**0.5)
        for before, width in pairwise(widths):
            blocks += [Upsample(before), _residual(before, width)]
            size *= 2
            self.fusing[len(blocks) - 1] = size
            blocks.append(_residual(width, width))
        blocks += [group_norm(widths[-1]), conv3(widths[-1], 3)]
        self.blocks = nn.ModuleList(blocks)


class TransformerLayer(nn.Module):
    """Pre-norm self-attention, then two linear layers. Tokens (N, B, dim); ``position`` goes to query and key only."""

    def __init__(self, dim: int, heads: int, feedforward: int) -> None:
        super().__init__()
        self.self_attn = nn.MultiheadAttention(dim, heads)
        self.linear1 = nn.Linear(dim, feedforward)
        self.linear2 = nn.Linear(feedforward, dim)
        self.norm1 = nn.LayerNorm(dim)
        self.norm2 = nn.LayerNorm(dim)

    def forward(self, x: Tensor, position: Tensor) -> Tensor:
        a = self.norm1(x)
        query = a + position
        x = x + self.self_attn(query, query, a, need_weights=False)[0]
        return x + self.linear2(F.gelu(self.linear1(self.norm2(x))))  # type: ignore[no-any-return]


class Fusion(nn.Module):
    """Controllable feature transformation: scales and shifts the decoder's feature by what the encoder saw."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.encode_enc = _residual(2 * width, width)
        self.scale = nn.Sequential(conv3(width, width), nn.LeakyReLU(0.2, inplace=True), conv3(width, width))
        self.shift = nn.Sequential(conv3(width, width), nn.LeakyReLU(0.2, inplace=True), conv3(width, width))

    def forward(self, encoded: Tensor, decoded: Tensor, fidelity: float) -> Tensor:
        both = self.encode_enc(torch.cat([encoded, decoded], dim=1))
        return decoded + fidelity * (decoded * self.scale(both) + self.shift(both))  # type: ignore[no-any-return]


class CodeFormerNet(nn.Module):
    """``forward(x, fidelity, adain)``: (B, 3, size, size) RGB in [-1, 1] -> the face restored, not clipped."""

    def __init__(self, config: NetworkConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or NetworkConfig()
        self.encoder = Encoder(config)
        self.quantize = Codebook(config.codes, config.code_dim)
        self.generator = Generator(config)
        self.position_emb = nn.Parameter(torch.zeros(config.tokens, config.dim))
        self.feat_emb = nn.Linear(config.code_dim, config.dim)
        self.ft_layers = nn.ModuleList(
            TransformerLayer(config.dim, config.heads, config.feedforward) for _ in range(config.layers)
        )
        self.idx_pred_layer = nn.Sequential(nn.LayerNorm(config.dim), nn.Linear(config.dim, config.codes, bias=False))
        sizes = (config.size >> level for level in range(len(config.widths)))
        width = dict(zip(sizes, config.widths, strict=True))
        self.fuse_convs_dict = nn.ModuleDict({str(size): Fusion(width[size]) for size in config.fused})

    def predict_codes(self, lq: Tensor) -> Tensor:
        """Encoder output (B, code_dim, h, h) -> logits (B, tokens, codes); tokens row by row.

        In float32 under autocast too: it is a few percent of the work, and half precision would choose other codes.
        """
        with torch.autocast(lq.device.type, enabled=False):
            x = self.feat_emb(lq.float().flatten(2).permute(2, 0, 1))
            position = self.position_emb[:, None]
            for layer in self.ft_layers:
                x = layer(x, position)
            return self.idx_pred_layer(x).transpose(0, 1)  # type: ignore[no-any-return]

    def decode(self, codes: Tensor, features: dict[int, Tensor], fidelity: float) -> Tensor:
        """Code vectors (B, code_dim, h, h) and encoder features by size -> the picture. 0 fuses nothing."""
        x = codes
        for index, block in enumerate(self.generator.blocks):
            x = block(x)
            size = self.generator.fusing.get(index)
            if size in features and fidelity > 0:
                x = self.fuse_convs_dict[str(size)](features[size], x, fidelity)
        return x

    def forward(self, x: Tensor, fidelity: float = 0.5, adain: bool = True) -> Tensor:
        lq, features = self.encoder(x, self.config.fused if fidelity > 0 else ())
        index = self.predict_codes(lq).argmax(-1).view(-1, *lq.shape[2:])
        codes = self.quantize.look_up(index)
        return self.decode(match_statistics(codes, lq) if adain else codes, features, fidelity)


def match_statistics(content: Tensor, style: Tensor) -> Tensor:
    """Adaptive instance normalisation: ``content`` with the mean and deviation of ``style``, channel by channel."""
    style = style.to(content)
    return (content - _mean(content)) / _std(content) * _std(style) + _mean(style)


def _mean(x: Tensor) -> Tensor:
    return x.mean(dim=(2, 3), keepdim=True)


def _std(x: Tensor) -> Tensor:
    return (x.var(dim=(2, 3), keepdim=True) + 1e-5).sqrt()
