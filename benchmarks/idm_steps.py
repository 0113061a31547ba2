"""How many steps, and which sampler: table 6 of papers/001 on our own denoiser, and on a trained idm.

    python benchmarks/idm_steps.py --faces london-even-000.tar --count 12

Degrades aligned faces by the paper's recipe and restores them by the reverse chain with 1, 2, 5, 10, 15 and 20
evaluations, with ancestral sampling (DDPM) and with DDIM. The built-in model's denoiser is asked alone, without the
sharpener that its users get behind it; ``--weights`` adds another file of it, or one of idm. With one step there is no
sampling, so both samplers give the same picture.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from likeness.degrade import degrade
from likeness.diffusion import respaced_gammas, seeded_noise
from likeness.measure.functional import gradient_energy, psnr
from likeness.methods import load
from likeness.methods.idm.restorer import ANCESTRAL, DDIM, reverse_chain
from likeness.train.identity import IdentityFeatures
from likeness.train.pictures import find_pictures, read_picture

STEPS = (1, 2, 5, 10, 15, 20)
SAMPLERS = {"DDPM": ANCESTRAL, "DDIM": DDIM}
NOTHING = 1e-12  # gamma of pure noise: DDIM divides by it, and asks for more than 0
Restore = Callable[[Tensor, int, int], Tensor]


class Faces(NamedTuple):
    """(N, 512, 512, 3) in [0, 1], clean and degraded, and the embeddings of the clean ones."""

    clean: np.ndarray
    degraded: np.ndarray
    known: Tensor


class Figures(NamedTuple):
    """What a row of the table says."""

    gain: float
    identity: float
    energy: float
    seconds: float


def read_faces(source: str, count: int, recipe: str, features: IdentityFeatures) -> Faces:
    """``count`` faces, spread over the source."""
    entries = find_pictures([source])
    chosen = np.linspace(0, len(entries) - 1, min(count, len(entries))).astype(int)
    clean = np.stack([read_picture(entries[i]) for i in chosen]).astype(np.float32) / np.float32(255)
    degraded = np.stack([degrade(image, recipe, seed)[0] for seed, image in enumerate(clean)])
    return Faces(clean, degraded, embed(features, clean))


@torch.inference_mode()
def embed(features: IdentityFeatures, pictures: np.ndarray) -> Tensor:
    """(N, 128), by dlib's network."""
    frames = torch.from_numpy(pictures.transpose(0, 3, 1, 2).copy()) * 2 - 1
    return torch.cat([features(frame[None])[-1].flatten(1) for frame in frames])


def measure(faces: Faces, features: IdentityFeatures, restore: Callable[[Tensor], Tensor]) -> Figures:
    """``restore``: (1, 3, 512, 512) in [0, 1] -> the same. Gain in dB; identity and energy relative to input, clean."""
    began, restored = time.perf_counter(), []
    for picture in faces.degraded:
        made = restore(torch.from_numpy(picture.transpose(2, 0, 1).copy())[None])
        restored.append(made[0].float().clamp(0, 1).cpu().numpy().transpose(1, 2, 0))
    seconds = (time.perf_counter() - began) / len(restored)
    after = np.stack(restored)
    return Figures(decibel(after, faces.clean) - decibel(faces.degraded, faces.clean), *against(faces, after, features),
                   seconds)  # fmt: skip


def against(faces: Faces, after: np.ndarray, features: IdentityFeatures) -> tuple[float, float]:
    """The identity distance relative to the input's, and the gradient energy relative to the clean faces'."""
    distances = [(embed(features, one) - faces.known).norm(dim=1).mean() for one in (after, faces.degraded)]
    energies = [np.mean([gradient_energy(image) for image in one]) for one in (after, faces.clean)]
    return float(distances[0] / distances[1]), float(energies[0] / energies[1])


def decibel(pictures: np.ndarray, wanted: np.ndarray) -> float:
    return float(np.mean([psnr(a, b) for a, b in zip(pictures, wanted, strict=True)]))


def of_builtin(restorer: Any) -> Restore:
    """The denoiser of the built-in model, in float32 or bfloat16 as its restorer."""

    @torch.inference_mode()
    def run(crops: Tensor, steps: int, sampler: int) -> Tensor:
        degraded = crops.to(restorer.device) * 2 - 1
        gammas = respaced_gammas(steps)

        def x0_at(x_t: Tensor, i: int) -> Tensor:
            level = torch.full((len(x_t),), gammas[i], device=x_t.device)
            with torch.autocast(x_t.device.type, restorer.dtype, enabled=restorer.dtype != torch.float32):
                answer = restorer.net("denoiser", degraded, x_t * gammas[i] ** 0.5, level)
            return answer.float().clamp(-1, 1)  # type: ignore[no-any-return]

        noise = seeded_noise(degraded.shape[1:], [0] * len(degraded), restorer.device)
        return reverse_chain(x0_at, [max(gamma, NOTHING) for gamma in gammas], noise, sampler).add(1).div(2)

    return run


def of_idm(restorer: Any) -> Restore:
    """The method as users get it."""

    def run(crops: Tensor, steps: int, sampler: int) -> Tensor:
        return restorer.restore(crops, steps=steps, sampler=sampler)  # type: ignore[no-any-return]

    return run


def models(weights: Path | None, device: str) -> dict[str, Restore]:
    """By the names in the table."""
    found = {"built-in denoiser": of_builtin(load("likeness", device=device, backend="torch"))}
    if weights is not None:
        restorer = load(weights=weights, device=device, backend="torch")
        if restorer.card.name not in ("likeness", "idm"):
            raise SystemExit(f"{weights} holds weights of {restorer.card.name}: give a file of likeness or idm")
        found[weights.name] = (of_idm if restorer.card.name == "idm" else of_builtin)(restorer)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--faces", required=True, help="tar or folder of aligned 512x512 faces")
    parser.add_argument("--count", type=int, default=12)
    parser.add_argument("--recipe", default="idm", help="that degrades")
    parser.add_argument("--weights", type=Path, help="another file of the built-in model, or one of idm")
    parser.add_argument("--steps", type=int, nargs="+", default=list(STEPS))
    parser.add_argument("--device", default="auto")
    args = parser.parse_args()
    features = IdentityFeatures()
    faces = read_faces(args.faces, args.count, args.recipe, features)
    before = decibel(faces.degraded, faces.clean)
    print(
        f"{len(faces.clean)} faces degraded by `{args.recipe}`, which leaves {before:.2f} dB. Identity: dlib's distance"
    )
    print("to the clean face, as a share of the input's. Energy: of the gradients, as a share of the clean face's.\n")
    print("| model | steps | sampler | PSNR gain, dB | identity | energy | seconds per face |")
    print("|---|---|---|---|---|---|---|")
    for name, restore in models(args.weights, args.device).items():
        for steps in args.steps:
            for sampler, kind in SAMPLERS.items() if steps > 1 else [("none", ANCESTRAL)]:
                found = measure(faces, features, lambda x, r=restore, s=steps, k=kind: r(x, s, k))  # type: ignore[misc]
                cells = f"{found.gain:+.2f} | {found.identity:.2f} | {found.energy:.2f} | {found.seconds:.1f}"
                print(f"| {name} | {steps} | {sampler} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
