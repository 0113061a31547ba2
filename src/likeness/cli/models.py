"""``likeness models``"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from likeness.cli.say import note, plain_errors

app = typer.Typer(no_args_is_help=True, help="What methods there are: paper, licence, weights.")


@app.command("list")
def list_models() -> None:
    """A table of the methods."""
    from rich.console import Console
    from rich.table import Table

    from likeness.methods import METHODS, card

    table = Table("method", "kind", "licence", "weights", "paper")
    for name in METHODS:
        facts = card(name)
        table.add_row(name, facts.kind, facts.licence, "; ".join(facts.checkpoints.values()), facts.paper)
    Console().print(table)


@app.command("show")
def show(method: Annotated[str, typer.Argument()]) -> None:
    """All that is known about one method, and its options."""
    from likeness.methods import card

    with plain_errors():
        facts = card(method)
    typer.echo(f"{facts.title} ({facts.name})\npaper: {facts.paper}\nlicence: {facts.licence}\nkind: {facts.kind}")
    for role, where in facts.checkpoints.items():
        typer.echo(f"weights: {role}: {where}")
    for option in facts.options:
        typer.echo(f"--{option.name} {option.default} ({option.low} to {option.high}): {option.help}")


@app.command("convert")
def convert(
    checkpoint: Annotated[Path, typer.Argument(metavar="FILE.ckpt", help="A checkpoint of likeness train.")],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FILE.safetensors")],
) -> None:
    """Write the averaged weights of a checkpoint as fp16 safetensors, for restore --weights."""
    from likeness.train.checkpoint import export_averaged

    with plain_errors():
        metadata = export_averaged(checkpoint, output)
    note(f"{output}: {metadata['method']}, {metadata['steps']} steps, {output.stat().st_size / 1e6:.1f} MB")
