"""Checkpoints: written whole, carrying their recipe, loaded without unpickling code."""

from __future__ import annotations

import json
import os
import pickle
from pathlib import Path
from typing import Any

import torch

from likeness.photo import atomic_path
from likeness.weights.load import WeightsError, save_half

LAST = "last.ckpt"


def save_checkpoint(folder: Path, state: dict[str, Any]) -> Path:
    """Write ``folder/last.ckpt``: to a temporary name, synchronised, then renamed over the old one."""
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / f".{LAST}.partial"  # one name: what a killed run left is written over
    with partial.open("wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(folder / LAST)
    return folder / LAST


def load_checkpoint(path: Path) -> dict[str, Any]:
    """What ``save_checkpoint`` wrote: tensors and plain data only. Raises WeightsError when it is not that."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise WeightsError(f"checkpoint {path} is not there") from error
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError) as error:
        raise WeightsError(f"{path} is not an intact checkpoint of likeness train") from error
    if not isinstance(state, dict) or not {"recipe", "step", "generator", "ema"} <= state.keys():
        raise WeightsError(f"{path} is not a checkpoint of likeness train")
    return state


def load_averaged(path: Path) -> dict[str, torch.Tensor]:
    """The averaged weights of a checkpoint of ours, or all of a .safetensors file, as float32."""
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        return {key: value.float() for key, value in load_file(path).items()}
    state = load_checkpoint(path)["ema"]
    return {key.removeprefix("module."): value for key, value in state.items() if key.startswith("module.")}


def export_averaged(checkpoint: Path, target: Path) -> dict[str, str]:
    """Write the averaged weights as fp16 safetensors, with the recipe and the steps; returns that metadata.

    Raises WeightsError when ``checkpoint`` is not one of ours.
    """
    state = load_checkpoint(checkpoint)
    metadata = {"method": state["recipe"]["method"], "steps": str(state["step"]), "recipe": json.dumps(state["recipe"])}
    with atomic_path(target) as partial:
        save_half(load_averaged(checkpoint), partial, metadata)
    return metadata
