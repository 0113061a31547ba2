"""The named recipes: how the papers, and the world, degrade a face.

Ranges are those of the cited source; lengths are pixels of a 512-pixel face and are scaled for other sizes only
where the text says so (it does not: the published pipelines degrade 512x512 crops).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from likeness.degrade.steps import Step

Draw = Callable[[np.random.Generator, int, int], list[Step]]


@dataclass(frozen=True)
class Recipe:
    """A named distribution over lists of steps. ``draw(rng, height, width)`` gives one list."""

    name: str
    source: str
    draw: Draw


def _seed(rng: np.random.Generator) -> int:
    return int(rng.integers(0, 2**31))


def _number(rng: np.random.Generator, low: float, high: float) -> float:
    return round(float(rng.uniform(low, high)), 4)


def _reduced(height: int, width: int, factor: float) -> dict[str, int]:
    return {"height": max(1, round(height / factor)), "width": max(1, round(width / factor))}


def _gaussian(rng: np.random.Generator, low: float, high: float, anisotropic: float) -> Step:
    sigma_x = _number(rng, low, high)
    if rng.random() >= anisotropic:
        return Step("gaussian_blur", {"sigma_x": sigma_x})
    params = {"sigma_x": sigma_x, "sigma_y": _number(rng, low, high), "angle": _number(rng, -np.pi, np.pi)}
    return Step("gaussian_blur", params)


def blind(
    sigma: tuple[float, float],
    factor: tuple[float, float],
    noise: tuple[float, float],
    quality: tuple[int, int],
    *,
    anisotropic: float = 0.5,
    back: str = "bilinear",
    colour: float = 0.0,
    grey: float = 0.0,
) -> Draw:
    """The classical model x_d = [(x * k_sigma) down_r + n_delta]_JPEG_q, brought back to the size of x.

    ``sigma``, ``factor`` r, ``noise`` delta (1/255) and ``quality`` q are ranges of uniform laws; ``anisotropic``,
    ``colour`` (shift of up to 20/255 per channel) and ``grey`` are probabilities; ``back`` is the enlarging kernel.
    """

    def draw(rng: np.random.Generator, height: int, width: int) -> list[Step]:
        steps = [_gaussian(rng, *sigma, anisotropic)]
        steps.append(Step("resize", {**_reduced(height, width, rng.uniform(*factor)), "kernel": "bilinear"}))
        steps.append(Step("gaussian_noise", {"sigma": _number(rng, *noise), "seed": _seed(rng)}))
        steps.append(Step("jpeg", {"quality": int(rng.integers(quality[0], quality[1] + 1))}))
        steps.append(Step("resize", {"height": height, "width": width, "kernel": back}))
        if rng.random() < colour:
            steps.append(Step("colour_shift", {"shift": [_number(rng, -20, 20) for _ in range(3)]}))
        if rng.random() < grey:
            steps.append(Step("grey", {}))
        return steps

    return draw


def super_resolution(factor: int) -> Draw:
    """Antialiased bicubic reduction by ``factor`` and bicubic enlargement back (papers/003, section 5)."""

    def draw(rng: np.random.Generator, height: int, width: int) -> list[Step]:
        down = Step("antialiased_bicubic", _reduced(height, width, factor))
        return [down, Step("antialiased_bicubic", {"height": height, "width": width})]

    return draw


def surveillance(rng: np.random.Generator, height: int, width: int) -> list[Step]:
    """A face of 32 to 96 pixels in a camera on a wall: little light, motion, shot noise, two codecs."""
    steps = [Step("gaussian_blur", {"sigma_x": _number(rng, 0.5, 4)})]
    if rng.random() < 0.5:
        steps.append(Step("motion_blur", {"length": _number(rng, 4, 24), "angle": _number(rng, -np.pi, np.pi)}))
    if rng.random() < 0.5:
        steps.append(Step("low_light", {"exposure": _number(rng, 0.45, 0.95), "gamma": _number(rng, 1.0, 1.5)}))
    kernel = str(rng.choice(["area", "bilinear", "bicubic"]))
    steps.append(Step("resize", {**_reduced(height, width, rng.uniform(16 / 3, 16)), "kernel": kernel}))
    steps.append(Step("poisson_noise", {"peak": _number(rng, 60, 600), "seed": _seed(rng)}))
    steps.append(Step("gaussian_noise", {"sigma": _number(rng, 1, 8), "seed": _seed(rng)}))
    steps.append(Step("jpeg", {"quality": int(rng.integers(40, 86))}))
    if rng.random() < 0.5:
        steps.append(Step("webp", {"quality": int(rng.integers(40, 86))}))
    steps.append(Step("resize", {"height": height, "width": width, "kernel": "bicubic"}))
    return steps


def old_photo(rng: np.random.Generator, height: int, width: int) -> list[Step]:
    """A print from an album, scanned: soft, faded or brown, grainy, scratched, then saved as JPEG."""
    steps = [Step("gaussian_blur", {"sigma_x": _number(rng, 0.5, 3.5)})]
    if rng.random() < 0.6:
        steps.append(Step("grey", {}))
    warm = _number(rng, 0.0, 0.15)
    fade = {
        "contrast": _number(rng, 0.55, 0.95),
        "black": _number(rng, 0.0, 0.15),
        "tint": [1.0, 1 - warm / 2, 1 - warm],
    }
    steps.append(Step("fade", fade))
    grain = {"seed": _seed(rng), "sigma": _number(rng, 0.01, 0.08), "size": _number(rng, 0.5, 1.5)}
    steps.append(Step("paper_grain", grain))
    scratches = {"seed": _seed(rng), "count": int(rng.integers(0, 7)), "strength": _number(rng, 0.3, 0.9)}
    steps.append(Step("scratches", scratches))
    steps.append(Step("resize", {**_reduced(height, width, rng.uniform(1, 4)), "kernel": "area"}))
    steps.append(Step("jpeg", {"quality": int(rng.integers(60, 96))}))
    steps.append(Step("resize", {"height": height, "width": width, "kernel": "bicubic"}))
    return steps


_IDM = blind((0.2, 10), (1, 8), (0, 15), (50, 100), anisotropic=0.0, back="bicubic")
_RDFR = blind((0.2, 10), (1, 8), (0, 15), (60, 100), anisotropic=0.0, back="bicubic")
_GFPGAN = blind((0.1, 10), (0.8, 8), (0, 20), (60, 100), colour=0.3, grey=0.01)
_DIFFACE = blind((0.1, 15), (0.8, 32), (0, 20), (30, 100))
_CODEFORMER = blind((1, 15), (4, 30), (0, 20), (30, 80))

_ALL = (
    Recipe("idm", "papers/001 eq. 11: sigma 0.2-10, r 1-8, delta 0-15, q 50-100, bicubic back", _IDM),
    Recipe("rdfr", "papers/003 eq. 13: sigma 0.2-10, r 1-8, delta 0-15, q 60-100, bicubic back", _RDFR),
    Recipe("gfpgan", "Wang et al. 2021: sigma 0.1-10, r 0.8-8, delta 0-20, q 60-100, colour shift", _GFPGAN),
    Recipe("difface", "papers/002 (Yue and Loy 2022): sigma 0.1-15, r 0.8-32, delta 0-20, q 30-100", _DIFFACE),
    Recipe("codeformer", "Zhou et al. 2022: sigma 1-15, r 4-30, delta 0-20, q 30-80", _CODEFORMER),
    Recipe("sr-x8", "papers/003 section 5: bicubic 512 -> 64 -> 512", super_resolution(8)),
    Recipe("sr-x16", "papers/003 section 5: bicubic 512 -> 32 -> 512", super_resolution(16)),
    Recipe("surveillance", "papers/000 sections 5-6: small, dark, moving, noisy, twice compressed", surveillance),
    Recipe("old-photo", "a faded, grainy, scratched print, scanned", old_photo),
)
RECIPES: dict[str, Recipe] = {recipe.name: recipe for recipe in _ALL}


def get_recipe(name: str) -> Recipe:
    """The recipe called ``name``; KeyError naming the known ones otherwise."""
    if name not in RECIPES:
        raise KeyError(f"unknown recipe {name!r}; known: {', '.join(RECIPES)}")
    return RECIPES[name]
