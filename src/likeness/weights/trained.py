"""What a checkpoint of ``likeness train`` looks like, so that it can be used wherever weights can."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

TRAINING = {"recipe", "step", "generator", "ema"}  # its keys; beside them the optimisers, and the weights' config
AVERAGED = "module."  # the prefix of the averaged weights in "ema"


def averaged(checkpoint: Mapping[str, Any]) -> dict[str, Any]:
    """The averaged weights of a training checkpoint, flat, and under "config" what they need beside their tensors."""
    tensors = {
        key.removeprefix(AVERAGED): value for key, value in checkpoint["ema"].items() if key.startswith(AVERAGED)
    }
    config = checkpoint.get("config")
    return {**tensors, "config": config} if config else tensors
