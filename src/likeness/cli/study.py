"""``likeness study``"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from likeness.cli.say import note, plain_errors, stop

app = typer.Typer(no_args_is_help=True, help="Ask people which results they prefer, and see what they said.")
Folder = Annotated[Path, typer.Argument(metavar="DIR", help="What likeness compare wrote: DIR/<method>/<picture>.")]


@app.command("rate")
def rate(
    folder: Folder,
    host: Annotated[str, typer.Option(help="Another address than loopback lets others take part.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any that is free.")] = 7870,
    pairs: Annotated[int, typer.Option(min=1, help="How many pairs each rater is asked.")] = 40,
    question: Annotated[
        str, typer.Option(metavar="TEXT|identity", help="identity: who is more like DIR/truth.")
    ] = "Which face looks better?",
    seed: Annotated[int, typer.Option(help="Of the lots that decide between equals.")] = 0,
) -> None:
    """Serve a blind study of pairs till Ctrl-C; answers are kept in DIR/ratings.sqlite, and more can follow."""
    from likeness.study.rating.server import RatingServer, prepare

    with plain_errors():
        study = prepare(folder, question=question, pairs=pairs, seed=seed)
        try:
            server = RatingServer(study, host, port)
        except OSError as error:
            stop(f"cannot serve at {host}, port {port}: {error.strerror}; choose others by --host and --port")
    material = study.material
    for line in material.left_out:
        note(f"left out: {line}")
    note(f"{len(material.pictures)} pictures by {', '.join(material.methods)}; {study.total} pairs for each rater")
    if host not in ("127.0.0.1", "::1", "localhost"):
        note("anyone who can reach this address can take part")
    note(f"asking at {server.url} (Ctrl-C ends)")
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        note(f"ended; likeness study result {folder} says what was found")
    finally:
        server.server_close()


@app.command("result")
def result(
    folder: Folder,
    seed: Annotated[int, typer.Option(help="Of the bootstrap: same seed, same intervals.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Preferences with 95 % intervals, and how each metric of DIR/measure.json agrees with them."""
    from likeness.study.rating.outcome import summarise

    with plain_errors():
        found = summarise(folder, seed=seed)
    for line in found["notes"]:
        note(line)
    if as_json:
        typer.echo(json.dumps(found, ensure_ascii=False))
        return
    _print(found)


def _print(found: dict[str, Any]) -> None:
    from rich import box
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console(width=None if sys.stdout.isatty() else 120)

    def say(text: str) -> None:
        console.print(text, markup=False, highlight=False, soft_wrap=True)

    for question in found["questions"]:
        say(question["question"])
        say(
            f"{question['votes']} votes, {question['raters']} raters, {question['pictures']} pictures; no difference: "
            f"{question['no_difference']}; median time {question['median_seconds']} s"
        )
        table = Table(box=box.SIMPLE)
        for column in ("method", "votes", "preferred %", "strength", "first of all %"):
            table.add_column(column, justify="left" if column == "method" else "right", no_wrap=column != "method")
        for row in question["methods"]:
            cells = _shown(row["share"], 100, 1), _shown(row["strength"], 1, 2), _shown(row["first_choice"], 100, 1)
            table.add_row(escape(row["method"]), str(row["votes"]), *cells)
        console.print(table)
        if question["metrics"]:
            table = Table(box=box.SIMPLE)
            for column in ("metric", "better", "methods", "Spearman", "Kendall"):
                table.add_column(column, justify="left" if column in ("metric", "better") else "right")
            for row in question["metrics"]:
                better = "higher" if row["higher_is_better"] else "lower"
                rho, tau = ("-" if row[k] is None else f"{row[k]:+.2f}" for k in ("spearman", "kendall"))
                table.add_row(escape(row["metric"]), better, str(row["n"]), rho, tau)
            console.print(table)
    say("In brackets: 95 % intervals, bootstrapped over pictures and raters.")
    say("preferred: share of its own votes; 50 is chance, and no difference counts half.")
    say(f"strength: Bradley-Terry, log, mean 0; {found['prior']:g} wins are added each way between every two methods.")
    say("first of all: the chance to be chosen if all were shown at once, inferred from the strengths.")
    if any(question["metrics"] for question in found["questions"]):
        say("Spearman, Kendall: rank correlation with the strengths; +1: what the metric prefers, people prefer.")


def _shown(one: dict[str, float | None], scale: float, digits: int) -> str:
    value, low, high = ("?" if v is None else f"{v * scale:.{digits}f}" for v in one.values())
    return f"{value} [{low}, {high}]"
