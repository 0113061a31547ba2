"""HiFaceGAN: suppress what the degradation left in the features, then replenish detail from coarse to fine.

Yang et al., HiFaceGAN: Face Renovation via Collaborative Suppression and Replenishment (ACM Multimedia 2020). The
released checkpoints are of the variant with five halvings, spectral norms and SPADE over a batch norm.
"""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from likeness.nets.picture_norm import PictureNorm
from likeness.nets.spectral import spectral_conv

HALVINGS = 5


class _Gate(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return 12 * x.sigmoid()


class LocalImportancePool(nn.Module):
    """Halving by a weighted mean over 3x3, whose weights exp(logit(x)) are learned ("LIP")."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.logit = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1, bias=False), nn.InstanceNorm2d(width, affine=True), _Gate()
        )

    def forward(self, x: Tensor) -> Tensor:
        weight = self.logit(x).float().exp()  # up to exp(12), beyond the range of float16
        return (_pool(x * weight) / _pool(weight)).to(x.dtype)


def _pool(x: Tensor) -> Tensor:
    return F.avg_pool2d(x, 3, stride=2, padding=1)


class SuppressionEncoder(nn.Module):
    """``forward(x)`` -> features of ``head`` and of each ``encoder_i``, the largest map first."""

    def __init__(self, width: int) -> None:
        super().__init__()
        widths = [width * min(2**i, 16) for i in range(HALVINGS + 1)]
        self.head = nn.Sequential(
            nn.Conv2d(3, width, 3, padding=1, bias=False), nn.InstanceNorm2d(width), nn.ReLU(inplace=True)
        )
        for i, (a, b) in enumerate(pairwise(widths)):
            stage = [LocalImportancePool(a), nn.Conv2d(a, b, 3, padding=1), nn.InstanceNorm2d(b)]
            if i < HALVINGS - 1:
                stage.append(nn.ReLU(inplace=True))
            self.add_module(f"encoder_{i}", nn.Sequential(*stage))

    def forward(self, x: Tensor) -> list[Tensor]:
        features = [self.head(x)]
        for i in range(HALVINGS):
            features.append(self.get_submodule(f"encoder_{i}")(features[-1]))
        return features


class Spade(nn.Module):
    """Normalisation whose scale and shift are computed from the features ``guide`` of the encoder."""

    def __init__(self, width: int, guide: int) -> None:
        super().__init__()
        hidden = min(width, 128)
        self.param_free_norm = PictureNorm(width, affine=False)
        self.mlp_shared = nn.Sequential(nn.Conv2d(guide, hidden, 3, padding=1), nn.ReLU(inplace=True))
        self.mlp_gamma = nn.Conv2d(hidden, width, 3, padding=1, bias=False)
        self.mlp_beta = nn.Conv2d(hidden, width, 3, padding=1, bias=False)

    def forward(self, x: Tensor, guide: Tensor) -> Tensor:
        if guide.shape[2:] != x.shape[2:]:
            guide = F.interpolate(guide, size=x.shape[2:])
        style = self.mlp_shared(guide)
        return torch.addcmul(self.mlp_beta(style), self.param_free_norm(x), self.mlp_gamma(style))


class SpadeBlock(nn.Module):
    """Residual block ``inputs`` -> ``outputs`` channels, guided by features of ``guide`` channels."""

    def __init__(self, inputs: int, outputs: int, guide: int) -> None:
        super().__init__()
        middle = min(inputs, outputs)
        self.norm_0 = Spade(inputs, guide)
        self.conv_0 = spectral_conv(inputs, middle, 3)
        self.norm_1 = Spade(middle, guide)
        self.conv_1 = spectral_conv(middle, outputs, 3)
        self.learned = inputs != outputs
        if self.learned:
            self.norm_s = Spade(inputs, guide)
            self.conv_s = spectral_conv(inputs, outputs, 1, bias=False)

    def forward(self, x: Tensor, guide: Tensor) -> Tensor:
        h = self.conv_0(F.leaky_relu(self.norm_0(x, guide), 0.2))
        h = self.conv_1(F.leaky_relu(self.norm_1(h, guide), 0.2))
        return (self.conv_s(self.norm_s(x, guide)) if self.learned else x) + h  # type: ignore[no-any-return]


class HiFaceGAN(nn.Module):
    """``forward(x)``: (B, 3, H, W) RGB in [-1, 1], H and W multiples of 32 -> the same, restored, in [-1, 1].

    The norms follow the official scripts (see ``PictureNorm``). These scripts also let every spectral norm take a
    step of its power iteration in each call, so that a picture depends on those before it; take one step with
    ``nets.spectral.power_iteration(net)``, and every picture is treated as their first.
    """

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        n = width
        self.encoder = SuppressionEncoder(n)
        self.fc = nn.Conv2d(3, 16 * n, 3, padding=1)
        self.head_0 = SpadeBlock(16 * n, 16 * n, 16 * n)
        self.G_middle_0 = SpadeBlock(16 * n, 16 * n, 16 * n)
        self.G_middle_1 = SpadeBlock(16 * n, 16 * n, 16 * n)
        widths = [16 * n, 8 * n, 4 * n, 2 * n, n]
        self.ups = nn.ModuleList(SpadeBlock(a, b, b) for a, b in pairwise(widths))
        # Only the last of these is used; the others served the first phases of training.
        self.to_rgbs = nn.ModuleList(nn.Conv2d(b, 3, 3, padding=1) for b in widths[1:])

    def forward(self, x: Tensor) -> Tensor:
        head, *larger, middle, last = self.encoder(x)
        h = self.fc(F.interpolate(x, size=last.shape[2:]))
        h = _double(self.head_0(h, last))
        h = self.G_middle_1(self.G_middle_0(h, middle), middle)
        for block, guide in zip(self.ups, (*reversed(larger), head), strict=True):
            h = block(_double(h), guide)
        return self.to_rgbs[-1](F.leaky_relu(h, 0.2)).tanh()  # type: ignore[no-any-return]


def _double(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2)
