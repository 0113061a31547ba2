"""Choosing a method and its options."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import Any

import gradio as gr

from likeness.web.engine import Engine
from likeness.web.offer import Offer
from likeness.web.studio.photos import PRIVATE


def usable(engine: Engine, hole: bool = False) -> list[Offer]:
    """The methods that can run here and now; with ``hole`` those that fill holes, else the others."""
    return [one for one in engine.methods() if one.obstacle is None and ("hole" in one.needs) == hole]


def labelled(offers: list[Offer]) -> list[tuple[str, str]]:
    """What a list of choices shows, and what it means."""
    return [(one.title, one.name) for one in offers]


def others(engine: Engine, hole: bool = False) -> str:
    """HTML of the methods that cannot run now, and what to do."""
    blocked = [one for one in engine.methods() if one.obstacle is not None and ("hole" in one.needs) == hole]
    if not blocked:
        return ""
    lines = "".join(f"<li><b>{escape(one.title)}</b>: {escape(one.obstacle or '')}</li>" for one in blocked)
    more = "one more method is" if len(blocked) == 1 else f"{len(blocked)} more methods are"
    return (
        f'<details class="others"><summary>{more} not ready on this machine</summary>'
        f'<p class="soft">The Models tab can fetch some of them.</p><ul>{lines}</ul></details>'
    )


@dataclass(frozen=True)
class Choice:
    """Components that say how; ``inputs`` is their order in ``settings``."""

    method: gr.Radio
    blocked: gr.HTML
    fidelity: gr.Slider
    steps: gr.Slider
    seed: gr.Number
    samples: gr.Slider
    blend: gr.Slider
    scale: gr.Radio

    @property
    def inputs(self) -> list[Any]:
        """For an event."""
        return [self.method, self.fidelity, self.steps, self.seed, self.samples, self.blend, self.scale]

    @property
    def outputs(self) -> list[Any]:
        """What ``fresh`` fills."""
        return [self.method, self.blocked, self.fidelity, self.steps]


def choice(engine: Engine, key: str, hole: bool = False) -> Choice:
    """Build the controls where it is called, and wire them."""
    method = gr.Radio(label="Method", choices=[], elem_id=f"{key}-method")
    blocked = gr.HTML(elem_id=f"{key}-blocked")
    fidelity = gr.Slider(
        0, 1, label="Fidelity", info="0: more detail is invented; 1: nearer to the photo", visible=False,
        elem_id=f"{key}-fidelity",
    )  # fmt: skip
    steps = gr.Slider(
        1, 50, step=1, label="Steps", info="More take longer and are often finer", visible=False, elem_id=f"{key}-steps"
    )
    with gr.Accordion("More", open=False, elem_id=f"{key}-more", elem_classes="accordion-like"):
        samples = gr.Slider(
            1, engine.limits.samples, value=1, step=1, label="Samples", elem_id=f"{key}-samples",
            info="Several possible faces from one photo; where they differ, the detail is uncertain",
        )  # fmt: skip
        seed = gr.Number(
            0, precision=0, minimum=0, maximum=2**31 - 1, label="Seed", elem_id=f"{key}-seed",
            info="The same seed gives the same face again",
        )  # fmt: skip
        blend = gr.Slider(
            0, 1, value=1, step=0.05, label="Blend", info="0: the photo as it was; 1: the restored face in full",
            elem_id=f"{key}-blend",
        )  # fmt: skip
        scale = gr.Radio(
            label="Enlarge the whole picture", choices=[("No", 1), ("2 times", 2), ("4 times", 4)], value=1,
            elem_id=f"{key}-scale",
        )  # fmt: skip
    built = Choice(method, blocked, fidelity, steps, seed, samples, blend, scale)
    method.change(lambda name: sliders(engine, name), method, [fidelity, steps], **PRIVATE)
    return built


def fresh(engine: Engine, chosen: str | None, hole: bool = False) -> tuple[Any, ...]:
    """For ``Choice.outputs``: what can be chosen at this moment."""
    offers = usable(engine, hole)
    names = [one.name for one in offers]
    name = chosen if chosen in names else names[0] if names else None
    method = gr.update(choices=labelled(offers), value=name, visible=bool(names))
    return method, others(engine, hole), *(sliders(engine, name) if name != chosen else (gr.skip(), gr.skip()))


def sliders(engine: Engine, name: str | None) -> tuple[Any, Any]:
    """Fidelity and steps as the method has them."""
    offer = next((one for one in engine.methods() if one.name == name), None)
    options = {one["name"]: one for one in offer.options} if offer else {}
    shown = []
    for option, step in (("fidelity", 0.05), ("steps", 1)):
        facts = options.get(option)
        shown.append(
            gr.update(visible=False)
            if facts is None
            else gr.update(visible=True, minimum=facts["low"], maximum=facts["high"], value=facts["default"], step=step)
        )
    return shown[0], shown[1]


def options_of(engine: Engine, name: str | None, fidelity: float, steps: float) -> dict[str, float]:
    """Those of the two that the method has; a card's range is checked by the engine."""
    offer = next((one for one in engine.methods() if one.name == name), None)
    given = {"fidelity": fidelity, "steps": steps}
    return {one["name"]: given[one["name"]] for one in (offer.options if offer else ()) if one["name"] in given}
