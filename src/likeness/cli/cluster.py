"""The options of ``--ray`` that commands share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from likeness.scale.cluster import Pool

Ray = Annotated[
    str | None,
    typer.Option(
        "--ray", metavar="ADDRESS", help="On a Ray cluster: local starts one here, auto finds one, or HOST:PORT."
    ),
]
Workers = Annotated[int, typer.Option("--workers", help="With --ray: how many; 0 is as many as fit.")]
Cpus = Annotated[float, typer.Option("--cpus-per-worker", help="With --ray: CPUs that a worker takes.")]
Gpus = Annotated[
    float, typer.Option("--gpus-per-worker", help="With --ray: GPUs that a worker takes; 0.5 is two workers to a GPU.")
]


def pool(ray: str | None, workers: int, cpus: float, gpus: float) -> Pool | None:
    """The workers, or None without a cluster. Raises ValueError for options that are for one, and ScaleError."""
    if ray is None:
        if (workers, cpus, gpus) != (0, 1.0, 0.0):
            raise ValueError("--workers, --cpus-per-worker and --gpus-per-worker are for --ray: add --ray local")
        return None
    from likeness.scale.cluster import Pool

    return Pool(workers, cpus, gpus)
