"""What a method is: its card, and the protocol its restorers follow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from torch import Tensor


class OptionError(ValueError):
    """An option that the method does not have, or a value outside its range."""


@dataclass(frozen=True)
class Option:
    """A number that a user may choose: its default, the closed range, and what it does."""

    name: str
    default: int | float
    low: int | float
    high: int | float
    help: str

    def check(self, value: Any) -> int | float:
        """``value`` as a number of the option's type. Raises OptionError naming the value and the range."""
        try:
            number = type(self.default)(value)
        except (TypeError, ValueError, OverflowError) as error:
            raise OptionError(f"{self.name} must be a number, got {value!r}") from error
        if number != value or not self.low <= number <= self.high:
            raise OptionError(f"{self.name} must be in [{self.low}, {self.high}], got {value!r}")
        return number


@dataclass(frozen=True)
class MethodCard:
    """Facts about a method, for people and for ``likeness models``.

    ``kind``: "one pass", "iterative" or "optimisation"; ``needs``: what it takes beside the face ("references",
    "landmarks", "hole"); ``stochastic``: whether other seeds give other faces; ``precision``: what "auto" means;
    ``not_finite``: what it means when a face comes back as values that are not finite, if that is no accident.
    """

    name: str
    title: str
    paper: str
    licence: str
    kind: str
    stochastic: bool
    options: tuple[Option, ...] = ()
    needs: tuple[str, ...] = ()
    checkpoints: Mapping[str, str] = field(default_factory=dict)
    precision: str = "fp32"
    not_finite: str = ""

    def choose(self, given: Mapping[str, Any]) -> dict[str, int | float]:
        """All options with the given values or defaults. ``None`` means default. Raises OptionError."""
        known = {option.name: option for option in self.options}
        for name, value in given.items():
            if value is not None and name not in known:
                has = ", ".join(known) or "none"
                raise OptionError(f"method {self.name} has no option {name} (its options: {has})")
        chosen: dict[str, int | float] = {}
        for name, option in known.items():
            value = given.get(name)
            chosen[name] = option.default if value is None else option.check(value)
        return chosen


class Restorer(Protocol):
    """A loaded method. Batch in, batch out; same seed, same pixels, whatever the batch size."""

    card: MethodCard
    fingerprint: str

    def restore(self, crops: Tensor, *, seed: int = 0, **options: Any) -> Tensor:
        """(B, 3, 512, 512) float32 RGB in [0, 1] -> the same, restored. Raises OptionError."""
        ...
