"""The named recipes: what they draw lies where the papers say, and the draw is the seed's alone."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from likeness.degrade import RECIPES, Step, apply_steps, degrade, get_recipe

SIDE = 512
DRAWS = 200
PI = float(np.pi)

# sigma, reduced side, noise, quality of the classical model, from the papers
CLASSICAL = {
    "idm": ((0.2, 10), (64, 512), (0, 15), (50, 100)),  # papers/001 eq. 11
    "rdfr": ((0.2, 10), (64, 512), (0, 15), (60, 100)),  # papers/003 eq. 13
    "gfpgan": ((0.1, 10), (64, 640), (0, 20), (60, 100)),
    "difface": ((0.1, 15), (16, 640), (0, 20), (30, 100)),
    "codeformer": ((1, 15), (17, 128), (0, 20), (30, 80)),
}


class Extreme(np.random.Generator):
    """A generator stuck at one end of every range: 0.0 or almost 1.0."""

    def __init__(self, end: float) -> None:
        super().__init__(np.random.PCG64(0))
        self.end = end

    def random(self, *_: object) -> float:  # type: ignore[override]
        return self.end

    def uniform(self, low: float = 0.0, high: float = 1.0, size: None = None) -> float:  # type: ignore[override]
        return low + self.end * (high - low)

    def integers(self, low: int, high: int | None = None) -> int:  # type: ignore[override]
        low, high = (0, low) if high is None else (low, high)
        return low if self.end < 0.5 else high - 1

    def choice(self, values: list[str]) -> str:  # type: ignore[override]
        return values[0 if self.end < 0.5 else -1]


def draws(name: str) -> list[list[Step]]:
    """``DRAWS`` lists of steps for a face of 512 pixels, and the two at the ends of all ranges."""
    draw = get_recipe(name).draw
    lists = [draw(np.random.default_rng(seed), SIDE, SIDE) for seed in range(DRAWS)]
    return [*lists, draw(Extreme(0.0), SIDE, SIDE), draw(Extreme(1 - 2**-40), SIDE, SIDE)]


def only(steps: list[Step], op: str) -> Step:
    found = [step for step in steps if step.op == op]
    assert len(found) == 1, (op, steps)
    return found[0]


def spread(values: list[float], low: float, high: float) -> None:
    """All in [low, high], and reaching near both ends."""
    assert min(values) >= low
    assert max(values) <= high
    assert min(values) < low + 0.1 * (high - low)
    assert max(values) > high - 0.1 * (high - low)


@pytest.mark.parametrize("name", CLASSICAL)
def test_classical_recipes_draw_the_papers_ranges(name: str) -> None:
    sigma, side, noise, quality = CLASSICAL[name]
    lists = draws(name)
    blurs = [only(steps, "gaussian_blur").params for steps in lists]
    spread([p["sigma_x"] for p in blurs], *sigma)
    for params in blurs:
        if "sigma_y" in params:
            assert sigma[0] <= params["sigma_y"] <= sigma[1]
            assert -PI - 1e-4 <= params["angle"] <= PI + 1e-4
    down = [next(s for s in steps if s.op == "resize").params for steps in lists]
    assert all(p["height"] == p["width"] and p["kernel"] == "bilinear" for p in down)
    factors = [SIDE / p["height"] for p in down]
    spread([float(p["height"]) for p in down], *side)
    assert np.mean(factors) == pytest.approx((SIDE / side[0] + SIDE / side[1]) / 2, rel=0.1)  # uniform in r
    spread([only(steps, "gaussian_noise").params["sigma"] for steps in lists], *noise)
    spread([only(steps, "jpeg").params["quality"] for steps in lists], *quality)
    assert all(isinstance(only(steps, "jpeg").params["quality"], int) for steps in lists)


@pytest.mark.parametrize("name", ["idm", "rdfr"])
def test_the_papers_order_of_operations(name: str) -> None:
    """Eq. 11 of papers/001: blur, reduce, noise, JPEG; then back to the size of the clean picture."""
    for steps in draws(name):
        assert [s.op for s in steps] == ["gaussian_blur", "resize", "gaussian_noise", "jpeg", "resize"]
        assert set(steps[0].params) == {"sigma_x"}  # isotropic
        assert steps[-1].params == {"height": SIDE, "width": SIDE, "kernel": "bicubic"}


def test_gfpgan_shifts_colours_in_three_of_ten_and_greys_in_one_of_hundred() -> None:
    lists = [RECIPES["gfpgan"].draw(np.random.default_rng(seed), SIDE, SIDE) for seed in range(3000)]
    shifts = [s.params["shift"] for steps in lists for s in steps if s.op == "colour_shift"]
    assert len(shifts) / 3000 == pytest.approx(0.3, abs=0.035)
    spread([float(v) for shift in shifts for v in shift], -20, 20)
    greys = sum(s.op == "grey" for steps in lists for s in steps)
    assert 10 <= greys <= 55  # 30 expected
    anisotropic = sum("sigma_y" in steps[0].params for steps in lists)
    assert anisotropic / 3000 == pytest.approx(0.5, abs=0.04)


@pytest.mark.parametrize(("name", "side"), [("sr-x8", 64), ("sr-x16", 32)])
def test_super_resolution_is_bicubic_down_and_up(name: str, side: int) -> None:
    for steps in draws(name)[:3]:
        assert [s.as_dict() for s in steps] == [
            {"op": "antialiased_bicubic", "height": side, "width": side},
            {"op": "antialiased_bicubic", "height": SIDE, "width": SIDE},
        ]


def test_surveillance_ranges() -> None:
    lists = draws("surveillance")
    spread([only(steps, "gaussian_blur").params["sigma_x"] for steps in lists], 0.5, 4)
    sides = [float(next(s for s in steps if s.op == "resize").params["height"]) for steps in lists]
    spread(sides, 32, 96)  # "a face of 32 to 96 pixels"
    spread([only(steps, "poisson_noise").params["peak"] for steps in lists], 60, 600)
    spread([only(steps, "gaussian_noise").params["sigma"] for steps in lists], 1, 8)
    spread([only(steps, "jpeg").params["quality"] for steps in lists], 40, 85)
    for op, key, low, high in (
        ("motion_blur", "length", 4, 24),
        ("low_light", "exposure", 0.45, 0.95),
        ("low_light", "gamma", 1.0, 1.5),
        ("webp", "quality", 40, 85),
    ):
        values = [s.params[key] for steps in lists for s in steps if s.op == op]
        assert 0.35 * DRAWS < len(values) < 0.65 * DRAWS, op
        spread(values, low, high)
    for steps in lists:
        assert steps[-1].params == {"height": SIDE, "width": SIDE, "kernel": "bicubic"}


def test_old_photo_ranges() -> None:
    lists = draws("old-photo")
    spread([only(steps, "gaussian_blur").params["sigma_x"] for steps in lists], 0.5, 3.5)
    for op, key, low, high in (
        ("fade", "contrast", 0.55, 0.95),
        ("fade", "black", 0.0, 0.15),
        ("paper_grain", "sigma", 0.01, 0.08),
        ("paper_grain", "size", 0.5, 1.5),
        ("scratches", "count", 0, 6),
        ("scratches", "strength", 0.3, 0.9),
        ("jpeg", "quality", 60, 95),
    ):
        spread([only(steps, op).params[key] for steps in lists], low, high)
    for steps in lists:
        red, green, blue = only(steps, "fade").params["tint"]
        assert 1.0 == red >= green >= blue >= 0.85  # brown, never blue
    spread([float(next(s for s in steps if s.op == "resize").params["height"]) for steps in lists], 128, 512)
    assert sum(any(s.op == "grey" for s in steps) for steps in lists) / len(lists) == pytest.approx(0.6, abs=0.12)


@pytest.mark.parametrize("name", RECIPES)
def test_same_seed_same_picture_of_the_same_shape(name: str, degrade_astronaut: np.ndarray) -> None:
    small = cv2.resize(degrade_astronaut[20:240], (120, 88), interpolation=cv2.INTER_AREA)
    image = small.astype(np.float32) / np.float32(255)
    before = image.copy()
    first, steps = degrade(image, name, 7)
    assert np.array_equal(image, before)
    assert first.shape == image.shape
    assert first.dtype == np.float32
    assert first.min() >= 0
    assert first.max() <= 1 + 1e-6
    assert np.abs(first - image).mean() > 0.003
    assert np.array_equal(first, degrade(image, name, 7)[0])
    assert np.array_equal(first, apply_steps(image, steps))
    if not name.startswith("sr-"):
        assert not np.array_equal(first, degrade(image, name, 8)[0])


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize(("height", "width"), [(1, 1), (3, 40)], ids=["one pixel", "a strip"])
def test_tiny_pictures_do_not_break_a_recipe(name: str, height: int, width: int) -> None:
    image = np.full((height, width, 3), 0.5, np.float32)
    for seed in range(5):
        out, _ = degrade(image, name, seed)
        assert out.shape == image.shape
        assert np.isfinite(out).all()


def test_recipes_carry_their_name_and_source() -> None:
    assert all(recipe.name == name and recipe.source for name, recipe in RECIPES.items())
    with pytest.raises(KeyError, match=r"unknown recipe 'idn'; known: idm, rdfr.*old-photo"):
        get_recipe("idn")
