"""``likeness dataset`` align, filter, split and pack: a training set of one's own photographs, step by step."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from likeness.cli.bar import Bar
from likeness.cli.say import FAILED, note, plain_errors

_NAMED = 10  # failures that are written out

Sources = Annotated[list[str], typer.Argument(metavar="SOURCE...", help="Folders or tar shards of aligned faces.")]
Output = Annotated[Path, typer.Option("-o", "--output", metavar="DIR", help="Output folder.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
Workers = Annotated[int, typer.Option(min=1, help="Threads; the result is the same.")]
DetectorName = Annotated[str, typer.Option("--detector", help="dlib, retinaface, yunet or scrfd")]
MinSize = Annotated[float, typer.Option(help="Side of the square that becomes the crop, photo pixels.")]
MinSharpness = Annotated[float, typer.Option(help="0.3 drops a blur of sigma 3 of 512 pixels; faces have 0.4 to 0.6.")]
MaxYaw = Annotated[float, typer.Option(help="Head turned aside, a proxy: 0 frontal, 1 nose under an eye.")]
MaxPitch = Annotated[float, typer.Option(help="Head bent up or down, a proxy.")]
MinLuma = Annotated[float, typer.Option(help="Mean luma of the face; low to keep dark skin.")]
MaxLuma = Annotated[float, typer.Option(help="Mean luma of the face.")]
MaxClipped = Annotated[float, typer.Option(help="Share of black, and of white, pixels of the face.")]
MaxOutside = Annotated[float, typer.Option(help="Share of the crop beyond the photo's border.")]
DuplicateBits = Annotated[
    int, typer.Option(help="Perceptual hashes this near are duplicates, whoever it is; -1: never.")
]
PersonBits = Annotated[int, typer.Option(help="The same where it is also the same person; -1: never.")]
PersonDistance = Annotated[float, typer.Option(help="Identity distance below which that is so.")]


def align(
    paths: Annotated[list[str], typer.Argument(metavar="PATH...", help="Photos, folders or globs.")],
    output: Output,
    detector: DetectorName = "dlib",
    faces: Annotated[str, typer.Option(help="all or largest")] = "all",
    min_size: MinSize = 256.0,
    min_sharpness: MinSharpness = 0.3,
    max_yaw: MaxYaw = 0.5,
    max_pitch: MaxPitch = 0.4,
    min_luma: MinLuma = 0.08,
    max_luma: MaxLuma = 0.92,
    max_clipped: MaxClipped = 0.1,
    max_outside: MaxOutside = 0.25,
    duplicate_bits: DuplicateBits = -1,
    person_bits: PersonBits = 8,
    person_distance: PersonDistance = 0.1,
    workers: Workers = 1,
    as_json: AsJson = False,
) -> None:
    """Cut the faces of photos to aligned 512x512 crops, without those that are too small, soft, turned or dark.

    Writes DIR/faces, DIR/manifest.jsonl (every face, with what was measured) and DIR/summary.json. Run again, it goes
    on where it was. Exit status: 0 all good, 1 some photo cannot be read, 2 wrong use.
    """
    with plain_errors():
        from likeness.train.dataset.align import align as align_photos
        from likeness.train.dataset.screen import Screens

        screens = Screens(
            min_size, min_sharpness, max_yaw, max_pitch, min_luma, max_luma, max_clipped, max_outside,
            duplicate_bits, person_bits, person_distance,
        )  # fmt: skip
        with Bar("measuring") as bar:
            summary = align_photos(
                paths, output, screens, detector=detector, faces=faces, workers=workers, progress=bar
            )
    _end(summary, output, as_json)


def filter_(
    sources: Sources,
    output: Output,
    keep: Annotated[list[str] | None, typer.Option(help="Only if so, such as 'sharpness>0.4 and size>=512'.")] = None,
    drop: Annotated[list[str] | None, typer.Option(help="Not if so, such as 'yaw<-0.3'.")] = None,
    detector: DetectorName = "dlib",
    min_size: MinSize = 256.0,
    min_sharpness: MinSharpness = 0.3,
    max_yaw: MaxYaw = 0.5,
    max_pitch: MaxPitch = 0.4,
    min_luma: MinLuma = 0.08,
    max_luma: MaxLuma = 0.92,
    max_clipped: MaxClipped = 0.1,
    max_outside: MaxOutside = 0.25,
    duplicate_bits: DuplicateBits = -1,
    person_bits: PersonBits = 8,
    person_distance: PersonDistance = 0.1,
    workers: Workers = 1,
    as_json: AsJson = False,
) -> None:
    """Copy the aligned crops that are good enough, names and bytes untouched.

    The screens are those of align; size and outside are known where align made the crops. --keep and --drop may be
    given several times. Figures: size, outside, score, sharpness, luma, dark, bright, yaw, pitch, roll. Exit status: 0
    all good, 1 some picture cannot be used, 2 wrong use.
    """
    with plain_errors():
        from likeness.train.dataset.filtering import filter_crops
        from likeness.train.dataset.screen import Screens

        screens = Screens(
            min_size, min_sharpness, max_yaw, max_pitch, min_luma, max_luma, max_clipped, max_outside,
            duplicate_bits, person_bits, person_distance,
        )  # fmt: skip
        with Bar("measuring") as bar:
            summary = filter_crops(
                sources,
                output,
                screens,
                keep=keep or (),
                drop=drop or (),
                detector=detector,
                workers=workers,
                progress=bar,
            )
    _end(summary, output, as_json)


def split(
    sources: Sources,
    output: Output,
    parts: Annotated[str, typer.Option(help="Names and shares, which sum to 1.")] = "train=0.9,val=0.05,test=0.05",
    person: Annotated[
        str,
        typer.Option(metavar="REGEX", help="Who it is, from the name: the first group, such as 'london_(p[0-9]+)'."),
    ] = "",
    by: Annotated[
        str | None, typer.Option(help="name (with --person), folder, or identity: by the faces, approximately.")
    ] = None,
    same_person: Annotated[
        float, typer.Option(min=0, help="Identity distance of one person, for --by identity.")
    ] = 0.55,
    leak: Annotated[
        float, typer.Option(min=0, help="Faces of two parts this near are reported; 0: not looked for.")
    ] = 0.35,
    seed: Annotated[int, typer.Option(help="Another seed, another split.")] = 0,
    workers: Workers = 1,
    as_json: AsJson = False,
) -> None:
    """Copy crops into parts, by person: nobody is in two of them. People who are added later move nobody.

    Writes DIR/<part>, DIR/manifest.jsonl (who went where) and DIR/summary.json. Exit status: 0 all good, 1 some picture
    cannot be used or two parts hold faces that are too near, 2 wrong use.
    """
    with plain_errors():
        from likeness.train.dataset.split import parse_parts
        from likeness.train.dataset.split import split as split_set

        way = by or ("name" if person else "identity")
        with Bar("measuring") as bar:
            summary = split_set(
                sources,
                output,
                parse_parts(parts),
                by=way,
                person=person,
                same_person=same_person,
                leak=leak or None,
                seed=seed,
                workers=workers,
                progress=bar,
            )
    leaks = summary["leaks"] or {"pairs": 0}
    if leaks["pairs"]:
        note(f"{leaks['pairs']} pairs of faces in two parts are nearer than {leaks['limit']:g}, the nearest:")
        for pair in leaks["nearest"][:3]:
            note(f"  {pair['a']} and {pair['b']}: {pair['distance']:.3f}")
    lines = [
        f"  {name}: {part['pictures']} pictures of {part['people']} people" for name, part in summary["parts"].items()
    ]
    _end(summary, output, as_json, lines, failed=bool(leaks["pairs"]))


def pack(
    sources: Sources,
    output: Output,
    size: Annotated[str, typer.Option(help="Of a shard at most; K, M and G are powers of 1024.")] = "44M",
    name: Annotated[str, typer.Option(help="Of the shards; the parts of a split have their own.")] = "faces",
    as_json: AsJson = False,
) -> None:
    """Put crops into tar shards, which training and WebDataset read: the same pictures give the same bytes.

    Writes DIR/NAME-000.tar and so on, DIR/index.json (sha256 and count of each), DIR/manifest.jsonl and
    DIR/summary.json. Exit status: 0 all good, 1 some picture cannot be used, 2 wrong use.
    """
    with plain_errors():
        from likeness.train.dataset.pack import pack as pack_set
        from likeness.train.dataset.pack import parse_size

        with Bar("packing") as bar:
            summary = pack_set(sources, output, parse_size(size), name=name, progress=bar)
    _end(summary, output, as_json, [f"  {one['shard']}: {one['count']} pictures" for one in summary["shards"]])


def _end(
    summary: dict[str, Any], output: Path, as_json: bool, lines: list[str] | None = None, failed: bool = False
) -> None:
    for failure in summary["failed"][:_NAMED]:
        note(f"failed: {failure['name']}: {failure['reason']}")
    if len(summary["failed"]) > _NAMED:
        note(f"and {len(summary['failed']) - _NAMED} more, named in {output / 'summary.json'}")
    if as_json:
        typer.echo(json.dumps(summary, ensure_ascii=False))
    else:
        counts = summary["counts"]
        typer.echo(f"{output}: {counts['kept']} kept, {counts['dropped']} dropped, {counts['failed']} failed")
        for screen, count in summary["dropped_by"].items():
            typer.echo(f"  dropped by {screen}: {count}")
        for line in lines or []:
            typer.echo(line)
    if summary["failed"] or failed:
        raise typer.Exit(FAILED)
