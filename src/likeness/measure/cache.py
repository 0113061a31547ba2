"""Values that were measured before, kept by what they depend on: the content of the pictures and of the weights."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterable, Mapping
from contextlib import closing
from pathlib import Path

import numpy as np

_MANY = 500  # keys asked for at once; SQLite's limit of variables is higher


def key(*parts: str) -> str:
    """One key for all that a value depends on: versions and sha256 of contents, in order."""
    return hashlib.sha256("\x00".join(parts).encode()).hexdigest()


class Cache:
    """Vectors of float64 by key, in one SQLite file that several processes may use.

    Raises ValueError naming the file when it is not one of ours.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        try:
            self._database = sqlite3.connect(path, timeout=60)
            self._database.execute("PRAGMA journal_mode=WAL")
            self._database.execute("PRAGMA synchronous=NORMAL")
            self._database.execute("CREATE TABLE IF NOT EXISTS vectors (key TEXT PRIMARY KEY, vector BLOB NOT NULL)")
        except sqlite3.DatabaseError as error:
            raise ValueError(f"{path} cannot be used to keep measured values ({error}); remove it") from error

    def get(self, keys: Iterable[str]) -> dict[str, np.ndarray]:
        """The vectors of those keys that are known."""
        wanted = list(dict.fromkeys(keys))
        found: dict[str, np.ndarray] = {}
        for start in range(0, len(wanted), _MANY):
            some = wanted[start : start + _MANY]
            marks = ",".join("?" * len(some))
            with closing(
                self._database.execute(f"SELECT key, vector FROM vectors WHERE key IN ({marks})", some)
            ) as rows:
                found.update((name, np.frombuffer(vector, np.float64)) for name, vector in rows)
        return found

    def put(self, vectors: Mapping[str, np.ndarray]) -> None:
        """Keep these, all or none."""
        rows = [(name, np.asarray(vector, np.float64).tobytes()) for name, vector in vectors.items()]
        with self._database:
            self._database.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?)", rows)

    def close(self) -> None:
        self._database.close()

    def __enter__(self) -> Cache:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
