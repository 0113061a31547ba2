"""The two networks of DifFace together: an estimator, and the diffusion network as the prior of what a face is."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from likeness.diffusion import Schedule, seeded_noise
from likeness.methods.difface.sampling import SCHEDULE, denoised, diffused
from likeness.methods.difface.unet import UNet
from likeness.methods.progress import tell
from likeness.methods.released import Released

MODULE = "module."


class Contraction:
    """An estimator and a U-Net on a device. ``fingerprint`` is a sha256 over both files."""

    def __init__(
        self,
        unet: UNet,
        estimator: nn.Module,
        device: torch.device,
        dtype: torch.dtype,
        fingerprint: str,
        schedule: Schedule = SCHEDULE,
    ) -> None:
        self.device, self.dtype, self.fingerprint, self.schedule = device, dtype, fingerprint, schedule
        self.unet = unet.eval().requires_grad_(False).to(device)
        self.estimator = estimator.eval().requires_grad_(False).to(device)
        self.size = unet.config.size

    def noise(self, count: int, seed: int) -> Callable[[], Tensor]:
        """A source of noise (count, 3, size, size), each picture's from ``seed``."""
        return seeded_noise((3, self.size, self.size), [seed] * count, self.device)

    def resized(self, crops: Tensor) -> Tensor:
        """``crops`` at the networks' size, float32, on the device."""
        return resize(crops.to(self.device, torch.float32), self.size, self.size)

    def estimate(self, x: Tensor) -> Tensor:
        """The estimator's answer to ``x``: (B, 3, size, size) in [0, 1]."""
        with self._autocast():
            return self.estimator(x).float().clamp(0, 1)  # type: ignore[no-any-return]

    def predict(self, x: Tensor, time: int) -> Tensor:
        """The noise in ``x`` (B, 3, size, size)."""
        with self._autocast():
            return self.unet(x, torch.full((len(x),), time, device=x.device))[:, :3].float()  # type: ignore[no-any-return]

    def sample(
        self,
        estimate: Tensor,
        steps: int,
        eta: float,
        noise: Callable[[], Tensor],
        correct: Callable[[Tensor], Tensor] | None = None,
    ) -> Tensor:
        """From the estimate to a sample, both (B, 3, size, size) in [0, 1]. ``correct``: see ``denoised``."""
        x = diffused(estimate, self.schedule, steps, noise())
        way = denoised(self.predict, x, self.schedule, steps, eta, noise, correct)
        for done, step in enumerate(way, 1):
            x = step.x
            tell(done, steps)
        return x.add(1).div(2).clamp(0, 1)

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32)


def resize(x: Tensor, height: int, width: int) -> Tensor:
    """(B, C, H, W) -> (B, C, height, width), bicubic, without aliases; itself where nothing changes."""
    if x.shape[2:] == (height, width):
        return x
    return F.interpolate(x, (height, width), mode="bicubic", antialias=True)


def check_crops(crops: Tensor) -> None:
    """Raises ValueError unless ``crops`` are (B, 3, H, W)."""
    if crops.ndim != 4 or crops.shape[1] != 3 or not crops.numel():
        raise ValueError(f"expected (B, 3, H, W), got {tuple(crops.shape)}")


def unpack(checkpoint: Mapping[str, Any]) -> dict[str, Tensor]:
    """The network's tensors: under "state_dict" or flat, with or without a leading "module." on every key."""
    nested = checkpoint.get("state_dict")
    held = nested if isinstance(nested, Mapping) else checkpoint
    return {key.removeprefix(MODULE): value for key, value in held.items() if isinstance(value, Tensor)}


def load_two(
    prior: Released, estimator: Released, released: str, entry: str, weights: Path | None
) -> tuple[UNet, nn.Module, str]:
    """The U-Net of ``weights`` and the estimator that lies beside it under its ``released`` name, and a fingerprint.

    Without ``weights`` both come from the store, the estimator as ``entry``. Raises WeightsError.
    """
    from likeness.weights.load import WeightsError

    beside = None
    if weights is not None:
        names = (released, str(Path(released).with_suffix(".safetensors")))
        beside = next((path for name in names if (path := weights.with_name(name)).is_file()), None)
    unet, first = prior.load(weights)
    if weights is not None and beside is None:
        raise WeightsError(f"{prior.card.title} needs its estimator too: expected {weights.with_name(released)}")
    second_net, second = estimator.load(beside, entry)
    assert isinstance(unet, UNet)
    return unet, second_net, hashlib.sha256((first + second).encode()).hexdigest()
