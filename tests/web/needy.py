"""Two methods that cost nothing and need something: "fill" a mask, "relate" photos of the person."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import torch

import scenes


class Fill(scenes.Pattern):
    """Paints what the mask says green."""

    card = replace(scenes.CARD, name="fill", needs=("hole",), stochastic=False)

    def restore(self, crops: Any, *, seed: int = 0, hole: Any = None, **options: Any) -> Any:
        """(B, 3, 512, 512) tensor and (1, 1, 512, 512) array -> the same as the first."""
        green = torch.tensor([0.0, 1.0, 0.0]).view(1, 3, 1, 1)
        return torch.where(torch.from_numpy(hole) > 0, green, crops)


class Relate(scenes.Pattern):
    """The pattern, once it has seen references."""

    card = replace(scenes.CARD, name="relate", needs=("references",), stochastic=False)

    def restore(self, crops: Any, *, seed: int = 0, references: Any = None, **options: Any) -> Any:
        """Fails without references."""
        assert references is not None
        return super().restore(crops, seed=seed)


def module(kind: type[scenes.Pattern]) -> Any:
    """What the registry's import gives."""

    def load(device: Any, dtype: Any, weights: Any = None) -> scenes.Pattern:
        made = kind()
        made.device, made.dtype = device, dtype  # type: ignore[attr-defined]
        return made

    return SimpleNamespace(CARD=kind.card, load=load)
