"""The folder that a step writes: what is ours is remembered, so that a step can go on and never replaces a stranger."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from likeness.memory import FOLDER, sha256
from likeness.photo import add_suffix, atomic_path, atomic_write_text, sweep_leftovers
from likeness.photo.errors import shown

MANIFEST, SUMMARY = "manifest.jsonl", "summary.json"
SET = "faces"  # the folder of the crops, in the outputs of align and filter
_LISTED = 3  # names in an error


class Output:
    """A step's output folder. ``places``: globs, below it, of all that may be written besides manifest and summary.

    Raises ValueError when it is a file, lies in one of ``sources`` or holds files at those places that no step wrote;
    OSError when it cannot be written. Manifest and summary of an earlier run are removed: they tell of a whole set.
    """

    def __init__(self, root: Path, sources: Iterable[str | Path], places: Collection[str]) -> None:
        if root.exists() and not root.is_dir():
            raise ValueError(f"{shown(root)} is a file, not a folder: choose another output folder")
        for source in sources:
            here = Path(source)
            if here.is_dir() and root.resolve().is_relative_to(here.resolve()):
                raise ValueError(f"{shown(root)} lies in {shown(here)}: choose an output folder outside of the sources")
        self.root, self.places = root, places
        others = [path for path in self._files() if not self._memory(path).exists()]
        if others:  # training would read them with the rest
            names = ", ".join(shown(path.name) for path in others[:_LISTED])
            text = f"{shown(root)} holds {len(others)} files that were not made by this command, such as {names}"
            raise ValueError(f"{text}: choose another output folder")
        for name in (MANIFEST, SUMMARY):
            (root / name).unlink(missing_ok=True)
        root.mkdir(parents=True, exist_ok=True)
        sweep_leftovers(root)

    def _files(self) -> list[Path]:
        return sorted({path for place in self.places for path in self.root.glob(place) if path.is_file()})

    def _memory(self, path: Path) -> Path:
        return self.root / FOLDER / "written" / add_suffix(path.relative_to(self.root), ".json")

    def recall(self, kind: str, name: Path, key: str) -> dict[str, Any] | None:
        """What ``remember`` wrote under this key; None when there is nothing, or it is damaged."""
        try:
            memory = json.loads((self.root / FOLDER / kind / add_suffix(name, ".json")).read_text(encoding="utf-8"))
            return dict(memory["record"]) if memory["key"] == key else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def remember(self, kind: str, name: Path, key: str, record: Mapping[str, Any]) -> None:
        """Keep a record of ``name``. Raises OSError."""
        path = self.root / FOLDER / kind / add_suffix(name, ".json")
        atomic_write_text(path, json.dumps({"key": key, "record": record}, ensure_ascii=False))

    def put(self, name: Path, key: str, write: Callable[[Path], None]) -> str:
        """Have ``write`` make the file ``name`` unless it was made for ``key`` and is intact; returns its sha256.

        The record is written before the file is moved to its place, so that after a kill it is known to be ours.
        """
        done = self.recall("written", name, key)
        try:
            if done is not None and sha256(self.root / name) == done["sha256"]:
                return str(done["sha256"])
        except (OSError, KeyError):
            pass  # not there: it is made
        waiting = self.root / FOLDER / "waiting" / name
        with atomic_path(waiting) as partial:
            write(partial)
        digest = sha256(waiting)
        self.remember("written", name, key, {"sha256": digest})
        (self.root / name).parent.mkdir(parents=True, exist_ok=True)
        waiting.replace(self.root / name)
        return digest

    def keep_only(self, names: Iterable[Path]) -> None:
        """Remove what an earlier run wrote, wherever, and this one does not."""
        wanted, written = set(names), self.root / FOLDER / "written"
        for memory in sorted(written.rglob("[!.]*.json")):
            name = memory.relative_to(written)
            name = name.with_name(name.name.removesuffix(".json"))
            if name not in wanted:
                (self.root / name).unlink(missing_ok=True)
                memory.unlink()

    def report(self, records: Iterable[Mapping[str, Any]], facts: Mapping[str, Any]) -> dict[str, Any]:
        """Write the manifest, one record a line, and the summary, which is returned.

        A record has a ``status`` (kept, dropped or failed), ``dropped_by`` (names of screens) and ``reasons``. The
        summary is ``facts`` with ``counts``, ``dropped_by`` (a face may be counted at several) and the ``failed`` by
        name.
        """
        counts, screens = Counter({"kept": 0, "dropped": 0, "failed": 0}), Counter[str]()
        failed: list[dict[str, Any]] = []
        with atomic_path(self.root / MANIFEST) as partial, partial.open("w", encoding="utf-8", newline="\n") as file:
            for record in records:
                file.write(json.dumps(record, ensure_ascii=False) + "\n")
                counts[record["status"]] += 1
                screens.update(record.get("dropped_by", ()))
                if record["status"] == "failed":
                    name = record.get("name") or record["source"]
                    failed.append({"name": name, "reason": "; ".join(record["reasons"])})
        summary = {
            **facts,
            "counts": {"records": counts.total(), **counts},
            "dropped_by": dict(sorted(screens.items())),
            "failed": failed,
        }
        atomic_write_text(self.root / SUMMARY, json.dumps(summary, indent=1, ensure_ascii=False) + "\n")
        return summary


def key_of(*parts: object) -> str:
    """One hash of plain data."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def figure(value: float | None) -> float | None:
    """Six digits."""
    return None if value is None else float(f"{value:.6g}")
