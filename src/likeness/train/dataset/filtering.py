"""The screens of ``align`` for crops that exist already; what is kept is copied to the byte."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from likeness import __version__
from likeness.photo.errors import one_line, shown
from likeness.train.dataset import figures
from likeness.train.dataset.align import NAMES
from likeness.train.dataset.duplicates import drop_duplicates
from likeness.train.dataset.expressions import Condition, parse_condition
from likeness.train.dataset.hashing import phash
from likeness.train.dataset.measuring import Tools, pack_vector, run
from likeness.train.dataset.output import SET, Output, figure, key_of
from likeness.train.dataset.screen import Screens
from likeness.train.dataset.sources import Picture, decode, list_pictures

_MEASURES = 1  # counted up when what is measured changes
_FROM_PHOTO = ("size", "outside", "roll")  # only known from the manifest of align: a crop does not show them


def filter_crops(
    sources: Sequence[str | Path],
    output: Path,
    screens: Screens | None = None,
    *,
    keep: Sequence[str] = (),
    drop: Sequence[str] = (),
    detector: str = "dlib",
    workers: int = 1,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Any]:
    """Copy the crops that pass to ``output/faces``, names and bytes untouched; returns the summary.

    sources: folders, tar shards and globs of aligned 512x512 faces, or what ``align`` wrote. Screens as in ``align``,
    on the crop itself, where ``detector`` must find a face; size, outside and roll are those of the manifest of
    ``align``, if there is one. ``keep``: conditions (see ``expressions``) all of which must hold; ``drop``: none of
    which may. The manifest has a record for each crop: name, source, source_sha256, figures, phash, status, dropped_by,
    reasons, duplicate_of, output. Goes on after a kill as ``align`` does. Raises FileNotFoundError for a source without
    pictures, ValueError for a wrong setting or condition and for an output folder that holds other files, OSError.
    """
    screens = screens or Screens()
    wanted = [parse_condition(text, NAMES) for text in keep]
    unwanted = [parse_condition(text, NAMES) for text in drop]
    pictures = list_pictures(sources)
    tools = Tools(detector)
    tools.detector  # noqa: B018 (an unknown detector, or one without weights, is said before all else)
    folder = Output(output, sources, [f"{SET}/**/*"])
    key = key_of("filter", __version__, _MEASURES, detector)

    def measure(picture: Picture, tools: Tools) -> dict[str, Any]:
        return _measure(picture, tools, folder, key)

    records = []
    for picture, measured in zip(pictures, run(pictures, measure, tools, workers, progress), strict=True):
        records.append(_record(picture, measured, screens, wanted, unwanted))
    drop_duplicates(records, screens)
    for picture, record in zip(pictures, records, strict=True):
        if record["output"]:
            copy(picture, folder, SET / picture.name, record["source_sha256"])
    folder.keep_only([Path(SET) / one.name for one, record in zip(pictures, records, strict=True) if record["output"]])
    facts = {
        "likeness": __version__,
        "step": "filter",
        "sources": [shown(one) for one in sources],
        "settings": {"detector": detector, "keep": list(keep), "drop": list(drop), **asdict(screens)},
    }
    return folder.report((_public(record) for record in records), facts)


def copy(picture: Picture, folder: Output, name: Path, digest: str) -> None:
    """Put the picture's bytes at ``name``. Raises ValueError when they are no longer those that were measured."""
    data = picture.read()
    if hashlib.sha256(data).hexdigest() != digest:
        raise ValueError(f"{shown(picture.entry.path)} was changed meanwhile: run the same command again")

    def write(target: Path) -> None:
        target.write_bytes(data)

    folder.put(name, digest, write)


def _measure(picture: Picture, tools: Tools, folder: Output, key: str) -> dict[str, Any]:
    import cv2

    try:
        data = picture.read()
    except OSError as error:
        return {"source_sha256": None, "error": one_line(str(error)), "face": None}
    digest = hashlib.sha256(data).hexdigest()
    done = folder.recall("measured", picture.name, key)
    if done is not None and done["source_sha256"] == digest:
        return done
    measured: dict[str, Any] = {"source_sha256": digest, "error": None, "face": None}
    try:
        measured["face"] = _face(decode(data), tools)
    except ValueError as error:
        measured["error"] = str(error)
    except (RuntimeError, MemoryError, cv2.error) as error:  # of dlib, numpy and OpenCV; perhaps not next time
        return {**measured, "error": f"finding the face failed: {one_line(str(error))}"}
    folder.remember("measured", picture.name, key, measured)
    return measured


def _face(crop: np.ndarray, tools: Tools) -> dict[str, Any]:
    """The face is looked for at half the size, which takes a quarter of the time and changes the points by a pixel."""
    import cv2

    small = cv2.resize(crop, (256, 256), interpolation=cv2.INTER_AREA)
    found = tools.detector.detect(np.rint(small * 255).astype(np.uint8))
    values: dict[str, float] = {"sharpness": figures.sharpness(crop), **figures.light(crop)}
    if found:
        turn = figures.pose(found[0].landmarks, tools.detector.name)
        values |= {"score": found[0].score, "yaw": turn["yaw"], "pitch": turn["pitch"]}
    return {
        "figures": {name: figure(values.get(name)) for name in NAMES},
        "faces": len(found),
        "phash": f"{phash(crop):016x}",
        "vector": pack_vector(tools.recognizer.embed(crop[None])[0]),
    }


def _record(
    picture: Picture,
    measured: Mapping[str, Any],
    screens: Screens,
    keep: Sequence[Condition],
    drop: Sequence[Condition],
) -> dict[str, Any]:
    """``vector`` is not for the manifest."""
    name = picture.name.as_posix()
    base = {
        "name": shown(name),
        "source": picture.source,
        "source_sha256": measured["source_sha256"],
        "output": None,
    }
    face = measured["face"]
    if face is None:
        return {**base, "status": "failed", "dropped_by": [], "reasons": [measured["error"]]}
    values = dict(face["figures"])
    before = picture.before.get("figures") or {}
    values |= {one: before.get(one) for one in _FROM_PHOTO}
    reasons = screens.judge(values)
    if not face["faces"]:
        reasons = {"no face": "no face found", **reasons}
    for condition in keep:
        if not condition.holds(values):
            reasons[f"keep {condition.text}"] = f"it is not so that {condition.text}"
    for condition in drop:
        if condition.holds(values):
            reasons[f"drop {condition.text}"] = f"{condition.text}"
    return {
        **base,
        **face,
        "figures": values,
        "status": "dropped" if reasons else "kept",
        "dropped_by": list(reasons),
        "reasons": list(reasons.values()),
        "duplicate_of": None,
        "output": None if reasons else f"{SET}/{name}",
    }


def _public(record: dict[str, Any]) -> dict[str, Any]:
    public = {name: value for name, value in record.items() if name != "vector"}
    return {**public, "output": None if record["output"] is None else shown(record["output"])}
