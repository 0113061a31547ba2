"""The blocks that the vector-quantised networks share."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from likeness.nets.vq import AttentionBlock, Codebook, Downsample, ResidualBlock, Upsample, UpsampleConv, attend


@pytest.mark.parametrize("size", [(1, 1), (4, 5), (7, 2)])
def test_upsampling_convolution_is_repeat_then_convolve(size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    layer = UpsampleConv(6, 4).double()
    x = torch.randn(2, 6, *size, dtype=torch.float64)
    wanted = F.conv2d(F.interpolate(x, scale_factor=2.0, mode="nearest"), layer.weight, layer.bias, padding=1)
    torch.testing.assert_close(layer(x), wanted, rtol=1e-12, atol=1e-12)
    last = layer.to(memory_format=torch.channels_last)(x.contiguous(memory_format=torch.channels_last))
    torch.testing.assert_close(last, wanted, rtol=1e-12, atol=1e-12)


def test_upsample_and_downsample_have_one_convolution() -> None:
    for layer in (Upsample(32), Downsample(32)):
        assert list(layer.state_dict()) == ["conv.weight", "conv.bias"]
    assert Downsample(3)(torch.ones(1, 3, 8, 6)).shape == (1, 3, 4, 3)


def test_downsample_pads_right_and_bottom() -> None:
    layer = Downsample(1)
    nn.init.zeros_(layer.conv.weight)
    nn.init.zeros_(layer.conv.bias)
    with torch.no_grad():
        layer.conv.weight[0, 0, 2, 2] = 1  # reads two to the right and two down
    x = torch.arange(16.0).view(1, 1, 4, 4)
    assert torch.equal(layer(x)[0, 0], torch.tensor([[10.0, 0.0], [0.0, 0.0]]))


def test_residual_block_names_its_shortcut_as_asked() -> None:
    assert "nin_shortcut.weight" in ResidualBlock(32, 64, "nin_shortcut").state_dict()
    assert not any("short" in key for key in ResidualBlock(32, 32, "nin_shortcut").state_dict())


def test_attention_is_the_softmax_of_scaled_products() -> None:
    torch.manual_seed(0)
    q, k, v = torch.randn(3, 2, 6, 2, 4, dtype=torch.float64)
    got = attend(q, k, v, heads=3)
    for head in range(3):
        part = slice(2 * head, 2 * head + 2)
        qh, kh, vh = (t[:, part].flatten(2) for t in (q, k, v))
        weights = (qh.transpose(1, 2) @ kh / 2**0.5).softmax(-1)  # (B, asking, asked)
        torch.testing.assert_close(got[:, part].flatten(2), vh @ weights.transpose(1, 2))
    x = torch.randn(2, 32, 3, 3)
    assert AttentionBlock(32)(x).shape == x.shape


def test_nearest_code_is_the_nearest_and_the_first_of_equals() -> None:
    torch.manual_seed(0)
    book = Codebook(20, 4)
    with torch.no_grad():
        book.embedding.weight[15] = book.embedding.weight[3]
    z = torch.randn(2, 4, 3, 5)
    z[0, :, 0, 0] = book.embedding.weight[3].detach() + 1e-3
    distances = (z.permute(0, 2, 3, 1)[..., None, :] - book.embedding.weight).square().sum(-1)
    index = book.nearest(z)
    assert torch.equal(index, distances.argmin(-1))
    assert index[0, 0, 0] == 3
    assert torch.equal(book.look_up(index)[1, :, 2, 4], book.embedding.weight[index[1, 2, 4]])


def test_nearest_code_keeps_its_precision_under_autocast() -> None:
    torch.manual_seed(0)
    book, z = Codebook(500, 32), torch.randn(1, 32, 16, 16)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(book.nearest(z), book.nearest(z.double()))
