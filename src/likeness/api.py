"""The Python face: ``likeness.restore``."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from likeness import provenance
from likeness.memory import sha256
from likeness.photo import Photo, PhotoError, read_photo, write_photo
from likeness.pipeline import Session, Settings, restore_photo, spread
from likeness.results import FaceResult, PhotoResult

SHOWN = 480  # height in pixels of the pictures in a notebook


@dataclass(frozen=True)
class Restoration:
    """A restored photo with its evidence. In a notebook it shows itself, before and after.

    ``before``, ``after``: the photos; ``result``: the record, with one entry per face; ``samples``: for each
    restored face (K, 512, 512, 3) float32 in [0, 1]; ``provenance``: what is written with it of how it was made.
    """

    before: Photo
    after: Photo
    result: PhotoResult
    samples: tuple[np.ndarray, ...]
    provenance: Mapping[str, str] | None = None

    @property
    def image(self) -> np.ndarray:
        """The restored picture, (H, W, 3) uint8 or uint16 RGB."""
        return self.after.pixels

    @property
    def faces(self) -> tuple[FaceResult, ...]:
        """What happened to each face."""
        return tuple(self.result.faces)

    def uncertainty(self) -> list[np.ndarray]:
        """For each restored face the per-pixel spread of its samples, (512, 512) float; zero for one sample."""
        return [spread(list(s)) for s in self.samples]

    def save(self, path: str | Path) -> Path:
        """Write the restored photo with the metadata of the original, and how it was made. Raises PhotoError.

        BMP has no place for metadata.
        """
        photo, _ = provenance.stamp(self.after, self.provenance, path)
        return write_photo(photo, path)

    def _repr_html_(self) -> str:
        rows = "".join(f"<li>{html.escape(_in_words(face))}</li>" for face in self.faces) or "<li>no face found</li>"
        cells = "".join(
            f'<figure style="display:inline-block;margin:4px"><img alt="{name}" src="{_data_uri(photo)}">'
            f"<figcaption>{name}</figcaption></figure>"
            for name, photo in (("before", self.before), ("after", self.after))
        )
        return f"<div>{cells}<ol>{rows}</ol></div>"


def restore(photo: str | Path | np.ndarray | Photo, method: str | None = None, **settings: Any) -> Restoration:
    """Restore the faces of one photo.

    ``photo``: a path, a Photo, or an array (H, W[, 3 or 4]) uint8, uint16 or float in [0, 1], RGB. ``settings``: the
    fields of ``pipeline.Settings`` (seed, samples, blend, faces, aligned, device, precision, provenance, ...);
    anything else is an option of the method (``steps=1``). Models stay loaded between calls with equal settings.
    Raises PhotoError for a photo that cannot be read, OptionError or ValueError for a wrong setting.
    """
    fields = Settings.__dataclass_fields__
    chosen = {k: v for k, v in settings.items() if k in fields}
    options = {k: v for k, v in settings.items() if k not in fields}
    session = _session(method, tuple(sorted(chosen.items())), tuple(sorted(options.items())))
    if isinstance(photo, np.ndarray):
        photo = Photo.from_array(photo)
    before = read_photo(photo) if isinstance(photo, (str, Path)) else photo
    made_of = sha256(Path(photo)) if isinstance(photo, (str, Path)) else None
    finished = restore_photo(session, before, str(before.source or "array"))
    if finished.photo is None:  # with aligned=True, a photo that is not square
        raise PhotoError(finished.result.reason)
    samples = tuple(np.stack(face.samples) for face in finished.restored)
    facts = provenance.describe(session, finished.result.faces, made_of) if session.settings.provenance else None
    return Restoration(before, finished.photo, finished.result, samples, facts)


@lru_cache(maxsize=2)
def _session(method: str | None, chosen: tuple[tuple[str, Any], ...], options: tuple[tuple[str, Any], ...]) -> Session:
    return Session(Settings(method=method, options=dict(options), **dict(chosen)))


def _in_words(face: FaceResult) -> str:
    if face.status != "restored":
        return f"{face.status}: {face.reason}"
    verdict = "likely" if face.same_person else "DOUBTFUL"
    return f"restored; still the same person: {verdict} (identity distance {face.identity_distance:.2f})"


def _data_uri(photo: Photo) -> str:
    from PIL import Image

    image = Image.fromarray(np.rint(photo.as_float() * 255).astype(np.uint8))
    image.thumbnail((SHOWN * 2, SHOWN))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=90)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
