"""``likeness export``"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from likeness.cli.say import plain_errors


def export(
    method: Annotated[str, typer.Argument(metavar="METHOD", help="Restoration method; see likeness models list.")],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FILE", help="NAME.onnx or NAME.xml.")],
    kind: Annotated[str, typer.Option("--format", help="onnx or openvino")],
    weights: Annotated[
        str | None, typer.Option(metavar="FILE|NAME", help="Weights: a file, or a name of likeness models list.")
    ] = None,
    batch: Annotated[int, typer.Option(help="Faces that the network takes at once.")] = 1,
    part: Annotated[str | None, typer.Option(help="Only this network of the method.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Write the networks of a method for other programs, each as one file (OpenVINO: .xml and .bin).

    Each is compared with the network that it was made of; one that gives other pixels is not written.
    """
    from likeness.methods.export import export as write

    with plain_errors():
        written = write(method, output, kind, weights=weights, batch=batch, part=part)
    if as_json:
        networks = [
            {
                "part": one.part,
                "files": [str(file) for file in one.files],
                "inputs": one.inputs,
                "output": one.output,
                "psnr": one.psnr,
            }
            for one in written
        ]
        typer.echo(json.dumps({"method": method, "format": kind, "networks": networks}, ensure_ascii=False))
        return
    for one in written:
        figure = "equal" if one.psnr is None else f"{one.psnr:.0f} dB"
        typer.echo(f"{one.part}: {', '.join(map(str, one.files))}")
        for name, shape in one.inputs.items():
            typer.echo(f"  input {name}: {_shape(shape)}")
        typer.echo(f"  output restored: {_shape(one.output)}, not clipped; against torch: {figure}")
    typer.echo("all float32; pictures RGB in [-1, 1]")


def _shape(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))
