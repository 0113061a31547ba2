"""Extrinsic iterative learning (papers/001, section 3.3) before and after, on small scale.

    python benchmarks/idm_extrinsic.py --faces train-000.tar --test val-000.tar --sheet extrinsic.png

A share of the training faces is blurred by a known amount, so that there is something to clean, as the paper found 15 %
of FFHQ to be. A small idm is trained on that set, restores it (``likeness dataset refine``), and is trained on with the
refined pictures as targets, the inputs degraded from the originals (eq. 10). The control goes on from the first for as
many steps without refined targets. All are compared on held-out sharp faces, degraded by the paper's recipe.

With ``--method likeness`` the first model is the built-in one, as it is shipped: it refines by both of its networks,
and its denoiser goes on. With --quick everything is so small that the figures mean nothing: it shows that the script
works.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from PIL import Image

from likeness.degrade import degrade
from likeness.measure.functional import gradient_energy, psnr
from likeness.methods import load
from likeness.pipeline import Settings
from likeness.train.identity import IdentityFeatures
from likeness.train.loop import train
from likeness.train.objectives.build import build_objective
from likeness.train.pictures import find_pictures, read_picture
from likeness.train.recipe import TrainRecipe
from likeness.train.refine import IDENTITY_LIMIT, refine

FIRST, EXTRINSIC, CONTROL = "first model", "then with refined targets", "then as before (control)"
ROWS = 4  # of the sheet


class Row(NamedTuple):
    """Of a model on the held-out faces; identity and energy as shares of the input's and of the clean faces'."""

    gain: float
    identity: float
    energy: float
    clean: float


def write_faces(args: argparse.Namespace, folder: Path) -> dict[str, np.ndarray]:
    """The training set as PNG: sharp and blurred faces; returns the sharp originals of the blurred ones by name."""
    entries = [one for one in find_pictures([args.faces]) if one.name.startswith(args.beginning)][: args.pictures]
    if len(entries) < 2:
        raise SystemExit(f"{args.faces} has {len(entries)} pictures that begin with {args.beginning!r}: 2 are needed")
    folder.mkdir(parents=True, exist_ok=True)
    blurred: dict[str, np.ndarray] = {}
    for number, entry in enumerate(entries):
        picture, name = read_picture(entry), f"{number:05d}.png"
        if int((number + 1) * args.soft) > int(number * args.soft):  # spread evenly over the set
            blurred[name] = picture
            picture = cv2.GaussianBlur(picture, (0, 0), args.sigma)
        Image.fromarray(picture).save(folder / name, compress_level=1)
    return blurred


def fit(args: argparse.Namespace, output: Path, steps: int, faces: Path, **data: Any) -> Path:
    """Train for ``steps``; ``data``: what the recipe says of it beside the faces, and ``init``."""
    network = {"ch": args.ch, "ch_mult": args.ch_mult, "num_res_blocks": 1, "attention": []}
    objectives = {
        "idm": {"name": "idm", "network": network},
        "likeness": {"name": "denoise", "distortion": "psnr", "mean_share": 0.9},
    }
    recipe = TrainRecipe.model_validate(
        {
            "method": args.method,
            "output": str(output),
            "init": data.pop("init", None),
            "steps": steps,
            "batch": args.batch,
            "seed": args.seed,
            "precision": "bf16" if torch.cuda.is_available() else "no",
            "save_every": 200,
            "data": {
                "sources": [str(faces)],
                "crop": args.crop,
                "mixture": {"idm": 0.9, "clean": 0.1},
                "workers": args.workers,
                **data,
            },
            "optimiser": {"rate": args.rate, "warmup": 20, "decay": steps // 3, "ema": args.ema},
            "objective": objectives[args.method],
        }
    )
    return train(recipe, build_objective(recipe), quiet=args.quiet)


def clean_up(args: argparse.Namespace, weights: Path | None, faces: Path, output: Path) -> dict[str, Any]:
    """``likeness dataset refine`` with the model; its summary."""
    settings = Settings(
        method=args.method,
        weights=weights,
        options={"steps": 2 if args.method == "likeness" else args.restore_steps},
        identity_limit=args.identity_limit,
        device=args.device,
    )
    summary = refine([str(faces)], output, settings)
    if summary["failed"]:
        raise SystemExit(f"{len(summary['failed'])} pictures could not be refined: {summary['failed'][0]['reason']}")
    return summary


def cleaned(faces: Path, refined: Path, sharp: dict[str, np.ndarray]) -> str:
    """What refining did to the blurred faces, against their sharp originals, which no model has seen; Markdown."""
    lines = ["| the blurred training faces | PSNR to the sharp, dB | energy, share of the sharp |", "|---|---|---|"]
    for what, folder in (("as they are", faces), ("refined", refined)):
        got = {name: np.asarray(Image.open(folder / name)).astype(np.float32) / 255 for name in sharp}
        pairs = [(got[name], picture.astype(np.float32) / 255) for name, picture in sharp.items()]
        energy = np.mean([gradient_energy(a) for a, _ in pairs]) / np.mean([gradient_energy(b) for _, b in pairs])
        lines.append(f"| {what} | {np.mean([psnr(a, b) for a, b in pairs]):.2f} | {energy:.2f} |")
    return "\n".join(lines)


class Judge:
    """Held-out sharp faces, and how a model restores them."""

    def __init__(self, args: argparse.Namespace) -> None:
        entries = find_pictures([args.test])
        chosen = np.linspace(0, len(entries) - 1, min(args.count, len(entries))).astype(int)
        self.clean = [read_picture(entries[i]).astype(np.float32) / np.float32(255) for i in chosen]
        self.degraded = [degrade(image, "idm", seed)[0] for seed, image in enumerate(self.clean)]
        self.features, self.args = IdentityFeatures(), args

    def restore(self, weights: Path | None, pictures: list[np.ndarray]) -> list[np.ndarray]:
        """(512, 512, 3) in [0, 1] each."""
        restorer = load(self.args.method, weights=weights, device=self.args.device)
        made = []
        for picture in pictures:
            crop = torch.from_numpy(picture.transpose(2, 0, 1).copy())[None]
            made.append(restorer.restore(crop, steps=self.args.restore_steps)[0].cpu().numpy().transpose(1, 2, 0))
        return made

    def score(self, restored: list[np.ndarray], clean: list[np.ndarray]) -> Row:
        """``restored`` of the degraded faces, and ``clean``, the clean faces as the model leaves them (eq. 2)."""
        gain = self.decibel(restored) - self.decibel(self.degraded)
        energy = np.mean([gradient_energy(a) for a in restored]) / np.mean([gradient_energy(a) for a in self.clean])
        return Row(gain, self.distance(restored) / self.distance(self.degraded), float(energy), self.decibel(clean))

    def decibel(self, pictures: list[np.ndarray]) -> float:
        return float(np.mean([psnr(a, b) for a, b in zip(pictures, self.clean, strict=True)]))

    @torch.inference_mode()
    def distance(self, pictures: list[np.ndarray]) -> float:
        """Mean distance of dlib's embeddings to those of the clean faces."""
        pairs = [torch.from_numpy(one.transpose(2, 0, 1).copy())[None] * 2 - 1 for one in (*pictures, *self.clean)]
        found, wanted = torch.cat([self.features(one)[-1].flatten(1) for one in pairs]).chunk(2)
        return float((found - wanted).norm(dim=1).mean())


