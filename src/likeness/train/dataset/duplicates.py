"""Find pictures that are in a set twice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from likeness.photo.errors import one_line, shown
from likeness.train.dataset.hashing import hamming
from likeness.train.dataset.measuring import unpack_vector
from likeness.train.dataset.screen import Screens


@dataclass(frozen=True, eq=False)
class Candidate:
    """A face that passed the other screens: its name, quality (more is better), hash and (D,) identity vector."""

    name: str
    quality: tuple[float, ...]
    phash: int
    vector: np.ndarray | None


def find_duplicates(
    candidates: Sequence[Candidate], bits: int, person_bits: int, person_distance: float
) -> dict[str, tuple[str, str]]:
    """Name of each duplicate -> the name of the one that is kept instead, and the reason.

    Two faces are duplicates when their hashes differ in at most ``bits`` bits, or in at most ``person_bits`` while
    their identity vectors are no further apart than ``person_distance`` (dlib's). Of each pair the better is kept (by
    quality, then by name), whatever the order of the candidates. Negative bits turn a rule off. Time grows with the
    square of the number of faces.

    The hash alone is too coarse for aligned faces: a neutral and a smiling photograph of one person differ in 0 to 2
    bits in 7 of 52 cases, and so do two synthetic people in one of 300 pictures. Hence the defaults of ``Screens``: 8
    bits and a distance of 0.1. Measured on seven photographs: copies that were compressed, reduced or brightened differ
    in 0 to 2 bits at a distance of 0.04 to 0.08; the same person smiling is at 0.11 and more (52 pairs). A copy shifted
    by 6 pixels (2 to 8 bits, 0.10 to 0.15) is not told from another photograph, and stays.
    """
    if max(bits, person_bits) < 0:
        return {}
    order = sorted(candidates, key=lambda one: (tuple(-value for value in one.quality), one.name))
    hashes = np.zeros(len(order), np.uint64)
    kept: list[Candidate] = []
    found: dict[str, tuple[str, str]] = {}
    for one in order:
        distance = hamming(one.phash, hashes[: len(kept)])
        match = _match(one, kept, distance, bits, person_bits, person_distance)
        if match is None:
            hashes[len(kept)] = one.phash
            kept.append(one)
        else:
            found[one.name] = match
    return found


def _match(
    one: Candidate, kept: Sequence[Candidate], distance: np.ndarray, bits: int, person_bits: int, person_distance: float
) -> tuple[str, str] | None:
    for index in np.flatnonzero(distance <= max(bits, person_bits)).tolist():
        other, apart = kept[index], int(distance[index])
        if apart <= bits:
            return other.name, f"duplicate of {other.name} ({apart} of 64 bits differ)"
        if one.vector is None or other.vector is None or apart > person_bits:
            continue
        identity = float(np.linalg.norm(one.vector.astype(np.float64) - other.vector.astype(np.float64)))
        if identity <= person_distance:
            return other.name, f"duplicate of {other.name} ({apart} bits, same person at {identity:.2f})"
    return None


def drop_duplicates(records: Sequence[dict[str, Any]], screens: Screens) -> None:
    """Drop the duplicates among the kept records: of each pair the larger (if known), then the sharper, stays."""
    by_name = {record["output"]: record for record in records if record["status"] == "kept"}
    candidates = [
        Candidate(
            name,
            (record["figures"]["size"] or 0.0, record["figures"]["sharpness"]),
            int(record["phash"], 16),
            unpack_vector(record["vector"]),
        )
        for name, record in by_name.items()
    ]
    limits = (screens.duplicate_bits, screens.person_bits, screens.person_distance)
    for name, (other, reason) in find_duplicates(candidates, *limits).items():
        change = {"status": "dropped", "dropped_by": ["duplicate"], "reasons": [one_line(reason)], "output": None}
        by_name[name].update(change, duplicate_of=shown(other))
