"""A Ray cluster: the one there is, or one on this machine for as long as it is needed."""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from ray.data import DataContext

LOCAL = "local"
STORE_BYTES = 200_000_000  # of a local cluster: paths and records go through it, never pixels


class ScaleError(ValueError):
    """Something is wrong with the cluster. One line: what, and what to do."""


@dataclass(frozen=True)
class Pool:
    """The workers: how many (0: as many as fit), and what each takes. Fractions are fine: 0.5 is two to a GPU."""

    workers: int = 0
    cpus: float = 1.0
    gpus: float = 0.0

    def __post_init__(self) -> None:
        for name, good in (("workers", self.workers >= 0), ("cpus", self.cpus >= 0), ("gpus", self.gpus >= 0)):
            if not good:
                raise ScaleError(f"{name} must be at least 0, got {getattr(self, name)}")
        if self.cpus == 0 and self.gpus == 0:
            raise ScaleError("a worker must take some part of a CPU or of a GPU")

    def size(self, cpus: float, gpus: float) -> int:
        """How many workers to have on a cluster of so many CPUs and GPUs. Raises ScaleError when none fits."""
        fitting = min(
            (int(have / each + 1e-9) for have, each in ((cpus, self.cpus), (gpus, self.gpus)) if each > 0),
            default=0,
        )
        if self.workers:
            return self.workers  # the cluster may grow
        if fitting < 1:
            raise ScaleError(
                f"no worker fits: one takes {self.cpus:g} CPU and {self.gpus:g} GPU, "
                f"the cluster has {cpus:g} and {gpus:g}"
            )
        return fitting


@contextmanager
def connected(address: str, pool: Pool) -> Iterator[int]:
    """Within it there is a cluster; yields the number of workers to have on it.

    ``address``: "local" starts a cluster on this machine that ends with the block; "auto" is the running cluster that
    this machine belongs to; or HOST:PORT. A cluster to which this process is connected already is used, and kept.
    Raises ScaleError.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is told to anybody
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # its warnings are for its developers
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        import ray
        import ray.data  # its parts may be missing when ray is there
    except ImportError as error:
        raise ScaleError(f"{error.name or 'ray'} is not installed: pip install 'likeness[scale]'") from None
    for name in ("ray", "ray.data", "ray.serve", "ray._private.worker"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    ours = not ray.is_initialized()
    if ours:
        with _no_stderr():
            _connect(address, pool)
    try:
        have = ray.cluster_resources()  # type: ignore[no-untyped-call]
        with redirect_stdout(cast(Any, _WithoutRay(sys.stdout))):
            yield pool.size(have.get("CPU", 0.0), have.get("GPU", 0.0))
    finally:
        if ours:
            ray.shutdown()


def _connect(address: str, pool: Pool) -> None:
    import ray

    if address == LOCAL:
        cpus = os.cpu_count() or 1
        if pool.workers * pool.cpus > cpus:
            raise ScaleError(
                f"{pool.workers} workers with {pool.cpus:g} CPU each are more than this machine's {cpus}: "
                "ask for fewer, or for a part of a CPU each"
            )
        ray.init(
            address=LOCAL,
            num_cpus=cpus,
            include_dashboard=False,
            object_store_memory=STORE_BYTES,
            log_to_driver=False,
            logging_level=logging.CRITICAL,
        )
        return
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.CRITICAL)
    except (ConnectionError, ValueError, RuntimeError, TimeoutError) as error:
        why = " ".join(str(error).split())[:200]
        raise ScaleError(f"no Ray cluster at {address!r} ({why}): start one with ray start --head") from None


def tolerate(context: DataContext) -> None:
    """Set Ray Data for a job: silent, and a batch that its workers did not survive does not end it."""
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    context.enable_auto_log_stats = False
    context.max_errored_blocks = -1
    context.max_consecutive_actor_init_deaths = 3


class _WithoutRay:
    """A stream without what Ray's listening threads print: standard output is the report's. It is in Ray's logs."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """As of a text stream."""
        if threading.current_thread().name.startswith("ray_"):
            return len(text)
        return int(self._stream.write(text))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def _no_stderr() -> Iterator[None]:
    """Within it nothing is written to file 2: Ray's C++ part says there which level of logs it was told to keep."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
