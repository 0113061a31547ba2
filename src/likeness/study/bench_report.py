"""What a benchmark says: the document, and the tables as Markdown, measured figures beside published ones."""

from __future__ import annotations

import platform
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from likeness import __version__
from likeness.measure.cards import metric_card
from likeness.study.contenders import Outcome
from likeness.study.measuring import Measurement
from likeness.study.pairs import without_draw
from likeness.study.prepared import Prepared
from likeness.study.protocols import Protocol
from likeness.study.published import tables_for
from likeness.study.scores import cell, heading, score_dict
from likeness.study.statistics import Estimate, grouped

INEXACT = " \\*"  # behind the names of columns that are not to be compared with ours


@dataclass(frozen=True)
class Run:
    """A row of the table: the inputs themselves (no outcome), or a contender's pictures; None where it has none."""

    name: str
    outcome: Outcome | None
    measured: Measurement | None

    @property
    def problems(self) -> list[str]:
        """All that went wrong, one line each."""
        found = [] if self.outcome is None or self.outcome.error is None else [self.outcome.error]
        if self.outcome is not None and self.outcome.report is not None:
            for photo in self.outcome.report["photos"]:
                if photo["status"] == "failed":
                    found.append(str(photo["reason"]))
                found += [
                    f"{photo['input']}: {face['reason']}" for face in photo["faces"] if face["status"] == "failed"
                ]
        return found + (self.measured.problems if self.measured else [])

    @property
    def seconds(self) -> float | None:
        """Median time of a face, of the runs that restored it."""
        if self.outcome is None or self.outcome.report is None:
            return None
        taken = [
            face["seconds"] for photo in self.outcome.report["photos"] for face in photo["faces"] if face["seconds"]
        ]
        return float(np.median(taken)) if taken else None


@dataclass(frozen=True)
class Change:
    """A contender against the input, picture by picture: the mean difference, and the share that got worse."""

    difference: Estimate
    worse: float
    relative: float


def change(run: Run, base: Run, metric: str) -> Change | None:
    """How ``metric`` changed from the input to the contender's picture; None where either has no values."""
    if run.measured is None or base.measured is None:
        return None
    before = {row.name: row.values[metric] for row in base.measured.rows if metric in row.values}
    rows = [
        row
        for row in run.measured.rows
        if metric in row.values and np.isfinite([row.values[metric], before.get(row.name, np.nan)]).all()
    ]
    if not rows:
        return None
    pairs = np.array([(before[row.name], row.values[metric]) for row in rows])
    difference = pairs[:, 1] - pairs[:, 0]
    worse = difference < 0 if metric_card(metric).higher_is_better else difference > 0
    groups = [without_draw(row.name) for row in rows]
    mean = float(pairs[:, 0].mean())
    relative = float(difference.mean() / mean) if mean else float("nan")
    return Change(grouped(difference, groups), float(worse.mean()), relative)


def document(protocol: Protocol, prepared: Prepared, runs: Sequence[Run], gates: Mapping[str, str]) -> dict[str, Any]:
    """result.json: everything of the run but the single pictures' values."""
    return {
        "likeness": __version__,
        "protocol": {
            "name": protocol.name,
            "title": protocol.title,
            "source": protocol.source,
            "recipe": protocol.recipe,
            "seed": protocol.seed,
            "draws": protocol.draws,
            "aligned": protocol.aligned,
            "notes": protocol.notes,
            "not_measured": list(protocol.unavailable),
        },
        "data": prepared.data.name,
        "pictures": prepared.count,
        "machine": machine(),
        "when": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "methods": {run.name: _method(run, runs[0], protocol, gates) for run in runs},
        "published": [table.name for table in tables_for(protocol.name)],
    }


