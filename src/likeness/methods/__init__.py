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
}


def _module(method: str) -> ModuleType:
    if method not in METHODS:
        raise OptionError(f"unknown method {method!r}; choose from {', '.join(METHODS)}")
    return importlib.import_module(METHODS[method])


def card(method: str) -> MethodCard:
    """The card of ``method``. Raises OptionError for an unknown name."""
    return _module(method).CARD  # type: ignore[no-any-return]


def load(
    method: str = "likeness", *, device: str = "auto", precision: str = "auto", weights: Path | None = None
) -> Restorer:
    """Load ``method`` with its weights (or the file ``weights``), ready to restore.

    Raises OptionError for an unknown method, ComputeError for a device that is not there, WeightsError for weights
    that are missing or do not fit.
    """
    from likeness.compute import pick_device, pick_precision

    chosen = pick_device(device)
    return _module(method).load(chosen, pick_precision(precision, chosen), weights)  # type: ignore[no-any-return]


def networks(method: str) -> dict[str, nn.Module]:
    """Freshly built networks of ``method`` by role, with exactly the released checkpoint's keys."""
    return _module(method).networks()  # type: ignore[no-any-return]
