"""Schedules and the reverse chain, against closed forms of Gaussian data."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from likeness.diffusion import ancestral_step, diffuse, respaced_gammas, sample
from likeness.diffusion.ancestral import seeded_noise

MU, S = 0.4, 0.3
COUNT = 100_000


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(count: int = COUNT, seed: int = 0) -> Tensor:
    return torch.randn(count, 1, generator=generator(seed), dtype=torch.float64)


def posterior_mean(x_t: Tensor, gamma: float) -> Tensor:
    """E[x0 | x_t] where x0 ~ N(MU, S^2) and x_t = sqrt(gamma) x0 + sqrt(1 - gamma) eps."""
    gain = gamma**0.5 * S**2 / (gamma * S**2 + 1 - gamma)
    return MU + gain * (x_t - gamma**0.5 * MU)


def same_law(x: Tensor, mean: float, std: float) -> None:
    """Mean and deviation within 5 standard errors."""
    count = x.numel()
    assert abs(x.mean().item() - mean) < 5 * std / math.sqrt(count)
    assert abs(x.std().item() - std) < 5 * std / math.sqrt(2 * count)


# Schedule


@pytest.mark.parametrize("steps", [2, 3, 5, 50])
@pytest.mark.parametrize("last", [0.5, 0.9, 0.99])
def test_respaced_gammas_turn_by_equal_angles(steps: int, last: float) -> None:
    gammas = respaced_gammas(steps, last)
    assert len(gammas) == steps
    assert gammas[0] == 0.0
    assert gammas[-1] == pytest.approx(last, abs=1e-12)
    assert all(0 <= a < b < 1 for a, b in itertools.pairwise(gammas))
    angles = [math.atan2(math.sqrt(g), math.sqrt(1 - g)) for g in gammas]
    turns = [b - a for a, b in itertools.pairwise(angles)]
    assert turns == pytest.approx([turns[0]] * (steps - 1), abs=1e-9)


def test_one_step_asks_at_pure_noise_only() -> None:
    assert respaced_gammas(1) == [0.0]
    for steps in (0, -3):
        with pytest.raises(ValueError, match=f"at least 1, got {steps}"):
            respaced_gammas(steps)


def test_diffuse_has_the_stated_mean_and_variance() -> None:
    gammas = torch.tensor([0.0, 0.3, 1.0], dtype=torch.float64)
    noise = torch.randn(3, COUNT, generator=generator(), dtype=torch.float64)
    x_t = diffuse(torch.full((3, COUNT), 0.7, dtype=torch.float64), gammas, noise)
    for row, gamma in zip(x_t, gammas.tolist(), strict=True):
        if gamma == 1:
            assert torch.equal(row, torch.full_like(row, 0.7))
        else:
            same_law(row, gamma**0.5 * 0.7, (1 - gamma) ** 0.5)
    assert torch.equal(diffuse(x_t, 0.3, noise), diffuse(x_t, torch.full((3,), 0.3, dtype=torch.float64), noise))


def test_diffuse_takes_a_level_per_picture() -> None:
    x0, noise = (
        torch.randn(2, 3, 4, 5, generator=generator()),
        torch.randn(2, 3, 4, 5, generator=generator(1)),
    )
    out = diffuse(x0, torch.tensor([0.0, 1.0]), noise)
    assert torch.equal(out[0], noise[0])
    assert torch.equal(out[1], x0[1])


# One step


@pytest.mark.parametrize(("gamma", "gamma_next"), [(0.0, 0.4), (0.1, 0.2), (0.3, 0.9), (0.5, 1.0)])
def test_a_step_keeps_the_forward_law(gamma: float, gamma_next: float) -> None:
    """If x_t ~ q(x_t | x0), the step's x_s ~ q(x_s | x0)."""
    x0 = torch.full((COUNT, 1), 0.8, dtype=torch.float64)
    x_s = ancestral_step(diffuse(x0, gamma, normal(seed=1)), x0, gamma, gamma_next, normal(seed=2))
    if gamma_next == 1.0:
        assert torch.allclose(x_s, x0)
    else:
        same_law(x_s, gamma_next**0.5 * 0.8, (1 - gamma_next) ** 0.5)


