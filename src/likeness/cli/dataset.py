"""``likeness dataset``"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from likeness.cli import dataset_make
from likeness.cli.bar import Bar, bytes_bar
from likeness.cli.cluster import Cpus, Gpus, Ray, Workers
from likeness.cli.cluster import pool as pool_of
from likeness.cli.say import FAILED, note, plain_errors, stop

if TYPE_CHECKING:
    from likeness.study.datasets import Dataset

app = typer.Typer(no_args_is_help=True, help="Data sets: of the papers (list, show, fetch), and your own.")

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
Name = Annotated[str, typer.Argument(metavar="NAME", help="A data set; see likeness dataset list.")]

app.command("align")(dataset_make.align)
app.command("filter")(dataset_make.filter_)
app.command("split")(dataset_make.split)
app.command("pack")(dataset_make.pack)


@app.command("list")
def list_datasets(as_json: AsJson = False) -> None:
    """A table of the data sets: pictures, licence, how one comes by them, whether they are here."""
    from likeness.study.datasets import datasets

    with plain_errors():
        rows = [_row(dataset) for dataset in datasets()]
    if as_json:
        typer.echo(json.dumps({"datasets": rows}, ensure_ascii=False))
        return
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE)
    for column in ("name", "pictures", "to be had", "here"):
        table.add_column(column, no_wrap=True, justify="right" if column == "pictures" else "left")
    table.add_column("licence", ratio=2)
    table.add_column("what", ratio=3)
    for row in rows:
        pictures = "?" if row["count"] is None else f"{row['count']:,}"
        licence = row["licence"] or "none is known"
        table.add_row(row["name"], pictures, row["access"], row["here"], licence, row["title"])
    Console(width=None if sys.stdout.isatty() else 200).print(table)


@app.command("show")
def show(name: Name, as_json: AsJson = False) -> None:
    """All that is known about a data set: what it is, its licence, its layout, how to get it and where to put it."""
    from likeness.study.datasets import find

    with plain_errors():
        row = _row(find(name))
    if as_json:
        typer.echo(json.dumps(row, ensure_ascii=False))
        return
    typer.echo(f"{row['title']} ({row['name']})")
    for what in ("what", "count", "size", "licence", "permits", "page", "access", "how", "note", "used_by"):
        value = row[what]
        if value not in (None, "", ()):
            typer.echo(f"  {what.replace('_', ' ')}: {', '.join(value) if isinstance(value, tuple) else value}")
    for part in row["parts"]:
        count = "" if part["count"] is None else f"{part['count']:,} "
        typer.echo(f"  {part['role']}: {count}pictures {' or '.join(part['globs'])}: {part['meaning']}")
    typer.echo(f"  here: {row['here'] or 'no'}; looked for in {' and '.join(row['places'])}")


@app.command("fetch")
def fetch(
    name: Name,
    accept_licence: Annotated[
        bool, typer.Option("--accept-licence", help="Accept the licence that likeness dataset show shows.")
    ] = False,
) -> None:
    """Fetch a data set that may be fetched freely, and unpack it. Exit status: 0 it is here, 1 it could not be had."""
    from likeness.study import datasets, fetching

    with plain_errors():
        datasets.find(name)
        try:
            with bytes_bar(name) as bar:
                folder = fetching.fetch(name, accept_licence, note, bar)
        except datasets.DatasetLicenceError as error:
            stop(str(error))
        except datasets.DatasetError as error:
            stop(str(error), FAILED)
    note(f"{name}: {folder}")


@app.command("refine")
def refine(
    sources: Annotated[list[str], typer.Argument(metavar="SOURCE...", help="Folders or tar shards of aligned faces.")],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="DIR", help="Folder for the refined set.")],
    method: Annotated[str, typer.Option(help="Method with options, such as likeness:steps=2.")] = "likeness:steps=1",
    identity_limit: Annotated[
        float, typer.Option(min=0, help="A face that moves further stays as it was, and is named.")
    ] = 0.4,
    limit_count: Annotated[int | None, typer.Option(min=1, metavar="N", help="Only the first N pictures.")] = None,
    seed: Annotated[int, typer.Option(help="Same seed, same pixels.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps")] = "auto",
    precision: Annotated[str, typer.Option(help="auto, fp32, bf16 or fp16")] = "auto",
    ray: Ray = None,
    workers: Workers = 0,
    cpus_per_worker: Cpus = 1.0,
    gpus_per_worker: Gpus = 0.0,
    as_json: AsJson = False,
) -> None:
    """Restore a whole training set of aligned 512x512 faces, to train the next model on it.

    Writes DIR/refined, DIR/manifest.jsonl and DIR/summary.json; run again, it goes on where it was. Exit status: 0 all
    good, 1 some picture failed, 2 wrong use.
    """
    with plain_errors():
        from likeness.pipeline import Settings
        from likeness.study.contenders import parse_contender
        from likeness.train.refine import refine as refine_set

        one = parse_contender(method)
        settings = Settings(
            method=one.method,
            options=one.options,
            weights=one.weights,
            seed=seed,
            identity_limit=identity_limit,
            device=device,
            precision=precision,
        )
        pool = pool_of(ray, workers, cpus_per_worker, gpus_per_worker)
        refine_all = refine_set
        if ray is not None:
            from likeness.scale.refine import refine_on_cluster

            refine_all = partial(refine_on_cluster, address=ray, pool=pool)
        with Bar("refining") as bar:
            summary = refine_all(sources, output, settings, limit_count=limit_count, progress=bar)
    for failure in summary["failed"]:
        note(f"failed: {failure['name']}: {failure['reason']}")
    if as_json:
        typer.echo(json.dumps(summary, ensure_ascii=False))
    else:
        _say_refined(summary, output)
    if summary["failed"]:
        raise typer.Exit(FAILED)


def _say_refined(summary: dict[str, Any], output: Path) -> None:
    counts, means = summary["counts"], summary["means_of_refined"]
    typer.echo(f"{output}: {counts['refined']} refined, {counts['kept']} kept as they were, {counts['failed']} failed")
    for one in summary["kept"][:10]:
        typer.echo(f"  kept: {one['name']}: {one['reason']}")
    if len(summary["kept"]) > 10:
        typer.echo(f"  and {len(summary['kept']) - 10} more, named in {output / 'summary.json'}")
    for what, name, unit in (
        ("identity distance", "identity_distance", ""),
        ("PSNR to the original", "psnr", " dB"),
    ):
        if means[name] is not None:
            typer.echo(f"  {what}: {means[name]:.3g}{unit}")
    for what, name in (("sharpness", "sharpness"), ("NIQE", "niqe")):
        before, after = means[f"{name}_before"], means[f"{name}_after"]
        if before is not None and after is not None:
            typer.echo(f"  {what}: {before:.3g} before, {after:.3g} after")


def _row(dataset: Dataset) -> dict[str, Any]:
    from likeness.study.datasets import places

    facts = asdict(dataset) | {"access": dataset.access, "places": [str(place) for place in places(dataset.name)]}
    return facts | _presence(dataset)


def _presence(dataset: Dataset) -> dict[str, str]:
    """ "yes", "incomplete" or "", of the first folder that there is, as ``locate`` decides."""
    from likeness.study.datasets import DatasetError, locate, places

    try:
        return {"here": "yes", "path": str(locate(dataset.name))}
    except DatasetError:
        present = [place for place in places(dataset.name) if place.is_dir()]
        return {"here": "incomplete" if present else "", "path": str(present[0]) if present else ""}
