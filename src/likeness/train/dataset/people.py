"""Who is on which picture: by its name, by its folder, or by likeness of the faces; and faces that are too near."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

_ROWS = 1024  # of the table of distances, at once


def by_name(names: Sequence[Path], pattern: str) -> list[str | None]:
    """The first group of ``pattern`` (or the whole match) found in each name (its path with ``/``); None if not found.

    Raises ValueError for a pattern that is none, and for one that no name matches.
    """
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise ValueError(f"the pattern of --person is no regular expression: {error}") from error
    found = [compiled.search(name.as_posix()) for name in names]
    people = [match and (match[1] if compiled.groups else match[0]) for match in found]
    if not any(people):
        raise ValueError(f"the pattern of --person, {pattern!r}, matches none of the names, such as {names[0].name}")
    return [person or None for person in people]


def by_folder(names: Sequence[Path]) -> list[str | None]:
    """The folder that each picture lies in; None for one that lies in no folder. Raises ValueError when none does."""
    people = [name.parent.as_posix() if name.parent != Path() else None for name in names]
    if not any(people):
        raise ValueError("the pictures lie in no folders of people: use --person or --by identity")
    return people


def by_identity(vectors: np.ndarray, digests: Sequence[str], distance: float) -> list[str]:
    """Single-link clusters of (N, D) identity vectors: faces nearer than ``distance`` are one person.

    Approximate: two people who look alike, or a chain of them, become one (which leaks nothing), and one person
    in two very unlike pictures becomes two (which may leak: see the check of ``split``). A cluster is called after the
    smallest of the ``digests`` of its pictures, so that a new picture of a person rarely gives it another name.
    """
    parent = np.arange(len(vectors))

    def root(index: int) -> int:
        while parent[index] != index:
            parent[index] = parent[parent[index]]
            index = int(parent[index])
        return index

    for one, other, _ in near_pairs(vectors, distance):
        a, b = root(one), root(other)
        if a != b:
            low, high = sorted((a, b), key=lambda index: (digests[index], index))
            parent[high] = low
    return [f"like-{digests[root(index)][:16]}" for index in range(len(vectors))]


def near_pairs(
    vectors: np.ndarray, distance: float, parts: np.ndarray | None = None
) -> Iterator[tuple[int, int, float]]:
    """Pairs (i < j) of (N, D) vectors no further apart than ``distance``, and how far; with ``parts`` (N,) only those
    that lie in different ones."""
    v = np.asarray(vectors, np.float64)
    squares = (v**2).sum(axis=1)
    for start in range(0, len(v), _ROWS):
        rows = slice(start, start + _ROWS)
        table = squares[rows, None] + squares[None, start:] - 2 * v[rows] @ v[start:].T
        near = table <= distance**2 + 1e-9
        if parts is not None:
            near &= parts[rows, None] != parts[None, start:]
        for i, j in zip(*np.nonzero(near), strict=True):
            if i < j and (exact := float(np.linalg.norm(v[start + i] - v[start + j]))) <= distance:
                yield int(start + i), int(start + j), exact


def nearest_across(vectors: np.ndarray, parts: np.ndarray) -> tuple[int, int, float] | None:
    """The nearest pair of (N, D) vectors that lie in different ``parts`` (N,); None when there is one part."""
    v = np.asarray(vectors, np.float64)
    squares = (v**2).sum(axis=1)
    best: tuple[int, int, float] | None = None
    for start in range(0, len(v), _ROWS):
        rows = slice(start, start + _ROWS)
        table = squares[rows, None] + squares[None] - 2 * v[rows] @ v.T
        table[parts[rows, None] == parts[None]] = np.inf
        i, j = np.unravel_index(int(table.argmin()), table.shape)
        if np.isfinite(table[i, j]):
            pair = sorted((int(start + i), int(j)))
            apart = float(np.linalg.norm(v[pair[0]] - v[pair[1]]))
            if best is None or apart < best[2]:
                best = pair[0], pair[1], apart
    return best
