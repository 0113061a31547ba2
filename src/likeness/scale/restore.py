"""Restore photos on a Ray cluster: plan, hand out small batches, gather the records, account for every input."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from likeness import memory
from likeness.folder import report_text
from likeness.methods import METHODS
from likeness.photo import atomic_write_text, sweep_leftovers
from likeness.pipeline import Settings
from likeness.results import Report
from likeness.scale import places
from likeness.scale.actor import Check, Order, Worker, failed
from likeness.scale.batches import answers, rows_each
from likeness.scale.cluster import LOCAL, Pool, ScaleError, connected
from likeness.scale.plan import Job, plan

LOST = "lost: the workers that tried to restore it ended (killed, or out of memory); run again to try once more"

Progress = Callable[[int, int, dict[str, Any]], None]


def restore_on_cluster(
    inputs: Sequence[str | Path],
    output: str | Path,
    settings: Settings,
    *,
    address: str = LOCAL,
    pool: Pool | None = None,
    overwrite: bool = False,
    progress: Progress = lambda done, total, record: None,
    check: Check | None = None,
) -> Report:
    """Restore photos into ``output`` and write its ``report.json``; the way behind ``likeness restore --ray``.

    ``inputs`` and ``output``: paths that all machines of the cluster share, or addresses that fsspec reaches. The
    pictures are those of ``folder.restore_files``, under the same names; what is done and intact is not done again.
    ``address`` and ``pool``: as for ``connected``. ``progress(done, total, record)`` is called after each photo;
    ``check(session)`` runs in each worker before anything is written and gives notes, and what it raises ends the job.

    The report has a record for every input: one that no worker lived to give is "failed", as lost. ``cluster`` in it
    says how long it took, and with how many workers. Raises PhotoError when no input is found, an output would replace
    its input, or another process is restoring into the folder; ScaleError for what is wrong with the cluster or in its
    workers; OSError.
    """
    pool = pool or Pool()
    far = places.is_address(output)
    where = str(output)
    jobs = plan(inputs, output)
    order = Order(settings, where, str(Path.cwd()), overwrite, dict(METHODS), check)
    lock: AbstractContextManager[None] = nullcontext() if far else memory.alone(Path(where))
    with lock:
        if not far:
            sweep_leftovers(where)
        with connected(address, pool) as workers:
            gathered = _Gathered(jobs, progress)
            began = time.perf_counter()
            for size in (rows_each(len(jobs), workers), 1):
                _run(gathered, order, pool, workers, size)
            seconds = time.perf_counter() - began
        report = gathered.report(workers, seconds)
        if not far:
            sweep_leftovers(where)  # of workers that were killed
        _write_report(report, where)
    return report


def _run(gathered: _Gathered, order: Order, pool: Pool, workers: int, size: int) -> None:
    """Hand out the jobs that have no record yet, ``size`` at once. Raises ScaleError."""
    left = gathered.left()
    if not left:
        return
    rows = [{"number": number, "source": job.source, "stem": job.stem.as_posix()} for number, job in left]
    for batch in answers(Worker, (order,), rows, pool, min(workers, len(rows)), size):
        columns = (batch[name] for name in ("number", "record", "worker", "state"))
        for number, record, worker, state in zip(*columns, strict=True):
            gathered.add(number, record, worker, state)


class _Gathered:
    """The records that have come, by the job's number."""

    def __init__(self, jobs: Sequence[Job], progress: Progress) -> None:
        self.jobs, self.progress = jobs, progress
        self.records: dict[int, dict[str, Any]] = {}
        self.workers: dict[tuple[str, int], bool] = {}
        self.ways: dict[str, dict[str, Any]] = {}
        self.notes: list[str] = []

    def left(self) -> list[tuple[int, Job]]:
        """Jobs without a record."""
        return [(number, job) for number, job in enumerate(self.jobs) if number not in self.records]

    def add(self, number: int, record: str, worker: str, state: str) -> None:
        """Take a row of an answer. Raises ScaleError when the worker cannot work."""
        if state:
            said = json.loads(state)
            if said["problem"] is not None:
                raise ScaleError(said["problem"])
            self.ways[said["key"]] = said["about"]
            self.notes += [note for note in said["notes"] if note not in self.notes]
        who = json.loads(worker)
        self.workers[who["node"], who["process"]] = who["again"]
        if number not in self.records:
            self.records[number] = json.loads(record)
            self.progress(len(self.records), len(self.jobs), self.records[number])

    def report(self, workers: int, seconds: float) -> Report:
        """A record for each input, in the inputs' order, and how it went."""
        about: dict[str, Any] = next(iter(self.ways.values()), {})
        notes = list(self.notes)
        cluster = {
            "workers": workers,
            "nodes": len({node for node, _ in self.workers}),
            "restarted_workers": sum(self.workers.values()),
            "lost": len(self.jobs) - len(self.records),
            "seconds": round(seconds, 2),
            "photos_per_second": round(len(self.jobs) / seconds, 3),
            "notes": notes,
        }
        if len(self.ways) > 1:  # an accelerator here, a processor there
            hows = sorted({f"{way['precision']} by {way['settings']['backend']}" for way in self.ways.values()})
            notes.append(
                f"the workers did not compute alike ({', '.join(hows)}): give --device, --precision and --backend"
            )
        report = Report({**about, "cluster": cluster})
        for number, job in enumerate(self.jobs):
            report.add(self.records[number] if number in self.records else failed(job.source, LOST))
        return report


def _write_report(report: Report, output: str) -> None:
    if not places.is_address(output):
        atomic_write_text(Path(output) / "report.json", report_text(report))
        return
    with TemporaryDirectory() as folder:
        file = Path(folder) / "report.json"
        file.write_text(report_text(report), encoding="utf-8")
        places.send(file, places.join(output, "report.json"))
