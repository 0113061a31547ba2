"""The methods: an explicit, ordered registry; a method's module is imported when it is used.

A method's module offers ``CARD``, ``load(device, dtype, weights) -> Restorer`` and ``networks() -> {role: module}``.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from likeness.methods.card import MethodCard, Option, OptionError, Restorer

if TYPE_CHECKING:
    from torch import nn

__all__ = ["METHODS", "MethodCard", "Option", "OptionError", "Restorer", "card", "load", "networks"]

METHODS: dict[str, str] = {
    "likeness": "likeness.methods.likeness",
    "gfpgan": "likeness.methods.gfpgan",
    "codeformer": "likeness.methods.codeformer",
    "restoreformer": "likeness.methods.restoreformer",
    "restoreformer++": "likeness.methods.restoreformer_plusplus",
    "vqfr": "likeness.methods.vqfr",
    "gpen": "likeness.methods.gpen",
    "dfdnet": "likeness.methods.dfdnet",
    "psfrgan": "likeness.methods.psfrgan",
    "hifacegan": "likeness.methods.hifacegan",
    "psp": "likeness.methods.psp",
    "deblurganv2": "likeness.methods.deblurganv2",
    "difface": "likeness.methods.difface",
    "difface-inpainting": "likeness.methods.difface.inpainting",
    "pmrf": "likeness.methods.pmrf",
    "instantrestore": "likeness.methods.instantrestore",
    "idm": "likeness.methods.idm",
    "rdfr": "likeness.methods.rdfr",
    "pulse": "likeness.methods.pulse",
    "mganprior": "likeness.methods.mganprior",
}


def _module(method: str) -> ModuleType:
    if method not in METHODS:
        raise OptionError(f"unknown method {method!r}; choose from {', '.join(METHODS)}")
    return importlib.import_module(METHODS[method])


def card(method: str) -> MethodCard:
    """The card of ``method``. Raises OptionError for an unknown name."""
    return _module(method).CARD  # type: ignore[no-any-return]


def load(
    method: str | None = None,
    *,
    device: str = "auto",
    precision: str = "auto",
    weights: str | Path | None = None,
    backend: str = "auto",
) -> Restorer:
    """Load a method with its weights, ready to restore; ``method`` and ``weights`` as ``resolve`` takes them.

    Precision "auto" is what the method's card says: float32 for published methods, so that their pixels are the
    authors'; for the built-in one bfloat16 where the hardware has it. Backend "auto" is torch for published methods,
    too; for the built-in one on a processor the fastest of openvino, onnx and torch that is installed and gives the
    same pixels (or what the variable LIKENESS_BACKEND says). Its networks are exported once, which takes seconds, and
    kept.

    Raises OptionError for an unknown method, ComputeError for a device or backend that is not there, WeightsError for
    weights that are missing or do not fit.
    """
    from likeness.backends.choose import check_name
    from likeness.compute import pick_device, pick_precision
    from likeness.methods.resolve import BUILT_IN, resolve
    from likeness.methods.serving import with_backend

    check_name(backend)
    name, path = resolve(method, weights)
    where = pick_device(device)
    dtype = pick_precision(card(name).precision if precision == "auto" else precision, where)
    restorer: Restorer = _module(name).load(where, dtype, path)
    return with_backend(restorer, backend, precision, fast=name == BUILT_IN)


def networks(method: str) -> dict[str, nn.Module]:
    """Freshly built networks of ``method`` by role, with exactly the released checkpoint's keys."""
    return _module(method).networks()  # type: ignore[no-any-return]
