"""InstantRestore's computation: look at the references once, then restore the face in one step."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from likeness.diffusion import Schedule, diffuse, x0_of
from likeness.methods.instantrestore.attention import Noted, Shared
from likeness.methods.instantrestore.network import SCALING

SCHEDULE = Schedule.scaled_linear()  # of SD-Turbo
REFERENCE_TIMESTEP = 1


@dataclass(frozen=True)
class References:
    """What the networks saw in one person's photographs.

    ``layers``: keys and values (R, N, C) of each self-attention in the up blocks; ``latents``: the photographs as the
    one step would give them back (R, 4, H / 8, W / 8), for display.
    """

    layers: Noted
    latents: Tensor

    def cleared(self, valid: int) -> References:
        """The same with keys and values of all photographs after the first ``valid`` set to zero. The authors pad so;
        attention still sees them, with logits of 0."""
        rows = torch.arange(len(self.latents), device=self.latents.device) < valid
        kept = rows.view(-1, 1, 1)
        return References({i: (k * kept, v * kept) for i, (k, v) in self.layers.items()}, self.latents)


@dataclass(frozen=True)
class OneStep:
    """The networks, ready for use. Sampler arithmetic is in float32, networks run in ``dtype``.

    ``text``: the prompt's states (1, 77, C). Noise is always given: (rows, 4, H / 8, W / 8), standard normal.
    """

    unet: Any
    vae: Any
    original_unet: Any
    original_vae: Any
    text: Tensor
    dtype: torch.dtype = torch.float32

    def encode(self, vae: Any, x: Tensor, noise: Tensor) -> Tensor:
        """A sample of the latents of pictures (B, 3, H, W) in [-1, 1], one after the other to save memory."""
        rows = []
        for row in torch.split(x, 1):
            with self._networks():
                moments = vae.quant_conv(vae.encoder(row))
            rows.append(moments.float())
        mean, log_variance = torch.cat(rows).chunk(2, dim=1)
        return (mean + torch.exp(0.5 * log_variance.clamp(-30, 20)) * noise) * SCALING

    def decode(self, vae: Any, z: Tensor) -> Tensor:
        """Latents -> pictures (B, 3, H, W) in [-1, 1]."""
        with self._networks():
            x = vae.decoder(vae.post_quant_conv(z / SCALING))
        return x.float().clamp(-1, 1)  # type: ignore[no-any-return]

    def step(self, unet: Any, z: Tensor, noise: Tensor, timestep: int, **exchanged: Noted | Shared) -> Tensor:
        """Latents, noised to ``timestep``, as the U-Net sees them without noise: x0 of one step (DDPM's epsilon)."""
        gamma = float(SCHEDULE.gammas[timestep])
        z_t = diffuse(z, gamma, noise)
        text = self.text.expand(len(z), -1, -1)
        with self._networks():
            (eps,) = unet(z_t, timestep, text, cross_attention_kwargs=exchanged, return_dict=False)
        return x0_of(z_t, eps.float(), gamma)

    def look_at(self, photos: Tensor, sampling: Tensor, noise: Tensor) -> References:
        """One person's photographs (R, 3, H, W) in [-1, 1], through the networks without adapters.

        ``sampling`` is the noise of the autoencoder's sample, ``noise`` that of the U-Net's step.
        """
        noted: Noted = {}
        z = self.encode(self.original_vae, photos, sampling)
        z0 = self.step(self.original_unet, z, noise, REFERENCE_TIMESTEP, noted=noted)
        return References(noted, z0)

    def restore(
        self,
        x: Tensor,
        references: References,
        sampling: Tensor,
        noise: Tensor,
        *,
        timestep: int = 249,
        adain: bool = True,
        own_keys: bool = False,
    ) -> Tensor:
        """One face (1, 3, H, W) in [-1, 1] -> the same, restored."""
        layers = {i: (k[None], v[None]) for i, (k, v) in references.layers.items()}
        z = self.encode(self.vae, x, sampling)
        z0 = self.step(self.unet, z, noise, timestep, shared=Shared(layers, adain, own_keys))
        return self.decode(self.vae, z0)

    def _networks(self) -> AbstractContextManager[Any]:
        return torch.autocast(self.text.device.type, self.dtype, enabled=self.dtype != torch.float32)
