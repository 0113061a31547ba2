"""What the shipped weights of the built-in method draw."""

from __future__ import annotations

import torch

import scenes
from likeness import methods
from likeness.degrade import degrade
from likeness.diffusion.ancestral import seeded_noise

CELL = 4  # the network works on cells of 4x4 pixels
EVEN = 0.05


def test_texture_is_as_strong_at_every_place_of_a_cell() -> None:
    """Else it shows as rows of dots. Power of the texture by row and by column of the cell, over two draws of noise."""
    net = methods.load("likeness", device="cpu", precision="fp32", backend="torch").net
    face, _ = degrade(scenes.aligned_face(), "idm", seed=3)
    degraded = torch.from_numpy(face).permute(2, 0, 1)[None] * 2 - 1
    mean = net("denoiser", degraded, torch.zeros_like(degraded), torch.zeros(1)).clamp(-1, 1)
    side = degraded.shape[-1] // CELL
    power = torch.zeros(CELL, CELL)
    for seed in (0, 1):
        _, texture = net("sharpener.parts", degraded, mean, seeded_noise((1, *degraded.shape[2:]), [seed])())
        power += texture.square().reshape(side, CELL, side, CELL).mean(dim=(0, 2))
    for name, places in (("rows", power.mean(dim=1)), ("columns", power.mean(dim=0))):
        spread = float(places.max() / places.min() - 1)
        print(f"{name} of a cell differ by {100 * spread:.1f} %")
        assert 0 < spread < EVEN, name
