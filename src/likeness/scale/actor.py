"""What runs in each worker: a session held once, and small batches of photos, from file to file.

Into a worker go paths and addresses, out of it come records; pixels never leave it.
"""

from __future__ import annotations

import json
import os
import socket
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from likeness import memory
from likeness.photo import PhotoError
from likeness.pipeline import Session, Settings
from likeness.results import PhotoResult
from likeness.scale import places
from likeness.scale.batches import problem_with
from likeness.scale.plan import Job

Check = Callable[[Session], list[str]]


@dataclass(frozen=True)
class Order:
    """What every worker is told.

    ``output``: a folder that all machines share, or an address; ``here``: the driver's folder, in which relative
    paths are. ``methods``: the driver's registry of methods, so
    that one that was added there is known to the workers. ``check(session)``: notes on the session; what it raises
    ends the job.
    """

    settings: Settings
    output: str
    here: str = ""
    overwrite: bool = False
    methods: Mapping[str, str] = field(default_factory=dict)
    check: Check | None = None


class Worker:
    """For ``Dataset.map_batches``: rows ``number``, ``source``, ``stem`` -> rows of ``Answer``.

    What is wrong with the order (a method that is unknown, weights that are not here) is in the answers.
    """

    def __init__(self, order: Order) -> None:
        self.order = order
        self.key, self.about, self.notes = "", dict[str, Any](), list[str]()
        self.problem = problem_with(self._open, order.here, order.methods)

    def _open(self) -> None:
        from likeness.folder import describe, key_of

        _see_folder(self.order.output)
        self.session = Session(self.order.settings)
        self.key = key_of(self.session)
        self.about = describe(self.session)
        self.notes = self.order.check(self.session) if self.order.check is not None else []

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[Any]]:
        numbers = [int(number) for number in batch["number"]]
        jobs = [Job(str(s), Path(str(t))) for s, t in zip(batch["source"], batch["stem"], strict=True)]
        found: dict[int, str] = {}
        if self.problem is None:
            for place, record in self._restore(jobs):
                found[numbers[place]] = json.dumps(record, ensure_ascii=False)
        state = {"key": self.key, "about": self.about, "notes": self.notes, "problem": self.problem}
        return {
            "number": numbers,
            "record": [found.get(number, "") for number in numbers],
            "worker": [json.dumps(_who())] * len(numbers),
            "state": [json.dumps(state, ensure_ascii=False)] + [""] * (len(numbers) - 1),
        }

    def _restore(self, jobs: Sequence[Job]) -> Iterator[tuple[int, dict[str, Any]]]:
        """Place in ``jobs`` and record of each."""
        from likeness.folder import restore_tasks
        from likeness.scale.far import make_task

        with tempfile.TemporaryDirectory(prefix="likeness-", ignore_cleanup_errors=True) as folder:
            scratch = Path(folder)
            tasks, places_of = [], {}
            for place, job in enumerate(jobs):
                try:
                    task = make_task(job.source, job.stem, self.order.output, self.key, scratch)
                except PhotoError as error:
                    yield place, failed(job.source, str(error))
                else:
                    tasks.append(task)
                    places_of[task.name] = place
            for task, record in restore_tasks(self.session, tasks, overwrite=self.order.overwrite):
                if record["reason"]:
                    record["reason"] = self._named(record["reason"], task.name, task.input, scratch)
                yield places_of[task.name], record

    def _named(self, reason: str, source: str, file: Path, scratch: Path) -> str:
        """With the addresses instead of the copies' paths, which are gone."""
        from likeness.photo.errors import shown

        reason = reason.replace(shown(file), source)
        if places.is_address(self.order.output):
            reason = reason.replace(shown(scratch / "out"), self.order.output.rstrip("/"))
        return reason


def failed(source: str, reason: str) -> dict[str, Any]:
    """The record of a photo of which nothing was written."""
    return PhotoResult(source, None, "failed", reason).as_dict()


def _see_folder(output: str) -> None:
    """Raises PhotoError when the driver's folder is not seen here: its results would stay on this machine."""
    if not places.is_address(output) and not (Path(output) / memory.FOLDER / memory.LOCK).exists():
        raise PhotoError(
            f"{output}: the worker on {socket.gethostname()} does not see this folder: "
            "give a full path on a disk that all machines share, or an address such as s3://bucket/folder"
        )


def _who() -> dict[str, Any]:
    """This process, and whether it stands in for one that ended."""
    import ray

    again = ray.get_runtime_context().was_current_actor_reconstructed
    return {"node": socket.gethostname(), "process": os.getpid(), "again": bool(again)}
