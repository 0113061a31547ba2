"""PULSE: among the faces of a generator, search one that becomes the photo when it is reduced (CVPR 2020)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from likeness.methods.pulse.card import CARD

if TYPE_CHECKING:
    import torch
    from torch import nn

    from likeness.methods.pulse.restorer import PulseRestorer
    from likeness.methods.released import Released

__all__ = ["CARD", "load", "method", "networks"]


def method() -> Released:
    """How the generator's file is read."""
    from likeness.methods.pulse.restorer import METHOD

    return METHOD


def networks() -> dict[str, nn.Module]:
    """``{"synthesis": Synthesis, "mapping": Mapping}``, freshly built."""
    from likeness.methods.pulse.synthesis import Mapping, Synthesis

    return {"synthesis": Synthesis(), "mapping": Mapping()}


def load(device: torch.device, dtype: torch.dtype, weights: Path | None = None) -> PulseRestorer:
    """The restorer with the generator in ``weights`` and, beside it, ``gaussian_fit.pt``.

    Where that is missing it is computed from ``mapping.pt``, which takes a minute or two. Raises WeightsError.
    """
    from likeness.methods.pulse.restorer import load_pulse

    return load_pulse(device, dtype, weights)
