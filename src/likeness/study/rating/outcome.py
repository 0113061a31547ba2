"""What a study found: the answers in ``DIR/ratings.sqlite``, beside the metrics in ``DIR/measure.json``."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from likeness.study.rating.answers import FILE, Answers, Vote
from likeness.study.rating.preference import (
    PRIOR,
    Comparisons,
    fit,
    kendall,
    preference_shares,
    spearman,
)
from likeness.study.statistics import RESAMPLES, Estimate

METRICS = "measure.json"
_SCORES = {"left": 1.0, "same": 0.5, "right": 0.0}


def comparisons(votes: Sequence[Vote]) -> tuple[tuple[str, ...], Comparisons]:
    """The names of the methods, sorted, and the votes as numbers."""
    methods = tuple(sorted({name for vote in votes for name in (vote.left, vote.right)}))

    def index(values: list[str]) -> np.ndarray:
        order = {value: i for i, value in enumerate(sorted(set(values)))}
        return np.array([order[value] for value in values])

    return methods, Comparisons(
        len(methods),
        np.array([methods.index(vote.left) for vote in votes]),
        np.array([methods.index(vote.right) for vote in votes]),
        np.array([_SCORES[vote.choice] for vote in votes]),
        index([vote.picture for vote in votes]),
        index([vote.rater for vote in votes]),
    )


def summarise(folder: Path, *, resamples: int = RESAMPLES, seed: int = 0) -> dict[str, Any]:
    """Plain data for JSON: for each question, counts, the methods (the strongest first), and the metrics.

    An interval that votes on one picture by one rater cannot give is null. Raises ValueError (one line) when there are
    no answers, or ``measure.json`` is damaged.
    """
    if not (folder / FILE).is_file():
        raise ValueError(f"{folder}: no answers are here; ask for some with likeness study rate {folder}")
    votes = Answers(folder / FILE, create=False).votes()
    if not votes:
        raise ValueError(f"{folder}: nobody has answered yet; likeness study rate {folder} asks")
    metrics = _read_metrics(folder / METRICS)
    questions = []
    for question in dict.fromkeys(vote.question for vote in votes):
        mine = [vote for vote in votes if vote.question == question]
        questions.append({"question": question, **_one_question(mine, metrics or {}, resamples, seed)})
    missing = (
        f"{folder / METRICS} is not there: likeness compare writes it, and metrics are then set beside preferences"
    )
    return {
        "folder": str(folder),
        "prior": PRIOR,
        "resamples": resamples,
        "questions": questions,
        "notes": [missing] if metrics is None else [],
    }


def _one_question(votes: list[Vote], metrics: dict[str, Any], resamples: int, seed: int) -> dict[str, Any]:
    names, data = comparisons(votes)
    fitted = fit(data, resamples=resamples, seed=seed)
    columns = {
        "share": preference_shares(data, resamples=resamples, seed=seed),
        "strength": fitted.strengths,
        "first_choice": fitted.first_choices,
    }
    met = data.wins() + data.wins().T
    rows = [
        {"method": name, "votes": int(met[i].sum()), **{what: _plain(column[i]) for what, column in columns.items()}}
        for i, name in enumerate(names)
    ]
    strength = {name: round(one.value, 6) for name, one in zip(names, columns["strength"], strict=True)}
    return {
        "votes": len(votes),
        "raters": len({vote.rater for vote in votes}),
        "pictures": len({vote.picture for vote in votes}),
        "no_difference": sum(1 for vote in votes if vote.choice == "same"),
        "median_seconds": round(float(np.median([vote.milliseconds for vote in votes])) / 1000, 2),
        "methods": sorted(rows, key=lambda row: (-strength[row["method"]], row["method"])),
        "metrics": correlations(strength, metrics),
    }


def correlations(strength: dict[str, float], metrics: dict[str, Any]) -> list[dict[str, Any]]:
    """Rank correlation of strengths with each metric, turned so that +1 is: what the metric prefers, people prefer.

    ``metrics``: {metric: {"higher_is_better": bool, "values": {method: value}}}. ``n``: the methods that have both;
    null for fewer than two, or where the metric is the same for all.
    """
    found = []
    for name, metric in metrics.items():
        both = [method for method in strength if method in metric["values"]]
        sign = 1 if metric["higher_is_better"] else -1
        liked, measured = [strength[m] for m in both], [sign * metric["values"][m] for m in both]
        found.append(
            {
                "metric": name,
                "higher_is_better": metric["higher_is_better"],
                "n": len(both),
                "spearman": _number(spearman(liked, measured)),
                "kendall": _number(kendall(liked, measured)),
            }
        )
    return found


def _read_metrics(path: Path) -> dict[str, Any] | None:
    """{metric: {"higher_is_better", "values"}}; None when there is no file. A value that is no number is left out."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        return {
            name: {
                "higher_is_better": bool(card["higher_is_better"]),
                "values": {
                    method: float(values[name])
                    for method, values in data["methods"].items()
                    if isinstance(values.get(name), (int, float)) and math.isfinite(values[name])
                },
            }
            for name, card in data["metrics"].items()
        }
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ValueError(f"{path}: this is not what likeness compare writes; compare again, or move it away") from None


def _plain(one: Estimate) -> dict[str, float | None]:
    return {name: _number(value) for name, value in one._asdict().items()}


def _number(value: float) -> float | None:
    return round(value, 4) if math.isfinite(value) else None
