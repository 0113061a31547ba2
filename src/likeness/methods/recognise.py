"""Which method a checkpoint belongs to, by its keys and shapes; and clean copies of it."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

from likeness.methods import METHODS

if TYPE_CHECKING:
    from torch import Tensor, nn


class Recognised(NamedTuple):
    """A checkpoint's method (or a helper's role), the network that its keys and shapes ask for, not filled, and that
    network's tensors."""

    method: str
    net: nn.Module
    tensors: Mapping[str, Tensor]


def recognise_file(path: Path, candidates: Sequence[str] | None = None) -> str:
    """The name of the method whose weights ``path`` holds, among ``candidates`` (default: all methods).

    Raises WeightsError when the file cannot be read, or when none or several methods fit.
    """
    from likeness.weights.checkpoint import read_checkpoint

    return recognise(read_checkpoint(path), str(path), candidates).method


def recognise(checkpoint: Mapping[str, Any], name: str, candidates: Sequence[str] | None = None) -> Recognised:
    """As ``recognise_file``, for what ``weights.checkpoint.read_checkpoint`` read; ``name`` is for messages."""
    from likeness.weights.errors import WeightsError

    asked = list(METHODS if candidates is None else candidates)
    modules = {method: importlib.import_module(METHODS[method]) for method in asked}
    found = [one for method, module in modules.items() if (one := _try_one_pass(method, module, checkpoint))]
    if not found:  # the costlier question: these networks must be built to be compared
        found = [one for method, module in modules.items() if (one := _try_networks(method, module, checkpoint))]
    if not found:
        raise WeightsError(f"{name} holds weights of no method that is known here ({', '.join(asked)})")
    if len(found) > 1:
        fitting = ", ".join(one.method for one in found)
        raise WeightsError(f"{name} fits several methods ({fitting}): say which with --method")
    return found[0]


def convert_file(
    source: Path,
    target: Path,
    candidates: Sequence[str] | None = None,
    helper: Callable[[Mapping[str, Any]], Recognised | None] = lambda checkpoint: None,
) -> dict[str, str]:
    """Write the network's tensors in ``source`` flat, as ``target`` (.safetensors); returns the metadata written.

    ``helper(checkpoint)``: what else it may be, when it is not of a method; its role is then the metadata's method.
    Every key and shape is checked first. The metadata: method, sha256 of the source, the name of the catalogue's entry
    when the source is its file, and as JSON ``config`` what the file said beside its tensors. Raises WeightsError.
    """
    from likeness.photo import atomic_path
    from likeness.weights.checkpoint import fill_strict, read_checkpoint
    from likeness.weights.digest import fingerprint
    from likeness.weights.load import save_clean
    from likeness.weights.store import name_of

    checkpoint = read_checkpoint(source)
    found = helper(checkpoint) or recognise(checkpoint, str(source), candidates)
    fill_strict(found.net, found.tensors, str(source))
    sha256 = fingerprint(source)
    metadata = {"method": found.method, "sha256": sha256}
    if name := name_of(sha256):
        metadata["entry"] = name
    if found.method in METHODS and (facts := _facts(found.method, source, checkpoint)):
        metadata["config"] = json.dumps(facts)
    with atomic_path(target) as partial:
        save_clean(found.tensors, partial, metadata)
    return metadata


def _facts(method: str, source: Path, checkpoint: Mapping[str, Any]) -> Mapping[str, Any] | None:
    module = importlib.import_module(METHODS[method])
    released = module.method() if hasattr(module, "method") else None
    return released.facts(source, checkpoint) if released is not None and released.facts else None


def _try_one_pass(method: str, module: ModuleType, checkpoint: Mapping[str, Any]) -> Recognised | None:
    from likeness.weights.errors import WeightsError

    if not hasattr(module, "method"):
        return None
    one_pass = module.method()
    try:
        tensors = one_pass.unpack(checkpoint)
    except WeightsError:  # not nested as the authors of this method do it
        return None
    net = one_pass.recognise(tensors)
    return None if net is None else Recognised(method, net, tensors)


def _try_networks(method: str, module: ModuleType, checkpoint: Mapping[str, Any]) -> Recognised | None:
    """For a method that recognises nothing itself: the same keys and shapes, once it has completed an older file's."""
    import torch

    if hasattr(module, "method"):
        return None
    held = {key: value for key, value in checkpoint.items() if isinstance(value, torch.Tensor)}
    for net in module.networks().values():
        tensors = module.complete(held, net) if hasattr(module, "complete") else held
        if {key: value.shape for key, value in net.state_dict().items()} == {k: v.shape for k, v in tensors.items()}:
            return Recognised(method, net, tensors)
    return None
