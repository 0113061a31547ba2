"""Likeness: restore degraded photographs of faces and keep the likeness.

>>> import likeness
>>> result = likeness.restore("old.jpg")        # doctest: +SKIP
>>> result.save("new.jpg")                      # doctest: +SKIP
>>> restorer = likeness.load("likeness")        # doctest: +SKIP
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["Comparison", "Restoration", "__version__", "compare", "load", "methods", "restore"]

if TYPE_CHECKING:
    from likeness import methods
    from likeness.api import Restoration, restore
    from likeness.methods import load
    from likeness.study.compare import Comparison, compare

_HOMES = {
    "restore": "likeness.api",
    "Restoration": "likeness.api",
    "load": "likeness.methods",
    "compare": "likeness.study.compare",
    "Comparison": "likeness.study.compare",
}


def __getattr__(name: str) -> Any:  # heavy things are loaded on first use
    import importlib

    if name == "methods":
        return importlib.import_module("likeness.methods")
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'likeness' has no attribute {name!r}")
