"""Run a protocol: degrade, restore by each contender, measure, and set the figures beside the published ones."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from likeness import parts
from likeness.compute import pick_device
from likeness.measure.cache import Cache
from likeness.photo import atomic_write_text
from likeness.pipeline import Settings
from likeness.study.bench_report import Run, document, markdown
from likeness.study.contenders import Contender, run_contender
from likeness.study.extractors import Extractors
from likeness.study.folder import CACHE
from likeness.study.measuring import Measurement, measure_items
from likeness.study.pairs import find_items
from likeness.study.prepared import Prepared, prepare
from likeness.study.protocols import Protocol, gate_failures
from likeness.study.scores import as_csv
from likeness.study.views import Views
from likeness.weights.store import home

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Bench:
    """The outcome: ``document`` is result.json, ``text`` result.md, ``failures`` one line each."""

    document: dict[str, object]
    text: str
    failures: tuple[str, ...]


def run_bench(
    protocol: Protocol,
    contenders: Sequence[Contender],
    output: Path,
    *,
    data: Path | None = None,
    reference: Path | None = None,
    metrics: Sequence[str] | None = None,
    recipe: str | None = None,
    draws: int | None = None,
    aligned: bool | None = None,
    settings: Settings | None = None,
    recognizer: str = "dlib",
    progress: Progress = lambda done, total, what: None,
) -> Bench:
    """Run ``protocol`` and write result.json, result.md, values.csv and all pictures below ``output``.

    ``data``: the folder of the data set, or of one's own photographs; ``recipe``, ``draws``, ``aligned``, ``metrics``:
    other ones than the protocol's, which only ``own-folder`` allows. Stopped and run again, it goes on where it was:
    degraded and restored pictures that are intact stay, measured values are kept by content. A contender that cannot
    run and a picture that cannot be restored or measured are among the failures; the others go on. Raises DatasetError
    and PhotoError for missing pictures, ValueError for wrong use.
    """
    protocol = _adapted(protocol, recipe, draws, aligned, metrics)
    prepared = prepare(protocol, output, data, reference)
    settings = replace(settings or Settings(), aligned=protocol.aligned)
    where = pick_device(settings.device)
    views = Views(None if protocol.aligned else parts.find_detector(settings.detector, where))
    extractors = Extractors(recognizer, where)
    runs: list[Run] = []
    with Cache(home() / CACHE) as cache:

        def measured(folder: Path, name: str) -> Measurement:
            items = find_items(folder, prepared.truth, prepared.inputs)
            return measure_items(
                items,
                protocol.metrics,
                views,
                extractors,
                cache,
                prepared.reference,
                partial(_progress, progress, name),
            )

        runs.append(Run("input", None, measured(prepared.inputs, "input")))
        for contender in contenders:
            restoring = partial(_progress, progress, f"restoring by {contender.name}")
            outcome = run_contender(contender, [prepared.inputs], output, settings, progress=restoring)
            done = outcome.error is None and any(photo["output"] for photo in outcome.report["photos"])  # type: ignore[index]
            found = measured(output / contender.folder, contender.name) if done else None
            runs.append(Run(contender.name, outcome, found))
    return _written(protocol, prepared, runs, output)


def _progress(progress: Progress, what: str, done: int, total: int) -> None:
    progress(done, total, what)


def _adapted(
    protocol: Protocol, recipe: str | None, draws: int | None, aligned: bool | None, metrics: Sequence[str] | None
) -> Protocol:
    if (recipe is not None or draws is not None or aligned is not None) and protocol.dataset is not None:
        raise ValueError(f"protocol {protocol.name} says how its pictures are degraded and aligned: use own-folder")
    changed = {"recipe": recipe, "draws": draws, "aligned": aligned, "metrics": tuple(metrics) if metrics else None}
    return replace(protocol, **{name: value for name, value in changed.items() if value is not None})  # type: ignore[arg-type]


def _written(protocol: Protocol, prepared: Prepared, runs: Sequence[Run], output: Path) -> Bench:
    failures = [f"{run.name}: {problem}" for run in runs for problem in run.problems]
    gates = {run.name: _gate(protocol, run) for run in runs[1:] if protocol.gate and run.measured}
    made = document(protocol, prepared, runs, gates)
    text = markdown(protocol, prepared, runs, gates)
    atomic_write_text(output / "result.json", json.dumps(made, indent=1, ensure_ascii=False) + "\n")
    atomic_write_text(output / "result.md", text)
    lines = [as_csv(run.measured.rows, protocol.metrics, method=run.name) for run in runs if run.measured]
    head, *_ = lines[0].splitlines(keepends=True)
    body = "".join("".join(text.splitlines(keepends=True)[1:]) for text in lines)
    atomic_write_text(output / "values.csv", head + body)
    return Bench(made, text, tuple(failures))


def _gate(protocol: Protocol, run: Run) -> str:
    """Whether the run passes the protocol's gate, in words."""
    gate, dataset = protocol.gate, protocol.dataset
    assert gate is not None
    assert run.measured is not None
    score = run.measured.scores[gate.metric]
    if score.unavailable:
        return f"not known: {score.card.title} {score.unavailable}"
    values = {
        row.name: _of(row.name, dataset, gate.limits, row.values.get(gate.metric, np.nan)) for row in run.measured.rows
    }
    passed, below = gate_failures(gate, values)
    return f"{'passed' if passed else 'FAILED'}: {len(below)} of {len(values)} faces below, {gate.allowed} allowed"


def _of(name: str, dataset: str | None, limits: object, value: float) -> tuple[str, float]:
    """The data set that a picture is of: its first folder where several are mixed, as NTIRE does."""
    first = name.split("/")[0]
    return (first if first in limits else str(dataset), float(value))  # type: ignore[operator]
