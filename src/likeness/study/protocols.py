"""Protocols as data: which pictures, degraded how, measured by what, against which reference.

The data is ``protocols.yaml`` beside this file. A protocol is a name for a way to measure: figures of two protocols are
never put into one table.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from likeness.measure.cards import CARDS
from likeness.study.datasets import datasets

PROTOCOLS = Path(__file__).with_name("protocols.yaml")
METRICS = frozenset(card.name for card in CARDS)
WITHOUT_TRUTH = frozenset(card.name for card in CARDS if "truth" not in card.needs)  # identity is then the input's
SETS = frozenset(card.name for card in CARDS if "reference" in card.needs)
TRUTH = "truth"


class ProtocolError(ValueError):
    """A protocol that is not known or not valid; one line for people."""


@dataclass(frozen=True)
class Gate:
    """A limit that each restored face must reach, or the whole run fails.

    ``metric`` by ``recognizer``, of the restored face ``against`` its "input" or "truth"; ``limits``: the least value
    by data set; ``allowed``: so many faces may fall below before the run fails.
    """

    metric: str
    recognizer: str
    against: str
    limits: Mapping[str, float]
    allowed: int


@dataclass(frozen=True)
class Protocol:
    """A named way to measure.

    ``dataset``: its name in ``datasets.yaml``, None for the user's own folder. ``truth``, ``inputs``: whether it
    brings undegraded, and degraded, pictures; ``recipe`` and ``seed`` make the inputs where it brings none, and are
    None where it does; ``draws``: how often each picture is degraded, with ``seed`` and those after it. ``aligned``:
    whether each picture is one aligned face. ``resize``: the kernel that brings pictures to 512, None where the source
    states none. ``metrics``: names of ours; ``unavailable``: metrics of the source that we do not have. ``reference``:
    what FID, KID, precision and recall compare with: a data set, "truth" (the undegraded pictures) or None. ``score``:
    the source's formula, in words. ``published``: names of tables that were measured this way. Raises ProtocolError
    when a field is not valid.
    """

    name: str
    title: str
    source: str
    truth: bool
    inputs: bool
    aligned: bool
    metrics: tuple[str, ...]
    notes: str
    dataset: str | None = None
    recipe: str | None = None
    seed: int | None = None
    draws: int = 1
    resize: str | None = None
    reference: str | None = None
    gate: Gate | None = None
    score: str | None = None
    unavailable: tuple[str, ...] = ()
    published: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        for what in ("name", "title", "source", "notes"):
            if not isinstance(getattr(self, what), str) or not getattr(self, what).strip():
                self._refuse(what, "a text")
        if not re.fullmatch(r"[a-z0-9][a-z0-9-]*", self.name):
            self._refuse("name", "made of a-z, 0-9 and -")
        for what in ("truth", "inputs", "aligned"):
            if not isinstance(getattr(self, what), bool):
                self._refuse(what, "true or false")
        known = {one.name for one in datasets()}
        if self.dataset is not None and self.dataset not in known:
            self._refuse("dataset", "a data set of datasets.yaml")
        if self.reference not in {*known, None, *([TRUTH] if self.truth else [])}:
            self._refuse("reference", "a data set of datasets.yaml, or truth where there is one, or left out")
        if (self.recipe is None) != self.inputs:
            self._refuse("recipe", "stated where the data set brings no inputs, and only there")
        if (self.recipe is None) != (self.seed is None) or type(self.seed) not in (int, type(None)):
            self._refuse("seed", "a whole number where there is a recipe, and only there")
        if type(self.draws) is not int or self.draws < 1 or (self.draws > 1 and self.recipe is None):
            self._refuse("draws", "1, or more where there is a recipe")
        if not (self.truth or self.inputs):
            self._refuse("truth", "true where there are no inputs")
        if self.resize not in (None, "bicubic", "lanczos"):
            self._refuse("resize", "bicubic, lanczos, or left out")
        if not self.metrics or len(set(self.metrics)) != len(self.metrics) or not METRICS.issuperset(self.metrics):
            self._refuse("metrics", f"different names out of {', '.join(sorted(METRICS))}")
        if not self.truth and not WITHOUT_TRUTH.issuperset(self.metrics):
            self._refuse("metrics", f"without truth some of {', '.join(sorted(WITHOUT_TRUTH))}")
        if (self.reference is None) != SETS.isdisjoint(self.metrics):
            self._refuse("reference", f"stated where a metric is one of {', '.join(sorted(SETS))}, and only there")
        if self.gate:
            self._check_gate(self.gate, known)

    def _check_gate(self, gate: Gate, known: set[str]) -> None:
        if gate.metric not in self.metrics or gate.against not in ("input", "truth"):
            self._refuse("gate", "by one of the protocol's metrics, against input or truth")
        if not gate.limits or not known.issuperset(gate.limits):
            self._refuse("gate", "with limits for data sets of datasets.yaml")
        if any(not isinstance(limit, float) or not -1 <= limit <= 1 for limit in gate.limits.values()):
            self._refuse("gate", "with limits from -1 to 1")
        if type(gate.allowed) is not int or gate.allowed < 0:
            self._refuse("gate", "with a number of allowed failures")

    def _refuse(self, what: str, wanted: str) -> None:
        raise ProtocolError(f"protocol {self.name!r}: {what} must be {wanted}, got {getattr(self, what)!r}")


@cache
def protocols() -> tuple[Protocol, ...]:
    """All protocols, in the order of the file. Raises ProtocolError."""
    return read_protocols(PROTOCOLS.read_text(encoding="utf-8"))


def find(name: str) -> Protocol:
    """The protocol called ``name``. Raises ProtocolError for an unknown name."""
    for one in protocols():
        if one.name == name:
            return one
    names = ", ".join(one.name for one in protocols())
    raise ProtocolError(f"no protocol is called {name!r}; there are {names}")


def read_protocols(text: str) -> tuple[Protocol, ...]:
    """The protocols in ``text`` (YAML). Raises ProtocolError that names the entry."""
    made: list[Protocol] = []
    for facts in yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
        name = facts.get("name")
        try:
            made.append(_protocol(facts))
        except TypeError as error:  # a field is missing or unknown
            raise ProtocolError(f"protocol {name!r}: {error}") from error
        if [one.name for one in made].count(name) > 1:
            raise ProtocolError(f"protocol {name!r}: its name occurs twice")
    return tuple(made)


def _protocol(facts: dict[str, Any]) -> Protocol:
    lists = {what: tuple(facts.get(what, ())) for what in ("metrics", "unavailable", "published")}
    gate = Gate(**facts["gate"]) if facts.get("gate") else None
    return Protocol(**{**facts, **lists, "gate": gate})


def gate_failures(gate: Gate, scores: Mapping[str, tuple[str, float]]) -> tuple[bool, list[str]]:
    """Whether a run passes ``gate``, and which pictures fall below: ``scores`` is picture -> (data set, value).

    A value that is not a number falls below. Raises ProtocolError for a data set without a limit.
    """
    below = []
    for picture, (dataset, value) in scores.items():
        if dataset not in gate.limits:
            raise ProtocolError(f"{picture}: the gate has no limit for {dataset!r}; it has {', '.join(gate.limits)}")
        if not value >= gate.limits[dataset]:
            below.append(picture)
    return len(below) <= gate.allowed, below
