"""Photos of the same person, for methods that restore a face with their help."""

from __future__ import annotations

from typing import Any

import gradio as gr

from likeness.study.page.words import count
from likeness.web.engine import Engine
from likeness.web.studio.cache import take_all
from likeness.web.studio.html import note, notes
from likeness.web.studio.photos import PRIVATE, READERS


def references(engine: Engine, method: gr.Radio, key: str) -> gr.State:
    """Build the field where it is called; it is shown while ``method`` needs it. Returns the state of their names."""
    ids = gr.State([])
    with gr.Group(visible=False, elem_id=f"{key}-references") as group:
        drop = gr.File(label="Reference photos of the same person", file_count="multiple", height=110)
        said = gr.HTML(elem_classes="status")

    def take(paths: list[str] | None, held: list[str]) -> tuple[Any, ...]:
        taken, refused = take_all(engine, list(paths or [])[: engine.limits.photos - len(held)])
        held = [*held, *(one.id for one in taken)]
        ready = note(f"{count(len(held), 'reference photo')} ready: {', '.join(one.name for one in taken)}", "good")
        return None, held, notes(refused) + (ready if held else "")

    drop.upload(take, [drop, ids], [drop, ids, said], **READERS)
    method.change(
        lambda name: gr.update(visible=any(o.name == name and "references" in o.needs for o in engine.methods())),
        method,
        group,
        **PRIVATE,
    )
    return ids
