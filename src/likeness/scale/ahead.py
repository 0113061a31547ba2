"""Work done ahead on a Ray cluster: workers do the parts of a command whose results are kept, the command then finds
them done and writes its report as if it had done them itself.

So nothing depends on the cluster but the time: a part that no worker lived to do is done, or told of, by the command.
"""

from __future__ import annotations

import json
import os
import socket
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from likeness.methods import METHODS
from likeness.scale.cluster import LOCAL, Pool, ScaleError, connected, tolerate

BATCH = 32  # parts that a worker gets at once, at most
RETRIES = 2  # of a batch whose worker ended

Do = Callable[[Sequence[int]], Any]
Progress = Callable[[int, int], None]


class Work(Protocol):
    """What to do; it travels to the workers, so it holds plain data only."""

    def open(self) -> Do:
        """Called once in each worker: what does the parts of these numbers; its answer, plain data, travels back.

        Raises ValueError, OSError or ImportError for what is wrong there, in one line.
        """
        ...


class Hand:
    """For ``Dataset.map_batches``: numbers of parts -> the answer for all of them, and what is wrong here."""

    def __init__(self, work: Work, here: str, methods: Mapping[str, str]) -> None:
        self.problem: str | None = None
        try:
            if Path(here).is_dir():
                os.chdir(here)
            METHODS.update(methods)
            self.do = work.open()
        except KeyError as error:
            self.problem = str(error.args[0])
        except (ValueError, OSError) as error:  # OptionError, WeightsError, PhotoError, ... are ValueErrors
            self.problem = str(error)
        except ImportError as error:
            self.problem = f"{error} (on {socket.gethostname()}): install the same there as here"

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[Any]]:
        numbers = [int(number) for number in batch["number"]]
        answer = None if self.problem is not None else self.do(numbers)
        return {"count": [len(numbers)], "answer": [json.dumps(answer)], "problem": [self.problem or ""]}


def work_ahead(
    work: Work,
    count: int,
    take: Callable[[Any], None],
    *,
    address: str = LOCAL,
    pool: Pool | None = None,
    progress: Progress = lambda done, total: None,
) -> int:
    """Have ``count`` parts done by workers; ``take`` is given each answer. Returns how many parts were lost.

    ``address`` and ``pool`` as for ``connected``. A worker that ends is replaced and its batch done again, twice at
    most; then its parts are lost. Raises ScaleError for what is wrong with the cluster or in its workers.
    """
    pool = pool or Pool()
    if not count:
        return 0
    done = 0
    with connected(address, pool) as workers:
        rows = max(1, min(BATCH, count // (4 * workers)))
        for answered, answer, problem in _answers(work, count, pool, min(workers, count), rows):
            if problem:
                raise ScaleError(problem)
            take(answer)
            done += answered
            progress(done, count)
    return count - done


def _answers(work: Work, count: int, pool: Pool, workers: int, rows: int) -> Iterator[tuple[int, Any, str]]:
    import ray.data
    from ray.data import ActorPoolStrategy
    from ray.exceptions import RayError

    items = [{"number": number} for number in range(count)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of max_task_retries, which has no other way in yet
        dataset = ray.data.from_items(items, override_num_blocks=-(-count // rows)).map_batches(
            Hand,
            fn_constructor_args=(work, str(Path.cwd()), dict(METHODS)),
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
            for answered, answer, problem in zip(batch["count"], batch["answer"], batch["problem"], strict=True):
                yield int(answered), json.loads(answer), str(problem)
    except RayError as error:
        lines = [line for line in str(error).splitlines() if line.strip()]
        raise ScaleError(f"the workers could not be started: {lines[-1].strip() if lines else error!r}") from None
