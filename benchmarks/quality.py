"""Quality of the built-in model on real faces it never saw: the table and the sheet of the README and model card.

    python benchmarks/quality.py --faces london-even-000.tar --out docs/quality

Every face of the set is degraded by a recipe with a fixed seed, restored, and compared with the clean photograph:
PSNR, SSIM, identity distance (dlib, L2), and gradient energy as a share of the clean photo's. Then authenticity
(papers/001 eq. 2-3): the clean photographs are restored, and restored again.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from likeness.degrade import degrade
from likeness.faces import DlibRecognizer, identity_distance
from likeness.measure import gradient_energy, psnr, ssim
from likeness.methods import load
from likeness.train.pictures import Pictures

Restore = Callable[[np.ndarray], np.ndarray]
SETTINGS = {"posterior mean": {"steps": 1}, "shipped": {}}


def restorer(weights: Path | None, precision: str, options: dict[str, int]) -> Restore:
    """A function from (512, 512, 3) to the restored picture, through 8 bits as a file would be."""
    loaded = load("likeness", weights=weights, precision=precision)

    def restore(image: np.ndarray) -> np.ndarray:
        batch = torch.from_numpy(image.transpose(2, 0, 1).copy())[None]
        out = loaded.restore(batch, seed=0, **options)[0].permute(1, 2, 0).numpy()
        return eight_bit(out)

    return restore


def eight_bit(image: np.ndarray) -> np.ndarray:
    return np.rint(image.clip(0, 1) * 255).astype(np.float32) / np.float32(255)


def interval(values: list[float]) -> str:
    """Mean and the half width of its 95 % interval."""
    return f"{np.mean(values):.3f} ± {1.96 * np.std(values, ddof=1) / np.sqrt(len(values)):.3f}"


def restoration(clean: list[np.ndarray], recipe: str, restorers: dict[str, Restore], seed: int) -> tuple[dict, dict]:
    recognizer = DlibRecognizer()
    inputs = [eight_bit(degrade(x, recipe, seed + i)[0]) for i, x in enumerate(clean)]
    pictures = {"input": inputs, **{name: [f(x) for x in inputs] for name, f in restorers.items()}}
    truth = recognizer.embed(np.stack(clean))
    rows: dict[str, dict] = {}
    for name, images in pictures.items():
        identity = np.asarray(identity_distance(recognizer.embed(np.stack(images)), truth))
        rows[name] = {
            "psnr": [psnr(a, b) for a, b in zip(images, clean, strict=True)],
            "ssim": [ssim(a, b) for a, b in zip(images, clean, strict=True)],
            "identity": identity.tolist(),
            "energy": sum(map(gradient_energy, images)) / sum(map(gradient_energy, clean)),
        }
    return rows, pictures


def authenticity(clean: list[np.ndarray], restorers: dict[str, Restore]) -> dict[str, dict]:
    recognizer = DlibRecognizer()
    truth = recognizer.embed(np.stack(clean))
    rows = {}
    for name, f in restorers.items():
        once = [f(x) for x in clean]
        twice = [f(x) for x in once]
        rows[name] = {
            "psnr_once": [psnr(a, b) for a, b in zip(once, clean, strict=True)],
            "identity_once": np.asarray(identity_distance(recognizer.embed(np.stack(once)), truth)).tolist(),
            "psnr_twice": [psnr(a, b) for a, b in zip(twice, once, strict=True)],
        }
    return rows


def table(rows: dict[str, dict]) -> str:
    base = rows["input"]
    lines = [
        "| | PSNR, dB | gain, dB | SSIM | identity distance | against the input's | worse for | gradient energy |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, r in rows.items():
        gain = np.mean(r["psnr"]) - np.mean(base["psnr"])
        change = np.mean(r["identity"]) / np.mean(base["identity"]) - 1
        worse = np.mean(np.array(r["identity"]) > np.array(base["identity"]))
        lines.append(
            f"| {name} | {interval(r['psnr'])} | {gain:+.2f} | {interval(r['ssim'])} | {interval(r['identity'])} "
            f"| {change:+.1%} | {worse:.0%} of faces | {r['energy']:.2f} |"
        )
    return "\n".join(lines)


def authenticity_table(rows: dict[str, dict]) -> str:
    lines = [
        "| a clean photo restored | PSNR to the photo, worst / median | identity distance, worst | "
        "PSNR of twice to once, worst / median |",
        "|---|---|---|---|",
    ]
    for name, r in rows.items():
        once, twice = lowest(r["psnr_once"]), lowest(r["psnr_twice"])
        lines.append(f"| {name} | {once} | {max(r['identity_once']):.3f} | {twice} |")
    return "\n".join(lines)


def lowest(values: list[float]) -> str:
    """The worst and the median PSNR; pictures that are equal after rounding to 8 bits have no finite one."""
    return " / ".join("equal" if np.isinf(v) else f"{v:.1f} dB" for v in (min(values), float(np.median(values))))


def sheet(pictures: dict[str, list[np.ndarray]], clean: list[np.ndarray], chosen: list[int]) -> np.ndarray:
    rows = [np.concatenate([*(images[i] for images in pictures.values()), clean[i]], axis=1) for i in chosen]
    return np.rint(np.concatenate(rows) * 255).astype(np.uint8)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--faces", required=True, help="tar or folder of aligned 512x512 faces")
    parser.add_argument("--out", type=Path, help="folder for quality.md, quality.json and sheet.jpg")
    parser.add_argument("--recipe", default="idm")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--weights", type=Path, help="other weights than the built-in ones")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--sampling", type=int, nargs="*", default=[], help="rows of plain sampling, not sharpened")
    parser.add_argument("--count", type=int, default=0, help="only so many faces, spread over the set")
    args = parser.parse_args()

    faces = Pictures([args.faces])
    numbers = range(len(faces)) if not args.count else np.linspace(0, len(faces) - 1, args.count).astype(int)
    clean = [faces[int(i)].astype(np.float32) / np.float32(255) for i in numbers]
    sampled = {f"{n}-step sampling": {"steps": n + 1, "fidelity": 1} for n in args.sampling}  # the last is not asked
    settings = {**SETTINGS, **sampled}
    restorers = {name: restorer(args.weights, args.precision, options) for name, options in settings.items()}
    rows, pictures = restoration(clean, args.recipe, restorers, args.seed)
    again = authenticity(clean, restorers)
    head = f"{len(clean)} faces, recipe `{args.recipe}`, seed {args.seed} (95 % intervals)"
    text = f"{head}\n\n{table(rows)}\n\n{authenticity_table(again)}\n"
    print(text)
    if args.out:
        args.out.mkdir(parents=True, exist_ok=True)
        (args.out / "quality.md").write_text(text, encoding="utf-8")
        (args.out / "quality.json").write_text(
            json.dumps({"restoration": rows, "authenticity": again}), encoding="utf-8"
        )
        chosen = np.linspace(0, len(clean) - 1, min(6, len(clean))).astype(int).tolist()
        Image.fromarray(sheet(pictures, clean, chosen)).save(args.out / "sheet.jpg", quality=92)


if __name__ == "__main__":
    main()
