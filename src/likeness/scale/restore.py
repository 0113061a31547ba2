"""Restore photos on a Ray cluster: plan, hand out small batches, gather the records, account for every input."""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
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
from likeness.scale.cluster import LOCAL, Pool, ScaleError, connected, tolerate
from likeness.scale.plan import Job, plan

BATCH = 32  # photos that a worker gets at once, at most; what a worker that is killed had in hand is looked at again
RETRIES = 2  # of a batch whose worker ended; then its photos are tried one by one
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
            for rows in (_rows_each(len(jobs), workers), 1):
                _run(gathered, order, pool, workers, rows)
            seconds = time.perf_counter() - began
        report = gathered.report(workers, seconds)
        if not far:
            sweep_leftovers(where)  # of workers that were killed
        _write_report(report, where)
    return report


def _rows_each(jobs: int, workers: int) -> int:
    """Photos to a batch: few enough that every worker gets several."""
    return max(1, min(BATCH, jobs // (4 * workers)))


def _run(gathered: _Gathered, order: Order, pool: Pool, workers: int, rows: int) -> None:
    """Hand out the jobs that have no record yet, ``rows`` at once. Raises ScaleError."""
    left = gathered.left()
    if not left:
        return
    for answers in _answers(left, order, pool, min(workers, len(left)), rows):
        for number, record, worker, state in answers:
            gathered.add(number, record, worker, state)


def _answers(
    jobs: Sequence[tuple[int, Job]], order: Order, pool: Pool, workers: int, rows: int
) -> Iterator[list[tuple[int, str, str, str]]]:
    import ray.data
    from ray.data import ActorPoolStrategy
    from ray.exceptions import RayError

    items = [{"number": number, "source": job.source, "stem": job.stem.as_posix()} for number, job in jobs]
    with warnings.catch_warnings():
        # max_task_retries has no other way in before Ray 2.64; without it one bad photo kills workers for ever
        warnings.simplefilter("ignore", DeprecationWarning)
        dataset = ray.data.from_items(items, override_num_blocks=-(-len(items) // rows)).map_batches(
            Worker,
            fn_constructor_args=(order,),
            batch_size=rows,
            compute=ActorPoolStrategy(min_size=1, max_size=workers, initial_size=workers),
            num_cpus=pool.cpus,
            num_gpus=pool.gpus or None,
            max_restarts=-1,
            max_task_retries=RETRIES,
        )
    tolerate(dataset.context)
    try:
        for batch in dataset.iter_batches(batch_size=None, prefetch_batches=0):
            columns = (batch[name].tolist() for name in ("number", "record", "worker", "state"))
            yield list(zip(*columns, strict=True))
    except RayError as error:
        lines = [line for line in str(error).splitlines() if line.strip()]
        raise ScaleError(f"the workers could not be started: {lines[-1].strip() if lines else error!r}") from None


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
