"""The layers of StyleGAN2 against the formulas of the paper, written out slowly."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from likeness.nets.stylegan2 import (
    EqualLinear,
    FusedLeakyReLU,
    ModulatedConv2d,
    ModulatedPointwise,
    StoredNoise,
    channels,
    modulated_conv,
    style_count,
)
from likeness.nets.stylegan2_generator import Generator, generator_arguments
from likeness.nets.upfirdn import Blur, Upsample, bicubic_down, fir_kernel, to_size

LOPSIDED = torch.arange(16.0).view(4, 4)  # tells a kernel from its mirror image


def rand(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def upfirdn(x: Tensor, kernel: Tensor, up: int, down: int, pad: tuple[int, int]) -> Tensor:
    """Zeros between the pixels, padding, filter, every ``down``-th pixel: step by step."""
    b, c, h, w = x.shape
    wide = x.new_zeros(b, c, h * up, w * up)
    wide[:, :, ::up, ::up] = x
    padded = F.pad(wide, (*pad, *pad)).reshape(b * c, 1, h * up + sum(pad), w * up + sum(pad))
    y = F.conv2d(padded, kernel.flip(0, 1)[None, None])
    return y.view(b, c, *y.shape[-2:])[:, :, ::down, ::down]


@pytest.mark.parametrize(("pad", "stride"), [(1, 1), (2, 1), (1, 2)])
def test_blur_is_upfirdn(pad: int, stride: int) -> None:
    x, blur = rand(2, 3, 9, 9), Blur(pad, stride=stride)
    blur.kernel.copy_(LOPSIDED)
    torch.testing.assert_close(blur(x), upfirdn(x, LOPSIDED, 1, stride, (pad, pad)), rtol=1e-4, atol=1e-4)


def test_upsample_is_upfirdn() -> None:
    x, upsample = rand(2, 3, 5, 5), Upsample()
    torch.testing.assert_close(upsample.kernel, fir_kernel() * 4)
    upsample.kernel.copy_(LOPSIDED)
    torch.testing.assert_close(upsample(x), upfirdn(x, LOPSIDED, 2, 1, (2, 1)), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("upsample", [False, True])
def test_modulated_conv_scales_the_weights_of_each_sample(upsample: bool) -> None:
    x, latent, layer = rand(2, 6, 5, 5), rand(2, 4, seed=1), ModulatedConv2d(6, 7, 4, upsample)
    style = layer.modulation(latent)
    wanted = []
    for i in range(2):
        w = layer.weight[0] / (6 * 9) ** 0.5 * style[i][None, :, None, None]
        w = w * torch.rsqrt(w.square().sum(dim=(1, 2, 3), keepdim=True) + 1e-8)
        if upsample:
            y = F.conv_transpose2d(x[i : i + 1], w.transpose(0, 1), stride=2)
            wanted.append(upfirdn(y, fir_kernel(4), 1, 1, (1, 1)))
        else:
            wanted.append(F.conv2d(x[i : i + 1], w, padding=1))
    torch.testing.assert_close(layer(x, latent), torch.cat(wanted), rtol=1e-4, atol=1e-5)


def test_modulated_pointwise_is_not_normalised() -> None:
    x, latent, layer = rand(2, 6, 5, 5), rand(2, 4, seed=1), ModulatedPointwise(6, 3, 4)
    weights = layer.weight / 6**0.5 * layer.modulation(latent)[:, None, :, None, None]
    wanted = torch.cat([F.conv2d(x[i : i + 1], weights[i]) for i in range(2)])
    torch.testing.assert_close(layer(x, latent), wanted, rtol=1e-4, atol=1e-5)


def test_large_styles_do_not_overflow_half_precision() -> None:
    x, weight, style = rand(1, 4, 6, 6), rand(5, 4, 3, 3), 3e4 * rand(1, 4, seed=1)
    with torch.autocast("cpu", torch.float16):
        got = modulated_conv((x * 100).half(), weight, style)
    assert got.dtype == torch.float16
    torch.testing.assert_close(got.float(), modulated_conv(x * 100, weight, style), rtol=0.02, atol=2)


def test_activations_keep_the_gain() -> None:
    layer, x = FusedLeakyReLU(2), torch.tensor([[1.0, -1.0]])
    torch.nn.init.constant_(layer.bias, 0.5)
    torch.testing.assert_close(layer(x), 2**0.5 * torch.tensor([[1.5, -0.1]]))
    linear = EqualLinear(4, 1, bias=3.0, lr_mul=0.01)
    torch.nn.init.constant_(linear.weight, 100.0)
    torch.testing.assert_close(linear(torch.ones(1, 4)), torch.tensor([[5.0]]))  # 4 * 100 * 0.01 / sqrt(4) + 3


def test_drawn_noise_depends_on_the_seed_alone() -> None:
    noise = StoredNoise(16, "noise_")
    assert [tuple(n.shape) for n in noise.stored()] == [(1, 1, s, s) for s in (4, 8, 8, 16, 16)]
    assert list(noise.state_dict()) == [f"noise_{i}" for i in range(5)]
    first, second, other = noise.draw(3), noise.draw(3), noise.draw(4)
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(first, other, strict=True))


def test_widths() -> None:
    assert [channels(2**i, 2) for i in range(2, 11)] == [512, 512, 512, 512, 512, 256, 128, 64, 32]
    assert [channels(2**i, 1, 0.5) for i in range(2, 9)] == [256, 256, 256, 256, 128, 64, 32]
    assert [style_count(s) for s in (256, 512, 1024)] == [14, 16, 18]


def test_generator_arguments_come_back_from_the_shapes() -> None:
    given = {"size": 64, "style_dim": 8, "mlp_layers": 3, "multiplier": 0.5, "narrow": 1 / 64}
    state = {f"g.{k}": v for k, v in Generator(**given, concat=True).state_dict().items()}  # type: ignore[arg-type]
    assert generator_arguments(state, "g.") == given
    assert generator_arguments({}, "g.") is None


def test_a_size_that_is_no_power_of_two_is_refused() -> None:
    with pytest.raises(ValueError, match="power of two"):
        Generator(48)


@pytest.mark.parametrize("factor", [2, 4, 32])
def test_bicubic_down_is_centred_and_keeps_the_mean(factor: int) -> None:
    x = rand(1, 3, 128, 128)
    small = bicubic_down(x, factor)
    assert small.shape == (1, 3, 128 // factor, 128 // factor)
    torch.testing.assert_close(bicubic_down(x.flip(2, 3), factor), small.flip(2, 3), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(bicubic_down(torch.full_like(x, 0.7), factor), torch.full_like(small, 0.7))


def test_to_size() -> None:
    x = rand(1, 3, 8, 8)
    assert to_size(x, 8) is x
    torch.testing.assert_close(to_size(x, 4), F.avg_pool2d(x, 2))
    torch.testing.assert_close(to_size(x, 4), F.interpolate(x, size=4, mode="bilinear"))
    assert to_size(x, 16).shape == (1, 3, 16, 16)
