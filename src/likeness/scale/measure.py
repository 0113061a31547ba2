"""``likeness measure`` on a cluster: workers compute values and send them, the command finds them kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from likeness.measure.cache import Cache
from likeness.scale.ahead import Do, work_ahead
from likeness.scale.cluster import LOCAL, Pool
from likeness.study.folder import CACHE, measure_ahead, measure_folder
from likeness.study.measuring import Measurement
from likeness.weights.store import home


class Sent(Cache):
    """Values on their way to the driver, in memory."""

    def __init__(self) -> None:
        self.new: dict[str, np.ndarray] = {}

    def get(self, keys: Iterable[str]) -> dict[str, np.ndarray]:
        """Those of them that were computed and not yet sent."""
        return {key: self.new[key] for key in keys if key in self.new}

    def put(self, vectors: Mapping[str, np.ndarray]) -> None:
        """Send these with the next answer."""
        self.new.update(vectors)

    def close(self) -> None:
        """Nothing is open."""


@dataclass(frozen=True)
class MeasureWork:
    """The arguments of ``measure_folder``."""

    folder: Path
    metrics: tuple[str, ...]
    options: dict[str, Any] = field(default_factory=dict)

    def open(self) -> Do:
        """What answers with the values of the parts of some numbers, by their keys."""
        sent = Sent()
        ahead = measure_ahead(sent, self.folder, self.metrics, **self.options)

        def measure(numbers: Sequence[int]) -> dict[str, list[float]]:
            ahead.measure(numbers)
            values, sent.new = sent.new, {}
            return {key: vector.tolist() for key, vector in values.items()}

        return measure


def measure_on_cluster(
    folder: Path,
    metrics: Sequence[str],
    *,
    address: str = LOCAL,
    pool: Pool | None = None,
    cache: Path | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
    **options: Any,
) -> Measurement:
    """As ``study.folder.measure_folder`` with the same ``options``, on the cluster at ``address``: the same values.

    Folders are paths that all machines share. What no worker lived to measure is measured here. Raises what
    ``measure_folder`` raises, and ScaleError.
    """
    work = MeasureWork(folder, tuple(metrics), options)
    where = cache or home() / CACHE
    with Cache(where) as kept:
        count = len(measure_ahead(kept, folder, metrics, **options).parts)

        def take(values: dict[str, list[float]]) -> None:
            kept.put({key: np.array(vector, np.float64) for key, vector in values.items()})

        work_ahead(work, count, take, address=address, pool=pool, progress=progress)
    return measure_folder(folder, metrics, cache=where, **options)
