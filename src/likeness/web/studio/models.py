"""The Models tab: what there is, under which licence, and fetching weights."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from html import escape
from typing import Any

import gradio as gr

from likeness.web.engine import Engine
from likeness.web.memory import needed_memory
from likeness.web.offer import Offer
from likeness.web.studio.html import note
from likeness.web.studio.photos import PRIVATE
from likeness.weights import store
from likeness.weights.catalogue import Entry, entries
from likeness.weights.errors import WeightsError

PAUSE = 0.3
NEEDS = {
    "references": "photos of the same person", "hole": "a painted mask (Inpaint tab)", "landmarks": "",
}  # fmt: skip


def panel(engine: Engine, tab: gr.Tab) -> gr.HTML:
    """Build the tab where it is called; returns a component that changes when weights have arrived."""
    gr.HTML("<h3>Fetch weights</h3>")
    which = gr.Dropdown(label="Weights", choices=[], elem_id="models-which", filterable=False)
    terms = gr.HTML(elem_id="models-terms")
    accept = gr.Checkbox(label="I accept this licence", visible=False, elem_id="models-accept")
    with gr.Row(elem_classes="go"):
        pull = gr.Button("Pull", variant="primary", elem_id="models-pull", scale=0, min_width=160)
    said = gr.HTML(elem_classes="status", elem_id="models-said")
    arrived = gr.HTML(visible=False)
    table = gr.HTML(elem_id="models-table")

    def listed() -> tuple[str, Any]:
        return models_table(engine.methods()), gr.update(choices=_choices(), value=None)

    tab.select(listed, None, [table, which], **PRIVATE)
    which.change(_terms, which, [terms, accept], **PRIVATE)

    async def fetch(name: str | None, accepted: bool) -> AsyncIterator[tuple[Any, ...]]:
        skip = gr.skip()
        entry = next((one for one in entries() if one.name == name), None)
        if entry is None:
            yield note("Choose what to fetch first"), skip, skip, skip, skip
            return
        if entry.non_commercial and not accepted:
            yield note("Its licence must be accepted first: read it and tick the box", "bad"), skip, skip, skip, skip
            return
        yield note(f"Fetching {entry.name} …"), gr.update(interactive=False), skip, skip, skip
        so_far: deque[tuple[int, int | None]] = deque(maxlen=1)
        lines: list[str] = []
        task = asyncio.create_task(
            asyncio.to_thread(store.pull, entry, accepted, lambda a, b: so_far.append((a, b)), lines.append)
        )
        try:
            while not (await asyncio.wait({task}, timeout=PAUSE))[0]:
                if so_far:
                    yield _bar(entry, *so_far[-1]), skip, skip, skip, skip
            task.result()
            final = note(f"{entry.name} is here", "good")
        except (WeightsError, OSError) as error:
            final = note(str(error), "bad")
        extra = "".join(note(line) for line in lines)
        yield final + extra, gr.update(interactive=True), *listed(), entry.name

    pull.click(fetch, [which, accept], [said, pull, table, which, arrived], **PRIVATE)
    return arrived


def models_table(offers: list[Offer]) -> str:
    """HTML of all methods."""
    rows = []
    for one in offers:
        here = '<span class="mark good" aria-hidden="true">✓</span> ready'
        if one.obstacle is not None:
            here = f'<span class="mark none" aria-hidden="true">–</span> {escape(one.obstacle)}'
        needs = "; ".join(filter(None, [NEEDS.get(need, need) for need in one.needs])) or "only the photo"
        size = f"{one.bytes / 1e6:.0f} MB" if one.bytes else ("in the package" if one.obstacle is None else "not known")
        memory = f"{needed_memory(one.bytes) / 1e9:.1f} GB of memory" if one.bytes else ""
        rows.append(
            f'<tr><th scope="row">{escape(one.title)}'
            f"<small><code>{escape(one.name)}</code>, {escape(one.kind)}</small></th>"
            f'<td data-head="State">{here}</td><td data-head="Size">{size}<small>{memory}</small></td>'
            f'<td data-head="Needs">{escape(needs)}</td><td data-head="Licence">{escape(one.licence)}</td></tr>'
        )
    heads = "".join(f'<th scope="col">{name}</th>' for name in ("Method", "State", "Size", "Needs", "Licence"))
    return f'<table class="models"><thead><tr>{heads}</tr></thead><tbody>{"".join(rows)}</tbody></table>'


def _choices() -> list[tuple[str, str]]:
    """What is not here, the default ones of methods first."""
    missing = [one for one in entries() if store.state(one) != "here"]
    missing.sort(key=lambda one: (not one.restores, not one.default))
    return [(f"{one.name} ({_size(one)})", one.name) for one in missing]


def _size(entry: Entry) -> str:
    return "size not known" if entry.bytes is None else f"{entry.bytes / 1e6:.0f} MB"


def _terms(name: str | None) -> tuple[str, Any]:
    entry = next((one for one in entries() if one.name == name), None)
    if entry is None:
        return "", gr.update(visible=False, value=False)
    text = store.terms(entry)
    by_hand = f"<details><summary>If it cannot be fetched</summary><p>{escape(store.by_hand(entry))}</p></details>"
    typed = f"likeness models pull {entry.name}"
    typed = f'<p class="soft">In a terminal: <code>{escape(typed)}</code></p>'
    return f"<p>{escape(text)}</p>{typed}{by_hand}", gr.update(visible=entry.non_commercial, value=False)


def _bar(entry: Entry, done: int, total: int | None) -> str:
    text = f"{entry.name}: {done / 1e6:.1f} MB" + (f" of {total / 1e6:.1f} MB" if total else "")
    share = 100 * done / total if total else 0
    return (
        f'<div class="running" data-say="Fetching {escape(entry.name)}"><div class="bar" role="progressbar" '
        f'aria-valuemin="0" aria-valuemax="100" aria-valuenow="{share:.0f}" aria-label="Fetching">'
        f'<i style="width:{share:.1f}%"></i></div><p>{escape(text)}</p></div>'
    )
