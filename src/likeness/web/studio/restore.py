"""The Restore tab."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import gradio as gr

from likeness.web.ask import Ask, Wanted
from likeness.web.engine import Engine
from likeness.web.refusal import Refused
from likeness.web.studio.choices import Choice, choice, options_of
from likeness.web.studio.faces import Previews, chosen
from likeness.web.studio.history import Entry
from likeness.web.studio.photos import PRIVATE, Picker, picker, unticked_js, unticked_of
from likeness.web.studio.references import references
from likeness.web.studio.results import restored
from likeness.web.studio.running import runner


@dataclass(frozen=True)
class Restore:
    """What other parts of the page need of this tab."""

    photos: Picker
    choice: Choice


def panel(engine: Engine, previews: Previews, history: gr.State, kept: gr.HTML) -> Restore:
    """Build the tab where it is called."""
    with gr.Row(elem_classes="columns", equal_height=False):
        with gr.Column(scale=3, min_width=300):
            photos = picker(engine, previews, "restore", "Photos to restore")
        with gr.Column(scale=2, min_width=280, elem_classes="side-panel"):
            how = choice(engine, "restore")
            refs = references(engine, how.method, "restore")
            run = runner(engine, "restore", "Restore", restored, history, kept)
    run.show()

    async def start(
        ids: list[str], method: str | None, fidelity: float, steps: float, seed: float | None, samples: float,
        blend: float, scale: int, refs: list[str], history: list[Entry], text: str,
    ) -> AsyncIterator[tuple[Any, ...]]:  # fmt: skip
        def make() -> Ask:
            uploads, faces = chosen(engine, ids, unticked_of(text), scale > 1)
            if ids and not uploads:
                raise Refused(400, "no face is ticked: tick at least one, or enlarge the whole picture")
            if method is None:
                raise Refused(400, "choose a method first")
            return Ask(
                photos=tuple(uploads),
                methods=(Wanted(method, options_of(engine, method, fidelity, steps)),),
                faces=faces,
                references=tuple(engine.uploads.get(one) for one in refs),
                seed=int(seed or 0),
                samples=int(samples),
                blend=blend,
                scale=scale,
            )

        async for update in run.run(make, history):
            yield update

    inputs = [photos.ids, *how.inputs, refs, history, photos.ticks]
    run.go.click(start, inputs, run.outputs, js=unticked_js(len(inputs), "restore"), **PRIVATE)
    return Restore(photos, how)
