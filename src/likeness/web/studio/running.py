"""What every tab that starts jobs has below its controls: a button, a line that says how far it is, the results."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import gradio as gr

from likeness.web.ask import Ask
from likeness.web.engine import Engine
from likeness.web.jobs import Job
from likeness.web.refusal import Refused
from likeness.web.studio.follow import follow, lost, status
from likeness.web.studio.history import Entry, add, entry, stored
from likeness.web.studio.html import note
from likeness.web.studio.photos import PRIVATE


@dataclass(frozen=True)
class Runner:
    """Buttons, status and results of one kind of job ("restore", "compare" or "inpaint")."""

    engine: Engine
    kind: str
    page: Callable[[Job], str]
    job: gr.State
    go: gr.Button
    stop: gr.Button
    said: gr.HTML
    shown: gr.HTML
    history: gr.State
    stored: gr.HTML

    @property
    def outputs(self) -> list[Any]:
        """What ``run`` fills."""
        return [self.job, self.go, self.stop, self.said, self.shown, self.history, self.stored]

    def show(self) -> None:
        """Place the results where it is called."""
        self.shown.render()  # type: ignore[no-untyped-call]

    async def run(self, make: Callable[[], Ask], history: list[Entry]) -> AsyncIterator[tuple[Any, ...]]:
        """Submit what ``make`` gives and follow it to its end. The job goes on when nobody follows it any more."""
        skip = gr.skip()
        try:
            ask = await asyncio.to_thread(make)
            job = await asyncio.to_thread(self.engine.submit, ask)
        except Refused as refusal:
            yield skip, skip, skip, lost(refusal), skip, skip, skip
            return
        new = entry(job.id, self.kind, [one.name for one in ask.photos], [one.name for one in ask.methods])
        history = add(history, new)
        yield (
            job.id, gr.update(interactive=False), gr.update(visible=True, interactive=True), note("Starting …"), "",
            history, stored(history),
        )  # fmt: skip
        try:
            async for now, ready in follow(self.engine, job.id):
                yield skip, skip, skip, status(self.engine, now), self.page(now) if ready else skip, skip, skip
        except Refused as refusal:
            yield skip, skip, skip, lost(refusal), "", skip, skip
        yield skip, gr.update(interactive=True), gr.update(visible=False), skip, skip, skip, skip


def runner(
    engine: Engine, kind: str, label: str, page: Callable[[Job], str], history: gr.State, kept: gr.HTML
) -> Runner:
    """Build the buttons and the line where it is called; the results are rendered later, by ``Runner.show``."""
    job = gr.State(None)
    with gr.Row(elem_classes="go"):
        go = gr.Button(label, variant="primary", elem_id=f"{kind}-go", scale=0, min_width=180)
        stop = gr.Button("Cancel", visible=False, elem_id=f"{kind}-cancel", scale=0, min_width=120)
    said = gr.HTML(elem_classes="status", elem_id=f"{kind}-status")
    shown = gr.HTML(elem_id=f"{kind}-results", render=False)

    def cancel(token: str | None) -> tuple[Any, str]:
        try:
            if token is not None:
                engine.jobs.cancel(engine.jobs.get(token))
        except Refused as refusal:
            return gr.update(interactive=False), lost(refusal)
        return gr.update(interactive=False), note("Cancelling: it ends at its next step …")

    stop.click(cancel, job, [stop, said], **PRIVATE)
    return Runner(engine, kind, page, job, go, stop, said, shown, history, kept)
