"""Fit the packaged NIQE model on crisp aligned faces, and show what it tells apart.

    python benchmarks/fit_niqe.py train-*.tar --check val-000.tar [--out niqe_faces.npz]

Takes the pictures whose names begin with "omi_" (the crisp ones) from the tars. Prints how many blocks were sharp
enough, the model's mean and the spread of its covariance, and with --check the mean score of held-out pictures, clean
and degraded. Takes a few minutes on one core.
"""

from __future__ import annotations

import argparse
import io
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from likeness.measure import niqe

CRISP = "omi_"
OUT = Path(__file__).parents[1] / "src" / "likeness" / "measure" / "files" / "niqe_faces.npz"
SOURCE = (
    "Likeness: {pictures} synthetic faces of 512x512 from One Million Impressions (CC BY-NC-SA 4.0), statistics only; "
    "scores are not comparable with published ones"
)


def pictures(tars: list[Path], beginning: str = CRISP) -> Iterator[np.ndarray]:
    """(512, 512, 3) float64 RGB in [0, 1] of each picture whose name begins so, by tar and name."""
    for tar in tars:
        with tarfile.open(tar) as archive:
            for member in sorted(archive.getmembers(), key=lambda item: item.name):
                if not Path(member.name).name.startswith(beginning):
                    continue
                stream = archive.extractfile(member)
                if stream is None:
                    raise SystemExit(f"{tar}: {member.name} is not a plain file")
                with Image.open(io.BytesIO(stream.read())) as picture:
                    yield np.asarray(picture.convert("RGB"), np.float64) / 255


def blurred(sigma: float) -> Callable[[np.ndarray], np.ndarray]:
    return lambda picture: eight_bit(cv2.GaussianBlur(picture, (0, 0), sigma))


def noisy(picture: np.ndarray) -> np.ndarray:
    return eight_bit(picture + np.random.default_rng(0).normal(0, 25 / 255, picture.shape))


def jpeg(picture: np.ndarray) -> np.ndarray:
    stream = io.BytesIO()
    Image.fromarray(np.round(picture * 255).astype(np.uint8)).save(stream, "JPEG", quality=10)
    return np.asarray(Image.open(stream), np.float64) / 255


def eight_bit(picture: np.ndarray) -> np.ndarray:
    return np.asarray(np.round(picture.clip(0, 1) * 255) / 255)


DEGRADATIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "clean": lambda picture: picture,
    "blur, sigma 1": blurred(1),
    "blur, sigma 2": blurred(2),
    "blur, sigma 4": blurred(4),
    "noise, sigma 25": noisy,
    "JPEG, quality 10": jpeg,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tars", type=Path, nargs="+")
    parser.add_argument("--check", type=Path, action="append", default=[], help="tar of held-out pictures, all of it")
    parser.add_argument("--out", type=Path, default=OUT)
    arguments = parser.parse_args()

    features = [niqe.sharp_features(picture) for picture in pictures(arguments.tars)]
    if not features:
        raise SystemExit(f"the tars hold no pictures whose names begin with {CRISP!r}")
    model = niqe.NiqeModel.of_features(np.concatenate(features), SOURCE.format(pictures=len(features)))
    model.save(arguments.out)
    print(f"{len(features)} pictures, {sum(map(len, features))} sharp blocks")
    print(f"{arguments.out}: {arguments.out.stat().st_size} bytes")
    spread = np.linalg.eigvalsh(model.covariance)
    print(f"covariance: eigenvalues {spread[0]:.3g} to {spread[-1]:.3g}, trace {spread.sum():.4g}")
    for scale, part in ((1, model.mean[:18]), (2, model.mean[18:])):
        print(f"mean at scale {scale}:", " ".join(f"{value:.4f}" for value in part))
    for tar in arguments.check:
        held_out = list(pictures([tar], ""))
        print(f"{tar.name}: {len(held_out)} pictures")
        for name, degrade in DEGRADATIONS.items():
            scores = [niqe.niqe(degrade(picture), model) for picture in held_out]
            print(f"  {name:18} {np.mean(scores):7.3f} +- {np.std(scores):.3f}")


if __name__ == "__main__":
    main()
