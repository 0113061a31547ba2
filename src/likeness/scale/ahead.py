"""Work done ahead on a Ray cluster: workers do the parts of a command whose results are kept, the command then finds
them done and writes its report as if it had done them itself.

So nothing depends on the cluster but the time: a part that no worker lived to do is done, or told of, by the command.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from likeness.methods import METHODS
from likeness.scale.batches import answers, problem_with, rows_each
from likeness.scale.cluster import LOCAL, Pool, ScaleError, connected

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
        self.work = work
        self.problem = problem_with(self._open, here, methods)

    def _open(self) -> None:
        self.do = self.work.open()

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
        rows = [{"number": number} for number in range(count)]
        told = (work, str(Path.cwd()), dict(METHODS))
        for batch in answers(Hand, told, rows, pool, min(workers, count), rows_each(count, workers)):
            for answered, answer, problem in zip(batch["count"], batch["answer"], batch["problem"], strict=True):
                if problem:
                    raise ScaleError(problem)
                take(json.loads(answer))
                done += answered
                progress(done, count)
    return count - done
