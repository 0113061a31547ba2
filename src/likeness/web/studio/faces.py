"""The photos before a job: each with numbered boxes around its faces, and a box to tick for each face."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Collection, Iterable
from html import escape

import numpy as np

from likeness.photo import PhotoError
from likeness.study.page.words import count
from likeness.web.engine import Engine, Found
from likeness.web.refusal import Refused
from likeness.web.studio.html import data_url, note
from likeness.web.uploads import Upload

VIEW, CROP = 1280, 112  # pixels of a side
REMEMBERED = 64  # photos' pictures, of about 0.2 MB

Pictures = tuple[str, tuple[str, ...], tuple[Found, ...]]  # of the photo, of its faces, and the faces


class Previews:
    """Small pictures of uploads, made once; by the uploads' names, which only their owner knows."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._known: OrderedDict[str, Pictures] = OrderedDict()
        self._making = threading.Lock()  # one photo at a time: its pixels take far more memory than these pictures

    def of(self, upload: Upload) -> Pictures:
        """The pictures of a photo. Raises Refused."""
        with self._making:
            if upload.id not in self._known:
                try:
                    found = tuple(self._engine.find(upload))
                    photo = upload.read()
                except PhotoError as error:  # it has just expired
                    raise Refused(404, f"{upload.name}: {error}") from None
                crops = tuple(data_url(_around(photo.pixels, face.box), CROP, photo.icc) for face in found)
                self._known[upload.id] = data_url(photo.pixels, VIEW, photo.icc), crops, found
                while len(self._known) > REMEMBERED:
                    self._known.popitem(last=False)
            self._known.move_to_end(upload.id)
            return self._known[upload.id]


def _around(pixels: np.ndarray, box: tuple[float, float, float, float]) -> np.ndarray:
    """The square around a face, with a margin, as far as the picture reaches."""
    x0, y0, x1, y1 = box
    half = 0.65 * max(x1 - x0, y1 - y0)
    cx, cy = (x0 + x1) / 2, (y0 + y1) / 2
    rows = slice(max(0, round(cy - half)), max(1, round(cy + half)))
    columns = slice(max(0, round(cx - half)), max(1, round(cx + half)))
    part = pixels[rows, columns]
    return part if part.size else pixels[:1, :1]


def cards(engine: Engine, previews: Previews, ids: Iterable[str], unticked: Collection[str], key: str) -> str:
    """HTML of the photos ``ids``; ``unticked``: faces left out, as ``upload:number``; ``key`` begins the ids in it."""
    parts = []
    for place, token in enumerate(ids):
        try:
            upload = engine.uploads.get(token)
            parts.append(_card(upload, previews.of(upload), unticked, f"{key}-{place}"))
        except Refused as refusal:
            parts.append(f'<article class="photo-card">{note(refusal.message, "bad")}</article>')
    return f'<div class="photo-cards">{"".join(parts)}</div>' if parts else ""


def _card(upload: Upload, pictures: Pictures, unticked: Collection[str], key: str) -> str:
    view, crops, found = pictures
    boxes, ticks = [], []
    for face, crop in zip(found, crops, strict=True):
        number, name = face.number + 1, f"{key}-{face.number}"
        x0, y0, x1, y1 = face.box
        left, top = 100 * x0 / upload.width, 100 * y0 / upload.height
        wide, high = 100 * (x1 - x0) / upload.width, 100 * (y1 - y0) / upload.height
        place = f"left:{left:.2f}%;top:{top:.2f}%;width:{wide:.2f}%;height:{high:.2f}%"
        token = f"{upload.id}:{face.number}"
        usable, ticked = face.obstacle is None, face.obstacle is None and token not in unticked
        css = "box" + ("" if ticked else " off") + (" low" if y0 < 0.08 * upload.height else "")
        boxes.append(
            f'<label class="{css}" for="{escape(name)}" style="{place}" aria-hidden="true"><b>{number}</b></label>'
        )
        state = " checked" if ticked else "" if usable else " disabled"
        why = "" if usable else f"<small>left as it is: {escape(face.obstacle or '')}</small>"
        ticks.append(
            f'<label class="tick"><input type="checkbox" id="{escape(name)}" data-face="{escape(token)}"{state}>'
            f'<img src="{crop}" alt="" width="56" height="56"><span>Face {number}{why}</span></label>'
        )
    faces = count(len(found), "face")
    said = (
        f'<fieldset><legend>{faces} found: untick what is to stay as it is</legend><div class="ticks">'
        f"{''.join(ticks)}</div></fieldset>"
        if found
        else note("No face was found in this photo.", "none", say=False)
    )
    facts = f"{upload.width} × {upload.height}, {upload.format}"
    return (
        f'<article class="photo-card"><header><h3>{escape(upload.name)}</h3><span class="soft">{escape(facts)}</span>'
        f'<button type="button" class="plain remove" data-upload="{escape(upload.id)}" '
        f'aria-label="Remove {escape(upload.name)}">Remove</button></header>'
        f'<div class="faces"><div class="view" style="--ratio:{upload.width / upload.height:.4f}">'
        f'<img src="{view}" alt="{escape(upload.name)}, {faces} marked by numbered boxes">{"".join(boxes)}</div>'
        f"{said}</div></article>"
    )


def chosen(
    engine: Engine, ids: Iterable[str], unticked: Collection[str], enlarge: bool
) -> tuple[list[Upload], dict[str, tuple[int, ...]]]:
    """The photos with anything to do, and the numbers of their ticked faces. Raises Refused."""
    photos: list[Upload] = []
    faces: dict[str, tuple[int, ...]] = {}
    for token in ids:
        upload = engine.uploads.get(token)
        numbers = tuple(
            one.number
            for one in engine.find(upload)
            if one.obstacle is None and f"{token}:{one.number}" not in unticked
        )
        if numbers or enlarge:
            photos.append(upload)
            faces[token] = numbers
    return photos, faces
