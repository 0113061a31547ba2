"""Pieces of HTML. Everything that is not written here is escaped on its way in."""

from __future__ import annotations

import base64
import io
from html import escape
from urllib.parse import quote

import numpy as np

from likeness.web.jobs import Job

MARKS = {"good": "✓", "doubtful": "?", "bad": "!", "none": "–"}  # so that no colour is needed to tell them apart


def file_url(job: Job, name: str) -> str:
    """Where the API serves a job's file; relative, so that the studio may lie behind a prefix."""
    return f"api/v1/jobs/{quote(job.id)}/files/{quote(name)}"


def zip_url(job: Job) -> str:
    """Where the API serves everything."""
    return f"api/v1/jobs/{quote(job.id)}/zip"


def note(text: str, level: str = "none", say: bool = True) -> str:
    """A line for people; ``say``: for those who listen as well."""
    spoken = f' data-say="{escape(text)}"' if say else ""
    return (
        f'<p class="note {level}"{spoken}><span class="mark" aria-hidden="true">{MARKS[level]}</span>{escape(text)}</p>'
    )


def notes(texts: list[str], level: str = "bad") -> str:
    """Some lines, each said."""
    return "".join(note(text, level) for text in texts)


def image(url: str, alt: str, css: str = "") -> str:
    """A picture with its alternative text."""
    return (
        f'<img src="{escape(url)}" alt="{escape(alt)}"{f" class={css}" if css else ""} loading="lazy" decoding="async">'
    )


def data_url(pixels: np.ndarray, side: int, icc: bytes | None = None) -> str:
    """(H, W, 3) uint8 or uint16 as a JPEG of at most ``side`` pixels a side, within the page."""
    import cv2
    from PIL import Image

    eight = (pixels >> 8).astype(np.uint8) if pixels.dtype == np.uint16 else pixels
    height, width = eight.shape[:2]
    factor = min(1.0, side / max(height, width))
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    small = cv2.resize(eight, size, interpolation=cv2.INTER_AREA) if factor < 1 else eight
    stream = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(small)).save(stream, "JPEG", quality=82, icc_profile=icc)
    return "data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode()
