"""The study's tables as CSV text: a row for each probe and contender, and one for each camera and distance."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any

PAIRS = (
    "probe", "person", "camera", "distance_m", "infra_red", "contender", "status", "reason",
    "genuine_before", "genuine_after", "change", "best_impostor_before", "best_impostor_before_person",
    "best_impostor_after", "best_impostor_after_person", "rank_one_before", "rank_one_after",
)  # fmt: skip
CAMERAS = (
    "camera", "distance_m", "probes", "contender", "genuine_before", "before_low", "before_high",
    "genuine_after", "after_low", "after_high", "change", "change_low", "change_high",
)  # fmt: skip


def as_csv(columns: Sequence[str], rows: Iterable[dict[str, Any]]) -> str:
    """CSV with a header; numbers with six digits, nothing for what is not known, true and false for truth values."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow([_cell(row.get(column)) for column in columns])
    return stream.getvalue()


def _cell(value: Any) -> Any:
    if value is None or value != value:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.6f}" if isinstance(value, float) else value
