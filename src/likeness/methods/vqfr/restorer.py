"""VQFR as it is used: the released files of both versions, told apart by their tensors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from likeness.methods.one_pass import OnePass, Options
from likeness.methods.vqfr.card import CARD
from likeness.methods.vqfr.v1 import VQFRv1, read_v1
from likeness.methods.vqfr.v2 import VQFRv2, read_v2


def unpack(checkpoint: Mapping[str, Any]) -> dict[str, Tensor]:
    """The network's tensors: under "params_ema", else "params", in the released files; a flat mapping passes.

    The quantiser's counters of how its codes were used in training, which old files may hold, are left out.
    """
    nested = (checkpoint[name] for name in ("params_ema", "params") if isinstance(checkpoint.get(name), Mapping))
    held = next(nested, checkpoint)
    return {key: value for key, value in held.items() if isinstance(value, Tensor) and not _of_training(key)}


def _of_training(key: str) -> bool:
    return key.startswith("quantizer.") and not key.endswith((".weight", ".bias"))


def recognise(tensors: Mapping[str, Tensor]) -> nn.Module | None:
    """The network of these tensors, of either version."""
    if (v1 := read_v1(tensors)) is not None:
        return VQFRv1(v1)
    if (v2 := read_v2(tensors)) is not None:
        return VQFRv2(v2)
    return None


def run(net: nn.Module, x: Tensor, options: Options, seed: int) -> Tensor:
    """(B, 3, 512, 512) RGB in [-1, 1] -> restored. No noise; version 1 ignores the fidelity, as the authors' does."""
    restored: Tensor = net(x) if isinstance(net, VQFRv1) else net(x, float(options["fidelity"]))
    return restored


METHOD = OnePass(CARD, unpack, recognise, run)
