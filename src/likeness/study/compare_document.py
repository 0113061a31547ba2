"""A comparison as plain data: what compare.json holds, and its table and lines of CSV."""

from __future__ import annotations

import datetime
import math
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from likeness import __version__
from likeness.measure.cards import metric_card
from likeness.measure.metric import MetricCard
from likeness.pipeline import Settings
from likeness.results import Report
from likeness.study.contenders import Outcome
from likeness.study.measuring import Measurement, Row, Score
from likeness.study.ranking import BASELINE, PREFERENCES, Criterion, leaders, rank
from likeness.study.scores import as_csv, score_dict
from likeness.study.statistics import bootstrap

# What the reports say themselves, in the shape of metrics.
TO_INPUT = MetricCard(
    "identity-to-input",
    "identity distance to the input",
    False,
    0,
    2,
    "L2 of the recogniser, each face before and after",
)
SECONDS = MetricCard(
    "seconds", "time per face", False, 0, math.inf, "restoring alone, when it was done", unit="s", digits=2
)
REPORTED = (TO_INPUT, SECONDS)


@dataclass(frozen=True)
class Picture:
    """A photo that is compared. ``name``: relative, without suffix, its own; ``copies``: folder -> file below DIR."""

    name: str
    source: Path
    truth: Path | None = None
    copies: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Entry:
    """A row: a contender's outcome (None: the input as it was), its records by picture, and its values."""

    outcome: Outcome | None
    records: Mapping[str, Mapping[str, Any]] | None
    measurement: Measurement | None

    @property
    def name(self) -> str:
        return BASELINE if self.outcome is None else self.outcome.contender.name


def make_document(
    pictures: Sequence[Picture],
    entries: Sequence[Entry],
    metrics: Sequence[str],
    prefer: str,
    settings: Settings,
    truth: bool,
    problems: Sequence[str],
) -> dict[str, Any]:
    """All that the page shows. ``problems``: what went wrong beside the contenders."""
    cards = [*(metric_card(name) for name in metrics), *REPORTED]
    values = {entry.name: _values(entry) for entry in entries}
    criteria = {card.name: Criterion(card, _by_contender(values, card.name)) for card in cards}
    same_person = {entry.name: share for entry in entries if (share := _same_person(entry)) is not None}
    aimed = {card.name for card in cards if card.target is not None}
    unranked = {*aimed, *([TO_INPUT.name] if truth else [])}  # to change nothing is no merit where there is a truth
    best = {card.name: [] if card.name in unranked else leaders(criteria[card.name]) for card in cards}
    rankings = {one: rank(one, criteria, same_person).as_dict() for one in PREFERENCES}
    return {
        "likeness": __version__,
        "made": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "made_with": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} processors",
        },
        "settings": _settings(settings),
        "truth": truth,
        "prefer": prefer,
        "rankings": rankings,
        "metrics": {
            card.name: {
                "title": card.title,
                "unit": card.unit,
                "digits": card.digits,
                "higher_is_better": card.higher_is_better,
                "target": card.target,
                "source": card.source,
            }
            for card in cards
        },
        "methods": [_method(entry, values[entry.name], cards, best) for entry in entries],
        "pictures": [
            {
                "name": picture.name,
                "source": str(picture.source),
                "input": picture.copies.get("inputs"),
                "truth": picture.copies.get("truth"),
            }
            for picture in pictures
        ],
        "failures": _failures(entries, problems),
    }


def values_csv(document: Mapping[str, Any]) -> str:
    """One line for each method and picture, with a column for each metric."""
    metrics = list(document["metrics"])
    text = ""
    for entry in document["methods"]:
        rows = [
            Row(name, {m: float(v) for m, v in one["values"].items()}, list(one["problems"]))
            for name, one in entry["pictures"].items()
        ]
        lines = as_csv(rows, metrics, method=entry["name"])
        text += lines if not text else lines.partition("\n")[2]
    return text


def text_table(document: Mapping[str, Any]) -> str:
    """Methods down, metrics across, the interval below each value; at the end those that could not run, and why."""
    metrics = document["metrics"]
    heads = [heading(facts) for facts in metrics.values()]
    rows: list[list[str]] = []
    for entry in document["methods"]:
        if entry["error"] is not None:
            continue
        shown = [score_text(entry["scores"].get(name), facts) for name, facts in metrics.items()]
        rows.append([entry["name"], *(value for value, _ in shown)])
        if any(interval for _, interval in shown):
            rows.append(["", *(interval for _, interval in shown)])
    widths = [max(len(row[i]) for row in rows) for i in range(len(heads) + 1)]
    words = [_wrapped(head, max(widths[i + 1], 12)) for i, head in enumerate(heads)]
    widths = [widths[0], *(max(w, *map(len, lines)) for w, lines in zip(widths[1:], words, strict=True))]
    height = max(len(lines) for lines in words)
    top = [["", *(([""] * (height - len(lines)) + lines)[i] for lines in words)] for i in range(height)]
    lines = [
        "  ".join([row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True))]).rstrip()
        for row in [*top, *rows]
    ]
    failed = [f"{e['name']}  could not run: {e['error']}" for e in document["methods"] if e["error"] is not None]
    return "\n".join([*lines[:height], "-" * max(map(len, lines)), *lines[height:], *failed])


def heading(facts: Mapping[str, Any]) -> str:
    """ "PSNR, dB ↑": the arrow points to what is better, which may be a number."""
    unit = f", {facts['unit']}" if facts["unit"] else ""
    arrow = "↑" if facts["higher_is_better"] else "↓"
    if facts["target"] is not None:
        arrow = f"→ {facts['target']:g}"
    return f"{facts['title']}{unit}\N{NO-BREAK SPACE}{arrow}"


