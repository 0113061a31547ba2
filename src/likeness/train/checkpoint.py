"""Checkpoints: written whole, carrying their recipe, loaded without unpickling code."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch

LAST = "last.ckpt"


def save_checkpoint(folder: Path, state: dict[str, Any]) -> Path:
    """Write ``folder/last.ckpt``: to a temporary name, synchronised, then renamed over the old one."""
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / f".{LAST}.{os.getpid()}"
    with partial.open("wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(folder / LAST)
    return folder / LAST


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Tensors and plain data only (``weights_only``). Raises OSError or pickle.UnpicklingError."""
    return torch.load(path, map_location="cpu", weights_only=True)  # type: ignore[no-any-return]
