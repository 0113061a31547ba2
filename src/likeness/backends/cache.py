"""Exported graphs on the disk: made once for weights, versions, shapes and precision, and checked when used.

``LIKENESS_HOME/graphs/NAME/`` holds a graph's files and ``graph.json``: all that it depends on, the sha256 of each
file, how near it comes to the module (PSNR in dB), and how long it took to make. A folder appears whole.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import secrets
import shutil
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock

from likeness.photo.atomic import atomic_write_text
from likeness.weights.digest import fingerprint
from likeness.weights.errors import WeightsError
from likeness.weights.record import home

RECORD = "graph.json"
Say = Callable[[str], None]


def say_on_standard_error(text: str) -> None:
    """A note for people."""
    print(text, file=sys.stderr, flush=True)


@dataclass(frozen=True)
class Wanted:
    """A graph that is wanted. ``name``: of the method and the part; ``facts``: all that the graph depends on."""

    name: str
    facts: Mapping[str, Any]

    @property
    def folder(self) -> Path:
        """Where it lies or would lie."""
        return home() / "graphs" / f"{self.name}-{_digest(self.facts)[:24]}"


@dataclass(frozen=True)
class Kept:
    """A graph that is there and intact. ``psnr``: in dB, of its output against the module's; infinite when equal."""

    folder: Path
    psnr: float


def obtain(
    wanted: Wanted,
    make: Callable[[Path], None],
    judge: Callable[[Path], float],
    say: Say = say_on_standard_error,
) -> Kept:
    """The graph out of the cache; made when it is not there, or when it is damaged, which is said.

    ``make(folder)`` writes the files, ``judge(folder)`` gives the PSNR. Of several processes that want the same graph
    one makes it and the others wait. Raises what the two raise, and OSError when the cache cannot be written.
    """
    folder = wanted.folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_name(f"{folder.name}.lock")):
        kept = _read(folder)
        if isinstance(kept, Kept):
            return kept
        if kept is not None:
            say(f"{wanted.name}: the exported graph is damaged ({kept}): exporting it again")
            shutil.rmtree(folder)
        for left in folder.parent.glob(f".{folder.name}.*"):  # of a process that was killed: the lock is ours
            shutil.rmtree(left)
        return _make(wanted, make, judge, say)


def _make(wanted: Wanted, make: Callable[[Path], None], judge: Callable[[Path], float], say: Say) -> Kept:
    folder, began = wanted.folder, time.perf_counter()
    partial = folder.with_name(f".{folder.name}.{os.getpid()}-{secrets.token_hex(4)}")
    partial.mkdir()
    try:
        make(partial)
        psnr = judge(partial)
        seconds = time.perf_counter() - began
        record = {
            "facts": dict(wanted.facts),
            "files": {path.name: fingerprint(path) for path in sorted(partial.iterdir())},
            "psnr": None if psnr == math.inf else psnr if math.isfinite(psnr) else "not finite",
            "seconds": round(seconds, 1),
        }
        atomic_write_text(partial / RECORD, json.dumps(record, indent=1) + "\n")
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    say(f"{wanted.name}: exported for backend {wanted.facts['backend']} in {seconds:.1f} s; from now on it is kept")
    return Kept(folder, psnr)


def _read(folder: Path) -> Kept | str | None:
    """What is there: an intact graph, in what way it is damaged, or nothing."""
    if not folder.exists():
        return None
    try:
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        files, psnr = record["files"], record["psnr"]
        other = next((name for name, sha256 in files.items() if fingerprint(folder / name) != sha256), None)
        if other is not None:
            return f"{other} has another sha256"
        return Kept(folder, math.inf if psnr is None else -math.inf if psnr == "not finite" else float(psnr))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:  # WeightsError is a ValueError
        return str(error) if isinstance(error, WeightsError) else f"{RECORD} cannot be read"


def _digest(facts: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