def write_sheet(path: Path, columns: list[list[np.ndarray]]) -> None:
    """A row for each of the first faces."""
    rows = [np.concatenate([column[i] for column in columns], axis=1) for i in range(min(ROWS, len(columns[0])))]
    sheet = np.rint(np.clip(np.concatenate(rows), 0, 1) * 255).astype(np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(sheet).save(path)


def compare(args: argparse.Namespace, folder: Path) -> None:
    """Train the three, and print what came of it."""
    began = time.perf_counter()
    faces, refined = folder / "faces", folder / "refined"
    sharp = write_faces(args, faces)
    built_in = args.method == "likeness" and args.init is None
    first = args.init if args.init or built_in else fit(args, folder / "first", args.steps, faces)
    start = "likeness" if first is None else str(first)
    summary = clean_up(args, first, faces, refined)
    targets = {"targets": str(refined), "replace": args.replace, "coupling": args.coupling}
    models = {
        FIRST: first,
        EXTRINSIC: fit(args, folder / "extrinsic", args.more, faces, init=start, **targets),
        CONTROL: fit(args, folder / "control", args.more, faces, init=start),
    }
    judge = Judge(args)
    made = {name: judge.restore(weights, judge.degraded) for name, weights in models.items()}
    rows = {name: judge.score(made[name], judge.restore(weights, judge.clean)) for name, weights in models.items()}
    counts = summary["counts"]
    given = "as it is" if args.init or built_in else f"{args.steps} steps"
    print(
        f"{counts['pictures']} training faces, {len(sharp)} of them blurred by a Gaussian of {args.sigma:g} pixels; "
        f"{counts['refined']} refined, {counts['kept']} kept as they were (identity distance above "
        f"{args.identity_limit:g}). First model: {args.method}, {given}; "
        f"both others {args.more} steps more, of {args.batch} crops of {args.crop} pixels. {args.restore_steps} "
        "evaluations to restore.\n"
    )
    print(f"{cleaned(faces, refined / 'refined', sharp)}\n")
    print(f"{len(judge.clean)} held-out sharp faces, degraded by `idm` ({judge.decibel(judge.degraded):.2f} dB):\n")
    print("| model | PSNR gain, dB | identity, share of the input's | energy, share of the sharp | clean in, dB |")
    print("|---|---|---|---|---|")
    for name, row in rows.items():
        print(f"| {name} | {row.gain:+.2f} | {row.identity:.2f} | {row.energy:.2f} | {row.clean:.1f} |")
    if args.sheet:
        write_sheet(args.sheet, [judge.degraded, *made.values(), judge.clean])
        print(f"\nThe sheet's columns: the input, {', '.join(made)}, the sharp face.")
    print(f"\n{time.perf_counter() - began:.0f} s.")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--faces", required=True, help="tar or folder of aligned 512x512 faces to train on")
    parser.add_argument("--test", required=True, help="tar or folder of sharp faces that are held out")
    parser.add_argument("--method", choices=["idm", "likeness"], default="idm")
    parser.add_argument("--beginning", default="omi_", help="only training faces whose names begin so: crisp ones")
    parser.add_argument("--pictures", type=int, default=96, help="training faces")
    parser.add_argument("--soft", type=float, default=0.5, help="share of them that is blurred")
    parser.add_argument("--sigma", type=float, default=2.0, help="of the blur, pixels")
    parser.add_argument("--count", type=int, default=12, help="held-out faces")
    parser.add_argument("--init", type=Path, help="a first model that there is: a checkpoint of idm")
    parser.add_argument("--steps", type=int, default=2000, help="of the first training")
    parser.add_argument("--more", type=int, default=1000, help="of the second, and of its control")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--crop", type=int, default=128)
    parser.add_argument("--ch", type=int, default=32)
    parser.add_argument("--ch-mult", type=int, nargs="+", default=[1, 1, 2, 2], help="four or more: the last attends")
    parser.add_argument("--rate", type=float, default=5e-4)
    parser.add_argument("--ema", type=float, default=0.99)
    parser.add_argument("--replace", type=float, default=1.0, help="data.replace of the second training")
    parser.add_argument("--coupling", type=int, default=0, help="data.coupling of the second training, steps")
    parser.add_argument("--restore-steps", type=int, default=10)
    parser.add_argument("--identity-limit", type=float, default=IDENTITY_LIMIT)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--output", type=Path, help="keeps the sets and the runs; a run that was stopped goes on")
    parser.add_argument("--sheet", type=Path, help="a picture of held-out faces and of what became of them, as PNG")
    parser.add_argument("--quiet", action="store_true")
    parser.add_argument("--quick", action="store_true", help="so small that the figures mean nothing")
    args = parser.parse_args()
    if args.quick:
        args.pictures, args.count, args.steps, args.more, args.batch, args.crop = 4, 2, 12, 6, 2, 64
        args.restore_steps, args.ch_mult, args.workers, args.quiet = 2, [1, 1, 1, 1], 0, True
    if args.output:
        compare(args, args.output)
    else:
        with tempfile.TemporaryDirectory() as folder:
            compare(args, Path(folder))
    if args.quick:
        print("--quick: these figures mean nothing.")


if __name__ == "__main__":
    main()
