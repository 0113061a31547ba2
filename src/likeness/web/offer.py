"""Which methods a client can choose, and what stands in the way of the others."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from likeness.methods import METHODS, card
from likeness.web.memory import free_memory, needed_memory, too_little
from likeness.weights import store
from likeness.weights.catalogue import Entry, entries

BUILT_IN = "likeness"


@dataclass(frozen=True)
class Offer:
    """A method as clients see it. ``obstacle``: why it cannot be used here and now, and what to do; None if it can."""

    name: str
    title: str
    paper: str
    licence: str
    kind: str
    stochastic: bool
    needs: tuple[str, ...]
    options: tuple[dict[str, Any], ...]
    bytes: int | None
    obstacle: str | None

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return asdict(self)


def offers() -> list[Offer]:
    """The methods, the built-in one first, each with its default weights."""
    return [_offer(name) for name in METHODS]


def _offer(name: str) -> Offer:
    facts, default = card(name), _default(name)
    size = None if default is None else store.size(default)
    obstacle = too_little(needed_memory(size), free_memory())
    if name != BUILT_IN:
        if default is None:
            obstacle = "no weights were published: train it with likeness train"
        elif not store.is_here(default):
            obstacle = f"its weights are not here: type likeness models pull {default.name}"
    return Offer(
        name,
        facts.title,
        facts.paper,
        facts.licence,
        facts.kind,
        facts.stochastic,
        facts.needs,
        tuple(asdict(option) for option in facts.options),
        size,
        obstacle,
    )


def _default(method: str) -> Entry | None:
    """The network that the method takes when none is named; None where the catalogue has none."""
    return next((one for one in entries() if one.method == method and one.default), None)
