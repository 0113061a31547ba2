"""``likeness restore``"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from likeness.cli.bar import Bar
from likeness.cli.cluster import Cpus, Gpus, Workers
from likeness.cli.cluster import pool as pool_of
from likeness.cli.options import option_pairs
from likeness.cli.say import FAILED, note, plain_errors


def restore(
    context: typer.Context,
    inputs: Annotated[
        list[str], typer.Argument(metavar="PATH...", help="Photos, folders (searched through) or globs.")
    ],
    output: Annotated[str, typer.Option("-o", "--output", metavar="DIR", help="Folder for pictures and report.json.")],
    method: Annotated[
        str | None, typer.Option(help="Restoration method, or weights; see likeness models list.")
    ] = None,
    aligned: Annotated[bool, typer.Option("--aligned", help="The pictures are ready 512x512 face crops.")] = False,
    seed: Annotated[int, typer.Option(help="Same seed, same pixels.")] = 0,
    steps: Annotated[int | None, typer.Option(help="Sampling or optimisation steps.")] = None,
    seconds: Annotated[
        float | None, typer.Option(help="Time for each face, for methods that optimise; 0 has no limit.")
    ] = None,
    fidelity: Annotated[float | None, typer.Option(help="For methods with a fidelity weight, 0 to 1.")] = None,
    option: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="Any option of the method; see likeness models show.")
    ] = None,
    samples: Annotated[int, typer.Option(help="K plausible faces and a map of their spread.")] = 1,
    blend: Annotated[float, typer.Option(help="Share of the restoration, 0 (the photo) to 1.")] = 1.0,
    reference: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Photos of the same person, or a folder of them for each of several people."),
    ] = None,
    hole: Annotated[
        str | None,
        typer.Option(metavar="FILE|DIR|black", help="Inpainting: a mask, white = fill; or masks named as the photos."),
    ] = None,
    fallback: Annotated[
        str | None, typer.Option(metavar="METHOD", help="For faces without references; else they are kept.")
    ] = None,
    landmarks: Annotated[
        Path | None, typer.Option(metavar="FILE.json", help="68 points of each face, for methods that need them.")
    ] = None,
    faces: Annotated[str, typer.Option(help="all or largest")] = "all",
    min_face: Annotated[float, typer.Option(help="Skip faces smaller than this, in pixels.")] = 32.0,
    identity_limit: Annotated[
        float | None,
        typer.Option(help="Keep the photo's own face when the restored one is farther from it (0.55: another person)."),
    ] = None,
    detector: Annotated[str, typer.Option(help="dlib, retinaface, yunet or scrfd")] = "dlib",
    mask: Annotated[str, typer.Option(help="What is pasted: feathered, parsing or parsing-square.")] = "feathered",
    scale: Annotated[int, typer.Option(help="Enlarge the whole picture: 1, 2 or 4 times.")] = 1,
    upscaler: Annotated[str, typer.Option(help="lanczos, realesrgan or realesr-general")] = "lanczos",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps")] = "auto",
    precision: Annotated[str, typer.Option(help="auto, fp32, bf16 or fp16")] = "auto",
    backend: Annotated[
        str, typer.Option(help="What computes the networks: auto, torch, compile, onnx or openvino.")
    ] = "auto",
    batch: Annotated[int, typer.Option(help="Faces restored together; 0 chooses.")] = 0,
    weights: Annotated[
        str | None, typer.Option(metavar="FILE|NAME", help="Weights: a file, or a name of likeness models list.")
    ] = None,
    like: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Method, options and seed as this restored picture says it was made."),
    ] = None,
    provenance: Annotated[
        bool, typer.Option("--provenance/--no-provenance", help="Say in the pictures how they were made.")
    ] = True,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Do everything again.")] = False,
    ray: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="On a Ray cluster: local starts one here, auto finds one, or HOST:PORT. "
            "PATH and DIR may then be addresses such as s3://bucket/folder.",
        ),
    ] = None,
    workers: Workers = 0,
    cpus_per_worker: Cpus = 1.0,
    gpus_per_worker: Gpus = 0.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as one JSON document.")] = False,
) -> None:
    """Restore the faces in photographs.

    Writes each picture and DIR/report.json with one record per face. Exit status: 0 all good, 1 some face or file
    failed (the report says which and why), 2 wrong use. Run again: what is done and intact is skipped.
    """
    from likeness.folder import restore_files
    from likeness.methods.progress import listening
    from likeness.pipeline import Session, Settings
    from likeness.provenance import read_provenance

    options: dict[str, Any] = {"steps": steps, "seconds": seconds, "fidelity": fidelity}
    with plain_errors():
        pool = pool_of(ray, workers, cpus_per_worker, gpus_per_worker)
        options.update(option_pairs(option or []))
        settings = Settings(
            method=method,
            options={name: value for name, value in options.items() if value is not None},
            seed=seed,
            samples=samples,
            blend=blend,
            faces=faces,  # type: ignore[arg-type]  # Settings checks it
            min_face=min_face,
            identity_limit=identity_limit,
            aligned=aligned,
            detector=detector,
            mask=mask,
            scale=scale,
            upscaler=upscaler,
            device=device,
            precision=precision,
            backend=backend,
            batch=batch,
            weights=weights,
            landmarks=landmarks,
            reference=reference,
            hole=hole,
            fallback=fallback,
            provenance=provenance,
        )
        made = None if like is None else read_provenance(like)
        settings = settings if made is None else made.apply(settings, _typed(context))

        def ready(session: Session) -> None:
            for line in () if made is None else made.check(session):
                note(line)

        with _Bar("restoring") as bar, listening(bar.step):
            if ray is None:
                _check_plain(inputs, output)
                report = restore_files(
                    inputs, Path(output), settings, overwrite=overwrite, progress=bar.photo, ready=ready
                )
            else:
                from likeness.scale.restore import restore_on_cluster

                report = restore_on_cluster(
                    inputs,
                    output,
                    settings,
                    address=ray,
                    pool=pool,
                    overwrite=overwrite,
                    progress=bar.photo,
                    check=None if made is None else made.check,
                )
                for line in report.settings["cluster"]["notes"]:
                    note(line)
        read = [photo["input"] for photo in report.photos if photo["status"] != "failed"]
        for line in () if made is None else made.others(read):
            note(line)
    for notice in report.notices:
        note(notice)
    for name, reason in report.failures:
        note(f"failed: {reason if name in reason else f'{name}: {reason}'}")
    if as_json:
        typer.echo(json.dumps(report.as_dict(), ensure_ascii=False))
    else:
        if ray is not None:
            note(_pace(report.settings["cluster"]))
        note(_in_words(report.summary(), output))
    if report.failures:
        raise typer.Exit(FAILED)


def _check_plain(inputs: list[str], output: str) -> None:
    """Raises ValueError for what only a cluster can do."""
    address = next((one for one in (*inputs, output) if "://" in one and not Path(one).exists()), None)
    if address is not None:
        raise ValueError(f"{address} is an address, not a path: add --ray local to restore from and to addresses")


def _pace(cluster: dict[str, Any]) -> str:
    words = [f"{cluster['photos_per_second']:g} photos a second with {_count(cluster['workers'], 'worker')}"]
    if cluster["restarted_workers"]:
        words.append(f"{_count(cluster['restarted_workers'], 'worker')} took the place of one that ended")
    return "; ".join(words)


def _typed(context: typer.Context) -> set[str]:
    """The parameters that stand on the command line, rather than have their defaults."""
    sources = {name: context.get_parameter_source(name) for name in context.params}
    return {name for name, source in sources.items() if source is not None and source.name == "COMMANDLINE"}


def _in_words(summary: dict[str, Any], output: str) -> str:
    faces, photos = summary["faces"], summary["photos"]
    words = [f"{_count(faces['restored'], 'face')} restored in {_count(photos['restored'], 'photo')}"]
    words += [f"{_count(faces[status], 'face')} {status}" for status in ("kept", "skipped", "failed") if faces[status]]
    if photos["kept"]:
        words.append(f"{_count(photos['kept'], 'photo')} written unchanged")
    if photos["failed"]:
        words.append(f"{_count(photos['failed'], 'photo')} failed")
    if summary["other_person_likely"]:
        words.append(f"{_count(summary['other_person_likely'], 'face')} may no longer be the same person")
    where = f"{output.rstrip('/')}/report.json" if "://" in output else Path(output) / "report.json"
    return f"{', '.join(words)}; see {where}"


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}{'' if number == 1 else 's'}"


class _Bar(Bar):
    """With a second bar for the steps within a face of a slow method."""

    def __enter__(self) -> _Bar:
        super().__enter__()
        self.face = self.progress.add_task("this face", total=None, visible=False)
        return self

    def step(self, done: int, total: int) -> None:
        """A slow method has done ``done`` of ``total`` steps of a face."""
        self.progress.update(self.face, completed=done, total=total, visible=done < total)

    def photo(self, done: int, total: int, record: dict[str, Any]) -> None:
        """``done`` of ``total`` photos are written; the last one's record."""
        self(done, total, f"{record['status']} {Path(record['input']).name}")
