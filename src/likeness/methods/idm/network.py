"""A network with what it was trained for: from a noisy and a degraded picture to the estimate of the clean one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from likeness.diffusion import Schedule, x0_of
from likeness.methods.idm import ddpm_unet, sr3_unet
from likeness.methods.idm.ddpm_unet import DDPMConfig, DDPMUNet
from likeness.methods.idm.sr3_unet import SR3Config, SR3UNet

UNet = DDPMUNet | SR3UNet


def read_sizes(tensors: Mapping[str, Tensor]) -> DDPMConfig | SR3Config | None:
    """The sizes of a network that restores pictures, of these tensors; None when they are of another.

    Such a network takes two pictures, the degraded and the noisy one, and gives one.
    """
    sizes = ddpm_unet.read_sizes(tensors) or sr3_unet.read_sizes(tensors)
    return sizes if sizes is not None and (sizes.in_channels, sizes.out_channels) == (6, 3) else None


def build(sizes: DDPMConfig | SR3Config) -> UNet:
    """The network of these sizes, freshly built."""
    return DDPMUNet(sizes) if isinstance(sizes, DDPMConfig) else SR3UNet(sizes)


def recognise(tensors: Mapping[str, Tensor]) -> nn.Module | None:
    """The network of these tensors, unfilled; None when they are of another method."""
    sizes = read_sizes(tensors)
    return None if sizes is None else build(sizes)


@dataclass(frozen=True, eq=False)
class Denoiser:
    """f(x_d, x_t, gamma) of papers/001 (section 3.2). Pictures are (B, 3, H, W), RGB in [-1, 1].

    ``prediction``: whether the network gives "x0" (eq. 7) or "eps" (eq. 6).
    """

    net: UNet
    prediction: str
    schedule: Schedule

    def __call__(self, x_t: Tensor, degraded: Tensor, level: Tensor) -> Tensor:
        """What the network gives; this is what a loss compares with x0 or eps.

        ``level`` (B,): the step t, or sqrt(gamma), as ``net.conditioning`` says. The network sees the degraded picture
        first, then the noisy one, as in SR3's files.
        """
        return self.net(torch.cat([degraded, x_t], dim=1), level)  # type: ignore[no-any-return]

    def level(self, index: int) -> float:
        """How the network is told the step ``index`` of the schedule."""
        by_step = self.net.conditioning == "t"
        return float(self.schedule.times[index] if by_step else self.schedule.gammas[index] ** 0.5)

    def x0(self, x_t: Tensor, degraded: Tensor, index: int, dtype: torch.dtype = torch.float32) -> Tensor:
        """The clean picture guessed at the step ``index``, clamped to [-1, 1]; the network computes in ``dtype``.

        papers/001 does not say whether x0 is clamped; Ho et al. do it, and so does SR3's open implementation.
        """
        level = torch.full((len(x_t),), self.level(index), device=x_t.device)
        with torch.autocast(x_t.device.type, dtype, enabled=dtype != torch.float32):
            answer = self(x_t, degraded, level)
        answer = answer.to(x_t.dtype)
        x0 = answer if self.prediction == "x0" else x0_of(x_t, answer, float(self.schedule.gammas[index]))
        return x0.clamp(-1, 1)
