"""Make the pictures of the documentation, by our own commands, from a portrait in the public domain.

    python docs/pictures.py             # writes docs/images/*.webp
    python docs/pictures.py -o DIR      # writes them there

The portrait is that of Eileen Collins (NASA), which comes with scikit-image. docs/images/demo.jpg is what ``make demo``
writes.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import skimage.data
from PIL import Image, ImageDraw, ImageFont

from likeness.degrade import Step, apply_steps
from likeness.photo import Photo, write_photo

IMAGES = Path(__file__).parent / "images"
SIDE, QUALITY = 320, 82  # of one panel, and of the files
DAMAGE = (  # what a small camera and an e-mail do to a face of about 180 pixels
    Step("gaussian_blur", {"sigma_x": 2.0}),
    Step("resize", {"height": 192, "width": 192, "kernel": "bilinear"}),
    Step("gaussian_noise", {"sigma": 5.0, "seed": 1}),
    Step("jpeg", {"quality": 60}),
    Step("resize", {"height": 512, "width": 512, "kernel": "bicubic"}),
)
FACE = (slice(20, 212), slice(120, 312))  # rows and columns of the portrait that the panels show
EYES = (slice(150, 310), slice(350, 510))  # of the portrait enlarged twice


def main() -> None:
    """Make all of them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, default=IMAGES)
    output = parser.parse_args().output
    output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        make(Path(name), output)


def make(folder: Path, output: Path) -> None:
    """``folder``: for what is between; ``output``: for the pictures."""
    clean = Photo.from_array(skimage.data.astronaut())
    write_photo(clean.with_pixels(apply_steps(clean.as_float(), DAMAGE)), folder / "old.png")

    def restored(*options: str) -> Path:
        out = folder / ("-".join(options) or "default")
        likeness("restore", folder / "old.png", "-o", out, *options)
        return out

    sharp, soft, half = restored(), restored("--steps", "1"), restored("--fidelity", "0.5")
    labels = [f"{name}, distance {distance(out):.2f}" for name, out in (("as it comes", sharp), ("--steps 1", soft))]
    panels = [folder / "old.png", soft / "old.png", half / "old.png", sharp / "old.png"]
    sheet(
        [np.asarray(Image.open(path).convert("RGB"))[FACE] for path in panels],
        ["the photo", labels[1], f"--fidelity 0.5, distance {distance(half):.2f}", labels[0]],
        output / "steps-and-fidelity.webp",
    )

    amounts = ("0", "1", "1.3")
    large = [restored("--scale", "2", "--option", f"texture={amount}") for amount in amounts]
    sheet(
        [np.asarray(Image.open(out / "old.png").convert("RGB"))[EYES] for out in large],
        [f"texture={amount}" for amount in amounts],
        output / "texture.webp",
    )

    samples = restored("--samples", "4", "--steps", "4")
    faces = [samples / "old.samples" / f"face-1-sample-{k}.png" for k in (1, 2, 3)]
    faces.append(samples / "old.samples" / "face-1-uncertainty.png")
    sheet(
        [np.asarray(Image.open(path).convert("RGB")) for path in faces],
        ["sample 1", "sample 2", "sample 3", "where they differ"],
        output / "samples.webp",
    )


def likeness(*arguments: object) -> None:
    """``likeness ...`` as on a command line."""
    subprocess.run([sys.executable, "-m", "likeness", *map(str, arguments)], check=True)


def distance(folder: Path) -> float:
    """The identity distance that the report says."""
    report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    found: float = report["photos"][0]["faces"][0]["identity_distance"]
    return found


def sheet(pictures: Sequence[np.ndarray], labels: Sequence[str], path: Path) -> None:
    """Pictures beside each other, each above its label."""
    font = ImageFont.load_default(15)
    canvas = Image.new("RGB", (SIDE * len(pictures) + 8 * (len(pictures) - 1), SIDE + 28), "white")
    for i, (picture, label) in enumerate(zip(pictures, labels, strict=True)):
        kernel = cv2.INTER_AREA if picture.shape[0] > SIDE else cv2.INTER_CUBIC
        panel = cv2.resize(np.ascontiguousarray(picture), (SIDE, SIDE), interpolation=kernel)
        left = i * (SIDE + 8)
        canvas.paste(Image.fromarray(panel), (left, 0))
        ImageDraw.Draw(canvas).text((left + 4, SIDE + 5), label, "black", font)
    canvas.save(path, quality=QUALITY, method=6)


if __name__ == "__main__":
    main()
