"""``likeness identity``"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from likeness.cli.say import FAILED, note, plain_errors

app = typer.Typer(
    no_args_is_help=True,
    help="Does restoration help or hurt face recognition? Similarity, ROC and intervals before and after.",
)

_SHOWN = 20  # failures on standard error; all are in identity.json

Output = Annotated[
    Path, typer.Option("-o", "--output", metavar="DIR", help="Folder for the page, tables and pictures.")
]
Folder = Annotated[Path, typer.Option("--data", metavar="DIR", help="The folder with the pictures.")]
Methods = Annotated[
    list[str] | None,
    typer.Option("--method", metavar="M", help="likeness, likeness:steps=1, ...; may be given several times."),
]
Recogniser = Annotated[str, typer.Option("--recognizer", metavar="R", help="Who compares the faces.")]
Aligned = Annotated[bool, typer.Option("--aligned", help="The pictures are ready square face crops.")]
Seed = Annotated[int, typer.Option(help="Same seed, same pixels and intervals.")]
Detector = Annotated[str, typer.Option(help="dlib, retinaface, yunet or scrfd")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or mps")]
AsJson = Annotated[bool, typer.Option("--json", help="Print identity.json on standard output.")]


@app.command("scface")
def scface(
    data: Folder,
    output: Output,
    method: Methods = None,
    recognizer: Recogniser = "dlib",
    aligned: Aligned = False,
    detector: Detector = "dlib",
    device: Device = "auto",
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """SCFace: mugshots NNN_frontal.jpg, probes NNN_camC_D.jpg, wherever they lie in the folder.

    Exit status: 0 all good, 1 some file, face or method failed (the page says which and why), 2 wrong use.
    """
    _run("scface", data, output, method, recognizer, aligned, detector, device, seed, as_json)


@app.command("folders")
def folders(
    data: Folder,
    output: Output,
    method: Methods = None,
    recognizer: Recogniser = "dlib",
    aligned: Aligned = False,
    detector: Detector = "dlib",
    device: Device = "auto",
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """One folder a person. The gallery: subfolder gallery, names gallery..., else the first picture by name.

    Exit status: 0 all good, 1 some file, face or method failed (the page says which and why), 2 wrong use.
    """
    _run("folders", data, output, method, recognizer, aligned, detector, device, seed, as_json)


@app.command("pairs")
def pairs(
    data: Annotated[
        Path, typer.Option("--data", metavar="FILE.csv", help="a,b,same or a,b,same,group; a is restored.")
    ],
    output: Output,
    method: Methods = None,
    recognizer: Recogniser = "dlib",
    aligned: Aligned = False,
    detector: Detector = "dlib",
    device: Device = "auto",
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """A CSV of pairs with the header a,b,same or a,b,same,group; paths relative to the file.

    Exit status: 0 all good, 1 some file, face or method failed (the page says which and why), 2 wrong use.
    """
    _run("pairs", data, output, method, recognizer, aligned, detector, device, seed, as_json)


@app.command("make")
def make(
    inputs: Annotated[list[str], typer.Argument(metavar="PATH...", help="Clear photos, folders or globs.")],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="DIR", help="Folder for the data set.")],
    recipe: Annotated[str, typer.Option(help="How the probes are degraded; see likeness degrade.")] = "surveillance",
    seed: Annotated[int, typer.Option(help="Same seed, same images.")] = 0,
    person: Annotated[
        str | None,
        typer.Option(metavar="REGEX", help="For the whole name without suffix; the first group is the person."),
    ] = None,
    distances: Annotated[
        bool, typer.Option("--distances", help="Each probe near, middle and far: 96, 64 and 32 of 512 pixels.")
    ] = False,
) -> None:
    """Make a stand-in data set from clear photos: of each person one stays clean, the others are degraded.

    Study it with likeness identity folders. Who it is: the folder, else the name up to its last underscore.
    """
    from likeness.study.identity import stand_in

    with plain_errors():
        entries = stand_in.make(inputs, output, recipe=recipe, seed=seed, person=person, distances=distances)
    failed = [entry["error"] for entry in entries if "error" in entry]
    for reason in failed[:_SHOWN]:
        note(f"failed: {reason}")
    people = {entry["person"] for entry in entries if entry.get("role") == "gallery"}
    probes = sum(entry.get("role") == "probe" for entry in entries)
    note(f"{len(people)} people, {probes} probes degraded by {recipe}; see {output / 'manifest.jsonl'}")
    if failed:
        raise typer.Exit(FAILED)


def _run(
    kind: str,
    data: Path,
    output: Path,
    method: list[str] | None,
    recognizer: str,
    aligned: bool,
    detector: str,
    device: str,
    seed: int,
    as_json: bool,
) -> None:
    from likeness.parts import find_recognizer
    from likeness.pipeline import Settings
    from likeness.study.contenders import parse_contenders
    from likeness.study.identity.layouts import LAYOUTS
    from likeness.study.identity.run import run_identity

    with plain_errors():
        contenders = parse_contenders(method or ["likeness"])
        settings = Settings(aligned=aligned, detector=detector, device=device, seed=seed)
        layout = LAYOUTS[kind](data)
        for notice in layout.notices:
            note(notice)
        study = run_identity(layout, data, contenders, output, settings, find_recognizer(recognizer), say=note)
    failures = study.document["failures"]
    for one in failures[:_SHOWN]:
        note(f"failed: {one['what']}: {one['reason']}")
    if len(failures) > _SHOWN:
        note(f"and {len(failures) - _SHOWN} more failures; see {output / 'identity.json'}")
    for one in study.document["finding"]:
        note(one["text"])
    if as_json:
        typer.echo(json.dumps(study.document, ensure_ascii=False))
    else:
        note(f"see {output / 'index.html'}")
    if not study.good:
        raise typer.Exit(FAILED)
