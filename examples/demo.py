"""A real photograph, degraded, restored by the built-in model, and the sheet of before and after.

    python examples/demo.py --out demo-out

The photograph is the portrait of Eileen Collins (NASA, public domain) that comes with scikit-image.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
import skimage.data

import likeness
from likeness.degrade import Step, apply_steps
from likeness.faces import crop_face, identity_distance, load_detector, load_recognizer
from likeness.measure import psnr
from likeness.photo import Photo, write_photo

# What a small camera and an e-mail do to a face of about 180 pixels.
DAMAGE = (
    Step("gaussian_blur", {"sigma_x": 1.3}),
    Step("resize", {"height": 256, "width": 256, "kernel": "bilinear"}),
    Step("gaussian_noise", {"sigma": 4.0, "seed": 1}),
    Step("jpeg", {"quality": 70}),
    Step("resize", {"height": 512, "width": 512, "kernel": "bicubic"}),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("demo-out"))
    out = parser.parse_args().out

    clean = Photo.from_array(skimage.data.astronaut())
    degraded = clean.with_pixels(apply_steps(clean.as_float(), DAMAGE))
    result = likeness.restore(degraded)
    write_photo(degraded, out / "degraded.png")
    result.save(out / "restored.png")

    face = load_detector("dlib").detect(clean.pixels)[0]
    crops = [crop_face(photo.pixels, face.transform) for photo in (degraded, result.after, clean)]
    sheet = np.concatenate(
        [labelled(c, t) for c, t in zip(crops, ("degraded", "restored", "original"), strict=True)], 1
    )
    write_photo(Photo.from_array(sheet), out / "before-after.png")

    embedded = load_recognizer("dlib").embed(np.stack(crops))
    for name, crop, vector in zip(("degraded", "restored"), crops, embedded, strict=False):
        distance = float(identity_distance(vector, embedded[2]))
        print(f"{name}: {psnr(crop, crops[2]):.2f} dB, identity distance to the original {distance:.3f}")
    for record in result.faces:
        print(
            f"face: {record.status}, identity before and after {record.identity_distance:.3f}, {record.seconds:.2f} s"
        )
    print(f"look at {out / 'before-after.png'}")


def labelled(crop: np.ndarray, text: str) -> np.ndarray:
    image = np.ascontiguousarray(crop)
    for colour, width in (((0.0, 0.0, 0.0), 4), ((1.0, 1.0, 1.0), 1)):
        cv2.putText(image, text, (12, 500), cv2.FONT_HERSHEY_SIMPLEX, 0.8, colour, width, cv2.LINE_AA)
    return image


if __name__ == "__main__":
    main()
