"""The identity study: restore the probes, compare them with the gallery before and after, write what was found."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from likeness import __version__, parts
from likeness.faces import Recognizer
from likeness.photo import PhotoError, atomic_write_text
from likeness.pipeline import Settings
from likeness.study.contenders import Contender, run_contender
from likeness.study.identity.csv_text import CAMERAS, PAIRS, as_csv
from likeness.study.identity.enrol import Enrolled, Enroller
from likeness.study.identity.layouts import Layout
from likeness.study.identity.page import page
from likeness.study.identity.table import DIRECT, LEVEL, Entry, Table
from likeness.study.statistics import RESAMPLES, Estimate


@dataclass(frozen=True)
class Study:
    """``document``: what identity.json holds. ``good``: every file, face and contender went well."""

    document: dict[str, Any]
    good: bool


def run_identity(
    layout: Layout,
    data: Path,
    contenders: Sequence[Contender],
    output: Path,
    settings: Settings,
    recognizer: Recognizer,
    *,
    resamples: int = RESAMPLES,
    say: Callable[[str], None] = lambda text: None,
) -> Study:
    """Run the study of ``layout`` (read from ``data``) and write it into ``output``.

    Writes identity.json, pairs.csv, cameras.csv, index.html, and the restored probes in a folder for each contender;
    what is restored and intact is not restored again. The score is the cosine similarity of identity vectors. Faces are
    found once, in the degraded probe; the restored one, of the same size, is cut at the same place. Figures are over
    the probes that all contenders have; the others are counted and listed with their reasons, and make the study not
    ``good``, as a contender that cannot run does. Settings of the choice of faces are the study's own: the largest one,
    however small. ``settings.seed`` seeds the bootstrap, too. Raises PhotoError when nothing can be compared, when
    ``output`` lies in the data, and what ``find_detector`` raises. Source: papers/000, sections 5-6.
    """
    if data.is_dir() and output.resolve().is_relative_to(data.resolve()):
        raise PhotoError(f"{output} lies in {data}, whose pictures are read: choose an output folder outside of it")
    settings = replace(settings, faces="largest", min_face=0.0)
    enroller = Enroller(recognizer, None if settings.aligned else parts.find_detector(settings.detector))
    failures: list[dict[str, Any]] = []

    say(f"finding and embedding {len(layout.galleries)} gallery pictures and {len(layout.probes)} probes")
    gallery = enroller.enrol([one.path for one in layout.galleries])
    for i, reason in gallery.reasons.items():
        failures.append(_failure("gallery", layout.galleries[i].path, reason))
    direct = Entry(DIRECT, None, enroller.enrol([one.path for one in layout.probes]))
    for i, reason in direct.enrolled.reasons.items():
        failures.append(_failure("probe", layout.probes[i].path, reason))
    if not direct.enrolled.vectors or not gallery.vectors:
        what = "probe" if gallery.vectors else "gallery picture"
        raise PhotoError(f"{data}: no {what} could be used: {failures[-1]['reason']}")

    entries = [direct]
    for contender in contenders:
        say(f"restoring {len(direct.enrolled.vectors)} probes with {contender.name}")
        entry = _restored(contender, layout, direct.enrolled, enroller, output, settings)
        entries.append(entry)
        if entry.error is not None:
            failures.append({"what": entry.name, "file": None, "reason": entry.error})
        else:
            failures += [_failure(entry.name, layout.probes[i].path, r) for i, r in entry.enrolled.reasons.items()]

    say("comparing")
    table = Table(layout, gallery, entries, data)
    figures = table.figures(resamples, settings.seed)
    for probe in table.unknown:
        failures.append(_failure("probe", layout.probes[probe].path, "no picture of this person's could be used"))
    document = {
        "likeness": __version__,
        "study": "identity",
        "layout": layout.kind,
        "data": str(data),
        "recognizer": recognizer.name,
        "similarity": "cosine",
        "aligned": settings.aligned,
        "detector": None if settings.aligned else settings.detector,
        "seed": settings.seed,
        "interval": {"level": LEVEL, "resamples": resamples, "unit": "person"},
        "counts": table.counts(),
        "notices": list(layout.notices),
        "finding": table.findings(figures),
        "contenders": table.contenders(figures),
        "groups": table.groups(figures),
        "failures": failures,
    }
    document = _plain(document)
    atomic_write_text(output / "pairs.csv", as_csv(PAIRS, table.rows()))
    atomic_write_text(output / "cameras.csv", as_csv(CAMERAS, document["groups"]))
    curves = {entry.name: one.curve for entry, one in zip(table.scored, figures, strict=True)}
    scores = {entry.name: table.split(entry) for entry in table.scored}
    atomic_write_text(output / "index.html", page(document, curves, scores))
    text = json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False)
    atomic_write_text(output / "identity.json", text + "\n")
    return Study(document, not failures)


def _restored(
    contender: Contender, layout: Layout, direct: Enrolled, enroller: Enroller, output: Path, settings: Settings
) -> Entry:
    """Restore the probes in which a face was found, and embed what comes back."""
    entry = Entry(contender.name, contender.folder, Enrolled())
    wanted = list(direct.vectors)
    outcome = run_contender(contender, sorted({layout.probes[i].path for i in wanted}), output, settings)
    if outcome.report is None:
        entry.error = outcome.error or "it could not run"
        return entry
    records = {Path(record["input"]).resolve(): record for record in outcome.report["photos"]}
    found: list[tuple[int, Path]] = []
    for i in wanted:
        record = records[layout.probes[i].path.resolve()]
        broken = [face["reason"] for face in record["faces"] if face["status"] == "failed"]
        if record["output"] is None or broken:
            entry.enrolled.reasons[i] = broken[0] if broken else record["reason"]
            continue
        entry.unchanged += record["status"] == "kept"
        found.append((i, output / contender.folder / record["output"]))
    again = enroller.enrol([path for _, path in found], [direct.places[i] for i, _ in found])
    for place, (i, _) in enumerate(found):
        if place in again.vectors:
            entry.enrolled.vectors[i] = again.vectors[place]
        else:
            entry.enrolled.reasons[i] = again.reasons[place]
    if not entry.enrolled.vectors:
        entry.error = f"it restored no probe: {next(iter(entry.enrolled.reasons.values()))}"
    return entry


def _failure(what: str, path: Path, reason: str) -> dict[str, Any]:
    return {"what": what, "file": str(path), "reason": reason}


def _plain(value: Any) -> Any:
    """For JSON: estimates as objects, and null for what is not a finite number."""
    if isinstance(value, Estimate):
        return {key: _plain(number) for key, number in value._asdict().items()}
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
