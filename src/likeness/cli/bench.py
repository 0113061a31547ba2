"""``likeness bench``"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from likeness.cli.bar import Bar
from likeness.cli.say import FAILED, note, plain_errors


def bench(
    protocol: Annotated[str, typer.Argument(metavar="PROTOCOL", help="Such as own-folder; list shows them all.")],
    method: Annotated[
        list[str] | None, typer.Option(help="Method with options, such as likeness:steps=1; several times.")
    ] = None,
    data: Annotated[
        Path | None, typer.Option(metavar="DIR", help="The data set's folder, or your photographs.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="DIR", help="Folder for pictures and results.")
    ] = None,
    reference: Annotated[
        Path | None, typer.Option(metavar="DIR", help="The reference set of FID, where it is not where it belongs.")
    ] = None,
    metrics: Annotated[str | None, typer.Option(metavar="A,B,...", help="Other metrics than the protocol's.")] = None,
    recipe: Annotated[str | None, typer.Option(help="own-folder only: another degradation than idm.")] = None,
    draws: Annotated[
        int | None, typer.Option(metavar="K", help="own-folder only: degrade each picture K times, by K seeds.")
    ] = None,
    aligned: Annotated[bool, typer.Option("--aligned", help="own-folder only: ready 512x512 face crops.")] = False,
    recognizer: Annotated[str, typer.Option(help="Whose identity distance is measured.")] = "dlib",
    seed: Annotated[int, typer.Option(help="Of the methods; the degradation's is the protocol's.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps")] = "auto",
    precision: Annotated[str, typer.Option(help="auto, fp32, bf16 or fp16")] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Run a named protocol: degrade, restore, measure, and print the figures with intervals beside published ones.

    Writes DIR/result.json, result.md and values.csv; run again, it goes on where it was. Exit status: 0 all good,
    1 some method or picture failed, 2 wrong use.
    """
    from likeness.study.protocols import find, protocols

    if protocol == "list":
        for one in protocols():
            typer.echo(f"{one.name}: {one.title}")
        return
    with plain_errors():
        chosen = find(protocol)
        from likeness.pipeline import Settings
        from likeness.study.bench import run_bench
        from likeness.study.contenders import parse_contenders

        with Bar("measuring") as bar:
            done = run_bench(
                chosen,
                parse_contenders(method or ["likeness"]),
                output or Path(f"bench-{protocol}"),
                data=data,
                reference=reference,
                metrics=metrics.split(",") if metrics else None,
                recipe=recipe,
                draws=draws,
                aligned=True if aligned else None,
                settings=Settings(seed=seed, device=device, precision=precision),
                recognizer=recognizer,
                progress=bar,
            )
    for failure in done.failures:
        note(f"failed: {failure}")
    typer.echo(json.dumps(done.document, ensure_ascii=False) if as_json else done.text, nl=as_json)
    if done.failures:
        raise typer.Exit(FAILED)
