"""How many photographs fine-tuning needs: the built-in model on so many faces, measured on those and on others.

    python benchmarks/finetune.py --faces train-000.tar --others london-even-000.tar [--photographs 20,1000]

Each run is ``likeness train recipes/finetune-likeness.yaml`` with other sources; the first row is the model as it is
shipped. Prints a Markdown table: PSNR over the degraded input in dB and identity distance relative to the input's, of
the posterior mean (``--steps 1``), on faces that were trained on and on faces of other people, degraded in the same
way; and seconds of training.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from likeness.degrade import degrade
from likeness.faces import identity_distance, load_recognizer
from likeness.measure.functional import psnr
from likeness.methods import load
from likeness.train.loop import train
from likeness.train.objectives.build import build_objective
from likeness.train.pictures import find_pictures, read_picture
from likeness.train.recipe import load_recipe

RECIPE = Path(__file__).parents[1] / "recipes/finetune-likeness.yaml"


def folder_of(faces: list[str], count: int, folder: Path) -> Path:
    """The first ``count`` faces, evenly spread over the sources, as files."""
    folder.mkdir(parents=True, exist_ok=True)
    entries = find_pictures(faces)
    for i in np.linspace(0, len(entries) - 1, count).astype(int):
        path = folder / f"{i:05}.png"
        if not path.exists():
            Image.fromarray(read_picture(entries[i])).save(path, "PNG", compress_level=1)
    return folder


def pairs(source: str, count: int, recipe: str) -> tuple[np.ndarray, np.ndarray]:
    """(N, 512, 512, 3) float32 clean and degraded faces, evenly spread over the source."""
    entries = find_pictures([source])
    chosen = np.linspace(0, len(entries) - 1, min(count, len(entries))).astype(int)
    clean = np.stack([read_picture(entries[i]).astype(np.float32) / np.float32(255) for i in chosen])
    return clean, np.stack([degrade(face, recipe, seed)[0] for seed, face in enumerate(clean)])


def measure(weights: Path | None, clean: np.ndarray, degraded: np.ndarray) -> tuple[float, float]:
    """PSNR over the input in dB, and identity distance relative to the input's."""
    restorer, recognizer = load("likeness", device="cpu", backend="torch", weights=weights), load_recognizer("dlib")
    restored = np.stack(
        [
            restorer.restore(torch.from_numpy(x.transpose(2, 0, 1).copy())[None], seed=0, steps=1)[0]
            .clamp(0, 1)
            .permute(1, 2, 0)
            .numpy()
            for x in degraded
        ]
    )
    gain = np.mean([psnr(r, c) - psnr(d, c) for r, c, d in zip(restored, clean, degraded, strict=True)])
    who = recognizer.embed(clean)
    after, before = (identity_distance(recognizer.embed(x), who) for x in (restored, degraded))
    return float(gain), float(np.mean(after) / np.mean(before) - 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--faces", nargs="+", required=True, help="to train on: tar shards or folders of 512 crops")
    parser.add_argument("--others", required=True, help="to measure with: other people's faces")
    parser.add_argument("--photographs", default="20,1000")
    parser.add_argument("--degradation", default="sr-x16")
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--count", type=int, default=32, help="of faces to measure with")
    parser.add_argument("-o", "--output", type=Path, default=Path("runs/finetune"))
    args = parser.parse_args()
    others = pairs(args.others, args.count, args.degradation)
    print("| photographs | steps | seconds | dB, on these | identity, on these | dB, on others | identity, on others |")
    print("|---|---|---|---|---|---|---|")
    for count in (0, *map(int, args.photographs.split(","))):
        weights, seconds, seen = None, 0.0, " | "
        if count:
            folder = folder_of(args.faces, count, args.output / f"faces-{count}")
            run = args.output / f"run-{count}"
            settings = [f"data={folder}", f"output={run}", f"steps={args.steps}"]
            settings.append(f"data.mixture={{{args.degradation}: 0.85, clean: 0.15}}")
            recipe = load_recipe(RECIPE, settings)
            began = time.perf_counter()
            weights = train(recipe, build_objective(recipe), quiet=True)
            seconds = time.perf_counter() - began
            gain, identity = measure(weights, *pairs(str(folder), args.count, args.degradation))
            seen = f"{gain:+.2f} | {identity:+.1%}"
        gain, identity = measure(weights, *others)
        steps = args.steps if count else 0
        print(f"| {count} | {steps} | {seconds:.0f} | {seen} | {gain:+.2f} | {identity:+.1%} |", flush=True)


if __name__ == "__main__":
    sys.exit(main())
