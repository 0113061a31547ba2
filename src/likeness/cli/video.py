"""``likeness video``"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from likeness.cli.bar import Bar
from likeness.cli.options import option_pairs
from likeness.cli.say import FAILED, note, plain_errors, stop


def video(
    source: Annotated[Path, typer.Argument(metavar="IN", help="The video.")],
    output: Annotated[Path, typer.Argument(metavar="OUT", help="The restored one: .mp4, .m4v, .mov or .mkv.")],
    method: Annotated[
        str | None, typer.Option(help="Restoration method, or weights; see likeness models list.")
    ] = None,
    option: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="Any option of the method; see likeness models show.")
    ] = None,
    steps: Annotated[int | None, typer.Option(help="Sampling steps.")] = None,
    fidelity: Annotated[float | None, typer.Option(help="For methods with a fidelity weight, 0 to 1.")] = None,
    seed: Annotated[int, typer.Option(help="Same seed, same pixels.")] = 0,
    faces: Annotated[str, typer.Option(help="all or largest")] = "all",
    min_face: Annotated[float, typer.Option(help="Skip faces smaller than this, in pixels.")] = 32.0,
    blend: Annotated[float, typer.Option(help="Share of the restoration, 0 (the video) to 1.")] = 1.0,
    smooth: Annotated[float, typer.Option(help="Share of the frame before where nothing moves, 0 to below 1.")] = 0.7,
    identity_limit: Annotated[
        float | None,
        typer.Option(help="Keep the video's own face when the restored one is farther from it (0.55: another person)."),
    ] = None,
    detector: Annotated[str, typer.Option(help="dlib, retinaface, yunet or scrfd")] = "dlib",
    detect_every: Annotated[int, typer.Option(help="Search the whole picture every so many frames.")] = 5,
    mask: Annotated[str, typer.Option(help="What is pasted: feathered, parsing or parsing-square.")] = "feathered",
    codec: Annotated[str, typer.Option(help="libx264, libx265, ffv1 (lossless) or mpeg4")] = "libx264",
    crf: Annotated[int, typer.Option(help="Quality of the encoding, 0 (best) to 51.")] = 16,
    preview: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A strip of moments before and after, .png or .jpg.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps")] = "auto",
    backend: Annotated[
        str, typer.Option(help="What computes the networks: auto, torch, compile, onnx or openvino.")
    ] = "auto",
    precision: Annotated[str, typer.Option(help="auto, fp32, bf16 or fp16")] = "auto",
    batch: Annotated[int, typer.Option(help="Faces restored together; 0 chooses.")] = 0,
    weights: Annotated[
        str | None, typer.Option(metavar="FILE|NAME", help="Weights: a file, or a name of likeness models list.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace OUT; do everything again.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as one JSON document.")] = False,
) -> None:
    """Restore the faces in a video.

    Writes OUT and OUT's .report.json with one record per face. Sound, times and colours are kept. Stopped or killed,
    run it again: it goes on. Exit status: 0 all good, 1 the video is damaged or some face failed (the report says
    which and why), 2 wrong use.
    """
    from likeness.pipeline import Settings
    from likeness.video import BrokenVideoError, VideoSettings
    from likeness.video.report import failures
    from likeness.video.run import report_path, restore_video

    options: dict[str, Any] = {"steps": steps, "fidelity": fidelity}
    with plain_errors():
        options.update(option_pairs(option or []))
        settings = Settings(
            method=method,
            options={name: value for name, value in options.items() if value is not None},
            seed=seed,
            blend=blend,
            faces=faces,  # type: ignore[arg-type]  # Settings checks it
            min_face=min_face,
            identity_limit=identity_limit,
            detector=detector,
            mask=mask,
            device=device,
            precision=precision,
            backend=backend,
            batch=batch,
            weights=weights,
        )
        how = VideoSettings(smooth=smooth, detect_every=detect_every, codec=codec, crf=crf)
        try:
            with Bar("restoring") as bar:
                report = restore_video(
                    source,
                    output,
                    settings,
                    how,
                    preview=preview,
                    overwrite=overwrite,
                    progress=lambda done, total: bar(done, total or None),  # type: ignore[arg-type]
                    scanning=lambda done, total: bar(done, total or None, "looking for faces"),  # type: ignore[arg-type]
                )
        except BrokenVideoError as error:
            stop(str(error), FAILED)
    for text in report["notes"]:
        note(f"note: {text}")
    wrong = failures(report)
    for text in wrong:
        note(f"failed: {text}")
    if as_json:
        typer.echo(json.dumps(report, ensure_ascii=False))
    else:
        note(f"{in_words(report['summary'])}; see {report_path(output)}")
    if wrong:
        raise typer.Exit(FAILED)


def in_words(summary: dict[str, Any]) -> str:
    """The summary of a report on one line."""
    faces, flicker = summary["faces"], summary["flicker"]
    words = [f"{_count(summary['tracks'], 'face')} followed, restored in {_count(faces['restored'], 'frame')}"]
    words += [f"{faces[status]} {status}" for status in ("kept", "skipped", "failed") if faces[status]]
    if flicker["ratio"] is not None:
        words.append(f"flicker {flicker['ratio']:.2f} times the input's")
    if summary["other_person_likely"]:
        words.append(f"{_count(summary['other_person_likely'], 'face')} may no longer be the same person")
    return ", ".join(words)


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}{'' if number == 1 else 's'}"
