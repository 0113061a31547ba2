"""Published tables as data, as their sources print them; never two protocols in one table.

The data is ``published.yaml`` beside this file.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from math import isfinite
from pathlib import Path
from typing import Any

import yaml

from likeness.study.protocols import METRICS

PUBLISHED = Path(__file__).with_name("published.yaml")


class TableError(ValueError):
    """A published table that is not known or not valid; one line for people."""


@dataclass(frozen=True)
class Column:
    """A column. ``metric``: our name for what it shows, None where we do not have it.

    ``exact``: whether the source says how the metric was computed, and it is how ours is; where it does not, or another
    implementation or network was used, our metric is the nearest and the figures may differ for that reason alone.
    """

    name: str
    metric: str | None
    higher_is_better: bool
    exact: bool = True


@dataclass(frozen=True)
class Table:
    """One table. ``rows``: method, as the source calls it -> a figure per column, None where there is none.

    ``protocol``: the name of a protocol of ours, or a label of its own where it was measured in another way.
    ``source``: paper and table. Raises TableError when a field is not valid.
    """

    name: str
    protocol: str
    source: str
    columns: tuple[Column, ...]
    rows: Mapping[str, tuple[float | None, ...]]
    note: str = ""

    def figures(self, metric: str) -> dict[str, float]:
        """Method -> figure, of the first column that shows ``metric``; empty where none does."""
        for index, column in enumerate(self.columns):
            if column.metric == metric:
                found = {method: row[index] for method, row in self.rows.items()}
                return {method: value for method, value in found.items() if value is not None}
        return {}

    def __post_init__(self) -> None:
        for what in ("name", "protocol", "source"):
            if not isinstance(getattr(self, what), str) or not getattr(self, what).strip():
                self._refuse(f"{what} must be a text, got {getattr(self, what)!r}")
        for what in ("name", "protocol"):
            if not re.fullmatch(r"[a-z0-9][a-z0-9-]*", getattr(self, what)):
                self._refuse(f"{what} must be made of a-z, 0-9 and -, got {getattr(self, what)!r}")
        names = [column.name for column in self.columns]
        if not names or len(set(names)) != len(names):
            self._refuse(f"columns must be different and at least one, got {names}")
        for column in self.columns:
            if column.metric is not None and column.metric not in METRICS:
                self._refuse(f"column {column.name!r}: no metric is called {column.metric!r}")
            for what in ("higher_is_better", "exact"):
                if not isinstance(getattr(column, what), bool):
                    self._refuse(f"column {column.name!r}: {what} must be true or false")
        if not self.rows:
            self._refuse("it must have rows")
        if wrong := [method for method in self.rows if type(method) is not str]:
            self._refuse(f"row {wrong[0]!r}: a method must be a text")
        for method, row in self.rows.items():
            if len(row) != len(self.columns):
                self._refuse(f"row {method!r} has {len(row)} figures for {len(self.columns)} columns")
            if any(value is not None and not (isinstance(value, float) and isfinite(value)) for value in row):
                self._refuse(f"row {method!r}: figures must be numbers, got {list(row)}")

    def _refuse(self, why: str) -> None:
        raise TableError(f"published table {self.name!r}: {why}")


@cache
def tables() -> tuple[Table, ...]:
    """All tables, in the order of the file. Raises TableError."""
    return read_tables(PUBLISHED.read_text(encoding="utf-8"))


def tables_for(protocol: str) -> list[Table]:
    """The tables that were measured by ``protocol`` (a name, or a label of a table's own), and no other."""
    return [table for table in tables() if table.protocol == protocol]


def find(name: str) -> Table:
    """The table called ``name``. Raises TableError for an unknown name."""
    for table in tables():
        if table.name == name:
            return table
    raise TableError(f"no published table is called {name!r}; there are {', '.join(one.name for one in tables())}")


def read_tables(text: str) -> tuple[Table, ...]:
    """The tables in ``text`` (YAML). Raises TableError that names the table."""
    made: list[Table] = []
    for facts in yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
        name = facts.get("name")
        try:
            made.append(_table(facts))
        except TypeError as error:  # a field is missing or unknown
            raise TableError(f"published table {name!r}: {error}") from error
        if [one.name for one in made].count(name) > 1:
            raise TableError(f"published table {name!r}: its name occurs twice")
    return tuple(made)


def _table(facts: dict[str, Any]) -> Table:
    columns = tuple(Column(**one) for one in facts.get("columns", ()))
    rows = {method: tuple(row) for method, row in facts.get("rows", {}).items()}
    return Table(**{**facts, "columns": columns, "rows": rows})
