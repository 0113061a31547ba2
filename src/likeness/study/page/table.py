"""The table of methods and metrics."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

from likeness.study.compare_document import heading, score_text
from likeness.study.page.words import count


def metric_table(document: Mapping[str, Any]) -> str:
    """Methods in the order of the chosen ranking, the input first, those that could not run last."""
    metrics = document["metrics"]
    head = "".join(
        f'<th scope="col" title="{escape(facts["source"])}">{escape(heading(facts))}</th>' for facts in metrics.values()
    )
    rows = [_row(entry, metrics, len(document["pictures"])) for entry in _ordered(document)]
    notes = "".join(f"<li>{escape(text)}</li>" for text in _notes(document))
    return (
        '<div class="scroll" tabindex="0" role="region" aria-label="Table of methods and metrics">'
        f'<table class="numbers"><thead><tr><th scope="col">method</th><th scope="col">faces</th>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
        '<p class="soft">Means over the photos, and 95 % intervals. The arrow points to what is better. Bold: the best '
        f'method, and what cannot be told apart from it.</p><ul class="soft">{notes}</ul>'
    )


def _ordered(document: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    places = {one["name"]: i for i, one in enumerate(document["rankings"][document["prefer"]]["places"])}
    last = len(document["methods"])

    def key(entry: Mapping[str, Any]) -> int:
        if entry["baseline"]:
            return -1
        return last + 1 if entry["error"] is not None else places.get(entry["name"], last)

    return sorted(document["methods"], key=key)


def _row(entry: Mapping[str, Any], metrics: Mapping[str, Any], photos: int) -> str:
    name = f'<th scope="row">{escape(entry["name"])}</th>'
    if entry["error"] is not None:
        why = f"could not run: {escape(entry['error'])}"
        return f'<tr class="failed-row">{name}<td class="text" colspan="{len(metrics) + 1}">{why}</td></tr>'
    cells = []
    for metric, facts in metrics.items():
        score = entry["scores"].get(metric)
        value, interval = score_text(score, facts)
        best = metric in entry["leads"]
        text = f"<b>{escape(value)}</b>" if best else escape(value)
        if interval:
            text += f"<small>{escape(interval)}</small>"
        if score is not None and "count" in score and 0 < score["count"] < photos:
            text += f"<small>{score['count']} of {count(photos, 'photo')}</small>"
        cells.append(f"<td>{text}</td>")
    css = ' class="baseline"' if entry["baseline"] else ""
    return f'<tr{css}>{name}<td class="text">{escape(_faces(entry))}</td>{"".join(cells)}</tr>'


def _faces(entry: Mapping[str, Any]) -> str:
    if entry["baseline"]:
        return "as they were"
    faces = entry["summary"]["faces"]
    words = [f"{faces[status]} {status}" for status in ("restored", "kept", "skipped", "failed") if faces[status]]
    doubtful = entry["summary"]["other_person_likely"]
    return ", ".join([*(words or ["none found"]), *([f"{doubtful} doubtful"] if doubtful else [])])


def _notes(document: Mapping[str, Any]) -> list[str]:
    """What a reader must know of single metrics: where they come from, why one is missing."""
    notes = []
    for name, facts in document["metrics"].items():
        missing = {
            entry["scores"][name]["unavailable"]
            for entry in document["methods"]
            if entry["scores"].get(name, {}).get("unavailable")
        }
        missing_words = f"; not measured everywhere: {'; '.join(sorted(missing))}" if missing else ""
        notes.append(f"{facts['title']}: {facts['source']}{missing_words}")
    return notes
