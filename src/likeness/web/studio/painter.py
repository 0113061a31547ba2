"""A photo to paint on, and the mask that comes of it.

Gradio's editor keeps what is painted in the server's memory without a bound, needs WebGL and cannot be used from the
keyboard; a canvas with a brush needs none of that. ``studio.js`` paints; the mask comes as a small PNG in a message.
"""

from __future__ import annotations

import base64
import binascii
import io
from html import escape

import numpy as np

from likeness.web.refusal import Refused
from likeness.web.studio.html import data_url
from likeness.web.uploads import Upload

VIEW = 1024  # pixels of a side of what is painted on; the mask is then enlarged to the photo's size
PREFIX = "data:image/png;base64,"
LARGEST = 3 * 2**20  # characters of a mask; one of VIEW pixels is far below
WHITE = 128


def view_size(upload: Upload) -> tuple[int, int]:
    """Width and height of what is painted on."""
    factor = min(1.0, VIEW / max(upload.width, upload.height))
    return max(1, round(upload.width * factor)), max(1, round(upload.height * factor))


def painter(upload: Upload) -> str:
    """HTML with the photo under a canvas, and its tools. Raises PhotoError."""
    photo = upload.read()
    width, height = view_size(upload)
    return (
        '<div class="painter"><div class="tools" role="toolbar" aria-label="Painting">'
        '<label><input type="radio" name="tool" value="brush" checked> Brush</label>'
        '<label><input type="radio" name="tool" value="eraser"> Eraser</label>'
        '<label class="size">Size <input type="range" class="brush-size" min="4" max="160" value="40"></label>'
        '<button type="button" class="plain undo">Undo</button><button type="button" class="plain wipe">Clear</button>'
        f'</div><div class="paper" style="--ratio:{width / height:.4f}">'
        f'<img src="{data_url(photo.pixels, VIEW, photo.icc)}" alt="{escape(upload.name)}">'
        f'<canvas width="{width}" height="{height}" tabindex="0" role="application" '
        f'aria-label="Paint over what is to be filled in of {escape(upload.name)}. Arrow keys move the brush, Space '
        'paints."></canvas><span class="cursor" aria-hidden="true"></span></div>'
        '<p class="share status" data-say="Nothing is painted yet">Nothing is painted yet</p></div>'
    )


def mask_of(text: str | None, upload: Upload) -> np.ndarray:
    """(H, W) bool of the photo, True = to fill, of the PNG that the page sends as ``data:`` text. Raises Refused."""
    from PIL import Image, UnidentifiedImageError

    if not text:
        raise Refused(400, "nothing is painted: paint over what is to be filled in")
    if not text.startswith(PREFIX) or len(text) > LARGEST:
        raise Refused(400, "that is no mask of this page")
    try:
        with Image.open(io.BytesIO(base64.b64decode(text[len(PREFIX) :], validate=True)), formats=["PNG"]) as picture:
            if picture.size != view_size(upload):  # before its pixels are read
                raise Refused(400, "the mask belongs to another photo: paint again")
            full = picture.convert("L").resize((upload.width, upload.height), Image.Resampling.NEAREST)
    except (binascii.Error, UnidentifiedImageError, Image.DecompressionBombError, OSError, SyntaxError):
        raise Refused(400, "that is no mask of this page") from None
    mask = np.asarray(full) >= WHITE
    if not mask.any():
        raise Refused(400, "nothing is painted: paint over what is to be filled in")
    return mask


def png(mask: np.ndarray) -> bytes:
    """The mask as a file: white is to fill."""
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(mask.astype(np.uint8) * 255).save(stream, "PNG")
    return stream.getvalue()
