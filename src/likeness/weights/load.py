"""Loading that never runs code from a file and never ignores a key."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from likeness.weights.digest import fingerprint
from likeness.weights.errors import WeightsError

__all__ = ["WeightsError", "fill_strict", "fingerprint", "load_strict", "read_tensors", "save_clean", "save_half"]


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a .safetensors file as they are stored. Raises WeightsError."""
    if path.suffix != ".safetensors":
        raise WeightsError(f"{path}: only .safetensors weights are supported")
    return read_safetensors(path)


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a file in that format, whatever its name. Raises WeightsError."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except FileNotFoundError as error:
        raise WeightsError(f"weights {path} are not there") from error
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{path} is not an intact .safetensors file: {error}") from error


def load_strict(network: nn.Module, path: Path) -> None:
    """Fill ``network`` from the .safetensors file ``path``; every key and shape must match. Raises WeightsError."""
    fill_strict(network, read_tensors(path), str(path))


def fill_strict(network: nn.Module, tensors: Mapping[str, Tensor], name: str) -> None:
    """Fill ``network`` with ``tensors``; every key and shape must match, numbers take the network's type.

    Raises WeightsError with ``name`` (whose tensors these are) and the first few keys that are missing, unexpected or
    of another shape; the network is then as it was.
    """
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
        raise WeightsError(f"{name} does not fit this network: {'; '.join(problems[:3])}{more}")
    network.load_state_dict({k: t.to(want[k].dtype) if t.is_floating_point() else t for k, t in tensors.items()})


def save_half(network_state: dict[str, Tensor], path: Path, metadata: dict[str, str]) -> None:
    """Write the tensors as fp16 safetensors."""
    from safetensors.torch import save_file

    save_file({k: v.to(torch.float16).contiguous() for k, v in network_state.items()}, path, metadata)


def save_clean(tensors: Mapping[str, Tensor], path: Path, metadata: dict[str, str]) -> None:
    """Write the tensors as they are as safetensors; those that share memory are written once each."""
    from safetensors.torch import save_file

    save_file({k: v.detach().clone(memory_format=torch.contiguous_format) for k, v in tensors.items()}, path, metadata)
