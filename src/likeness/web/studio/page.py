"""The page: its tabs, and what ties them together."""

from __future__ import annotations

from html import escape
from typing import Any, cast

import gradio as gr

from likeness.web.engine import Engine
from likeness.web.studio import choices, compare, history, inpaint, models, restore
from likeness.web.studio.cache import LEFT_SECONDS, keep_in
from likeness.web.studio.faces import Previews
from likeness.web.studio.photos import PRIVATE

HEAD = (
    '<header class="head"><h1>Likeness</h1><p>Restore faces in photographs, and see whether each is still the same '
    "person.</p></header>"
)


def build(engine: Engine) -> gr.Blocks:
    """The studio for ``engine``; one sentence instead when the machine is too small for anything."""
    keep_in(engine)
    age = max(1, min(LEFT_SECONDS, int(engine.limits.keep_seconds)))
    with gr.Blocks(
        title="Likeness",
        analytics_enabled=False,
        delete_cache=(max(1, age // 10), age),
    ) as blocks:
        gr.HTML(HEAD)
        if engine.too_small is not None:
            gr.HTML(_too_small(engine.too_small))
        else:
            _tabs(engine, blocks)
    blocks.queue(api_open=False, default_concurrency_limit=None)
    return cast(gr.Blocks, blocks)


def _too_small(reason: str) -> str:
    return (
        f'<section class="too-small" role="alert"><h2>This machine is too small at the moment</h2>'
        f"<p>The studio {escape(reason)}.</p><p>Close other programs, then start <code>likeness web</code> again, or "
        "start it on a machine with more memory and open its address here.</p></section>"
    )


def _tabs(engine: Engine, blocks: gr.Blocks) -> None:
    previews = Previews(engine)
    jobs = gr.State([])
    kept = gr.HTML(elem_id="kept", elem_classes="gone")
    with gr.Tabs(elem_id="tabs"):
        with gr.Tab("Restore", id="restore"):
            first = restore.panel(engine, previews, jobs, kept)
        with gr.Tab("Compare", id="compare"):
            second = compare.panel(engine, previews, jobs, kept, first.photos)
        with gr.Tab("Inpaint", id="inpaint"):
            third = inpaint.panel(engine, jobs, kept)
        with gr.Tab("Models", id="models") as tab:
            arrived = models.panel(engine, tab)
        with gr.Tab("History", id="history") as tab:
            listed = history.panel(engine, jobs, tab)
    remembered = gr.Textbox(visible=False)
    outputs = [*first.choice.outputs, *second.outputs, *third.outputs]

    def fresh(name: str | None, names: list[str], text: str) -> tuple[Any, ...]:
        return *choices.fresh(engine, name), *compare.fresh(engine, names, text), *inpaint.fresh(engine)

    inputs = [first.choice.method, second.methods, second.texts]
    blocks.load(fresh, inputs, outputs, **PRIVATE)
    arrived.change(fresh, inputs, outputs, **PRIVATE)

    def resume(text: str | None) -> tuple[Any, ...]:
        entries = history.restore_list(engine, text)
        return entries, history.stored(entries), *listed.show(entries)  # somebody may have gone there already

    kept_outputs = [jobs, kept, *listed.outputs]
    blocks.load(resume, remembered, kept_outputs, js="() => [window.likeness.history()]", **PRIVATE)
