"""Rows handed out to workers of a Ray cluster in batches; what every job on a cluster has in common."""

from __future__ import annotations

import os
import socket
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from likeness.methods import METHODS
from likeness.scale.cluster import Pool, ScaleError, tolerate

BATCH = 32  # rows that a worker gets at once, at most; what a worker that is killed had in hand is looked at again
RETRIES = 2  # of a batch whose worker ended


def rows_each(rows: int, workers: int) -> int:
    """Rows to a batch: few enough that every worker gets several."""
    return max(1, min(BATCH, rows // (4 * workers)))


def answers(
    worker: type, told: tuple[Any, ...], rows: Sequence[dict[str, Any]], pool: Pool, workers: int, size: int
) -> Iterator[dict[str, Any]]:
    """What ``worker(*told)`` answers to batches of ``size`` rows, by column, in the order in which they come.

    A worker that ends is replaced and its batch done again, twice at most; then the batch has no answer. Raises
    ScaleError when the workers cannot be started.
    """
    import ray.data
    from ray.data import ActorPoolStrategy
    from ray.exceptions import RayError

    with warnings.catch_warnings():
        # max_task_retries has no other way in before Ray 2.64; without it one bad row kills workers for ever
        warnings.simplefilter("ignore", DeprecationWarning)
        dataset = ray.data.from_items(list(rows), override_num_blocks=-(-len(rows) // size)).map_batches(
            worker,
            fn_constructor_args=told,
            batch_size=size,
            compute=ActorPoolStrategy(min_size=1, max_size=workers, initial_size=workers),
            num_cpus=pool.cpus,
            num_gpus=pool.gpus or None,
            max_restarts=-1,
            max_task_retries=RETRIES,
        )
    tolerate(dataset.context)
    try:
        for batch in dataset.iter_batches(batch_size=None, prefetch_batches=0):
            yield {name: column.tolist() for name, column in batch.items()}
    except RayError as error:
        lines = [line for line in str(error).splitlines() if line.strip()]
        raise ScaleError(f"the workers could not be started: {lines[-1].strip() if lines else error!r}") from None


def problem_with(prepare: Callable[[], None], here: str, methods: Mapping[str, str]) -> str | None:
    """Go to the driver's folder ``here``, know its ``methods``, and ``prepare``: what is wrong here, in one line.

    A worker keeps it and answers with it, since an exception in its constructor would reach the driver as a traceback.
    """
    try:
        if Path(here).is_dir():
            os.chdir(here)
        METHODS.update(methods)
        prepare()
    except KeyError as error:
        return str(error.args[0])
    except (ValueError, OSError) as error:  # OptionError, WeightsError, PhotoError, ... are ValueErrors
        return str(error)
    except ImportError as error:
        return f"{error} (on {socket.gethostname()}): install the same there as here"
    return None
