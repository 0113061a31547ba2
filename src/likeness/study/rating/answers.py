"""The answers of a study: one SQLite file, which any number of threads and processes may write."""

from __future__ import annotations

import secrets
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, NamedTuple, get_args

Choice = Literal["left", "right", "same"]
FILE = "ratings.sqlite"
_VERSION = 1
_TABLES = """
CREATE TABLE study (secret BLOB NOT NULL);
CREATE TABLE raters (rater TEXT PRIMARY KEY, consented_at TEXT NOT NULL);
CREATE TABLE votes (
    token TEXT PRIMARY KEY,
    rater TEXT NOT NULL REFERENCES raters,
    question TEXT NOT NULL,
    picture TEXT NOT NULL,
    left_method TEXT NOT NULL,
    right_method TEXT NOT NULL,
    shown_at REAL NOT NULL,
    choice TEXT CHECK (choice IN ('left', 'right', 'same')),
    milliseconds INTEGER,
    answered_at TEXT
);
CREATE UNIQUE INDEX once ON votes
    (rater, question, picture, min(left_method, right_method), max(left_method, right_method));
"""


class Shown(NamedTuple):
    """A pair as it was put before a rater; ``token`` stands for it in addresses. Not ``answered``: on their screen."""

    token: str
    rater: str
    question: str
    picture: str
    left: str
    right: str
    answered: bool = False


class Vote(NamedTuple):
    """An answer. ``milliseconds``: from when the pair was first shown. ``at``: UTC, ISO 8601."""

    rater: str
    question: str
    picture: str
    left: str
    right: str
    choice: Choice
    milliseconds: int
    at: str


class Answers:
    """The file of answers; made when it is not there and ``create`` is set.

    Every call has a connection of its own and is one transaction, on the disk when the call returns: a kill loses at
    most the answer in flight. A rater is a random number; nothing else is known of them. Raises ValueError, one line,
    when the file is not there, is none of ours, or cannot be written.
    """

    def __init__(self, path: Path, *, create: bool = True) -> None:
        self.path = path
        self._mode = "rwc" if create else "rw"
        with self._transaction(write=create) as db:
            version = db.execute("PRAGMA user_version").fetchone()[0]
            if version == 0 and not db.execute("SELECT 1 FROM sqlite_master").fetchone() and create:
                for statement in _TABLES.split(";"):
                    db.execute(statement)
                db.execute("INSERT INTO study VALUES (?)", (secrets.token_bytes(32),))
                db.execute(f"PRAGMA user_version = {_VERSION}")
            elif version != _VERSION:
                raise ValueError(f"{path}: these are no answers of this version; move the file away to start anew")
            self.secret: bytes = db.execute("SELECT secret FROM study").fetchone()[0]

    @contextmanager
    def _transaction(self, *, write: bool = False) -> Iterator[sqlite3.Connection]:
        try:
            where = f"{self.path.absolute().as_uri()}?mode={self._mode}"
            with closing(sqlite3.connect(where, uri=True, timeout=20, isolation_level=None)) as db:
                db.execute("PRAGMA synchronous = FULL")
                db.execute("PRAGMA foreign_keys = ON")
                db.execute("BEGIN IMMEDIATE" if write else "BEGIN")
                with db:  # commits, or rolls back
                    yield db
        except sqlite3.IntegrityError:  # ours to see
            raise
        except sqlite3.Error as error:
            raise ValueError(f"{self.path}: the answers cannot be read or written: {error}") from None

    def add_rater(self) -> str:
        """A new rater, who consented just now: 32 hexadecimal digits."""
        rater = secrets.token_hex(16)
        with self._transaction(write=True) as db:
            db.execute("INSERT INTO raters VALUES (?, ?)", (rater, _now()))
        return rater

    def knows(self, rater: str) -> bool:
        """Whether there is this rater."""
        with self._transaction() as db:
            return db.execute("SELECT 1 FROM raters WHERE rater = ?", (rater,)).fetchone() is not None

    def all_shown(self, question: str) -> list[Shown]:
        """Every pair that was shown for ``question``, to anyone, in this order."""
        with self._transaction() as db:
            return [_shown(row) for row in db.execute(f"{_SELECT} WHERE question = ? ORDER BY rowid", (question,))]

    def show(self, rater: str, question: str, picture: str, left: str, right: str) -> Shown:
        """Note that this pair is put before the rater. When it was before, that one is returned as it was."""
        with self._transaction(write=True) as db:
            db.execute(
                "INSERT OR IGNORE INTO votes (token, rater, question, picture, left_method, right_method, shown_at)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                (secrets.token_urlsafe(16), rater, question, picture, left, right, time.time()),
            )
            rows = db.execute(
                f"{_SELECT} WHERE rater = ? AND question = ? AND picture = ?"
                " AND min(left_method, right_method) = ? AND max(left_method, right_method) = ?",
                (rater, question, picture, min(left, right), max(left, right)),
            )
            return _shown(rows.fetchone())

    def find(self, token: str) -> Shown | None:
        """The pair that a token stands for."""
        with self._transaction() as db:
            row = db.execute(f"{_SELECT} WHERE token = ?", (token,)).fetchone()
        return _shown(row) if row else None

    def answer(self, token: str, choice: Choice) -> bool:
        """Keep the answer to a pair that was shown; False, and nothing is changed, when it has one already."""
        if choice not in get_args(Choice):
            raise ValueError(f"a choice must be one of {', '.join(get_args(Choice))}, got {choice!r}")
        with self._transaction(write=True) as db:
            done = db.execute(
                "UPDATE votes SET choice = ?, answered_at = ?, milliseconds = CAST(max(0, ? - shown_at) * 1000 AS INT)"
                " WHERE token = ? AND choice IS NULL",
                (choice, _now(), time.time(), token),
            )
            return done.rowcount == 1

    def votes(self) -> list[Vote]:
        """All answers, in the order in which the pairs were shown."""
        with self._transaction() as db:
            rows = db.execute(
                "SELECT rater, question, picture, left_method, right_method, choice, milliseconds, answered_at"
                " FROM votes WHERE choice IS NOT NULL ORDER BY rowid"
            )
            return [Vote(*row) for row in rows]


_SELECT = "SELECT token, rater, question, picture, left_method, right_method, choice IS NOT NULL FROM votes"


def _shown(row: tuple) -> Shown:
    token, rater, question, picture, left, right, answered = row
    return Shown(token, rater, question, picture, left, right, bool(answered))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
