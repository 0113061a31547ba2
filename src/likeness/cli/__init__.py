"""The command line: one file per command, which parses, calls and prints. No logic."""

from __future__ import annotations

import faulthandler
import sys

import typer

from likeness import __version__
from likeness.cli import (
    authenticity,
    bench,
    compare,
    dataset,
    degrade,
    doctor,
    export,
    identity,
    measure,
    models,
    restore,
    study,
    train,
    video,
    web,
)

app = typer.Typer(
    name="likeness",
    help="Restore degraded face photographs, and say honestly whether the restored face is still the same person.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("restore")(restore.restore)
app.command("video")(video.video)
app.command("degrade")(degrade.degrade)
app.command("compare")(compare.compare)
app.command("measure")(measure.measure)
app.command("authenticity")(authenticity.authenticity)
app.command("bench")(bench.bench)
app.command("train")(train.train)
app.add_typer(dataset.app, name="dataset")
app.add_typer(identity.app, name="identity")
app.add_typer(study.app, name="study")
app.add_typer(models.app, name="models")
app.command("web")(web.web)
app.command("export")(export.export)
app.command("doctor")(doctor.doctor)


def _version(value: bool) -> None:
    if value:
        typer.echo(f"likeness {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version."),
) -> None:
    pass


def main() -> None:
    """The entry point of the ``likeness`` command. A crash in a library's native code says where it was."""
    if sys.stderr is not None:  # closed by whoever started it
        faulthandler.enable()
    app()
