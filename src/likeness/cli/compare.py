"""``likeness compare``"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from likeness.cli.bar import Bar
from likeness.cli.say import FAILED, note, plain_errors


def compare(
    inputs: Annotated[
        list[str], typer.Argument(metavar="PATH...", help="Photos, folders (searched through) or globs.")
    ],
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="DIR", help="Folder for index.html, the pictures and the tables.")
    ],
    methods: Annotated[
        str | None, typer.Option(metavar="A,B,...", help="Methods, such as likeness,likeness:steps=1,gfpgan,my.pth")
    ] = None,
    method: Annotated[
        list[str] | None, typer.Option(metavar="METHOD", help="One more of them; may be repeated.")
    ] = None,
    truth: Annotated[Path | None, typer.Option(metavar="DIR", help="The true pictures, of the same names.")] = None,
    reference: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Photos of the same people, for methods that need them."),
    ] = None,
    metrics: Annotated[
        str | None, typer.Option(metavar="A,B,...", help="Metrics; see likeness measure --metrics all.")
    ] = None,
    prefer: Annotated[
        str, typer.Option(help="What the ranking goes by: fidelity, perception, identity or speed.")
    ] = "identity",
    aligned: Annotated[bool, typer.Option("--aligned", help="The pictures are ready 512x512 face crops.")] = False,
    seed: Annotated[int, typer.Option(help="Same seed, same pixels.")] = 0,
    samples: Annotated[int, typer.Option(help="K plausible faces and a map of their spread.")] = 1,
    faces: Annotated[str, typer.Option(help="all or largest")] = "all",
    detector: Annotated[str, typer.Option(help="dlib, retinaface, yunet or scrfd")] = "dlib",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps")] = "auto",
    precision: Annotated[str, typer.Option(help="auto, fp32, bf16 or fp16")] = "auto",
    shown: Annotated[int, typer.Option(metavar="N", help="At most so many photos on the page.")] = 60,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Do everything again.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print compare.json on standard output.")] = False,
) -> None:
    """Restore the same photos by several methods, measure them, and write one page that shows all of it.

    Writes DIR/index.html (opens without a network), DIR/<method>/, compare.json, values.csv and measure.json. Exit
    status: 0 all good, 1 something failed (the page says what and why), 2 wrong use. Run again: what is done and intact
    is skipped.
    """
    from likeness.study.compare import compare as run
    from likeness.study.compare import split_methods

    with plain_errors():
        asked = [*(split_methods(methods) if methods else []), *(method or [])]
        with Bar("comparing") as bar:
            found = run(
                inputs,
                output,
                asked,
                truth=truth,
                metrics=None if metrics is None else metrics.split(","),
                prefer=prefer,
                overwrite=overwrite,
                shown=shown,
                progress=bar,
                reference=reference,
                aligned=aligned,
                seed=seed,
                samples=samples,
                faces=faces,
                detector=detector,
                device=device,
                precision=precision,
            )
    for failure in found.failures:
        note(f"failed: {failure}")
    if as_json:
        typer.echo(json.dumps(found.document, ensure_ascii=False))
    else:
        typer.echo(found.table())
        typer.echo(f"\n{found.sentence}")
        note(f"see {found.page}")
    if found.failures:
        raise typer.Exit(FAILED)
