"""What the tests of the pipeline share: pictures with faces, a method that costs nothing, and real processes.

As a program (``python scenes.py restore ...``) this is the command line with that method, "pattern", added.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image, ImageCms

from likeness.methods import MethodCard, Option

TESTS = Path(__file__).parent
Box = tuple[float, float, float, float]

# dlib's points in the 512 portrait: right eye outer, inner; left eye outer, inner; nose base.
PORTRAIT_POINTS = np.array([[255, 104], [238, 105], [196, 101], [211, 103], [224, 135]], dtype=np.float64)


@lru_cache
def portrait(side: int = 256) -> np.ndarray:
    """(side, side, 3) uint8: a real face of about a third of the side, found by dlib from 240 pixels on."""
    import pytest

    data = pytest.importorskip("skimage.data", reason="needs scikit-image for its portrait photograph")
    picture = cv2.resize(data.astronaut(), (side, side), interpolation=cv2.INTER_AREA)
    picture.setflags(write=False)
    return picture


def on_canvas(height: int, width: int, *placed: tuple[np.ndarray, int, int]) -> np.ndarray:
    """Pictures, each with its top and left, on a smooth grey-green canvas."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    canvas = np.stack([90 + 40 * y / height, 110 + 40 * x / width, 100 + 0 * x], axis=2).astype(np.uint8)
    for picture, top, left in placed:
        canvas[top : top + picture.shape[0], left : left + picture.shape[1]] = picture
    return canvas


def group() -> np.ndarray:
    """(340, 900, 3): three faces, the largest in the middle."""
    return on_canvas(340, 900, (portrait(256), 60, 10), (portrait(330), 5, 270), (portrait(280), 40, 610))


def landscape(height: int = 150, width: int = 200) -> np.ndarray:
    """A picture without a face."""
    return on_canvas(height, width)


def aligned_face() -> np.ndarray:
    """The portrait's face in the 512 frame, as (512, 512, 3) float32 in [0, 1]."""
    from likeness.faces import DLIB5_TEMPLATE, crop_face, similarity_transform

    return crop_face(portrait(512).copy(), similarity_transform(PORTRAIT_POINTS, DLIB5_TEMPLATE))


def encoded(pixels: np.ndarray, format_: str = "JPEG", **options: Any) -> bytes:
    """The bytes of a file of these 8-bit pixels, by Pillow."""
    stream = io.BytesIO()
    quality = {"quality": 95} if format_ == "JPEG" else {}
    Image.fromarray(pixels).save(stream, format_, **quality, **options)
    return stream.getvalue()


def exif(orientation: int | None = None) -> Image.Exif:
    """A maker, a place, and an orientation."""
    found = Image.Exif()
    found[0x010F] = "Acme"
    if orientation is not None:
        found[0x0112] = orientation
    found.get_ifd(0x8825).update({1: "N", 2: (51.0, 30.0, 0.0), 3: "W", 4: (0.0, 7.0, 0.0)})
    return found


@lru_cache
def icc() -> bytes:
    """An sRGB profile; it carries the time it was made, hence the cache."""
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def load_pixels(path: Path) -> np.ndarray:
    """(H, W, 3) 8-bit pixels of a file as they are stored, by Pillow."""
    return np.asarray(Image.open(path).convert("RGB"))


def load_deep(path: Path) -> np.ndarray:
    """(H, W, 3) RGB of a PNG with its depth, by OpenCV."""
    return cv2.imread(str(path), cv2.IMREAD_UNCHANGED)[..., ::-1]


def save_deep(path: Path, pixels: np.ndarray) -> None:
    """(H, W, 3) uint16 RGB to a PNG, by OpenCV."""
    assert cv2.imwrite(str(path), pixels[..., ::-1])


def inside(box: Box) -> tuple[slice, slice]:
    """Rows and columns of a box."""
    x0, y0, x1, y1 = (max(0, round(v)) for v in box)
    return slice(y0, y1), slice(x0, x1)


