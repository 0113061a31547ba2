"""A set into parts, by person: nobody is in two of them."""

from __future__ import annotations

import hashlib
import math
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from likeness import __version__
from likeness.faces import Recognizer
from likeness.photo.errors import one_line, shown
from likeness.train.dataset.filtering import copy
from likeness.train.dataset.measuring import Tools, pack_vector, run, unpack_vector
from likeness.train.dataset.output import Output, figure, key_of
from likeness.train.dataset.people import by_folder, by_identity, by_name, near_pairs, nearest_across
from likeness.train.dataset.sources import Picture, decode, list_pictures

PARTS = {"train": 0.9, "val": 0.05, "test": 0.05}
WAYS = ("name", "folder", "identity")
SAME_PERSON = 0.55  # dlib's distance, as faces.DlibRecognizer.same_person
LEAK = 0.35  # dlib's distance: nearer faces in two parts are reported
_MEASURES = 1  # counted up when what is measured changes
_LISTED = 20


def parse_parts(text: str) -> dict[str, float]:
    """``train=0.9,val=0.05,test=0.05`` -> shares by name. Raises ValueError unless they are positive and sum to 1."""
    parts: dict[str, float] = {}
    for item in text.split(","):
        name, _, number = (word.strip() for word in item.partition("="))
        try:
            share = float(number)
        except ValueError:
            share = math.nan
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", name) or name in parts or not 0 < share <= 1:
            raise ValueError(f"parts look like train=0.9,val=0.05,test=0.05, each name once, got {text!r}")
        parts[name] = share
    if abs(sum(parts.values()) - 1) > 1e-6:
        raise ValueError(f"the shares of the parts must sum to 1, those of {text!r} sum to {sum(parts.values()):g}")
    return parts


def part_of(person: str, parts: Mapping[str, float], seed: int = 0) -> str:
    """Where a person goes: by a hash of the seed and the name alone, so that others who come later move nobody."""
    digest = hashlib.sha256(f"{seed}\n{person}".encode("utf-8", "surrogateescape")).digest()
    place, reached = int.from_bytes(digest[:8], "big") / 2**64, 0.0
    for name, share in parts.items():
        reached += share
        if place < reached:
            return name
    return list(parts)[-1]  # rounding


def split(
    sources: Sequence[str | Path],
    output: Path,
    parts: Mapping[str, float] | None = None,
    *,
    by: str = "identity",
    person: str = "",
    same_person: float = SAME_PERSON,
    leak: float | None = LEAK,
    seed: int = 0,
    workers: int = 1,
    recognizer: Recognizer | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Any]:
    """Copy crops to ``output/<part>/<name>``, all of a person to one part; returns the summary.

    by: "name" (the first group of the regular expression ``person`` in the name), "folder" (that the picture lies in)
    or "identity" (approximate: single-link clusters of faces nearer than ``same_person``). A picture of nobody (no
    match, no folder) is dropped. With names and folders, pictures that are added later move no other; with identity
    they do where they join two clusters or are called before the rest of theirs. Shares hold on average: a part of few
    people may be empty. leak: faces of two parts that are this near are reported as ``leaks`` of the summary (None: not
    looked for). The manifest has a record for each crop: name, source, source_sha256, person, part, status, dropped_by,
    reasons, output. recognizer: for identity (dlib's by default). Goes on after a kill as ``align`` does. Raises
    FileNotFoundError for a source without pictures, ValueError for a wrong setting or an output that holds other files,
    OSError.
    """
    if by not in WAYS:
        raise ValueError(f"unknown way to tell people {by!r}; choose one of: {', '.join(WAYS)}")
    if (by == "name") != bool(person):
        raise ValueError("people by name need --person, a regular expression, and only they do")
    parts = dict(parts or PARTS)
    pictures = list_pictures(sources)
    names = [one.name for one in pictures]
    people: list[str | None] = []
    if by != "identity":
        people = by_name(names, person) if by == "name" else by_folder(names)
    folder = Output(output, sources, [f"{part}/**/*" for part in parts])
    wants_vectors = by == "identity" or leak is not None
    key = key_of("split", __version__, _MEASURES, recognizer.name if recognizer else "dlib")

    def measure(picture: Picture, tools: Tools) -> dict[str, Any]:
        return _measure(picture, recognizer or tools, folder, key, wants_vectors)

    measured = list(run(pictures, measure, Tools("dlib"), 1 if recognizer else workers, progress))
    good = [index for index, one in enumerate(measured) if one["error"] is None]
    vectors = np.stack([unpack_vector(measured[i]["vector"]) for i in good]) if wants_vectors and good else None
    if by == "identity":
        digests = [measured[index]["source_sha256"] for index in good]
        clusters = {} if vectors is None else dict(zip(good, by_identity(vectors, digests, same_person), strict=True))
        people = [clusters.get(index) for index in range(len(pictures))]
    records = [
        _record(picture, one, who, part_of(who, parts, seed) if who else None)
        for picture, one, who in zip(pictures, measured, people, strict=True)
    ]
    _same_place_once(records)
    for picture, record in zip(pictures, records, strict=True):
        if record["output"]:
            copy(picture, folder, Path(record["part"]) / picture.name, record["source_sha256"])
    written = [(one, record) for one, record in zip(pictures, records, strict=True) if record["output"]]
    folder.keep_only([Path(record["part"]) / one.name for one, record in written])
    facts = {
        "likeness": __version__,
        "step": "split",
        "sources": [shown(one) for one in sources],
        "settings": {"by": by, "person": person, "same_person": same_person, "leak": leak, "seed": seed},
        "parts": _count(records, parts),
        "largest_person": _largest(records),
        **_leaks(records, good, vectors, leak),
    }
    return folder.report(records, facts)


