"""Checkpoints: written whole, carrying their recipe, loaded without unpickling code."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import torch

from likeness.photo import atomic_path
from likeness.weights.load import WeightsError, save_clean, save_half
from likeness.weights.trained import AVERAGED, TRAINING
from likeness.weights.unpickle import DAMAGED

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
    except (*DAMAGED, OSError) as error:
        raise WeightsError(f"{path} is not an intact checkpoint of likeness train") from error
    if not isinstance(state, dict) or not state.keys() >= TRAINING:
        raise WeightsError(f"{path} is not a checkpoint of likeness train")
    return state


def load_averaged(path: Path) -> dict[str, torch.Tensor]:
    """The averaged weights of a checkpoint of ours, or all of a .safetensors file, as float32."""
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        return {key: value.float() for key, value in load_file(path).items()}
    state = load_checkpoint(path)["ema"]
    return {key.removeprefix(AVERAGED): value for key, value in state.items() if key.startswith(AVERAGED)}


def find_init(init: str | None) -> Path | None:
    """The file that a recipe's ``init`` means: one that is there, else that of the catalogue, by name or file name.

    "likeness" is the built-in model's. Raises WeightsError that says what to type for one that is not here.
    """
    if init is None or Path(init).exists():
        return None if init is None else Path(init)
    from likeness.weights.builtin import builtin_path
    from likeness.weights.catalogue import entries
    from likeness.weights.store import locate

    asked = init.lower()
    if asked == "likeness":
        return builtin_path(asked)
    for entry in entries():
        if asked in (entry.name.lower(), entry.file.lower(), Path(entry.file).stem.lower()):
            return locate(entry.name)
    raise WeightsError(f"init: no file is {init}, and no weights are called so (likeness models list)")


def is_training_checkpoint(path: Path) -> bool:
    """Whether ``path`` is what ``save_checkpoint`` writes."""
    try:
        load_checkpoint(path)
    except WeightsError:
        return False
    return True


def export_averaged(checkpoint: Path, target: Path) -> dict[str, str]:
    """Write the averaged weights as safetensors, with the recipe and the steps; returns that metadata.

    The built-in model's are written in half precision, others as they were trained. Raises WeightsError when
    ``checkpoint`` is not one of ours.
    """
    state = load_checkpoint(checkpoint)
    method = state["recipe"]["method"]
    metadata = {"method": method, "steps": str(state["step"]), "recipe": json.dumps(state["recipe"])}
    if state.get("config"):
        metadata["config"] = json.dumps(state["config"])
    write = save_half if method == "likeness" else save_clean
    with atomic_path(target) as partial:
        write(load_averaged(checkpoint), partial, metadata)
    return metadata
