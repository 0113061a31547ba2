"""Fast Fourier convolutions (Chi et al. 2020; Suvorov et al. 2022): features in two parts, one local, one global.

The local part is convolved; the global one also by way of its spectrum, hence each place sees the whole picture.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

Parts = tuple[Tensor, Tensor | None]  # (B, C, H, W) each; no global part while it has no channels


class FFC(nn.Module):
    """A layer: ``inputs`` and ``outputs`` are channels, local and global; paths between empty parts are left out."""

    def __init__(
        self, inputs: tuple[int, int], outputs: tuple[int, int], size: int, stride: int = 1, padding: int = 0
    ) -> None:
        super().__init__()
        self.two = outputs[1] > 0

        def conv(before: int, after: int) -> nn.Conv2d:
            return nn.Conv2d(before, after, size, stride, padding, bias=False, padding_mode="reflect")

        self.convl2l = conv(inputs[0], outputs[0])
        self.convl2g = conv(inputs[0], outputs[1]) if outputs[1] else None
        self.convg2l = conv(inputs[1], outputs[0]) if inputs[1] else None
        self.convg2g = SpectralTransform(inputs[1], outputs[1]) if inputs[1] and outputs[1] else None

    def forward(self, near: Tensor, far: Tensor | None) -> Parts:
        """The local part is the sum of what comes from both, and so is the global."""
        local = self.convl2l(near)
        if self.convg2l is not None and far is not None:
            local = local + self.convg2l(far)
        if self.convl2g is None:
            return local, None
        wide = self.convl2g(near)
        if self.convg2g is not None and far is not None:
            wide = wide + self.convg2g(far)
        return local, wide


class FFCBlock(nn.Module):
    """The layer, then batch normalisation and ReLU of each part. Arguments: see ``FFC``."""

    def __init__(
        self, inputs: tuple[int, int], outputs: tuple[int, int], size: int, stride: int = 1, padding: int = 0
    ) -> None:
        super().__init__()
        self.ffc = FFC(inputs, outputs, size, stride, padding)
        self.bn_l = nn.BatchNorm2d(outputs[0])
        self.bn_g = nn.BatchNorm2d(outputs[1]) if outputs[1] else None

    def forward(self, near: Tensor, far: Tensor | None) -> Parts:
        near, far = self.ffc(near, far)
        if self.bn_g is not None and far is not None:
            far = self.bn_g(far).relu_()
        return self.bn_l(near).relu_(), far


class FFCResidual(nn.Module):
    """Two blocks; the input is added to each part."""

    def __init__(self, channels: tuple[int, int]) -> None:
        super().__init__()
        self.conv1 = FFCBlock(channels, channels, 3, padding=1)
        self.conv2 = FFCBlock(channels, channels, 3, padding=1)

    def forward(self, near: Tensor, far: Tensor) -> Parts:
        local, wide = self.conv2(*self.conv1(near, far))
        return near + local, far + wide


class SpectralTransform(nn.Module):
    """(B, inputs, H, W) -> (B, outputs, H, W), by way of half as many channels and their spectrum."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        half = outputs // 2
        self.conv1 = nn.Sequential(nn.Conv2d(inputs, half, 1, bias=False), nn.BatchNorm2d(half), nn.ReLU(inplace=True))
        self.fu = FourierUnit(half)
        self.conv2 = nn.Conv2d(half, outputs, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv1(x)
        return self.conv2(x + self.fu(x))  # type: ignore[no-any-return]


class FourierUnit(nn.Module):
    """A 1x1 convolution of the spectrum, real and imaginary parts being channels in turn. Keeps the shape."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv_layer = nn.Conv2d(2 * channels, 2 * channels, 1, bias=False)
        self.bn = nn.BatchNorm2d(2 * channels)

    def forward(self, x: Tensor) -> Tensor:
        # there is no transform in half precision, nor would there be enough of it
        spectrum = torch.view_as_real(torch.fft.rfft2(x.float(), norm="ortho"))
        channels = spectrum.movedim(-1, 2).flatten(1, 2)
        changed = self.bn(self.conv_layer(channels)).relu_().float()
        changed = changed.unflatten(1, (-1, 2)).movedim(2, -1).contiguous()
        return torch.fft.irfft2(torch.view_as_complex(changed), s=x.shape[-2:], norm="ortho").to(x.dtype)  # type: ignore[no-any-return]
