"""``likeness dataset refine`` on a cluster: workers refine pictures into the shared folder, the command reports."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from likeness.pipeline import Settings
from likeness.scale.ahead import Do, work_ahead
from likeness.scale.cluster import LOCAL, Pool, ScaleError
from likeness.train.refine import Refining


@dataclass(frozen=True)
class RefineWork:
    """The arguments of ``refine``, and ``key``: how the driver would compute."""

    sources: tuple[str, ...]
    output: Path
    settings: Settings
    limit_count: int | None
    key: str

    def open(self) -> Do:
        """Raises ScaleError when this machine would compute in another way than the driver."""
        job = Refining(self.sources, self.output, self.settings, self.limit_count)
        if job.key != self.key:
            raise ScaleError(
                "a worker does not compute as this machine does: give --device and --precision, and use the same "
                "version everywhere"
            )
        if not (self.output / "refined").is_dir():
            raise ScaleError(f"{self.output}: a worker does not see this folder: give one on a disk that all share")
        return job.refine


def refine_on_cluster(
    sources: Sequence[str],
    output: Path,
    settings: Settings,
    *,
    address: str = LOCAL,
    pool: Pool | None = None,
    limit_count: int | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Any]:
    """As ``train.refine.refine``, on the cluster at ``address``: the same files and the same summary.

    Sources and output are paths that all machines share. Pictures that no worker lived to refine are refined here.
    Raises what ``refine`` raises, and ScaleError.
    """
    job = Refining(sources, output, settings, limit_count)
    job.begin()
    work = RefineWork(tuple(sources), output, settings, limit_count, job.key)
    work_ahead(work, len(job.items), lambda answer: None, address=address, pool=pool, progress=progress)
    job.refine(range(len(job.items)))
    return job.report()
