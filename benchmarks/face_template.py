"""Measure the face constants of `likeness.faces.template` on aligned photographs, and how well they align.

    python benchmarks/face_template.py [FOLDER WITH london-even-000.tar AND val-000.tar]

The folder is `../shared/faces` beside the repository, or LIKENESS_FACES. All photographs there are 512x512
and aligned to FFHQ_TEMPLATE, so the true transform of each is the identity. Prints:
1. DLIB_BOX: the median box of dlib's frontal detector;
2. DLIB5_TEMPLATE: the 10 % trimmed mean of dlib's five points, predicted in that box, and their spread;
3. CHIP_TRANSFORM: the mean of dlib's own chip transforms (150 pixels, padding 0.25) for the same points;
4. the alignment residual of the finished detector: how far FFHQ_TEMPLATE moves from where it should be.
Takes about a minute on one core.
"""

from __future__ import annotations

import io
import os
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import dlib
import numpy as np
from PIL import Image

from likeness.faces.detect import DlibDetector
from likeness.faces.geometry import apply_transform
from likeness.faces.models import LANDMARKS_5, model_path
from likeness.faces.template import CHIP_TRANSFORM, DLIB5_TEMPLATE, DLIB_BOX, FFHQ_TEMPLATE

SHARDS = ("london-even-000.tar", "val-000.tar")
TRIM = 0.1  # share cut from each end before averaging
FINE = 64  # dlib keeps whole-pixel points: chips are computed on coordinates this many times larger


def photographs(folder: Path) -> Iterator[tuple[str, np.ndarray]]:
    """(name, (512, 512, 3) uint8 RGB) of each picture in the shards."""
    for shard in SHARDS:
        with tarfile.open(folder / shard) as archive:
            for member in sorted(archive.getmembers(), key=lambda item: item.name):
                if not member.name.lower().endswith((".jpg", ".png", ".webp")):
                    continue
                stream = archive.extractfile(member)
                if stream is None:
                    raise SystemExit(f"{folder / shard}: {member.name} is not a plain file")
                with Image.open(io.BytesIO(stream.read())) as picture:
                    yield member.name, np.asarray(picture.convert("RGB"))


def trimmed_mean(values: np.ndarray) -> np.ndarray:
    """Mean along axis 0 without the smallest and largest TRIM of each column."""
    cut = int(len(values) * TRIM)
    return np.asarray(np.sort(values, axis=0)[cut : len(values) - cut].mean(axis=0))


def chip_transform(points: np.ndarray) -> np.ndarray:
    """dlib's (2, 3) transform, picture -> 150 chip, for five points (5, 2)."""
    parts = [dlib.point(round(x * FINE), round(y * FINE)) for x, y in points]
    frame = dlib.rectangle(0, 0, 512 * FINE, 512 * FINE)
    chip = dlib.get_face_chip_details(dlib.full_object_detection(frame, parts), 150, 0.25)
    # The chip is the rectangle turned by `angle` about its centre; its corners are the centres of the chip's
    # corner pixels (checked against dlib.get_face_chip).
    center = np.array([chip.rect.left() + chip.rect.right(), chip.rect.top() + chip.rect.bottom()]) / 2 / FINE
    scale = (150 - 1) / ((chip.rect.right() - chip.rect.left()) / FINE)
    cosine, sine = np.cos(chip.angle), np.sin(chip.angle)
    linear = scale * np.array([[cosine, sine], [-sine, cosine]])
    return np.hstack([linear, ((150 - 1) / 2 - linear @ center)[:, None]])


def main() -> None:
    default = Path(__file__).resolve().parents[2] / "shared" / "faces"
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else os.environ.get("LIKENESS_FACES", default))
    pictures = list(photographs(folder))
    find = dlib.get_frontal_face_detector()
    predict = dlib.shape_predictor(str(model_path(LANDMARKS_5)))

    boxes = []
    for name, pixels in pictures:
        found, scores, _ = find.run(pixels, 0, 0.0)
        if not found:
            print(f"no face found, left out of the box: {name}")
            continue
        best = found[int(np.argmax(scores))]
        boxes.append([best.left(), best.top(), best.right() + 1, best.bottom() + 1])
    box = np.median(np.array(boxes, dtype=np.float64), axis=0)
    print(f"{len(pictures)} photographs, {len(boxes)} with a face")
    print(f"DLIB_BOX        {box.tolist()}  (in use: {DLIB_BOX})")

    x0, y0, x1, y1 = DLIB_BOX
    rectangle = dlib.rectangle(x0, y0, x1 - 1, y1 - 1)
    points = np.array(
        [[(part.x, part.y) for part in predict(pixels, rectangle).parts()] for _, pixels in pictures],
        dtype=np.float64,
    )
    template = trimmed_mean(points)
    print(f"DLIB5_TEMPLATE  {template.round(1).tolist()}  (in use: {DLIB5_TEMPLATE.tolist()})")
    print(f"        spread  {points.std(axis=0).round(1).tolist()} px, one standard deviation")

    chips = np.array([chip_transform(face) for face in points])
    print(f"CHIP_TRANSFORM  {chips.mean(axis=0).round(5).tolist()}  (in use: {CHIP_TRANSFORM.tolist()})")
    print(f"        spread  {chips.std(axis=0).round(4).tolist()}")
    print(f" from template  {chip_transform(template).round(5).tolist()}")

    detector = DlibDetector()
    residuals = []
    for name, pixels in pictures:
        faces = detector.detect(pixels)
        if not faces:
            print(f"not detected: {name}")
            continue
        moved = apply_transform(faces[0].transform, FFHQ_TEMPLATE) - FFHQ_TEMPLATE
        residuals.append(np.sqrt((moved**2).sum(axis=1).mean()))
    mean, median, high = np.mean(residuals), np.median(residuals), np.percentile(residuals, 95)
    print(f"alignment residual of {len(residuals)} faces: mean {mean:.2f}, median {median:.2f}, 95 % {high:.2f} px")


if __name__ == "__main__":
    main()
