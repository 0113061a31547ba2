"""Layers of the hourglass diffusion transformer (Crowson et al., ICML 2024), as PMRF uses it.

Tokens are maps (B, H, W, C). Nothing has a bias. Names, and hence keys, are those of the released checkpoint.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from likeness.nets.neighbourhood import neighbourhood_attention

EPS = 1e-6
FULL_TURN = 2 * math.pi


def linear(inputs: int, outputs: int) -> nn.Linear:
    """A linear layer without bias."""
    return nn.Linear(inputs, outputs, bias=False)


def rms_normalised(x: Tensor, scale: Tensor) -> Tensor:
    """``x`` over the root of its mean square (plus 1e-6) along the last axis, times ``scale``; in float32 at least."""
    x = x.to(torch.promote_types(x.dtype, torch.float32))
    return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + EPS) * scale


class RMSNorm(nn.Module):
    """Root mean square normalisation with a learned ``scale`` for each channel."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        return rms_normalised(x, self.scale)


class AdaRMSNorm(nn.Module):
    """The same, with scales that are one plus a linear function of the condition (B, C)."""

    def __init__(self, width: int, condition: int) -> None:
        super().__init__()
        self.linear = linear(condition, width)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        return rms_normalised(x, 1 + self.linear(condition)[:, None, None])


class LinearGEGLU(nn.Linear):
    """A linear layer to twice ``outputs``, whose first half is multiplied by the GELU of the second."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, 2 * outputs, bias=False)

    def forward(self, input: Tensor) -> Tensor:
        value, gate = super().forward(input).chunk(2, dim=-1)
        return value * F.gelu(gate)


class FourierFeatures(nn.Module):
    """Cosines and sines of fixed random projections: (B, inputs) -> (B, outputs)."""

    weight: Tensor

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.register_buffer("weight", torch.randn(outputs // 2, inputs))

    def forward(self, x: Tensor) -> Tensor:
        angle = FULL_TURN * x @ self.weight.T
        return torch.cat([angle.cos(), angle.sin()], dim=-1)


class AxialRoPE(nn.Module):
    """Rotates channels by angles that grow with a token's row and column, at frequencies from pi to 10 pi.

    Of a head's d channels the first half is turned, in pairs (i, d / 4 + i): by the row, then by the column. Each of
    the heads has its own d / 8 frequencies.
    """

    freqs: Tensor

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        count = dim // 8
        freqs = torch.linspace(math.log(math.pi), math.log(10 * math.pi), count * heads + 1)[:-1].exp()
        self.register_buffer("freqs", freqs.view(count, heads).T.contiguous())

    def angles(self, positions: Tensor) -> Tensor:
        """Positions (H, W, 2) as (y, x) -> (H, W, heads, d / 4)."""
        y, x = positions[..., None, 0, None], positions[..., None, 1, None]
        return torch.cat([y * self.freqs, x * self.freqs], dim=-1)


def rotated(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """``x`` (B, H, W, heads, d) with its first channels turned by angles (H, W, heads, n) of these (co)sines."""
    n = cos.shape[-1]
    first, second = x[..., :n], x[..., n : 2 * n]
    return torch.cat([first * cos - second * sin, second * cos + first * sin, x[..., 2 * n :]], dim=-1)


class SelfAttention(nn.Module):
    """Attention by cosine similarity, with the input added.

    ``kernel``: each token sees the square of so many tokens around it; None: all tokens.
    """

    def __init__(self, width: int, condition: int, heads: int, kernel: int | None) -> None:
        super().__init__()
        self.heads, self.kernel = heads, kernel
        self.scale = nn.Parameter(torch.full((heads,), 10.0))
        self.norm = AdaRMSNorm(width, condition)
        self.qkv_proj = linear(width, 3 * width)
        self.pos_emb = AxialRoPE(width // heads, heads)
        self.out_proj = linear(width, width)

    def forward(self, x: Tensor, positions: Tensor, condition: Tensor) -> Tensor:
        qkv = self.qkv_proj(self.norm(x, condition))
        q, k, v = qkv.view(*x.shape[:3], 3, self.heads, -1).unbind(3)
        root, angle = self.scale.sqrt()[:, None], self.pos_emb.angles(positions)
        cos, sin = angle.cos(), angle.sin()
        q, k = (rotated(_unit(t) * root, cos, sin).to(v.dtype) for t in (q, k))
        if self.kernel is None:
            q, k, v = (t.flatten(1, 2).transpose(1, 2) for t in (q, k, v))
            mixed = F.scaled_dot_product_attention(q, k, v, scale=1.0).transpose(1, 2)
        else:
            mixed = neighbourhood_attention(q, k, v, self.kernel, scale=1.0)
        return x + self.out_proj(mixed.reshape(x.shape))  # type: ignore[no-any-return]


def _unit(x: Tensor) -> Tensor:
    """Vectors of length one, in float32 at least."""
    x = x.to(torch.promote_types(x.dtype, torch.float32))
    return x * torch.rsqrt(x.square().sum(-1, keepdim=True) + EPS)


class FeedForward(nn.Module):
    """Two linear layers for each token, with the input added."""

    def __init__(self, width: int, condition: int, hidden: int) -> None:
        super().__init__()
        self.norm = AdaRMSNorm(width, condition)
        self.up_proj = LinearGEGLU(width, hidden)
        self.down_proj = linear(hidden, width)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        return x + self.down_proj(self.up_proj(self.norm(x, condition)))  # type: ignore[no-any-return]


class Layer(nn.Module):
    """Attention, then two linear layers for each token."""

    def __init__(self, width: int, condition: int, heads: int, hidden: int, kernel: int | None) -> None:
        super().__init__()
        self.self_attn = SelfAttention(width, condition, heads, kernel)
        self.ff = FeedForward(width, condition, hidden)

    def forward(self, x: Tensor, positions: Tensor, condition: Tensor) -> Tensor:
        return self.ff(self.self_attn(x, positions, condition), condition)  # type: ignore[no-any-return]


class Merge(nn.Module):
    """Squares of side x side tokens to one each: (B, H, W, inputs) -> (B, H / side, W / side, outputs)."""

    def __init__(self, inputs: int, outputs: int, side: int = 2) -> None:
        super().__init__()
        self.side = side
        self.proj = linear(inputs * side**2, outputs)

    def forward(self, x: Tensor) -> Tensor:
        (b, h, w, c), side = x.shape, self.side
        squares = x.reshape(b, h // side, side, w // side, side, c).transpose(2, 3)
        return self.proj(squares.flatten(3))  # type: ignore[no-any-return]


class Split(nn.Module):
    """The reverse: (B, H, W, inputs) -> (B, H side, W side, outputs)."""

    def __init__(self, inputs: int, outputs: int, side: int = 2) -> None:
        super().__init__()
        self.side = side
        self.proj = linear(inputs, outputs * side**2)

    def forward(self, x: Tensor) -> Tensor:
        (b, h, w, _), side = x.shape, self.side
        squares = self.proj(x).view(b, h, w, side, side, -1).transpose(2, 3)
        return squares.reshape(b, h * side, w * side, -1)  # type: ignore[no-any-return]


class SplitOntoSkip(Split):
    """As ``Split``, then mixed with the map ``skip`` of that size by the learned ``fac`` (0: the skip alone)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs)
        self.fac = nn.Parameter(torch.full((1,), 0.5))

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:  # type: ignore[override]
        return torch.lerp(skip, super().forward(x).to(skip.dtype), self.fac.to(skip.dtype))
