"""Neighbourhood attention (Hassani et al., CVPR 2023): each token of a map attends to the square window around it."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

TILE = 8  # tokens; smaller tiles gather more keys, larger ones compute more products that the mask discards


def neighbourhood_attention(q: Tensor, k: Tensor, v: Tensor, kernel: int, scale: float | None = None) -> Tensor:
    """Attention of each token to the ``kernel`` x ``kernel`` tokens around it: (B, H, W, heads, d), thrice -> the same.

    At the borders the window is shifted inwards, never clipped, hence every token sees ``kernel`` squared tokens.
    ``scale`` multiplies the products; None is d^(-1/2). Raises ValueError when ``kernel`` is even or larger than the
    map.

    Tokens are taken in square tiles. All queries of a tile look at the one rectangle that holds their windows, behind
    a mask, so the work is that of few dense products; a row of tiles is done at a time, which bounds the memory.
    """
    batch, height, width, heads, dim = q.shape
    if kernel % 2 == 0 or kernel > min(height, width):
        raise ValueError(f"kernel must be odd and at most the map's size {height} x {width}, got {kernel}")
    rows, key_rows, seen_rows = _tiles(height, kernel, q.device)
    columns, key_columns, seen_columns = _tiles(width, kernel, q.device)
    strips = []
    for row, key_row, seen_row in zip(rows, key_rows, seen_rows, strict=True):
        # (tiles, queries' rows and columns, keys' rows and columns)
        seen = seen_row[None, :, None, :, None] & seen_columns[:, None, :, None, :]
        mask = seen.flatten(3, 4).flatten(1, 2)[:, None]
        mixed = F.scaled_dot_product_attention(
            _gathered(q, row, columns),
            _gathered(k, key_row, key_columns),
            _gathered(v, key_row, key_columns),
            attn_mask=mask if batch == 1 else mask.repeat(batch, 1, 1, 1),
            scale=scale,
        )
        tiles = mixed.view(batch, len(columns), heads, len(row), -1, dim)
        strips.append(tiles.permute(0, 3, 1, 4, 2, 5).flatten(2, 3)[:, :, :width])
    return torch.cat(strips, dim=1)[:, :height]


def _tiles(length: int, kernel: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Along one side: the queries of each tile (n, T), its keys (n, K), and which of these each query sees (n, T, K).

    The last query is repeated where the last tile reaches beyond the map.
    """
    start = torch.arange(0, length, TILE, device=device)[:, None]
    queries = (start + torch.arange(min(TILE, length), device=device)).clamp(max=length - 1)
    span = min(TILE + kernel - 1, length)
    keys = (start - kernel // 2).clamp(0, length - span) + torch.arange(span, device=device)
    first = (queries - kernel // 2).clamp(0, length - kernel)
    offset = keys[:, None, :] - first[:, :, None]
    return queries, keys, (offset >= 0) & (offset < kernel)


def _gathered(x: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """The tokens of a row of tiles: x (B, H, W, heads, d), rows (R,), columns (n, C) -> (B * n, heads, R * C, d)."""
    tiles = x[:, rows[None, :, None], columns[:, None, :]]  # (B, n, R, C, heads, d)
    return tiles.flatten(0, 1).flatten(1, 2).transpose(1, 2)
