"""Photos in, aligned 512x512 crops of good enough faces out."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from likeness import __version__
from likeness.faces import Face, crop_face
from likeness.photo import (
    Photo,
    PhotoError,
    PhotoInput,
    add_suffix,
    assign_outputs,
    find_photos,
    read_photo,
)
from likeness.photo.errors import file_error, one_line, shown
from likeness.train.dataset import figures
from likeness.train.dataset.duplicates import drop_duplicates
from likeness.train.dataset.hashing import phash
from likeness.train.dataset.measuring import Tools, pack_vector, run
from likeness.train.dataset.output import SET, Output, figure, key_of
from likeness.train.dataset.screen import Screens

NAMES = ("size", "outside", "score", "sharpness", "luma", "dark", "bright", "yaw", "pitch", "roll")
_MEASURES = 1  # counted up when what is measured changes

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class _Item:
    photo: PhotoInput
    stem: Path


def align(
    inputs: Sequence[str | Path],
    output: Path,
    screens: Screens | None = None,
    *,
    detector: str = "dlib",
    faces: str = "all",
    workers: int = 1,
    progress: Progress = lambda done, total: None,
) -> dict[str, Any]:
    """Cut the faces of photos to ``output/faces/<photo>_<number>.png`` ((512, 512, 3), 8 bits); returns the summary.

    The crops are aligned to the FFHQ template. A face is kept when it passes ``screens`` and is no duplicate; with
    ``faces="largest"`` the others of its photo are dropped. ``manifest.jsonl`` has a record for each face, kept or not
    (and for a photo without faces or one that cannot be read): source, source_sha256, face (from 1, largest first), of,
    box (photo pixels), landmarks, transform (2x3, photo pixel -> crop pixel), figures (NAMES), phash (hexadecimal),
    status, dropped_by, reasons, duplicate_of, output, output_sha256. ``summary.json`` counts them.

    The photos are only read: once to measure, and those with a face to keep once more. What is measured is not measured
    again; after a kill at any moment the same call gives the same files as one that ran through, whatever ``workers``.
    Raises PhotoError when there is no photo, ValueError for a wrong setting or an output folder that holds other files,
    OSError when it cannot be written.
    """
    if faces not in ("all", "largest"):
        raise ValueError(f"unknown choice of faces {faces!r}; choose one of: all, largest")
    screens = screens or Screens()
    found = find_photos(inputs)
    if not found:
        raise PhotoError(f"no photos in {', '.join(map(shown, inputs))}")
    tools = Tools(detector)
    tools.detector  # noqa: B018 (an unknown detector, or one without weights, is said before all else)
    folder = Output(output, inputs, [f"{SET}/**/*"])
    items = [_Item(photo, stem) for photo, stem in zip(found, assign_outputs(found), strict=True)]
    key = key_of("align", __version__, _MEASURES, detector)

    def measure(item: _Item, tools: Tools) -> dict[str, Any]:
        return _measure(item, tools, folder, key)

    records = []
    for item, measured in zip(items, run(items, measure, tools, workers, progress), strict=True):
        records += list(_records(item, measured, screens, faces))
    drop_duplicates(records, screens)
    kept: dict[Path, list[dict[str, Any]]] = {}
    for record in records:
        if record["status"] == "kept":
            kept.setdefault(record["path"], []).append(record)

    def write(path: Path, tools: Tools) -> None:
        _write(path, kept[path], folder)

    for _ in run(list(kept), write, tools, workers):
        pass
    folder.keep_only([Path(record["output"]) for record in records if record["output"]])
    facts = {
        "likeness": __version__,
        "step": "align",
        "sources": [shown(one) for one in inputs],
        "settings": {"detector": detector, "faces": faces, **asdict(screens)},
        "photos": len(items),
    }
    return folder.report((_public(record) for record in records), facts)


def _measure(item: _Item, tools: Tools, folder: Output, key: str) -> dict[str, Any]:
    """All that is known of a photo: its hash, and an error or its faces with their figures."""
    import cv2

    name = item.stem
    try:
        digest = hashlib.sha256(item.photo.path.read_bytes()).hexdigest()
    except OSError as error:
        return {"source_sha256": None, "error": str(file_error(item.photo.path, error)), "faces": []}
    done = folder.recall("measured", name, key)
    if done is not None and done["source_sha256"] == digest:
        return done
    measured: dict[str, Any] = {"source_sha256": digest, "error": None, "faces": []}
    try:
        photo = read_photo(item.photo.path)
        measured["faces"] = [_face(photo, face, tools) for face in tools.detector.detect(_eight_bit(photo.pixels))]
    except PhotoError as error:
        measured["error"] = str(error)
    except (RuntimeError, MemoryError, cv2.error) as error:  # of dlib, numpy and OpenCV; perhaps not next time
        return {**measured, "error": f"{shown(item.photo.path)}: finding faces failed: {one_line(str(error))}"}
    folder.remember("measured", name, key, measured)
    return measured


def _face(photo: Photo, face: Face, tools: Tools) -> dict[str, Any]:
    crop = crop_face(photo.pixels, face.transform)
    values = {
        "size": face.size,
        "outside": figures.outside(face.transform, photo.height, photo.width),
        "score": face.score,
        "sharpness": figures.sharpness(crop),
        **figures.light(crop),
        **figures.pose(face.landmarks, tools.detector.name),
    }
    return {
        "box": [figure(value) for value in face.box],
        "landmarks": [[figure(value) for value in point] for point in face.landmarks.tolist()],
        "transform": face.transform.tolist(),
        "figures": {name: figure(values[name]) for name in NAMES},
        "phash": f"{phash(crop):016x}",
        "vector": pack_vector(tools.recognizer.embed(crop[None])[0]),
    }


def _eight_bit(pixels: np.ndarray) -> np.ndarray:
    return (pixels >> 8).astype(np.uint8) if pixels.dtype == np.uint16 else pixels


def _records(item: _Item, measured: dict[str, Any], screens: Screens, which: str) -> Iterator[dict[str, Any]]:
    """A record for each face, or one for the photo; ``path``, ``stem`` and ``vector`` are not for the manifest."""
    base = {
        "path": item.photo.path,
        "source": shown(item.photo.path),
        "source_sha256": measured["source_sha256"],
        "face": None,
        "of": len(measured["faces"]),
        "output": None,
    }
    if measured["error"] is not None:
        yield {
            **base,
            "status": "failed",
            "dropped_by": [],
            "reasons": [measured["error"].removeprefix(f"{base['source']}: ")],
        }
    elif not measured["faces"]:
        yield {**base, "status": "dropped", "dropped_by": ["no face"], "reasons": ["no face found"]}
    for number, face in enumerate(measured["faces"], 1):
        reasons = screens.judge(face["figures"])
        if which == "largest" and number > 1:
            reasons = {"not largest": "not the largest face", **reasons}
        stem = item.stem.with_name(f"{item.stem.name}_{number:02}")
        yield {
            **base,
            **face,
            "face": number,
            "status": "dropped" if reasons else "kept",
            "dropped_by": list(reasons),
            "reasons": list(reasons.values()),
            "duplicate_of": None,
            "output": None if reasons else (SET / add_suffix(stem, ".png")).as_posix(),
        }


def _write(path: Path, records: Sequence[dict[str, Any]], folder: Output) -> None:
    """Cut the kept faces of a photo again, unless all are there."""
    photo: Photo | None = None

    def cut(record: dict[str, Any]) -> Callable[[Path], None]:
        def write(target: Path) -> None:
            nonlocal photo
            photo = photo or read_photo(path)
            crop = crop_face(photo.pixels, np.array(record["transform"]))
            pixels = np.rint(crop * 255).astype(np.uint8)
            Image.fromarray(pixels).save(target, "PNG", compress_level=3)

        return write

    for record in records:
        key = key_of(record["source_sha256"], record["transform"], __version__)
        record["output_sha256"] = folder.put(Path(record["output"]), key, cut(record))


def _public(record: dict[str, Any]) -> dict[str, Any]:
    hidden = {name: value for name, value in record.items() if name not in ("path", "vector")}
    return {**hidden, "output": None if record["output"] is None else shown(record["output"])}
