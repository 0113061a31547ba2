"""Scores as plain data, CSV and table cells."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from typing import Any

from likeness import __version__
from likeness.measure.metric import MetricCard
from likeness.study.measuring import Measurement, Row, Score


def as_dict(measurement: Measurement) -> dict[str, Any]:
    """The JSON document of ``likeness measure``."""
    return {
        "likeness": __version__,
        "pictures": len(measurement.rows),
        "metrics": {name: score_dict(score) for name, score in measurement.scores.items()},
        "problems": measurement.problems,
        "values": [{"name": row.name, **_rounded(row.values)} for row in measurement.rows],
    }


def score_dict(score: Score) -> dict[str, Any]:
    """One metric's score with what a reader must know of it."""
    card = score.card
    facts = {"title": card.title, "higher_is_better": card.higher_is_better, "unit": card.unit, "source": card.source}
    if score.estimate is None:
        return {**facts, "unavailable": score.unavailable}
    value, low, high = score.estimate
    interval = None if math.isnan(low) else [_number(low), _number(high)]
    return {**facts, "value": _number(value), "interval": interval, "count": score.count, "left_out": score.left_out}


def cell(score: Score) -> str:
    """ "29.30 (28.98 to 29.61)", or a dash where there is no value."""
    if score.estimate is None:
        return "–"
    value, low, high = score.estimate
    digits = score.card.digits
    return f"{value:.{digits}f}" + ("" if math.isnan(low) else f" ({low:.{digits}f} to {high:.{digits}f})")


def heading(card: MetricCard) -> str:
    """ "PSNR, dB ↑": the arrow points to what is better, or says which value is."""
    better = f"→ {card.target:g}" if card.target is not None else "↑" if card.higher_is_better else "↓"
    return f"{card.title}{', ' + card.unit if card.unit else ''} {better}"


def as_csv(rows: Sequence[Row], metrics: Sequence[str], **first: str) -> str:
    """One line for each picture; ``first``: columns before, the same in each line."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*first, "picture", *metrics, "problem"])
    for row in rows:
        values = [_text(row.values.get(name)) for name in metrics]
        writer.writerow([*first.values(), row.name, *values, "; ".join(row.problems)])
    return text.getvalue()


def _rounded(values: dict[str, float]) -> dict[str, float | str]:
    return {name: _number(value) for name, value in values.items()}


def _number(value: float) -> float | str:
    """JSON has no infinity."""
    return round(value, 6) if math.isfinite(value) else str(value)


def _text(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"
