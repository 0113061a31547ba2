"""``likeness degrade``"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from likeness.cli.say import FAILED, note, plain_errors


def degrade(
    inputs: Annotated[list[str], typer.Argument(metavar="PATH...", help="Photos, folders or globs.")],
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="DIR", help="Folder for images and manifest.jsonl.")
    ],
    recipe: Annotated[
        str, typer.Option(help="idm, rdfr, gfpgan, difface, codeformer, sr-x8, sr-x16, surveillance, old-photo")
    ] = "idm",
    seed: Annotated[int, typer.Option(help="Same seed, same images.")] = 0,
) -> None:
    """Degrade photographs by a named recipe; DIR/manifest.jsonl says exactly how each was made."""
    from likeness.degrade.files import degrade_files

    with plain_errors():
        entries = degrade_files(inputs, output, recipe, seed)
    failed = [entry for entry in entries if entry.get("error")]
    for entry in failed:
        note(f"failed: {entry['error']}")
    note(f"{len(entries) - len(failed)} images degraded by {recipe}; see {output / 'manifest.jsonl'}")
    if failed:
        raise typer.Exit(FAILED)