def _measure(
    picture: Picture, tools: Tools | Recognizer, folder: Output, key: str, wants_vector: bool
) -> dict[str, Any]:
    try:
        data = picture.read()
    except OSError as error:
        return {"source_sha256": None, "error": one_line(str(error))}
    digest = hashlib.sha256(data).hexdigest()
    done = folder.recall("measured", picture.name, key)
    if done is not None and done["source_sha256"] == digest and ("vector" in done or done["error"] or not wants_vector):
        return done
    measured: dict[str, Any] = {"source_sha256": digest, "error": None}
    try:
        crop = decode(data)
    except ValueError as error:
        measured["error"] = str(error)
    else:
        if wants_vector:
            recognizer = tools.recognizer if isinstance(tools, Tools) else tools
            measured["vector"] = pack_vector(recognizer.embed(crop[None])[0])
    folder.remember("measured", picture.name, key, measured)
    return measured


def _record(picture: Picture, measured: Mapping[str, Any], person: str | None, part: str | None) -> dict[str, Any]:
    name = picture.name.as_posix()
    record = {"name": shown(name), "source": picture.source, "source_sha256": measured["source_sha256"]}
    nobody = {"person": None, "part": None, "output": None}
    if measured["error"] is not None:
        return {**record, **nobody, "status": "failed", "dropped_by": [], "reasons": [measured["error"]]}
    if person is None:
        reason = "the name does not say who it is"
        return {**record, **nobody, "status": "dropped", "dropped_by": ["nobody"], "reasons": [reason]}
    known = {"person": shown(person), "part": part, "output": shown(f"{part}/{name}")}
    return {**record, **known, "status": "kept", "dropped_by": [], "reasons": []}


def _same_place_once(records: Sequence[dict[str, Any]]) -> None:
    """The very same bytes are in one part, whatever the names say: those that would go elsewhere are dropped."""
    first: dict[str, dict[str, Any]] = {}
    for record in records:
        if record["status"] != "kept":
            continue
        before = first.setdefault(record["source_sha256"], record)
        if before["part"] != record["part"]:
            reason = f"the same picture is in {before['part']} as {before['name']}"
            record.update(part=None, output=None, status="dropped", dropped_by=["same picture"], reasons=[reason])


def _count(records: Sequence[Mapping[str, Any]], parts: Mapping[str, float]) -> dict[str, Any]:
    kept = [record for record in records if record["status"] == "kept"]
    return {
        part: {
            "share": share,
            "pictures": sum(record["part"] == part for record in kept),
            "people": len({record["person"] for record in kept if record["part"] == part}),
        }
        for part, share in parts.items()
    }


def _largest(records: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """A cluster that holds much of the set is a chain, not a person: worth a look."""
    counts = Counter(record["person"] for record in records if record["status"] == "kept")
    if not counts:
        return None
    person, count = min(counts.items(), key=lambda one: (-one[1], one[0]))
    return {"person": person, "pictures": count}


def _leaks(
    records: Sequence[Mapping[str, Any]], good: Sequence[int], vectors: np.ndarray | None, leak: float | None
) -> dict[str, Any]:
    """``leaks``: how many pairs of faces in two parts are too near, and the nearest of them."""
    if leak is None or vectors is None:
        return {"leaks": None}
    rows = [row for row, index in enumerate(good) if records[index]["status"] == "kept"]
    kept = [records[good[row]] for row in rows]
    if len({record["part"] for record in kept}) < 2:
        return {"leaks": {"limit": leak, "pairs": 0, "nearest_distance": None, "nearest": []}}
    numbers = {part: number for number, part in enumerate(sorted({record["part"] for record in kept}))}
    parts = np.array([numbers[record["part"]] for record in kept])
    found = sorted(near_pairs(vectors[rows], leak, parts), key=lambda pair: (pair[2], pair[0], pair[1]))
    nearest = nearest_across(vectors[rows], parts)
    pairs = [{"a": kept[i]["output"], "b": kept[j]["output"], "distance": figure(d)} for i, j, d in found[:_LISTED]]
    far = None if nearest is None else figure(nearest[2])
    return {"leaks": {"limit": leak, "pairs": len(found), "nearest_distance": far, "nearest": pairs}}
