"""``likeness measure``"""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from likeness.cli.bar import Bar
from likeness.cli.cluster import Cpus, Gpus, Ray, Workers
from likeness.cli.cluster import pool as pool_of
from likeness.cli.say import FAILED, note, plain_errors


def measure(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The pictures to measure.")],
    truth: Annotated[Path | None, typer.Option(metavar="DIR", help="The true pictures, of the same names.")] = None,
    reference: Annotated[
        Path | None, typer.Option(metavar="DIR", help="A set of real pictures, for FID and the like.")
    ] = None,
    degraded: Annotated[
        Path | None, typer.Option(metavar="DIR", help="What likeness degrade wrote, for consistency.")
    ] = None,
    metrics: Annotated[
        str | None, typer.Option(metavar="A,B,...", help="Names of metrics; all prints what there is.")
    ] = None,
    aligned: Annotated[bool, typer.Option("--aligned", help="The pictures are aligned face crops.")] = False,
    detector: Annotated[str, typer.Option(help="Finds the faces that identity is measured on.")] = "dlib",
    recognizer: Annotated[str, typer.Option(help="Whose identity distance is measured.")] = "dlib",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps")] = "auto",
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="DIR", help="Folder for values.json and values.csv.")
    ] = None,
    ray: Ray = None,
    workers: Workers = 0,
    cpus_per_worker: Cpus = 1.0,
    gpus_per_worker: Gpus = 0.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Measure pictures, with 95 % intervals. What was measured before is not measured again.

    Exit status: 0 all good, 1 some picture could not be measured (it says which and why), 2 wrong use. A metric that
    cannot be had here says what to type, and is no failure.
    """
    from likeness.measure.cards import BY_NAME, DEFAULT
    from likeness.photo import atomic_write_text
    from likeness.study.folder import measure_folder
    from likeness.study.scores import as_csv, as_dict

    names = DEFAULT if metrics is None else tuple(BY_NAME) if metrics == "all" else tuple(metrics.split(","))
    with plain_errors():
        pool = pool_of(ray, workers, cpus_per_worker, gpus_per_worker)
        measure_all = measure_folder
        if ray is not None:
            from likeness.scale.measure import measure_on_cluster

            measure_all = partial(measure_on_cluster, address=ray, pool=pool)
        with Bar("measuring") as bar:
            measured = measure_all(
                folder,
                names,
                truth=truth,
                reference=reference,
                degraded=degraded,
                aligned=aligned,
                detector=detector,
                recognizer=recognizer,
                device=device,
                progress=bar,
            )
        document = as_dict(measured)
        if output is not None:
            atomic_write_text(output / "values.json", json.dumps(document, indent=1, ensure_ascii=False) + "\n")
            atomic_write_text(output / "values.csv", as_csv(measured.rows, names))
    for problem in measured.problems:
        note(f"failed: {problem}")
    if as_json:
        typer.echo(json.dumps(document, ensure_ascii=False))
    else:
        _table(measured)
    if measured.problems:
        raise typer.Exit(FAILED)


def _table(measured) -> None:  # type: ignore[no-untyped-def]  # the class would import torch
    from rich.console import Console
    from rich.table import Table

    from likeness.study.scores import cell, heading

    table = Table(title=f"{len(measured.rows)} pictures, 95 % intervals", title_justify="left")
    table.add_column("metric")
    table.add_column("value", justify="right")
    table.add_column("pictures", justify="right")
    table.add_column("what it is")
    for score in measured.scores.values():
        left_out = f" ({score.left_out} left out)" if score.left_out else ""
        about = score.card.source if score.unavailable is None else f"not available: {score.unavailable}"
        table.add_row(heading(score.card), cell(score), f"{score.count}{left_out}", about)
    Console().print(table)