def score_text(score: Mapping[str, Any] | None, facts: Mapping[str, Any]) -> tuple[str, str]:
    """ "29.30" and "28.98 to 29.61"; a dash where there is no value, nothing where there is no interval."""
    if score is None or not isinstance(score.get("value"), float | int):
        return "–", ""
    digits = facts["digits"]
    interval = score["interval"]
    return (
        f"{score['value']:.{digits}f}",
        f"{interval[0]:.{digits}f} to {interval[1]:.{digits}f}" if interval is not None else "",
    )


def _wrapped(text: str, width: int) -> list[str]:
    import textwrap

    return textwrap.wrap(text, width, break_long_words=False)


def _settings(settings: Settings) -> dict[str, Any]:
    """What holds for all methods and differs from the default, and what always matters."""
    default, given = asdict(Settings()), asdict(settings)
    always = ("seed", "samples", "aligned", "faces", "detector", "device", "precision")
    return {
        name: value if isinstance(value, bool | int | float | str) or value is None else str(value)
        for name, value in given.items()
        if name in always or value != default[name]
    }


def _faces(record: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [face for face in record["faces"] if face["status"] == "restored"]


def _values(entry: Entry) -> dict[str, dict[str, float]]:
    """picture -> metric -> value, those of the reports among them."""
    found: dict[str, dict[str, float]] = {}
    for name, record in (entry.records or {}).items():
        found[name] = {}
        restored = _faces(record)
        if restored:
            found[name][TO_INPUT.name] = float(np.mean([face["identity_distance"] for face in restored]))
            found[name][SECONDS.name] = float(np.mean([face["seconds"] for face in restored]))
    for row in entry.measurement.rows if entry.measurement else ():
        measured = found.setdefault(row.name, {})
        found[row.name] = {**row.values, **measured}
    return found


def _by_contender(values: Mapping[str, Mapping[str, Mapping[str, float]]], metric: str) -> dict[str, dict[str, float]]:
    """contender -> picture -> value of one metric, where it is finite."""
    found = {
        name: {p: v[metric] for p, v in pictures.items() if metric in v and math.isfinite(v[metric])}
        for name, pictures in values.items()
    }
    return {name: kept for name, kept in found.items() if kept}


def _same_person(entry: Entry) -> float | None:
    faces = [face for record in (entry.records or {}).values() for face in _faces(record)]
    return float(np.mean([bool(face["same_person"]) for face in faces])) if faces else None


def _method(
    entry: Entry,
    values: Mapping[str, Mapping[str, float]],
    cards: Sequence[MetricCard],
    best: Mapping[str, Sequence[str]],
) -> dict[str, Any]:
    """One entry of ``methods``."""
    scores = dict(entry.measurement.scores) if entry.measurement else {}
    for card in REPORTED:
        mine = np.array([v[card.name] for v in values.values() if card.name in v])
        if len(mine):
            scores[card.name] = Score(card, bootstrap(mine), len(mine))
    problems = {row.name: row.problems for row in entry.measurement.rows} if entry.measurement else {}
    report = entry.outcome.report if entry.outcome is not None else None
    contender = entry.outcome.contender if entry.outcome is not None else None
    folder = "inputs" if contender is None else contender.folder
    about: dict[str, Any] = {}
    if report is not None:
        about = {
            "method": report["settings"]["method"],
            "options": report["settings"]["options"],
            "weights_sha256": report["weights_sha256"],
            "precision": report["precision"],
            "summary": report["summary"],
        }
    return {
        "name": entry.name,
        "baseline": entry.outcome is None,
        "folder": folder,
        "error": entry.outcome.error if entry.outcome is not None else None,
        **about,
        "leads": [card.name for card in cards if entry.name in best[card.name]],
        "scores": {card.name: score_dict(scores[card.name]) for card in cards if card.name in scores},
        "pictures": {
            name: {
                "values": {m: v if math.isfinite(v) else str(v) for m, v in one.items()},
                "problems": problems.get(name, []),
                **_record(folder, (entry.records or {}).get(name)),
            }
            for name, one in values.items()
        },
    }


def _record(folder: str, record: Mapping[str, Any] | None) -> dict[str, Any]:
    """What is kept of a photo's record; files are named from DIR on."""
    if record is None:
        return {}
    return {
        "status": record["status"],
        "reason": record["reason"],
        "output": f"{folder}/{record['output']}" if record["output"] else None,
        "extra_outputs": [f"{folder}/{name}" for name in record["extra_outputs"]],
        "notes": record["notes"],
        "faces": record["faces"],
    }


def _failures(entries: Sequence[Entry], problems: Sequence[str]) -> list[dict[str, str]]:
    """Each thing that went wrong once: (who, what)."""
    found = {("", problem): None for problem in problems}
    told = set(problems)
    for entry in entries:
        if entry.outcome is not None and entry.outcome.error is not None:
            found[entry.name, entry.outcome.error] = None
        if entry.outcome is not None and entry.outcome.report is not None:
            photos = list(entry.outcome.report["photos"])
            for name, reason in Report({}, photos).failures:
                found[entry.name, reason if name in reason else f"{name}: {reason}"] = None
        for problem in entry.measurement.problems if entry.measurement else ():
            if problem not in told:  # the same file cannot be read by anyone
                told.add(problem)
                found[entry.name, problem] = None
    return [{"who": who, "what": what} for who, what in found]