@pytest.mark.parametrize(("gamma", "gamma_next"), [(0.1, 0.2), (0.3, 0.9)])
def test_a_step_is_the_gaussian_posterior(gamma: float, gamma_next: float) -> None:
    """Brute force: x_s given x0 is Gaussian, x_t given x_s is Gaussian; condition their joint law on x_t."""
    x0, alpha = 0.8, gamma / gamma_next
    mean_s, var_s = gamma_next**0.5 * x0, 1 - gamma_next
    mean_t, var_t = alpha**0.5 * mean_s, alpha * var_s + 1 - alpha
    for x_t in (-1.5, 0.0, 2.0):
        gain = alpha**0.5 * var_s / var_t
        want_mean, want_var = mean_s + gain * (x_t - mean_t), var_s - gain * alpha**0.5 * var_s
        at, start = torch.tensor([x_t], dtype=torch.float64), torch.tensor([x0], dtype=torch.float64)
        one, zero = torch.ones(1, dtype=torch.float64), torch.zeros(1, dtype=torch.float64)
        mean = ancestral_step(at, start, gamma, gamma_next, zero).item()
        assert mean == pytest.approx(want_mean, abs=1e-12)
        assert (ancestral_step(at, start, gamma, gamma_next, one).item() - mean) ** 2 == pytest.approx(want_var)


def test_two_small_steps_make_one_large() -> None:
    """With x0 known, going by way of a level in between gives the same law."""
    x0 = torch.full((COUNT, 1), 0.8, dtype=torch.float64)
    x_t = torch.full((COUNT, 1), -0.5, dtype=torch.float64)
    direct = ancestral_step(x_t, x0, 0.2, 0.8, normal(seed=1))
    between = ancestral_step(x_t, x0, 0.2, 0.5, normal(seed=2))
    same_law(ancestral_step(between, x0, 0.5, 0.8, normal(seed=3)), direct.mean().item(), direct.std().item() * 1.0)


@pytest.mark.parametrize(("gamma", "gamma_next"), [(0.5, 0.5), (0.6, 0.5), (-0.1, 0.5), (0.5, 1.1)])
def test_impossible_levels_are_refused(gamma: float, gamma_next: float) -> None:
    x = torch.zeros(1)
    with pytest.raises(ValueError, match="levels must satisfy"):
        ancestral_step(x, x, gamma, gamma_next, x)


# The chain


def chain(gammas: list[float], seed: int = 0) -> tuple[Tensor, list[float]]:
    asked: list[float] = []

    def predict(x_t: Tensor, gamma: float) -> Tensor:
        asked.append(gamma)
        return posterior_mean(x_t, gamma)

    source = generator(seed)
    x0 = sample(predict, gammas, lambda: torch.randn(COUNT, 1, generator=source, dtype=torch.float64))
    return x0, asked


def test_one_step_gives_the_mean_of_the_data() -> None:
    x0, asked = chain(respaced_gammas(1))
    assert asked == [0.0]
    assert torch.allclose(x0, torch.full_like(x0, MU))


def test_many_steps_give_the_data_law() -> None:
    """What is missing of the deviation is the error of finite steps: it falls as one over their number."""
    missing = {}
    for steps in (100, 800):
        gammas = respaced_gammas(steps, 0.9999)
        x0, asked = chain(gammas)
        assert asked == gammas
        assert abs(x0.mean().item() - MU) < 5 * S / math.sqrt(COUNT)
        missing[steps] = S - x0.std().item()
    assert abs(missing[800]) < 0.015 * S
    assert missing[100] / 8 - 0.005 * S < missing[800] < missing[100] / 8 + 0.005 * S


def test_few_steps_have_too_little_variance_and_more_have_more() -> None:
    spread = [chain(respaced_gammas(steps))[0].std().item() for steps in (1, 2, 4, 20)]
    assert spread == sorted(spread)
    assert spread[0] == pytest.approx(0.0, abs=1e-9)
    assert spread[-1] < S * 1.01


def test_two_steps_closed_form() -> None:
    """x0 = MU at gamma 0, so x_s ~ N(sqrt(g) MU, 1 - g) and the answer's deviation is the gain times that."""
    gamma = 0.9
    x0, _ = chain([0.0, gamma])
    gain = gamma**0.5 * S**2 / (gamma * S**2 + 1 - gamma)
    same_law(x0, MU, gain * (1 - gamma) ** 0.5)


# Noise


def test_a_row_of_noise_depends_on_its_own_seed_only() -> None:
    def first_two(draw: Callable[[], Tensor]) -> Tensor:
        return torch.stack([draw(), draw()])

    together = first_two(seeded_noise((3, 8, 8), [5, 6, 7]))
    alone = first_two(seeded_noise((3, 8, 8), [6]))
    assert together.shape == (2, 3, 3, 8, 8)
    assert torch.equal(together[:, 1], alone[:, 0])
    assert not torch.equal(together[:, 0], together[:, 1])
    assert not torch.equal(alone[0], alone[1])  # each draw is fresh
    same = seeded_noise((4,), [9, 9])()
    assert torch.equal(same[0], same[1])
