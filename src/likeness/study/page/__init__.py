"""The comparison as one self-contained page: styles, script and pictures are inside, nothing comes from a network."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from html import escape
from importlib import resources
from pathlib import Path
from typing import Any

from likeness.study.page.head import header, rankings
from likeness.study.page.photo import photo_section
from likeness.study.page.plot import trade_off
from likeness.study.page.table import metric_table

__all__ = ["page", "table_fragment"]


def page(document: Mapping[str, Any], folder: Path, shown: int) -> str:
    """The HTML of ``document`` (what compare.json holds) with at most ``shown`` photos, read from below ``folder``.

    Raises PhotoError when a picture that the document names cannot be read, but for the inputs.
    """
    script, style = _asset("page.js"), _asset("page.css")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    # Nothing may be loaded, and no script runs but ours: a file's name cannot become one.
    policy = f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    pictures = document["pictures"][:shown]
    parts = [
        header(document),
        f'<section id="numbers"><h2>The numbers</h2>{metric_table(document)}</section>',
        f'<section id="trade-off"><h2>The trade-off</h2><div class="beside">'
        f"{trade_off(document)}{rankings(document)}</div>"
        "</section>",
        '<section id="photos"><h2>The photos</h2>',
        _hints(len(pictures), len(document["pictures"])),
        *(photo_section(document, picture, number, folder) for number, picture in enumerate(pictures, 1)),
        "</section>",
    ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{escape(policy)}">\n'
        '<meta name="viewport" content="width=device-width,initial-scale=1"><link rel="icon" href="data:,">\n'
        f"<title>Likeness: comparison of {_methods(document)}</title>\n<style>{style}</style></head>\n<body>\n"
        + "\n".join(parts)
        + f"\n<script>{script}</script>\n</body></html>\n"
    )


def table_fragment(document: Mapping[str, Any], link: str) -> str:
    """The table with the finding and a link to the page, for a notebook."""
    sentence = escape(document["rankings"][document["prefer"]]["sentence"])
    return (
        f"<div><p>{sentence}</p>{metric_table(document)}"
        f'<p><a href="{escape(link)}" target="_blank">{escape(link)}</a></p></div>'
    )


def _asset(name: str) -> str:
    return resources.files(__name__).joinpath(name).read_text(encoding="utf-8")


def _methods(document: Mapping[str, Any]) -> str:
    return escape(", ".join(entry["name"] for entry in document["methods"] if not entry["baseline"]))


def _hints(shown: int, total: int) -> str:
    some = (
        f"The first {shown} of {total} photos; all of them lie in the folders beside this page. "
        if shown < total
        else ""
    )
    return (
        f'<p class="soft">{some}The pictures here are JPEG copies of at most 1024 pixels; their names lead to the full '
        "files. Zoom with the buttons, by pinching, with Ctrl and the wheel, or with the wheel alone once a picture is "
        "clicked; then drag, or use the arrow keys. All pictures of a photo move together.</p>"
    )
