"""Inference with the built-in network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from likeness.diffusion import respaced_gammas, sample
from likeness.diffusion.ancestral import seeded_noise
from likeness.methods.likeness.card import CARD
from likeness.methods.progress import tell

if TYPE_CHECKING:
    from likeness.backends.graph import Part
    from likeness.backends.server import Server

FEW = 4  # evaluations that are over before anybody would look at a bar


class LikenessRestorer:
    """Restores aligned crops. ``fingerprint`` is the sha256 of the weights, ``backend`` what computes the networks."""

    card = CARD
    backend = "torch"
    _server: Server | None = None

    def __init__(self, net: nn.Module, device: torch.device, dtype: torch.dtype, fingerprint: str) -> None:
        self.device, self.dtype, self.fingerprint = device, dtype, fingerprint
        self.net = net.eval().requires_grad_(False).to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]

    def parts(self) -> list[Part]:
        """Both networks as ``restore`` calls them for one face."""
        from likeness.backends.graph import Part
        from likeness.methods.serving import example_picture

        picture = example_picture().to(self.device)
        none, level = torch.zeros_like(picture), torch.zeros(1, device=self.device)
        grain = seeded_noise((1, *picture.shape[2:]), [0], self.device)()
        return [
            Part("denoiser", self.net.denoiser, (picture, none, level)),
            Part("sharpener", self.net.sharpener, (picture, picture, grain, torch.ones_like(level))),
        ]

    def serve(self, server: Server) -> None:
        """From now on the networks are computed by ``server``."""
        self._server, self.backend = server, server.backend

    @torch.inference_mode()
    def restore(self, crops: Tensor, *, seed: int = 0, **options: Any) -> Tensor:
        """(B, 3, 512, 512) float32 RGB in [0, 1] -> the same, restored.

        ``steps`` counts evaluations of a network: 1 gives the denoiser's answer to pure noise, the posterior mean; 2
        sharpens it; more follow the reverse chain (papers/001, section 3.2) and sharpen last. ``fidelity`` blends
        the sharp face (0) with the estimate it was made from (1); ``texture`` is how much of the drawn texture it
        has (0 none, 1 as trained). With ``ensemble`` the posterior mean of one or two steps is averaged with that
        of the mirrored face, which makes it more exact and takes another evaluation. Raises OptionError for another
        option or range, ValueError for another shape.
        """
        chosen = self.card.choose(options)
        if crops.ndim != 4 or crops.shape[1] != 3 or crops.shape[2] % 32 or crops.shape[3] % 32:
            raise ValueError(f"expected (B, 3, H, W) with H and W multiples of 32, got {tuple(crops.shape)}")
        degraded = crops.to(self.device, torch.float32, memory_format=torch.channels_last) * 2 - 1
        steps, fidelity = int(chosen["steps"]), float(chosen["fidelity"])
        noise = seeded_noise(degraded.shape[1:], [seed] * len(crops), self.device)

        def predict(x_t: Tensor, gamma: float) -> Tensor:
            level = torch.full((len(degraded),), gamma, device=self.device)
            if steps > FEW:
                tell(len(asked), steps)  # before the work, so that whoever listens can end it
            asked.append(gamma)
            return self._ask("denoiser", degraded, x_t * gamma**0.5, level)

        asked: list[float] = []
        restored = sample(predict, respaced_gammas(max(1, steps - 1)), noise)
        if steps <= 2 and chosen["ensemble"]:
            level = torch.zeros(len(degraded), device=self.device)
            mirrored = self._ask("denoiser", degraded.flip(3), torch.zeros_like(degraded), level)
            restored = (restored + mirrored.flip(3)) / 2
        if steps > 1 and fidelity < 1:
            grain = seeded_noise((1, *degraded.shape[2:]), [seed] * len(crops), self.device)()
            amount = torch.full((len(degraded),), float(chosen["texture"]), device=self.device)
            restored = torch.lerp(self._ask("sharpener", degraded, restored, grain, amount), restored, fidelity)
        if steps > FEW:
            tell(steps, steps)
        return restored.add(1).div(2).to(crops)

    def _ask(self, part: str, *inputs: Tensor) -> Tensor:
        if self._server is not None:
            return self._server(part, getattr(self.net, part), *inputs).clamp(-1, 1)
        with torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32):
            return self.net(part, *inputs).float().clamp(-1, 1)  # type: ignore[no-any-return]
