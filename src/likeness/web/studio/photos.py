"""Choosing photos: dropped, a folder, or pasted; taken by the engine, shown with their faces."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import gradio as gr

from likeness.study.page.words import count
from likeness.web.engine import Engine
from likeness.web.refusal import Refused
from likeness.web.studio.cache import drop_copy, take_one
from likeness.web.studio.faces import Previews, cards
from likeness.web.studio.html import note, notes

PRIVATE: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden", "concurrency_limit": None}
READERS: dict[str, Any] = {**PRIVATE, "concurrency_limit": 2, "concurrency_id": "photos"}  # they hold whole pictures


def unticked_js(count: int, key: str) -> str:
    """JavaScript that puts the faces which are not ticked in place of the last of ``count`` inputs."""
    return f"(...a) => [...a.slice(0, {count - 1}), window.likeness.unticked('{key}')]"


def unticked_of(text: str | None) -> frozenset[str]:
    """What ``unticked_js`` sent. It only ever leaves out faces of the visitor's own photos."""
    return frozenset((text or "").split())


@dataclass(frozen=True)
class Picker:
    """The components of one picker; ``ids``: the state that names the uploads; ``ticks``: filled by unticked_js."""

    key: str
    ids: gr.State
    ticks: gr.Textbox
    shown: gr.HTML
    said: gr.HTML
    clear: gr.Button


def picker(engine: Engine, previews: Previews, key: str, label: str) -> Picker:
    """Build a picker where it is called, and wire it."""
    limits = engine.limits
    ids = gr.State([])
    with gr.Column(elem_classes="picker", elem_id=f"{key}-picker"):
        drop = gr.File(label=label, file_count="multiple", height=150, elem_id=f"{key}-drop", elem_classes="drop")
        with gr.Row(elem_classes="under-drop"):
            folder = gr.UploadButton(
                "Choose a folder", file_count="directory", size="sm", elem_id=f"{key}-folder", scale=0, min_width=160
            )
            clear = gr.Button("Remove all", size="sm", visible=False, elem_id=f"{key}-clear", scale=0, min_width=120)
        gr.HTML(
            f'<p class="soft hint">Or paste a picture with Ctrl+V. At most {limits.photos} photos, each up to '
            f"{limits.upload_bytes / 2**20:g} MiB and {limits.pixels / 1e6:g} megapixels. They stay on the machine "
            "that runs this studio and are deleted after a while.</p>"
        )
        said = gr.HTML(elem_classes="status", elem_id=f"{key}-said")
        shown = gr.HTML(elem_id=f"{key}-photos")
    ticks = gr.Textbox(visible=False)
    removed = gr.Textbox(visible=False)
    remover = gr.Button("Remove this photo", visible="hidden", elem_id=f"{key}-remover")
    built = Picker(key, ids, ticks, shown, said, clear)

    def show(held: list[str], unticked: frozenset[str]) -> tuple[str, Any]:
        return cards(engine, previews, held, unticked, key), gr.update(visible=bool(held))

    def take(paths: list[str] | None, held: list[str], text: str) -> Iterator[tuple[Any, ...]]:
        paths, refused = list(paths or []), []
        room = limits.photos - len(held)
        if len(paths) > room:
            refused.append(f"more than the limit of {limits.photos} photos: {len(paths) - room} were left out")
        for number, path in enumerate(paths, 1):
            yield gr.skip(), gr.skip(), gr.skip(), gr.skip(), note(f"Reading photo {number} of {len(paths)} …")
            if number > room:
                drop_copy(path)
                continue
            try:
                upload = take_one(engine, path)
                previews.of(upload)
                held = [*held, upload.id]
            except Refused as refusal:
                refused.append(refusal.message)
        kept = note(f"{count(len(held), 'photo')} ready", "good") if held else ""
        yield None, held, *show(held, unticked_of(text)), notes(refused) + kept

    outputs = [ids, shown, clear, said]
    for source in (drop, folder):
        source.upload(
            take,
            [source, ids, ticks],
            [source, *outputs],
            js=unticked_js(3, key),
            **READERS,
        )
    clear.click(lambda: ([], *show([], frozenset()), note("All photos were removed")), None, outputs, **PRIVATE)

    def remove(token: str, held: list[str], text: str) -> tuple[Any, ...]:
        held = [one for one in held if one != token]
        return held, *show(held, unticked_of(text)), note("The photo was removed")

    remover.click(
        remove,
        [removed, ids, ticks],
        outputs,
        js=f"(r, i) => [window.likeness.removed, i, window.likeness.unticked('{key}')]",
        **READERS,
    )
    return built
