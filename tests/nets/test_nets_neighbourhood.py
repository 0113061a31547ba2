"""Neighbourhood attention against every query's window spelled out."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from likeness.nets.neighbourhood import TILE, neighbourhood_attention

SIZES = [(7, 7), (7, 20), (TILE, TILE), (TILE + 6, TILE + 7), (23, 9), (17, 30), (2 * TILE, 3 * TILE)]


def window(place: int, length: int, kernel: int) -> slice:
    """The window around ``place``, moved inwards at both ends."""
    first = min(max(place - kernel // 2, 0), length - kernel)
    return slice(first, first + kernel)


def spelled_out(q: Tensor, k: Tensor, v: Tensor, kernel: int, scale: float) -> Tensor:
    """The definition, one query at a time."""
    out = torch.empty_like(q)
    batch, height, width, heads, _ = q.shape
    for i in range(height):
        for j in range(width):
            keys, values = (t[:, window(i, height, kernel), window(j, width, kernel)].flatten(1, 2) for t in (k, v))
            assert keys.shape[:3] == (batch, kernel**2, heads)
            weights = (torch.einsum("bhd,bnhd->bhn", q[:, i, j], keys) * scale).softmax(-1)
            out[:, i, j] = torch.einsum("bhn,bnhd->bhd", weights, values)
    return out


def drawn(batch: int, height: int, width: int, heads: int = 2, dim: int = 8) -> Tensor:
    torch.manual_seed(height * 100 + width)
    return torch.randn(3, batch, height, width, heads, dim, dtype=torch.float64) * 2


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("batch", [1, 2])
def test_each_token_sees_its_window(size: tuple[int, int], batch: int) -> None:
    q, k, v = drawn(batch, *size)
    wanted = spelled_out(q, k, v, 7, 1.0)
    torch.testing.assert_close(neighbourhood_attention(q, k, v, 7, 1.0), wanted, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("kernel", [1, 3, 9])
def test_other_windows_and_the_usual_scale(kernel: int) -> None:
    q, k, v = drawn(1, 11, 19)
    wanted = spelled_out(q, k, v, kernel, 8**-0.5)
    torch.testing.assert_close(neighbourhood_attention(q, k, v, kernel), wanted, rtol=1e-12, atol=1e-12)


def test_a_window_as_large_as_the_map_is_global_attention() -> None:
    q, k, v = drawn(2, 7, 7)
    a, b, c = (t.flatten(1, 2).transpose(1, 2) for t in (q, k, v))
    wanted = F.scaled_dot_product_attention(a, b, c).transpose(1, 2).view(q.shape)
    torch.testing.assert_close(neighbourhood_attention(q, k, v, 7), wanted, rtol=1e-12, atol=1e-12)


def test_views_and_half_precision_are_taken() -> None:
    qkv = drawn(2, 13, 10).permute(1, 2, 3, 0, 4, 5).contiguous().float()  # as a linear layer gives them
    q, k, v = qkv.unbind(3)
    wanted = neighbourhood_attention(q.contiguous(), k.contiguous(), v.contiguous(), 7)
    assert torch.equal(neighbourhood_attention(q, k, v, 7), wanted)
    half = neighbourhood_attention(q.bfloat16(), k.bfloat16(), v.bfloat16(), 7)
    assert half.dtype == torch.bfloat16
    assert (half.float() - wanted).std() < 0.01 * wanted.std()


def test_gradients_are_those_of_the_definition() -> None:
    q, k, v = given = drawn(1, 9, 10).requires_grad_().unbind(0)
    weight = torch.randn_like(q)
    got = torch.autograd.grad((neighbourhood_attention(q, k, v, 7, 1.0) * weight).sum(), given)
    seen = torch.zeros(90, 9, 10, dtype=torch.bool)
    for i in range(9):
        for j in range(10):
            seen[i * 10 + j, window(i, 9, 7), window(j, 10, 7)] = True
    a, b, c = (t.flatten(1, 2).transpose(1, 2) for t in given)
    dense = F.scaled_dot_product_attention(a, b, c, attn_mask=seen.flatten(1), scale=1.0)
    wanted = torch.autograd.grad((dense.transpose(1, 2).reshape(q.shape) * weight).sum(), given)
    torch.testing.assert_close(got, wanted, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(("size", "kernel"), [((6, 9), 7), ((9, 6), 7), ((9, 9), 4)])
def test_impossible_windows_are_refused(size: tuple[int, int], kernel: int) -> None:
    q, k, v = drawn(1, *size)
    with pytest.raises(ValueError, match="kernel must be odd"):
        neighbourhood_attention(q, k, v, kernel)
