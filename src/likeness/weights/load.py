"""Loading that never runs code from a file and never ignores a key."""

from __future__ import annotations

import hashlib
from pathlib import Path

import torch
from torch import Tensor, nn


class WeightsError(ValueError):
    """Weights that are missing, damaged or of another network; the message is for people."""


def fingerprint(path: Path) -> str:
    """sha256 of the file, in hexadecimal. Raises WeightsError when it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() if hasattr(hashlib, "file_digest") else _digest(path)
    except OSError as error:
        raise WeightsError(f"cannot read weights {path}: {error.strerror}") from error


def _digest(path: Path) -> str:  # Python 3.10
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a .safetensors file as they are stored. Raises WeightsError."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if path.suffix != ".safetensors":
        raise WeightsError(f"{path}: only .safetensors weights are supported")
    try:
        return load_file(path)
    except FileNotFoundError as error:
        raise WeightsError(f"weights {path} are not there") from error
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{path} is not an intact .safetensors file: {error}") from error


def load_strict(network: nn.Module, path: Path) -> None:
    """Fill ``network`` from ``path``; every key and shape must match. Raises WeightsError naming the first few."""
    tensors = read_tensors(path)
    want = network.state_dict()
    problems = [f"missing {k}" for k in want if k not in tensors]
    problems += [f"unexpected {k}" for k in tensors if k not in want]
    problems += [
        f"{k} has shape {tuple(t.shape)}, not {tuple(want[k].shape)}"
        for k, t in tensors.items()
        if k in want and t.shape != want[k].shape
    ]
    if problems:
        more = f" and {len(problems) - 3} more" if len(problems) > 3 else ""
        raise WeightsError(f"{path} does not fit this network: {'; '.join(problems[:3])}{more}")
    network.load_state_dict({k: t.to(want[k].dtype) if t.is_floating_point() else t for k, t in tensors.items()})


def save_half(network_state: dict[str, Tensor], path: Path, metadata: dict[str, str]) -> None:
    """Write the tensors as fp16 safetensors."""
    from safetensors.torch import save_file

    save_file({k: v.to(torch.float16).contiguous() for k, v in network_state.items()}, path, metadata)
