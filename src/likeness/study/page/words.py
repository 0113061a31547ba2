"""Figures and faces in words; everything returned here is plain text, escaped where it enters the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote


def figure(value: float | str, facts: Mapping[str, Any]) -> str:
    """A metric's value with the digits that mean something, and its unit."""
    text = value if isinstance(value, str) else f"{value:.{facts['digits']}f}"
    return f"{text} {facts['unit']}" if facts["unit"] else text


def face(record: Mapping[str, Any]) -> str:
    """The evidence of one face as a sentence or two."""
    if record["status"] != "restored":
        words = {"kept": "left as it was", "skipped": "skipped", "failed": "failed"}[record["status"]]
        return f"{words}: {record['reason']}"
    verdict = "likely still the same person" if record["same_person"] else "doubtful whether still the same person"
    text = f"restored; identity distance to the input {record['identity_distance']:.3f}: {verdict}"
    if record.get("uncertainty") is not None:
        text += f"; uncertainty {record['uncertainty']:.4f}"
    if record.get("identity_spread") is not None:
        text += f", identity between samples {record['identity_spread']:.3f}"
    if record.get("note"):
        text += f"; {record['note']}"
    return text


def faces(records: Sequence[Mapping[str, Any]]) -> str:
    """Several faces in short: "3 faces: 2 restored, 1 of them doubtful; 1 failed"."""
    doubtful = sum(record["same_person"] is False for record in records if record["status"] == "restored")
    parts = []
    for status in ("restored", "kept", "skipped", "failed"):
        number = sum(record["status"] == status for record in records)
        if number:
            parts.append(f"{number} {status}")
            if status == "restored":
                parts[-1] += f", {doubtful} of them doubtful" if doubtful else ", likely the same people"
    return f"{count(len(records), 'face')}: {'; '.join(parts)}"


def seconds(value: float) -> str:
    """ "0.31 s", "12 s", "3.5 min"."""
    if value >= 120:
        return f"{value / 60:.1f} min"
    return f"{value:.2f} s" if value < 10 else f"{value:.0f} s"


def link(path: str) -> str:
    """A relative path as an address."""
    return quote(path)


def count(number: int, thing: str) -> str:
    """ "1 face", "2 faces"."""
    return f"{number} {thing}{'' if number == 1 else 's'}"