def far_outside(shape: tuple[int, ...], *boxes: Box) -> np.ndarray:
    """(H, W) bool: more than a box's width away from every box; no pasted crop reaches there."""
    far = np.ones(shape[:2], bool)
    for x0, y0, x1, y1 in boxes:
        margin = x1 - x0
        far[inside((x0 - margin, y0 - margin, x1 + margin, y1 + margin))] = False
    return far


def pictures(folder: Path) -> dict[str, bytes]:
    """Every file below a folder except reports and hidden ones, by relative name."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        if path.is_file() and name.name != "report.json" and not any(part.startswith(".") for part in name.parts):
            found[name.as_posix()] = path.read_bytes()
    return found


def without_times(record: Any) -> Any:
    """A report without the seconds, which differ from run to run."""
    if isinstance(record, dict):
        return {key: without_times(value) for key, value in record.items() if key != "seconds"}
    return [without_times(item) for item in record] if isinstance(record, list) else record


def read_report(folder: Path) -> dict[str, Any]:
    """The report of a run."""
    return json.loads((folder / "report.json").read_text(encoding="utf-8"))


# A method that costs nothing. The paste takes away what changes smoothly, so it draws a pattern.

CARD = MethodCard(
    name="pattern",
    title="Pattern",
    paper="none",
    licence="Apache-2.0",
    kind="one pass",
    stochastic=True,
    options=(Option("steps", 1, 1, 9, "does nothing"), Option("amount", 0.2, 0.0, 1.0, "of the pattern")),
)


class Pattern:
    """Adds ``amount`` (default: the option's) times a chequered pattern in the middle; the seed moves it a little."""

    card = CARD
    fingerprint = "0" * 64

    def __init__(self, amount: float | None = None) -> None:
        self.amount = amount
        self.calls = 0

    def restore(self, crops: Any, *, seed: int = 0, **options: Any) -> Any:
        """(B, 3, 512, 512) in [0, 1] -> the same, with the pattern."""
        import torch

        chosen = self.card.choose(options).get("amount", 0.2)
        self.calls += 1
        y, x = np.mgrid[0:512, 0:512]
        cells = ((y + 3 * seed) // 32 + x // 32) % 2 * 2.0 - 1
        cells *= np.maximum(np.abs(y - 255.5), np.abs(x - 255.5)) < 160
        amount = chosen if self.amount is None else self.amount
        return (crops + amount * torch.from_numpy(cells.astype(np.float32))).clamp(0, 1)


def load(device: Any, dtype: Any, weights: Path | None = None) -> Pattern:
    """What ``likeness.methods.load`` calls."""
    restorer = Pattern()
    restorer.device, restorer.dtype = device, dtype  # type: ignore[attr-defined]
    return restorer


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    status: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        """The lines on standard error."""
        return self.err.splitlines()


def environment() -> dict[str, str]:
    """For child processes: one thread, UTF-8, and no colours."""
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONUTF8": "1", "NO_COLOR": "1"}


def likeness(*arguments: object, cwd: Path | None = None) -> Ended:
    """``python -m likeness ...`` as a real process."""
    command = [sys.executable, "-m", "likeness", *map(str, arguments)]
    done = subprocess.run(
        command, capture_output=True, cwd=cwd, env=environment(), encoding="utf-8", timeout=570, check=False
    )
    return Ended(done.returncode, done.stdout, done.stderr)


def start(*arguments: object, env: dict[str, str] | None = None) -> subprocess.Popen[bytes]:
    """The command line with the method "pattern" added, as a real process that runs on."""
    command = [sys.executable, str(TESTS / "scenes.py"), *map(str, arguments)]
    around = {**environment(), **(env or {})}
    return subprocess.Popen(command, env=around, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


if __name__ == "__main__":
    from likeness import cli, methods

    methods.METHODS["pattern"] = "scenes"  # found beside this file, which Python puts on its path
    cli.main()
