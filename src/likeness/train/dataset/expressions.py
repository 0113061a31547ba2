"""Conditions that users write about measured figures, such as ``sharpness>0.4 and size>=512``."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

_OPERATORS: dict[str, Callable[[float, float], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    ">": operator.gt,
}
_COMPARISON = re.compile(r"\s*([a-z_]+)\s*(<=|>=|==|!=|<|>)\s*([-+]?[0-9.]+(?:[eE][-+]?\d+)?)\s*")


@dataclass(frozen=True)
class Condition:
    """One or more comparisons, all of which must hold."""

    text: str
    comparisons: tuple[tuple[str, str, float], ...]

    def holds(self, figures: Mapping[str, float | None]) -> bool:
        """Whether it holds; a figure that is not known holds to nothing."""
        return all(
            (value := figures.get(name)) is not None and _OPERATORS[sign](value, number)
            for name, sign, number in self.comparisons
        )


def parse_condition(text: str, names: Collection[str]) -> Condition:
    """Read ``NAME OP NUMBER``, joined by ``and``. Raises ValueError naming the text, or the known figures."""
    comparisons = []
    for part in re.split(r"\band\b", text):
        match = _COMPARISON.fullmatch(part)
        try:
            name, sign, number = (match[1], match[2], float(match[3])) if match else ("", "", 0.0)
        except ValueError:
            match = None
        if match is None:
            raise ValueError(f"a condition looks like sharpness>0.4, got {text!r}")
        if name not in names:
            raise ValueError(f"unknown figure {name!r} in {text!r}; known: {', '.join(sorted(names))}")
        comparisons.append((name, sign, number))
    return Condition(text, tuple(comparisons))
