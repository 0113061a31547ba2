"""The ablation of papers/003, table 3, at small size: what gated fusion, codebooks and noise bring at equal steps.

    python benchmarks/rdfr_ablation.py --faces train-000.tar --validation val-000.tar -o runs/rdfr-ablation

Trains the four rows (baseline, + LGF, + quantisation, + noise) with the same seeds, batches and degradations, then
restores the same validation faces with each as ``likeness restore`` would, and prints a Markdown table: PSNR over the
degraded input, identity distance to the true face as a share of the input's, and seconds of training. A run that is
there already is continued or taken as it is, so more steps can be had later. With the default degradation, since a
reduced face hides what eq. 13 does to it; faces of 512 pixels need an accelerator and the recipes rdfr-ablation-*.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from likeness.degrade import degrade
from likeness.faces import identity_distance, load_recognizer
from likeness.measure.functional import psnr
from likeness.methods import load
from likeness.photo import atomic_write_text
from likeness.train.checkpoint import load_checkpoint
from likeness.train.loop import train
from likeness.train.objectives.build import build_objective
from likeness.train.pictures import Pictures
from likeness.train.recipe import TrainRecipe

ROWS: dict[str, dict[str, bool]] = {
    "baseline": {"fusion": False, "quantise": False, "noise": False},
    "+ LGF": {"fusion": True, "quantise": False, "noise": False},
    "+ quantisation": {"fusion": True, "quantise": True, "noise": False},
    "+ noise": {"fusion": True, "quantise": True, "noise": True},
}
TIMES = "seconds.json"  # beside a run's checkpoint: how long it took, in all its parts


@dataclass(frozen=True)
class Faces:
    """Validation faces: (N, 512, 512, 3) float32 in [0, 1], true and degraded, with the identities of both."""

    clean: np.ndarray
    degraded: np.ndarray
    clean_ids: np.ndarray
    degraded_ids: np.ndarray


@dataclass(frozen=True)
class Score:
    """Means over the faces: PSNR of the input and over it in dB; identity distance of the input and of the restored."""

    input_psnr: float
    gain: float
    input_identity: float
    identity: float


def recipe_of(row: str, seed: int, given: argparse.Namespace) -> TrainRecipe:
    """The recipe of one row; rows differ in the switches of the network only."""
    network = {"size": given.size, "width": given.width, "multiplier": given.multiplier, "style": given.width}
    network |= {"mapping": 4, "skips": given.skips, "codes": given.codes, **ROWS[row]}
    name = row.strip("+ ").lower()
    return TrainRecipe.model_validate(
        {
            "method": "rdfr",
            "output": given.output / f"{name}-{seed}",
            "steps": given.steps,
            "batch": given.batch,
            "seed": seed,
            "precision": given.precision,
            "save_every": 200,
            "data": {
                "sources": given.faces,
                "size": given.size,
                "mixture": {given.degradation: 1.0},
                "jitter": 0.05,
                "cache": given.cache,
                "workers": given.workers,
            },
            "optimiser": {"rate": given.rate, "warmup": 20, "decay": given.steps // 3, "ema": 0.99, "clip": 10.0},
            "objective": {
                "name": "rdfr",
                "network": network,
                "adversarial": given.adversarial,
                "perceptual": given.perceptual,
                "decay": 0.95,
                "revive_every": 20,
                "discriminator_rate": 1e-3,
            },
        }
    )


def trained(recipe: TrainRecipe) -> tuple[Path, float]:
    """The checkpoint, trained to the end, and the seconds that it took, also in earlier runs of this script."""
    record = recipe.output / TIMES
    before = float(json.loads(record.read_text(encoding="utf-8"))) if record.exists() else 0.0
    last = recipe.output / "last.ckpt"
    if last.exists() and load_checkpoint(last)["step"] >= recipe.steps:
        return last, before
    began = time.monotonic()
    checkpoint = train(recipe, build_objective(recipe), quiet=True)
    seconds = before + time.monotonic() - began
    atomic_write_text(record, json.dumps(seconds))
    return checkpoint, seconds


def read_faces(sources: list[str], count: int, degradation: str) -> Faces:
    pictures = Pictures(sources)
    chosen = np.linspace(0, len(pictures) - 1, min(count, len(pictures))).astype(int)
    clean = np.stack([pictures[int(i)] for i in chosen]).astype(np.float32) / np.float32(255)
    degraded = np.stack([degrade(face, degradation, seed)[0] for seed, face in enumerate(clean)])
    recognizer = load_recognizer("dlib")
    return Faces(clean, degraded, recognizer.embed(clean), recognizer.embed(degraded))


def score(checkpoint: Path, faces: Faces, noise: float) -> Score:
    """Of the restorer that ``likeness restore --weights`` makes of the checkpoint, with seed 0."""
    restorer = load(weights=checkpoint)
    answers = []
    for face in faces.degraded:
        x = torch.from_numpy(face.transpose(2, 0, 1).copy())[None]
        answers.append(restorer.restore(x, seed=0, noise=noise)[0].cpu().numpy().transpose(1, 2, 0))
    restored = np.ascontiguousarray(np.stack(answers))
    before = np.array([psnr(a, b) for a, b in zip(faces.degraded, faces.clean, strict=True)])
    after = np.array([psnr(a, b) for a, b in zip(restored, faces.clean, strict=True)])
    moved = np.mean(identity_distance(load_recognizer("dlib").embed(restored), faces.clean_ids))
    as_it_was = np.mean(identity_distance(faces.degraded_ids, faces.clean_ids))
    return Score(float(before.mean()), float((after - before).mean()), float(as_it_was), float(moved))


def table(results: dict[str, list[Score]], seconds: dict[str, list[float]]) -> str:
    """Markdown; with several seeds the mean and the largest distance from it."""
    lines = ["| row | PSNR over the input, dB | identity distance, of the input's | training, s |", "|---|---|---|---|"]
    for row, scores in results.items():
        share = [100 * one.identity / one.input_identity for one in scores]
        times = f"{np.mean(seconds[row]):.0f}" if row in seconds else ""
        lines.append(f"| {row} | {_spread([one.gain for one in scores], 2)} | {_spread(share, 1)} % | {times} |")
    return "\n".join(lines)


def _spread(values: list[float], digits: int) -> str:
    mean = float(np.mean(values))
    around = f" ± {max(abs(v - mean) for v in values):.{digits}f}" if len(values) > 1 else ""
    return f"{mean:+.{digits}f}{around}" if digits == 2 else f"{mean:.{digits}f}{around}"


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", nargs="+", required=True, help="to train on: tar shards or folders of 512 crops")
    parser.add_argument("--validation", nargs="+", required=True, help="to measure with: other people's faces")
    parser.add_argument("-o", "--output", type=Path, default=Path("runs/rdfr-ablation"), help="folder of the runs")
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--count", type=int, default=48, help="of validation faces")
    parser.add_argument("--degradation", default="codeformer")
    parser.add_argument("--size", type=int, default=64, help="of the whole face, pixels: 64, 128, 256, 512")
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--multiplier", type=float, default=0.5)
    parser.add_argument("--skips", type=int, default=3)
    parser.add_argument("--codes", type=int, default=256)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rate", type=float, default=5e-3)
    parser.add_argument("--adversarial", type=float, default=0.01)
    parser.add_argument("--perceptual", type=float, default=0.0, help="needs the pulled weights of VGG-19")
    parser.add_argument("--precision", default="no", choices=["no", "bf16"])
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--cache", type=Path, help="file that keeps the decoded faces, .npy")
    return parser.parse_args()


def main() -> None:
    given = options()
    faces = read_faces(given.validation, given.count, given.degradation)
    results: dict[str, list[Score]] = {}
    seconds: dict[str, list[float]] = {}
    for seed in given.seeds:
        for row in ROWS:
            checkpoint, took = trained(recipe_of(row, seed, given))
            results.setdefault(row, []).append(score(checkpoint, faces, 1.0))
            seconds.setdefault(row, []).append(took)
            if ROWS[row]["noise"]:
                results.setdefault(f"{row}, restored without", []).append(score(checkpoint, faces, 0.0))
            one = results[row][-1]
            print(f"seed {seed}, {row}: {one.gain:+.2f} dB, {took:.0f} s", flush=True)
    first = results["baseline"][0]
    print(
        f"\n{given.steps} steps of {given.batch} faces of {given.size} pixels, degradation `{given.degradation}`; "
        f"{len(faces.clean)} validation faces at 512 pixels, input {first.input_psnr:.2f} dB, identity distance "
        f"{first.input_identity:.3f}\n\n{table(results, seconds)}"
    )


if __name__ == "__main__":
    main()
