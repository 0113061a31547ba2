"""``likeness models``"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from likeness.cli.bar import bytes_bar
from likeness.cli.say import FAILED, note, plain_errors, stop

if TYPE_CHECKING:
    from likeness.weights.catalogue import Entry

app = typer.Typer(no_args_is_help=True, help="Methods and their weights: list, show, pull, add, verify, convert.")

FLAGS = ("steps", "fidelity")  # options of methods that have a flag of their own in likeness restore
Names = Annotated[list[str], typer.Argument(metavar="NAME...", help="Names of weights, or of methods.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


@app.command("list")
def list_models(
    licence: Annotated[str, typer.Option(help="any, or permissive: only what permits commercial use")] = "any",
    as_json: AsJson = False,
) -> None:
    """A table of the weights: method, size, whether they are here, licence, paper."""
    if licence not in ("any", "permissive"):
        stop(f"--licence must be any or permissive, got {licence!r}")
    rows = [row for row in _rows() if licence == "any" or not row["non_commercial"]]
    if as_json:
        typer.echo(json.dumps({"weights": rows}, ensure_ascii=False))
        return
    from rich import box
    from rich.console import Console
    from rich.table import Table

    console = Console(width=None if sys.stdout.isatty() else 200)
    table = Table(box=box.SIMPLE)
    for column in ("name", "method", "size", "here", "commercial use"):
        table.add_column(column, no_wrap=column != "commercial use", justify="right" if column == "size" else "left")
    table.add_column("licence", ratio=2)
    table.add_column("paper", ratio=5)
    before: tuple[str, str] | None = None
    for row in rows:
        long = row["licence"], row["paper"]
        size = "?" if row["bytes"] is None else f"{row['bytes'] / 1e6:.0f} MB"
        here = {"here": "yes", "absent": ""}.get(row["state"], row["state"])
        if long != before and before:
            table.add_section()
        table.add_row(
            row["name"], row["method"], size, here, "no" if row["non_commercial"] else "yes",
            *(long if long != before else ("", "")),
        )  # fmt: skip
        before = long
    console.print(table)


@app.command("show")
def show(
    name: Annotated[str, typer.Argument(help="A method, or weights.")],
    as_json: AsJson = False,
) -> None:
    """All that is known about one method and its options, or about one file of weights."""
    from likeness.methods import METHODS, card
    from likeness.weights.catalogue import entries

    rows = {row["name"]: row for row in _rows()}
    if name not in METHODS and name not in rows and not any(name == one.method for one in entries()):
        stop(f"no method and no weights are called {name!r}; likeness models list shows the names")
    facts = asdict(card(name)) if name in METHODS else {}
    weights = [row for row in rows.values() if name in (row["name"], row["method"])]
    if as_json:
        typer.echo(json.dumps({"method": facts or None, "weights": weights}, ensure_ascii=False))
        return
    if facts:
        typer.echo(f"{facts['title']} ({facts['name']})\npaper: {facts['paper']}\nlicence: {facts['licence']}")
        typer.echo(f"kind: {facts['kind']}")
        for role, where in facts["checkpoints"].items():
            typer.echo(f"weights: {role}: {where}")
        for option in facts["options"]:
            flag = "--{name} {default}" if option["name"] in FLAGS else "--option {name}={default}"
            typer.echo((flag + " ({low} to {high}): {help}").format(**option))
    for row in weights:
        typer.echo(f"\n{row.pop('name')}")
        for what, value in row.items():
            if value not in (None, "", (), {}):
                typer.echo(f"  {what}: {', '.join(value) if isinstance(value, tuple) else value}")


@app.command("pull")
def pull(
    names: Names,
    accept_licence: Annotated[
        bool, typer.Option("--accept-licence", help="Accept non-commercial licences without being asked.")
    ] = False,
) -> None:
    """Fetch weights, checked by their sha256. Exit status: 0 all are here, 1 some could not be had, 2 wrong use."""
    from likeness.weights import store
    from likeness.weights.errors import WeightsError

    failed = False
    with plain_errors():
        wanted = _found(names)
        for entry in wanted:  # before anything is fetched
            if store.asks(entry) and not accept_licence and not _agreed(entry):
                stop(f"{store.terms(entry)} To accept, type likeness models pull {entry.name} --accept-licence")
        for entry in wanted:
            try:
                with bytes_bar(entry.name) as bar:
                    path = store.pull(entry, accept_licence or store.asks(entry), bar, note)
                note(f"{entry.name}: {path} ({(store.size(entry) or 0) / 1e6:.1f} MB)")
            except WeightsError as error:
                note(f"likeness: {error}")
                failed = True
    if failed:
        raise typer.Exit(FAILED)


@app.command("add")
def add(
    name: Annotated[str, typer.Argument(help="The weights that the file holds; see likeness models list.")],
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What you got by hand.")],
) -> None:
    """Put a file that you got by hand among the pulled weights, checked as they are."""
    from likeness.weights import store
    from likeness.weights.errors import WeightsError

    with plain_errors():
        (entry,) = _found([name])
        try:
            note(f"{entry.name}: {store.add(entry, file, note)}")
        except WeightsError as error:
            stop(str(error), FAILED)


@app.command("verify")
def verify(
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME...]", help="Default: all that are here.")] = None,
    as_json: AsJson = False,
) -> None:
    """Read every byte of pulled weights and compare. Exit status: 0 all are intact, 1 some are not."""
    from likeness.weights import store
    from likeness.weights.catalogue import entries
    from likeness.weights.errors import WeightsError

    results = []
    with plain_errors():
        for entry in _found(names) if names else [one for one in entries() if store.place(one).exists()]:
            result: dict[str, Any] = {"name": entry.name, "path": str(store.place(entry)), "intact": True}
            try:
                record = store.verify(entry, note)
                against = "the catalogue" if entry.sha256 else f"its first use on {record.date}"
                result |= {"sha256": record.sha256, "compared_with": against}
            except WeightsError as error:
                result |= {"intact": False, "reason": str(error)}
                note(f"likeness: {error}")
            results.append(result)
            if result["intact"] and not as_json:
                typer.echo(f"{entry.name}: intact, sha256 {result['sha256']} as in {result['compared_with']}")
    if as_json:
        typer.echo(json.dumps({"weights": results}, ensure_ascii=False))
    elif not results:
        note("no pulled weights are here")
    if not all(result["intact"] for result in results):
        raise typer.Exit(FAILED)


@app.command("convert")
def convert(
    checkpoint: Annotated[Path, typer.Argument(metavar="FILE", help=".pth, .ckpt, ...; of likeness train as well.")],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="OUT.safetensors")],
) -> None:
    """Write a checkpoint of any known method (or detector, parser, up-sampler, metric) as clean .safetensors.

    Of a checkpoint of likeness train, the averaged weights are written; the built-in model's in fp16.
    """
    from likeness.methods.recognise import convert_file
    from likeness.parts import recognise_helper
    from likeness.train.checkpoint import export_averaged, is_training_checkpoint

    with plain_errors():
        if output.suffix != ".safetensors":
            stop(f"{output}: the output must be a .safetensors file")
        if is_training_checkpoint(checkpoint):
            metadata = export_averaged(checkpoint, output)
        else:
            metadata = convert_file(checkpoint, output, helper=recognise_helper)
    what = f"{metadata['method']}, {metadata['steps']} steps" if "steps" in metadata else metadata["method"]
    note(f"{output}: {what}, {output.stat().st_size / 1e6:.1f} MB")


def _found(names: list[str]) -> list[Entry]:
    from likeness.weights.catalogue import find

    return list({entry.name: entry for entry in map(find, names)}.values())


def _rows() -> list[dict[str, Any]]:
    """Of each entry of the catalogue, and of each method whose weights are in the package."""
    from likeness.methods import METHODS, card
    from likeness.methods.resolve import BUILT_IN
    from likeness.weights import store
    from likeness.weights.builtin import builtin_path
    from likeness.weights.catalogue import entries

    rows = []
    listed = {entry.method for entry in entries()}
    for method in METHODS:
        path = builtin_path(method)
        if method not in listed:
            facts, ours = card(method), method == BUILT_IN  # of another (idm) nothing is published
            where = "in the package" if ours else next(iter(facts.checkpoints.values()))
            rows.append(
                {"name": method, "method": method, "paper": facts.paper, "licence": facts.licence, "note": where}
                | {"non_commercial": "non-commercial" in facts.licence, "path": str(path) if ours else ""}
                | {"bytes": path.stat().st_size if path.is_file() else None}
                | {"state": "here" if path.is_file() else "absent"}
            )
    for entry in entries():
        found = {"path": str(store.place(entry)), "bytes": store.size(entry), "state": store.state(entry)}
        rows.append(asdict(entry) | found)
    return [row | {"here": row["state"] == "here"} for row in rows]


def _agreed(entry: Entry) -> bool:
    """Show the licence and ask on the terminal; False when there is nobody to ask."""
    from likeness.weights import store

    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return False
    note(store.terms(entry))
    print("Do you accept this licence? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")
