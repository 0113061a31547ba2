"""The Compare tab: the same photos by several methods, or by one method with other options."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import gradio as gr

from likeness.web.ask import Ask, parse_wanted
from likeness.web.engine import Engine
from likeness.web.refusal import Refused
from likeness.web.studio.choices import labelled, others, usable
from likeness.web.studio.faces import Previews, cards, chosen
from likeness.web.studio.history import Entry
from likeness.web.studio.html import note
from likeness.web.studio.photos import PRIVATE, READERS, Picker, picker, unticked_js, unticked_of
from likeness.web.studio.results import compared
from likeness.web.studio.running import runner


@dataclass(frozen=True)
class Compare:
    """What ``fresh`` fills."""

    methods: gr.CheckboxGroup
    blocked: gr.HTML
    texts: gr.Textbox

    @property
    def outputs(self) -> list[Any]:
        """In the order of ``fresh``."""
        return [self.methods, self.blocked, self.texts]


def panel(engine: Engine, previews: Previews, history: gr.State, kept: gr.HTML, first: Picker) -> Compare:
    """Build the tab where it is called; ``first``: the picker whose photos can be taken over."""
    with gr.Row(elem_classes="columns", equal_height=False):
        with gr.Column(scale=3, min_width=300):
            with gr.Row(elem_classes="under-drop"):
                same = gr.Button(
                    "Use the photos of the Restore tab", size="sm", elem_id="compare-same", scale=0, min_width=260
                )
            photos = picker(engine, previews, "compare", "Photos to compare methods on")
        with gr.Column(scale=2, min_width=280, elem_classes="side-panel"):
            methods = gr.CheckboxGroup(label="Methods", choices=[], elem_id="compare-methods")
            texts = gr.Textbox(
                label="Methods with other options", lines=2, elem_id="compare-texts",
                info="One a line, such as likeness:steps=1 or codeformer:fidelity=0.7",
            )  # fmt: skip
            blocked = gr.HTML()
            with gr.Accordion("More", open=False, elem_classes="accordion-like"):
                seed = gr.Number(0, precision=0, minimum=0, maximum=2**31 - 1, label="Seed")
                samples = gr.Slider(1, engine.limits.samples, value=1, step=1, label="Samples")
            run = runner(engine, "compare", "Compare", compared, history, kept)
    run.show()

    def take_over(ids: list[str], text: str) -> tuple[Any, ...]:
        if not ids:
            return *(gr.skip(),) * 3, note("There are no photos in the Restore tab yet")
        unticked = unticked_of(text)
        return ids, cards(engine, previews, ids, unticked, "compare"), gr.update(visible=True), ""

    same.click(
        take_over,
        [first.ids, photos.ticks],
        [photos.ids, photos.shown, photos.clear, photos.said],
        js=unticked_js(2, first.key),
        **READERS,
    )

    async def start(
        ids: list[str],
        names: list[str],
        lines: str,
        seed: float | None,
        samples: float,
        history: list[Entry],
        text: str,
    ) -> AsyncIterator[tuple[Any, ...]]:
        def make() -> Ask:
            uploads, faces = chosen(engine, ids, unticked_of(text), False)
            if ids and not uploads:
                raise Refused(400, "no face is ticked: tick at least one")
            wanted = parse_wanted([*names, *(line.strip() for line in (lines or "").splitlines() if line.strip())])
            if len(wanted) < 2:
                raise Refused(400, "choose two methods at least, or one with other options in the field below")
            return Ask(tuple(uploads), wanted, faces, seed=int(seed or 0), samples=int(samples))

        async for update in run.run(make, history):
            yield update

    inputs = [photos.ids, methods, texts, seed, samples, history, photos.ticks]
    run.go.click(start, inputs, run.outputs, js=unticked_js(len(inputs), "compare"), **PRIVATE)
    return Compare(methods, blocked, texts)


def fresh(engine: Engine, chosen: list[str], text: str) -> tuple[Any, ...]:
    """For ``Compare.outputs``: what can be chosen at this moment. With one method alone, another step count."""
    offers = usable(engine)
    names = [one.name for one in offers]
    kept = [name for name in chosen or [] if name in names] or names[:2]
    suggested = "likeness:steps=1" if len(names) == 1 and not text else text
    return gr.update(choices=labelled(offers), value=kept), others(engine), suggested
