"""The Inpaint tab: paint over what a method is to fill in."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator
from dataclasses import dataclass
from html import escape
from typing import Any

import gradio as gr

from likeness.web.ask import Ask, Wanted
from likeness.web.engine import Engine
from likeness.web.refusal import Refused
from likeness.web.studio.cache import take_all
from likeness.web.studio.choices import labelled, options_of, sliders, usable
from likeness.web.studio.history import Entry
from likeness.web.studio.html import note, notes
from likeness.web.studio.painter import mask_of, painter, png
from likeness.web.studio.photos import PRIVATE, READERS
from likeness.web.studio.results import restored
from likeness.web.studio.running import runner


@dataclass(frozen=True)
class Inpaint:
    """What ``fresh`` fills."""

    method: gr.Radio
    blocked: gr.HTML
    steps: gr.Slider
    go: gr.Button

    @property
    def outputs(self) -> list[Any]:
        """In the order of ``fresh``."""
        return [self.method, self.blocked, self.steps, self.go]


def panel(engine: Engine, history: gr.State, kept: gr.HTML) -> Inpaint:
    """Build the tab where it is called."""
    photo = gr.State(None)
    with gr.Row(elem_classes="columns", equal_height=False):
        with gr.Column(scale=3, min_width=300):
            drop = gr.File(
                label="Photo with something to fill", height=130, elem_id="inpaint-drop", elem_classes="drop"
            )
            said = gr.HTML(elem_classes="status", elem_id="inpaint-said")
            paper = gr.HTML(elem_id="inpaint-paper")
            mask = gr.Textbox(visible=False)
        with gr.Column(scale=2, min_width=280, elem_classes="side-panel"):
            blocked = gr.HTML(elem_id="inpaint-blocked")
            method = gr.Radio(label="Method", choices=[], visible=False, elem_id="inpaint-method")
            steps = gr.Slider(1, 250, step=1, label="Steps", visible=False)
            seed = gr.Number(0, precision=0, minimum=0, maximum=2**31 - 1, label="Seed")
            run = runner(engine, "inpaint", "Fill in", restored, history, kept)
    run.show()
    method.change(lambda name: sliders(engine, name)[1], method, steps, **PRIVATE)

    def take(path: str | None) -> tuple[Any, ...]:
        taken, refused = take_all(engine, [path] if path else [])
        if not taken:
            return None, gr.skip(), gr.skip(), notes(refused)
        return (
            None,
            taken[0].id,
            painter(taken[0]),
            note(f"{taken[0].name}: paint over what is to be filled in", "good"),
        )

    drop.upload(take, drop, [drop, photo, paper, said], **READERS)

    async def start(
        painted: str | None, token: str | None, name: str | None, steps: float, seed: float | None, history: list[Entry]
    ) -> AsyncIterator[tuple[Any, ...]]:
        def make() -> Ask:
            if token is None:
                raise Refused(400, "no photo: drop one first")
            if name is None:
                raise Refused(400, "no method that fills holes is ready on this machine")
            upload = engine.uploads.get(token)
            taken = engine.take(io.BytesIO(png(mask_of(painted, upload))), "mask.png")
            wanted = Wanted(name, options_of(engine, name, 0.0, steps))
            return Ask((upload,), (wanted,), mask=taken, seed=int(seed or 0))

        async for update in run.run(make, history):
            yield update

    inputs = [mask, photo, method, steps, seed, history]
    run.go.click(
        start, inputs, run.outputs, js=f"(...a) => [window.likeness.mask(), ...a.slice(1, {len(inputs)})]", **PRIVATE
    )
    return Inpaint(method, blocked, steps, run.go)


def fresh(engine: Engine) -> tuple[Any, ...]:
    """For ``Inpaint.outputs``: the methods that fill holes, or what to do so that there is one."""
    offers = usable(engine, hole=True)
    said = ""
    if not offers:
        blocked = [one for one in engine.methods() if "hole" in one.needs]
        said = "".join(
            f'<div class="obstacle"><p><b>{escape(one.title)}</b> can do this, but {escape(one.obstacle or "")}.</p>'
            '<p class="soft">The Models tab says more. You can paint already.</p></div>'
            for one in blocked
        )
    name = offers[0].name if offers else None
    method = gr.update(choices=labelled(offers), value=name, visible=bool(offers))
    return method, said, sliders(engine, name)[1], gr.update(interactive=bool(offers))
