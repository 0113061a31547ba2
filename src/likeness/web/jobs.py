"""Jobs: a bounded queue, one worker, progress, cancelling, results that expire."""

from __future__ import annotations

import secrets
import shutil
import sys
import threading
import time
import traceback
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from likeness.web.limits import Limits
from likeness.web.refusal import Refused

State = Literal["waiting", "running", "done", "failed", "cancelled"]
ENDED = ("done", "failed", "cancelled")


class Cancelled(Exception):
    """Raised within a job's work when it is to stop."""


@dataclass
class Job:
    """One piece of work and its results. Its ``id`` cannot be guessed: whoever knows it may see the results.

    ``done`` of ``total`` steps; ``step``: what is being done, in words; ``items``: a record of each photo and method
    (see ``work``); ``files``: results by the names that clients use; ``problem``: why it failed; ``size``: bytes on
    disk, once it has ended.
    """

    id: str
    folder: Path
    uploads: frozenset[str]
    state: State = "waiting"
    done: int = 0
    total: int = 0
    step: str = ""
    items: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    files: dict[str, Path] = field(default_factory=dict)
    problem: str | None = None
    size: int = 0
    used: float = field(default_factory=time.monotonic)
    stop: threading.Event = field(default_factory=threading.Event)
    ended: threading.Event = field(default_factory=threading.Event)

    def tell(self, step: str, done: int | None = None, total: int | None = None) -> None:
        """Say how far the work is. Raises Cancelled when it is to stop."""
        if self.stop.is_set():
            raise Cancelled
        self.step = step
        self.done, self.total = self.done if done is None else done, self.total if total is None else total

    def add(self, name: str) -> Path:
        """A new path below the job's folder for the file that clients call ``name``."""
        if name in self.files:
            raise ValueError(f"{name} is there already")
        path = self.files[name] = self.folder / f"{len(self.files)}{Path(name).suffix}"
        return path

    def file(self, name: str) -> Path:
        """The file called ``name``. Raises Refused (404) for every other text."""
        path = self.files.get(name)
        if path is None or not path.is_file():
            raise Refused(404, "this job has no such file")
        return path


Work = Callable[[Job], None]


class Jobs:
    """A queue with one worker thread. Safe to use from many threads; ``close`` ends it."""

    def __init__(self, folder: Path, limits: Limits) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.limits = folder, limits
        self._jobs: OrderedDict[str, Job] = OrderedDict()
        self._waiting: OrderedDict[str, Work] = OrderedDict()
        self._changed = threading.Condition()
        self._closing = False
        self._worker = threading.Thread(target=self._work, name="jobs", daemon=True)
        self._worker.start()

    def submit(self, work: Work, uploads: frozenset[str] = frozenset()) -> Job:
        """Queue ``work``, which gets its job and may raise Cancelled or Refused. Raises Refused (429) when full."""
        token = secrets.token_urlsafe(24)
        with self._changed:
            self.room()
            job = self._jobs[token] = Job(token, self.folder / token, uploads)
            job.folder.mkdir()
            self._waiting[token] = work
            self._changed.notify_all()
        return job

    def room(self) -> None:
        """Raises Refused (429) when the queue is full, so that nobody uploads in vain."""
        with self._changed:
            if self._closing:
                raise Refused(503, "the studio is being shut down")
            if len(self._waiting) >= self.limits.waiting:
                raise Refused(429, f"{len(self._waiting)} jobs are waiting already; try again in a few minutes")

    def get(self, token: str) -> Job:
        """The job so named. Raises Refused (404)."""
        with self._changed:
            job = self._jobs.get(token)
            if job is None:
                raise Refused(404, "that job is not here (any more)")
            job.used = time.monotonic()
            return job

    def position(self, job: Job) -> int:
        """How many jobs run before this one: 0 for one that runs or has ended."""
        with self._changed:
            waiting = list(self._waiting)
            running = any(other.state == "running" for other in self._jobs.values())
            return waiting.index(job.id) + running if job.id in waiting else 0

    def cancel(self, job: Job) -> None:
        """A waiting job ends at once, a running one at its next step; an ended one stays as it is."""
        with self._changed:
            job.stop.set()
            if self._waiting.pop(job.id, None) is not None:
                self._end(job, "cancelled")

    def forget(self) -> None:
        """Delete ended jobs that nobody has asked for lately, and the oldest beyond what may be remembered."""
        with self._changed:
            now = time.monotonic()
            ended = sorted((job for job in self._jobs.values() if job.state in ENDED), key=lambda job: job.used)
            beyond = len(self._jobs) - self.limits.remembered
            gone = [j for i, j in enumerate(ended) if i < beyond or now - j.used > self.limits.keep_seconds]
            for job in gone:
                del self._jobs[job.id]
        for job in gone:
            shutil.rmtree(job.folder)

    def in_use(self) -> set[str]:
        """The uploads that jobs still have to read."""
        with self._changed:
            return {name for job in self._jobs.values() if job.state not in ENDED for name in job.uploads}

    @property
    def bytes(self) -> int:
        """What results take on disk."""
        with self._changed:
            ended = sum(job.size for job in self._jobs.values() if job.state in ENDED)
            running = [job.folder for job in self._jobs.values() if job.state == "running"]
        return ended + sum(_size(folder) for folder in running)

    def close(self) -> None:
        """Cancel everything and wait for the worker."""
        with self._changed:
            self._closing = True
            for job in list(self._jobs.values()):
                self.cancel(job)
            self._changed.notify_all()
        self._worker.join()

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._closing)
                if self._closing:
                    return
                token, work = self._waiting.popitem(last=False)
                job = self._jobs[token]
                job.state = "running"
            state, problem = self._run(job, work)
            with self._changed:
                self._end(job, state, problem)

    def _run(self, job: Job, work: Work) -> tuple[State, str | None]:
        try:
            work(job)
        except Cancelled:
            return "cancelled", None
        except Refused as refusal:
            return "failed", refusal.message
        except Exception as error:  # noqa: BLE001  a mistake of ours ends this job, aloud, and not those behind it
            traceback.print_exc(file=sys.stderr)
            return "failed", f"a mistake in the studio: {type(error).__name__}; its log says more"
        return "done", None

    def _end(self, job: Job, state: State, problem: str | None = None) -> None:
        job.size = _size(job.folder)
        job.state, job.problem, job.used = state, problem, time.monotonic()
        job.ended.set()
        self._changed.notify_all()


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in list(folder.rglob("*")) if path.is_file())