def _method(run: Run, base: Run, protocol: Protocol, gates: Mapping[str, str]) -> dict[str, Any]:
    report = run.outcome.report if run.outcome else None
    scores = run.measured.scores if run.measured else {}
    changes = {name: change(run, base, name) for name in protocol.metrics} if run is not base else {}
    return {
        "error": run.outcome.error if run.outcome else None,
        "weights_sha256": report["weights_sha256"] if report else None,
        "options": report["settings"]["options"] if report else None,
        "precision": report["precision"] if report else None,
        "seconds_per_face": run.seconds,
        "scores": {name: score_dict(score) for name, score in scores.items()},
        "against_input": {
            name: {
                "difference": round(one.difference.value, 6),
                "interval": [round(one.difference.low, 6), round(one.difference.high, 6)],
                "worse_for": round(one.worse, 4),
            }
            for name, one in changes.items()
            if one is not None
        },
        "gate": gates.get(run.name),
        "problems": run.problems,
    }


def machine() -> dict[str, str]:
    """Where it ran: processor, cores, system, Python and torch."""
    import os

    import torch

    return {
        "processor": _processor(),
        "cores": str(os.cpu_count()),
        "accelerator": torch.cuda.get_device_name(0) if torch.cuda.is_available() else "none",
        "system": platform.platform(),
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:  # noqa: PTH123
            names = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
    except OSError:  # not Linux
        names = []
    return names[0] if names else platform.processor() or platform.machine()


def markdown(protocol: Protocol, prepared: Prepared, runs: Sequence[Run], gates: Mapping[str, str]) -> str:
    """result.md: the measured table, why some figures are missing, and the published tables of the same protocol."""
    seeds = f"seed {protocol.seed}"
    if protocol.recipe and protocol.seed is not None and protocol.draws > 1:
        seeds = f"seeds {protocol.seed} to {protocol.seed + protocol.draws - 1}"
    how = f"recipe `{protocol.recipe}`, {seeds}" if protocol.recipe else "degraded by its authors"
    lines = [f"{protocol.name}: {prepared.count} pictures, {how} (95 % intervals)", "", *_measured(protocol, runs), ""]
    lines += [f"- {name}: gate {verdict}" for name, verdict in gates.items()]
    lines += [f"- {run.name}: {run.outcome.error}" for run in runs if run.outcome and run.outcome.error]
    missing = {name: score.unavailable for run in runs if run.measured for name, score in run.measured.scores.items()}
    lines += [f"- {metric_card(name).title}: not available, {why}" for name, why in missing.items() if why]
    if protocol.unavailable:
        lines.append(f"- not measured here: {', '.join(protocol.unavailable)}")
    for table in tables_for(protocol.name):
        lines += ["", *_published(table)]
    return "\n".join(lines).rstrip() + "\n"


def _measured(protocol: Protocol, runs: Sequence[Run]) -> list[str]:
    head, rule = ["method"], ["---"]
    for name in protocol.metrics:
        head += [heading(metric_card(name)), *_EXTRA.get(name, ())]
    rule += ["---"] * (len(head) - 1)
    rows = [_line(head), _line(rule)]
    for run in runs:
        cells = [run.name]
        for name in protocol.metrics:
            score = run.measured.scores.get(name) if run.measured else None
            cells.append(cell(score) if score else "–")
            cells += _extra(name, run, runs[0])
        rows.append(_line(cells))
    return rows


_EXTRA = {"psnr": ("gain, dB",), "identity-distance": ("against the input's", "worse for")}


def _extra(name: str, run: Run, base: Run) -> list[str]:
    """The columns that say how a contender did against the input."""
    if name not in _EXTRA:
        return []
    found = change(run, base, name) if run is not base else None
    if found is None:
        return ["–"] * len(_EXTRA[name])
    if name == "psnr":
        return [f"{found.difference.value:+.2f}"]
    return [f"{found.relative:+.1%}", f"{found.worse:.0%} of faces"]


def _published(table: Any) -> list[str]:
    head = ["published", *(column.name + ("" if column.exact else INEXACT) for column in table.columns)]
    lines = [f"{table.title} ({table.source}):", "", _line(head), _line(["---"] * len(head))]
    for method, values in table.rows.items():
        lines.append(_line([method, *("–" if value is None else f"{value:g}" for value in values)]))
    if not all(column.exact for column in table.columns):
        lines += ["", INEXACT.strip() + " the source does not say how exactly, or ours differs: not to be compared"]
    return [*lines, "", table.note] if table.note else lines


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
