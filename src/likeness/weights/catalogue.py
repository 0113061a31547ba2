"""The catalogue: each released file of weights as data, with its address, digest, licence and paper.

The data is ``catalogue.yaml`` beside this file: groups that share facts, and in each group its files.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from likeness.weights.errors import CatalogueError

CATALOGUE = Path(__file__).with_name("catalogue.yaml")
HELPERS = ("detector", "parser", "upscaler", "recognizer", "metric")


@dataclass(frozen=True)
class Entry:
    """One released file of weights.

    ``method``: the method that it belongs to, or the role of a helper (in ``HELPERS``). ``file``: its name in the
    store, which is the released one wherever that is unique; with ``parts`` it is a folder that holds the files so
    named. ``role``: "net", or what else its method needs ("parser", "dictionary"). ``urls``: where it is
    fetched, the first that works; empty when a person must get it from ``page``. ``member``: the addresses give a zip
    in which, in whatever folder, the file has this name. ``bytes`` and ``sha256``: of the file itself; None when
    nobody has stated them. ``digest``: what else is known of the bytes, "algorithm:hexadecimal", the digest or its
    beginning. ``permits``: what the licence permits, in words. ``default``: the file that its method takes when none
    is named. ``nesting``: where in the file the tensors are. ``network``: constructor options that differ from the
    method's. Raises CatalogueError when a field is not valid.
    """

    name: str
    method: str
    file: str
    paper: str
    licence: str
    permits: str
    non_commercial: bool
    page: str
    urls: tuple[str, ...] = ()
    parts: tuple[str, ...] = ()
    member: str = ""
    role: str = "net"
    bytes: int | None = None
    sha256: str | None = None
    sha256_source: str | None = None
    digest: str | None = None
    default: bool = False
    nesting: str = ""
    network: Mapping[str, int | float] = field(default_factory=dict)
    note: str = ""

    @property
    def restores(self) -> bool:
        """Whether it is the network of a method, hence a file for ``likeness restore --weights``."""
        return self.role == "net" and self.method not in HELPERS

    def __post_init__(self) -> None:
        texts = ("name", "method", "file", "role", "paper", "licence", "permits", "page")
        for what in texts:
            if not isinstance(getattr(self, what), str) or not getattr(self, what).strip():
                self._refuse(what, "a text")
        for what in ("non_commercial", "default"):
            if not isinstance(getattr(self, what), bool):
                self._refuse(what, "true or false")
        if not re.fullmatch(r"[a-z0-9][a-z0-9.+-]*", self.name):
            self._refuse("name", "made of a-z, 0-9 and . + -")
        for name in (self.file, *self.parts):
            if PurePosixPath(name).name != name or "\\" in name or name.startswith("."):
                self._refuse("file", "a name without folders")
        if self.member and (self.parts or PurePosixPath(self.member).name != self.member):
            self._refuse("member", "a name without folders, of one file")
        for url in (self.page, *self.urls):
            if not re.fullmatch(r"https?://\S+", url):
                self._refuse("page" if url == self.page else "urls", "a web address")
        if self.bytes is not None and (type(self.bytes) is not int or self.bytes <= 0):
            self._refuse("bytes", "a positive whole number")
        if self.sha256 is not None and not re.fullmatch(r"[0-9a-f]{64}", self.sha256):
            self._refuse("sha256", "64 hexadecimal digits")
        if self.sha256 is not None and not self.sha256_source:
            self._refuse("sha256_source", "a text wherever there is a sha256")
        algorithm, _, start = (self.digest or "sha256:0").partition(":")
        if algorithm not in hashlib.algorithms_guaranteed or not re.fullmatch(r"[0-9a-f]+", start):
            self._refuse("digest", "algorithm:hexadecimal")

    def _refuse(self, what: str, wanted: str) -> None:
        raise CatalogueError(f"catalogue entry {self.name!r}: {what} must be {wanted}, got {getattr(self, what)!r}")


@cache
def entries() -> tuple[Entry, ...]:
    """All entries, in the order of the catalogue. Raises CatalogueError."""
    return read_catalogue(CATALOGUE.read_text(encoding="utf-8"))


def entry(name: str) -> Entry:
    """The entry called ``name``. Raises CatalogueError for an unknown name."""
    for one in entries():
        if one.name == name:
            return one
    raise CatalogueError(f"no weights are called {name!r}; likeness models list shows the names")


def default_entry(method: str) -> Entry:
    """The file that ``method`` (or a helper's role) takes when none is named. Raises CatalogueError."""
    for one in entries():
        if one.method == method and one.default:
            return one
    raise CatalogueError(f"the catalogue has no weights of {method!r}; likeness models list shows what it has")


def find(name: str) -> Entry:
    """The entry called ``name``, or the default one of the method called so. Raises CatalogueError."""
    methods = {one.method for one in entries()}
    return default_entry(name) if name in methods else entry(name)


def read_catalogue(text: str) -> tuple[Entry, ...]:
    """The entries in ``text`` (YAML). Raises CatalogueError that names the entry."""
    try:
        groups = yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except (yaml.YAMLError, ValueError) as error:  # ValueError: a date that is none
        raise CatalogueError(f"the catalogue is no YAML: {' '.join(str(error).split())}") from error
    made: list[Entry] = []
    for group in _list_of_mappings(groups, "groups"):
        shared = {key: value for key, value in group.items() if key != "files"}
        for one in _list_of_mappings(group.get("files"), "files"):
            made.append(_entry({**shared, **one}))
    _check_together(made)
    return tuple(made)


def _list_of_mappings(value: Any, what: str) -> list[dict[str, Any]]:
    if not isinstance(value, list) or not all(
        isinstance(one, dict) and all(isinstance(key, str) for key in one) for one in value
    ):
        raise CatalogueError(f"the catalogue's {what} must be a list of names with values")
    return value


def _entry(facts: dict[str, Any]) -> Entry:
    name = facts.get("name")
    facts = {what: " ".join(value.split()) if isinstance(value, str) else value for what, value in facts.items()}
    for what in ("urls", "parts"):
        if not isinstance(facts.setdefault(what, []), list):
            raise CatalogueError(f"catalogue entry {name!r}: {what} must be a list")
        facts[what] = tuple(facts[what])
    try:
        return Entry(**facts)
    except TypeError as error:  # a field is missing or unknown
        raise CatalogueError(f"catalogue entry {name!r}: {error}") from error


def _check_together(made: list[Entry]) -> None:
    for what in ("name", "file"):
        values = [getattr(one, what) for one in made]
        for one in made:
            if values.count(getattr(one, what)) > 1:
                raise CatalogueError(f"catalogue entry {one.name!r}: its {what} {getattr(one, what)!r} occurs twice")
    for method in {one.method: None for one in made}:
        defaults = [one.name for one in made if one.method == method and one.default]
        if len(defaults) != 1:
            raise CatalogueError(f"catalogue: method {method!r} must have one default entry, has {defaults}")
    for one in made:
        if not one.default and any(other.method == one.name for other in made):
            raise CatalogueError(f"catalogue entry {one.name!r}: called as a method, it must be that method's default")
