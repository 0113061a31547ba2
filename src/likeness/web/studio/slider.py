"""Two pictures of equal size on top of each other, with a divider that a pointer or the arrow keys move.

Gradio's own slider does not answer to the keyboard and has no alternative texts; this one is an input of type range.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

Layer = tuple[str, str]  # name and address


def slider(layers: Sequence[Layer], left: int, right: int, what: str) -> str:
    """HTML of a slider between two of ``layers``; with more than two, each side can be chosen."""
    a, b = layers[left], layers[right]
    choose = ""
    if len(layers) > 2:
        choose = f'<div class="sides">{_side("left", layers, left)}{_side("right", layers, right)}</div>'
    return (
        f'<div class="slider" style="--cut:50%">{choose}'
        f'<div class="pane" tabindex="0" role="group" aria-label="{escape(what)}"><div class="stack">'
        f'<img class="under" src="{escape(a[1])}" alt="{escape(f"{what}: {a[0]}")}" draggable="false">'
        f'<div class="over"><img src="{escape(b[1])}" alt="{escape(f"{what}: {b[0]}")}" draggable="false"></div>'
        '<div class="line" aria-hidden="true"></div></div></div>'
        f'<div class="under-pane"><span class="tag left">{escape(a[0])}</span>'
        f'<input type="range" class="divider" min="0" max="100" value="50" step="0.5" '
        f'aria-label="Divider: {escape(what)}"><span class="tag right">{escape(b[0])}</span>'
        '<button type="button" class="plain zoom" aria-pressed="false">Full size</button></div></div>'
    )


def _side(side: str, layers: Sequence[Layer], chosen: int) -> str:
    options = "".join(
        f'<option value="{escape(url)}"{" selected" if i == chosen else ""}>{escape(name)}</option>'
        for i, (name, url) in enumerate(layers)
    )
    return f'<label>{side.title()} <select class="side {side}">{options}</select></label>'
