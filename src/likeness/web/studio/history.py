"""The jobs of this sitting. The list is the visitor's: in the session, and in the browser until its tab is closed."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Callable
from datetime import datetime
from html import escape
from typing import Any, NamedTuple

import gradio as gr

from likeness.web.engine import Engine
from likeness.web.refusal import Refused
from likeness.web.studio.follow import follow, lost, status
from likeness.web.studio.html import note
from likeness.web.studio.photos import PRIVATE
from likeness.web.studio.results import compared, restored

KEPT = 50
STATES = {"waiting": "in the queue", "running": "running", "done": "done", "failed": "failed", "cancelled": "cancelled"}
TOKEN = re.compile(r"[\w-]{20,60}")
Entry = dict[str, str]  # job, kind, time, what


def entry(job: str, kind: str, photos: list[str], methods: list[str]) -> Entry:
    """A new line of the history; ``kind``: "restore", "compare" or "inpaint"."""
    names = ", ".join(photos[:3]) + (f" and {len(photos) - 3} more" if len(photos) > 3 else "")
    what = f"{names} · {', '.join(methods)}"
    return {"job": job, "kind": kind, "time": f"{datetime.now():%H:%M}", "what": what}


def add(history: list[Entry], new: Entry) -> list[Entry]:
    """The newest first."""
    return [new, *history][:KEPT]


def stored(history: list[Entry]) -> str:
    """HTML from which the page's script keeps the list while the tab is open, so that a reload does not lose it."""
    return f'<span id="likeness-history" data-jobs="{escape(json.dumps(history))}"></span>'


def restore_list(engine: Engine, text: str | None) -> list[Entry]:
    """What the browser kept, as far as it is a list of ours whose jobs are still here."""
    try:
        found = json.loads(text or "[]")
    except (ValueError, RecursionError):
        return []
    kept = []
    for one in found[:KEPT] if isinstance(found, list) else []:
        if not isinstance(one, dict) or not all(isinstance(one.get(k), str) for k in ("job", "kind", "time", "what")):
            continue
        if TOKEN.fullmatch(one["job"]) and _state(engine, one["job"]):
            kept.append({name: one[name][:400] for name in ("job", "kind", "time", "what")})
    return kept


def _state(engine: Engine, token: str) -> str | None:
    try:
        return STATES[engine.jobs.get(token).state]
    except Refused:
        return None


class Listed(NamedTuple):
    """The list as it is shown: what is shown for entries, and where."""

    show: Callable[[list[Entry]], tuple[Any, ...]]
    outputs: list[Any]


def panel(engine: Engine, history: gr.State, tab: gr.Tab) -> Listed:
    """Build the tab where it is called."""
    empty = gr.HTML(note("Nothing yet: what you restore is listed here.", say=False), elem_id="history-empty")
    jobs = gr.Radio(label="Click to show again", choices=[], visible=False, elem_id="history-jobs", elem_classes="list")
    said = gr.HTML(elem_classes="status", elem_id="history-said")
    shown = gr.HTML(elem_id="history-results")

    def listed(entries: list[Entry]) -> tuple[Any, ...]:
        choices = []
        for one in entries:
            state = _state(engine, one["job"]) or "expired"
            choices.append((f"{one['time']} · {one['what']} · {state}", one["job"]))
        return gr.update(visible=not choices), gr.update(choices=choices, visible=bool(choices), value=None), "", ""

    outputs = [empty, jobs, said, shown]
    tab.select(listed, history, outputs, **PRIVATE)

    async def show(token: str | None, entries: list[Entry]) -> AsyncIterator[tuple[Any, Any]]:
        kind = next((one["kind"] for one in entries if one["job"] == token), None)
        if token is None or kind is None:
            yield "", ""
            return
        try:
            async for job, ready in follow(engine, token):
                page = (compared if kind == "compare" else restored)(job) if ready else gr.skip()
                yield status(engine, job), page
        except Refused as refusal:
            yield lost(refusal), ""

    jobs.input(show, [jobs, history], [said, shown], **{**PRIVATE, "trigger_mode": "always_last"})
    return Listed(listed, outputs)
