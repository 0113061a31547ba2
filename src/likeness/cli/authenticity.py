"""``likeness authenticity``"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from likeness.cli.bar import Bar
from likeness.cli.say import FAILED, note, plain_errors

if TYPE_CHECKING:
    from likeness.study.authenticity import Authenticity


def authenticity(
    inputs: Annotated[list[str], typer.Argument(metavar="PATH...", help="Clean photographs, folders or globs.")],
    method: Annotated[str, typer.Option(help="Method with options, such as likeness:steps=1.")] = "likeness",
    repeats: Annotated[int, typer.Option(help="How often each face is restored again.")] = 2,
    aligned: Annotated[bool, typer.Option("--aligned", help="The pictures are ready 512x512 face crops.")] = False,
    seed: Annotated[int, typer.Option(help="Same seed, same pixels.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps")] = "auto",
    precision: Annotated[str, typer.Option(help="auto, fp32, bf16 or fp16")] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Restore clean photographs, and restore them again: an authentic method changes nothing.

    Exit status: 0 all good, 1 some file or face failed, 2 wrong use.
    """
    from likeness.pipeline import Session, Settings
    from likeness.study.authenticity import measure_authenticity
    from likeness.study.contenders import parse_contender

    with plain_errors():
        one = parse_contender(method)
        settings = Settings(
            method=one.method,
            options=one.options,
            weights=one.weights,
            seed=seed,
            aligned=aligned,
            device=device,
            precision=precision,
        )
        with Bar("restoring") as bar:
            found = measure_authenticity([Path(path) for path in inputs], Session(settings), repeats, bar)
        restored = [face for face in found.faces if face.error is None]
        if as_json:
            typer.echo(json.dumps(_document(found, one.name), ensure_ascii=False))
        elif restored:
            _table(found, repeats)
    for problem in found.problems:
        note(f"failed: {problem}")
    if found.problems or not restored:
        raise typer.Exit(FAILED)


def _document(found: Authenticity, method: str) -> dict[str, Any]:
    faces = [
        {
            "input": face.source,
            "face": face.number,
            "error": face.error,
            "repetitions": [
                {
                    "psnr_to_clean": _number(one.psnr_to_clean),
                    "identity_to_clean": _number(one.identity_to_clean),
                    "psnr_to_last": _number(one.psnr_to_last),
                }
                for one in face.repetitions
            ],
        }
        for face in found.faces
    ]
    return {"method": method, "recognizer": found.recognizer, "faces": faces, "problems": list(found.problems)}


def _number(value: float) -> float | str:
    return round(value, 4) if math.isfinite(value) else "inf"


def _table(found: Authenticity, repeats: int) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"{found.method}, {len(found.faces)} clean faces (worst / median)", title_justify="left")
    for name in ("restored", "PSNR to the clean face", "PSNR to the one before", "identity distance, worst", "mean"):
        table.add_column(name, justify="right")
    for k in range(1, repeats + 1):
        s = found.summary(k)
        mean = f"{s.identity_to_clean.value:.3f}"
        table.add_row(f"{k} x", _pair(s.psnr_to_clean), _pair(s.psnr_to_last), f"{s.identity_to_clean_worst:.3f}", mean)
    Console().print(table)


def _pair(values: tuple[float, float]) -> str:
    return " / ".join("equal" if math.isinf(value) else f"{value:.1f} dB" for value in values)
