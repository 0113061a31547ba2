"""From what a user writes to a method and its weights file."""

from __future__ import annotations

from pathlib import Path

from likeness.methods import METHODS
from likeness.methods.card import OptionError

BUILT_IN = "likeness"


def resolve(method: str | None, weights: str | Path | None) -> tuple[str, Path | None]:
    """The method and the file of weights that are meant (None: the method's default file).

    ``method``: a name in METHODS, or of an entry of the catalogue ("gfpgan-1.3"); None for the one that ``weights``
    belong to, or the built-in. ``weights``: a file, or the name of an entry. Raises OptionError for unknown names,
    WeightsError when a file is absent or its method cannot be told.
    """
    if method is not None and method not in METHODS:
        if weights is not None or not _is_entry(method):
            raise OptionError(f"unknown method {method!r}; choose from {', '.join(METHODS)}")
        return _from_catalogue(None, method)
    if weights is None:
        return method or BUILT_IN, None
    if not Path(weights).exists() and _is_entry(str(weights)):
        return _from_catalogue(method, str(weights))
    if method is None:
        from likeness.methods.recognise import recognise_file

        return recognise_file(Path(weights)), Path(weights)
    return method, Path(weights)


def _from_catalogue(method: str | None, name: str) -> tuple[str, Path]:
    from likeness.weights.catalogue import entry
    from likeness.weights.store import locate

    its = entry(name)
    if not its.restores or its.method not in METHODS:
        raise OptionError(f"{name} restores no faces: it is a {its.method if not its.restores else its.role}")
    if method not in (None, its.method):
        raise OptionError(f"{name} holds weights of {its.method}, not of {method}")
    return its.method, locate(name)


def _is_entry(name: str | Path) -> bool:
    from likeness.weights.catalogue import entries

    return any(str(name) == one.name for one in entries())


def named(method: str | None, weights: str | Path | None) -> str | None:
    """The method that is meant, where its name alone says so; None where a file of weights must be read for it."""
    from likeness.weights.catalogue import entries

    if method in METHODS:
        return method
    if method is None and weights is None:
        return BUILT_IN
    asked = str(method or weights)
    return next((one.method for one in entries() if one.name == asked and one.method in METHODS), None)
