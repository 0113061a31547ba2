"""Checkpoints as their authors saved them: .safetensors, .pth, .pt, .ckpt. No code from a file is ever run."""

from __future__ import annotations

import warnings
import zipfile
from pathlib import Path
from typing import Any

import torch

from likeness.weights.errors import WeightsError
from likeness.weights.load import fill_strict, read_safetensors
from likeness.weights.trained import TRAINING, averaged
from likeness.weights.unpickle import DAMAGED, read_restricted

__all__ = ["fill_strict", "read_checkpoint"]


def read_checkpoint(path: Path) -> dict[str, Any]:
    """What the file holds: tensors on the CPU, by their keys or nested as the authors saved them, and plain data.

    A .safetensors file is read as such; any other by ``torch.load(weights_only=True)``, and when that refuses it, by
    our own reader, which knows a few more kinds of plain data (option bags, numpy arrays) and refuses everything else.
    Of a checkpoint of ``likeness train`` the averaged weights are given.
    Raises WeightsError, which names what the file wanted if it was refused.
    """
    if not path.is_file():
        raise WeightsError(f"weights {path} are not there")
    try:
        if path.suffix == ".safetensors" or _is_safetensors(path):
            return dict(read_safetensors(path))
        held = _read_pickled(path)
    except OSError as error:
        raise WeightsError(f"cannot read weights {path}: {error.strerror or error}") from error
    if not isinstance(held, dict):
        raise WeightsError(f"{path} holds no tensors by key, but one {type(held).__name__}")
    held = {str(key): value for key, value in held.items()}
    return averaged(held) if held.keys() >= TRAINING else held


def _read_pickled(path: Path) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about the pickle protocol; ours reads them all
            archive = zipfile.is_zipfile(path)  # the older format cannot be mapped: it is read as a whole
            return torch.load(path, map_location="cpu", weights_only=True, mmap=archive)
    except DAMAGED:  # or only more than torch allows: ours knows which, and says so
        return read_restricted(path)


def _is_safetensors(path: Path) -> bool:
    with path.open("rb") as file:
        head = file.read(9)
    return head[8:] == b"{" and int.from_bytes(head[:8], "little") <= path.stat().st_size - 8
