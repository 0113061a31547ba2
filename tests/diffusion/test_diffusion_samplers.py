"""DDIM, SR3's refinement and Euler flow, on Gaussian data whose exact denoiser and velocity are known.

A sampler that is linear in its state keeps Gaussians Gaussian: where a law is followed without chance, its mean and
variance are carried from step to step by what the sampler does to 0, to 1 and to unit noise.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from likeness.diffusion import (
    Schedule,
    ancestral_step,
    ddim_step,
    diffuse,
    eps_of,
    euler_flow,
    refinement_step,
    spread_evenly,
    x0_of,
)

MU, S = 0.4, 0.3
COUNT = 4000
LEVELS = [(0.001, 0.2), (0.1, 0.2), (0.3, 0.9), (0.5, 1.0), (0.9999, 1.0)]

Step = Callable[[Tensor, Tensor, float, float, Tensor], Tensor]  # x_t, x0, level, next level, noise


def normal(seed: int = 0, count: int = COUNT) -> Tensor:
    return torch.randn(count, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def number(value: float) -> Tensor:
    return torch.tensor([value], dtype=torch.float64)


def same_law(x: Tensor, mean: float, std: float, bias: float = 0.0) -> None:
    """Mean and deviation within 5 standard errors, and ``bias`` where the sampler itself is known to be off."""
    count = x.numel()
    assert abs(x.mean().item() - mean) < 5 * std / math.sqrt(count) + bias
    assert abs(x.std().item() - std) < 5 * std / math.sqrt(2 * count) + bias


# x0 and eps


@pytest.mark.parametrize("gamma", [1e-4, 0.3, 0.9999])
def test_x0_and_eps_undo_diffusion(gamma: float) -> None:
    x0, eps = normal(1, 100), normal(2, 100)
    x_t = diffuse(x0[:, None], gamma, eps[:, None])[:, 0]
    torch.testing.assert_close(x0_of(x_t, eps, gamma), x0, rtol=0, atol=1e-10)
    torch.testing.assert_close(eps_of(x_t, x0, gamma), eps, rtol=0, atol=1e-10)


def test_x0_and_eps_at_the_ends() -> None:
    x, other = normal(1, 10), normal(2, 10)
    assert torch.equal(x0_of(x, other, 1.0), x)
    assert torch.equal(eps_of(x, other, 0.0), x)


# One step


@pytest.mark.parametrize(("gamma", "after"), LEVELS)
def test_ddim_with_eta_1_is_ancestral(gamma: float, after: float) -> None:
    """Song et al. 2021, section 4.1; where eps belongs to x0, the two are the same sum in another order."""
    x_t, x0, noise = normal(1, 1000), normal(2, 1000), normal(3, 1000)
    got = ddim_step(x0, eps_of(x_t, x0, gamma), gamma, after, 1.0, noise)
    torch.testing.assert_close(got, ancestral_step(x_t, x0, gamma, after, noise), rtol=0, atol=1e-10)


@pytest.mark.parametrize("eta", [0.0, 0.3, 1.0])
@pytest.mark.parametrize(("gamma", "after"), LEVELS)
def test_a_ddim_step_keeps_the_forward_law(gamma: float, after: float, eta: float) -> None:
    """With x0 known: x_t ~ q(x_t | x0) becomes x_s ~ q(x_s | x0) whatever eta (Song et al. 2021, lemma 1)."""
    one, zero = number(1), number(0)
    of_x0 = ddim_step(one, zero, gamma, after, eta, zero).item()
    of_eps = ddim_step(zero, one, gamma, after, eta, zero).item()
    of_noise = ddim_step(zero, zero, gamma, after, eta, one).item()
    assert of_x0 == pytest.approx(after**0.5)
    assert of_eps**2 + of_noise**2 == pytest.approx(1 - after)
    assert of_noise**2 == pytest.approx(eta**2 * (1 - after) / (1 - gamma) * (1 - gamma / after))


def test_ddim_without_eta_keeps_the_noise() -> None:
    """Along eps the picture only turns from (sqrt(gamma), sqrt(1 - gamma)) to that of the next level."""
    x0, eps = normal(1, 100), normal(2, 100)
    got = ddim_step(x0, eps, 0.2, 0.7, 0.0, None)
    assert torch.equal(got, ddim_step(x0, eps, 0.2, 0.7, 0.0, normal(3, 100)))
    torch.testing.assert_close(got, 0.7**0.5 * x0 + 0.3**0.5 * eps, rtol=0, atol=1e-12)


def test_the_last_step_gives_the_picture_and_needs_no_noise() -> None:
    x0, eps = normal(1, 100), normal(2, 100)
    x_t = diffuse(x0[:, None], 0.4, eps[:, None])[:, 0]
    for eta in (0.0, 1.0):
        assert torch.equal(ddim_step(x0, eps, 0.4, 1.0, eta, None), x0)
    torch.testing.assert_close(refinement_step(x_t, eps, 0.4, 1.0, None), x0, rtol=0, atol=1e-12)


def test_ddim_asks_for_noise_where_it_needs_it() -> None:
    x = number(0)
    with pytest.raises(ValueError, match=r"eta = 0\.5 needs noise"):
        ddim_step(x, x, 0.2, 0.7, 0.5, None)


@pytest.mark.parametrize(("gamma", "after"), [(0.5, 0.5), (0.6, 0.5), (0.0, 0.5), (-0.1, 0.5), (0.5, 1.1)])
def test_impossible_levels_are_refused(gamma: float, after: float) -> None:
    x = number(0)
    with pytest.raises(ValueError, match="levels must satisfy"):
        ddim_step(x, x, gamma, after, 0.0, None)
    with pytest.raises(ValueError, match="levels must satisfy"):
        refinement_step(x, x, gamma, after, None)


@pytest.mark.parametrize(("gamma", "after"), LEVELS)
def test_refinement_has_the_ancestral_mean_and_more_noise(gamma: float, after: float) -> None:
    """Ho et al. 2020, eq. 11: the mean written with eps; papers/001 eq. 8 adds noise of the variance beta."""
    x_t, eps, noise = normal(1, 1000), normal(2, 1000), normal(3, 1000)
    mean = refinement_step(x_t, eps, gamma, after, None)
    torch.testing.assert_close(
        mean, ancestral_step(x_t, x0_of(x_t, eps, gamma), gamma, after, torch.zeros_like(x_t)), rtol=0, atol=1e-9
    )
    added = refinement_step(x_t, eps, gamma, after, noise) - mean
    torch.testing.assert_close(added, (1 - gamma / after) ** 0.5 * noise, rtol=0, atol=1e-10)
    posterior = (1 - after) * (1 - gamma / after) / (1 - gamma)
    assert posterior < 1 - gamma / after


# Chains


def denoiser(mu: float, s: float) -> Callable[[Tensor, float], Tensor]:
    """E[x0 | x_t] where x0 ~ N(mu, s^2)."""

    def x0_at(x_t: Tensor, gamma: float) -> Tensor:
        gain = math.sqrt(gamma) * s**2 / (gamma * s**2 + 1 - gamma)
        return mu + gain * (x_t - math.sqrt(gamma) * mu)

    return x0_at


def ddim(eta: float) -> Step:
    return lambda x_t, x0, gamma, after, noise: ddim_step(x0, eps_of(x_t, x0, gamma), gamma, after, eta, noise)


def refinement(x_t: Tensor, x0: Tensor, gamma: float, after: float, noise: Tensor) -> Tensor:
    return refinement_step(x_t, eps_of(x_t, x0, gamma), gamma, after, None if after == 1 else noise)


STEPS: dict[str, Step] = {
    "ancestral": ancestral_step,
    "ddim-0": ddim(0.0),
    "ddim-0.5": ddim(0.5),
    "ddim-1": ddim(1.0),
    "refinement": refinement,
}


def descent(steps: int) -> list[float]:
    """Levels of Ho's schedule, from the most noisy of ``steps`` to the picture itself."""
    kept = Schedule.linear().respaced(spread_evenly(1000, steps))
    return [*reversed(kept.gammas.tolist()), 1.0]


def start(gamma: float, mu: float = MU, s: float = S) -> tuple[float, float]:
    """Mean and variance of x_t where x0 ~ N(mu, s^2)."""
    return gamma**0.5 * mu, gamma * s**2 + 1 - gamma


@cache
def law_after(name: str, steps: int, mu: float = MU, s: float = S) -> tuple[float, float]:
    """Mean and deviation of what the sampler gives for N(mu, s^2), without chance."""
    step, x0_at, levels = STEPS[name], denoiser(mu, s), descent(steps)
    mean, variance = start(levels[0], mu, s)
    for gamma, after in pairwise(levels):

        def go(x: float, noise: float, gamma: float = gamma, after: float = after) -> float:
            return float(step(number(x), x0_at(number(x), gamma), gamma, after, number(noise)))

        slope, grain = go(1, 0) - go(0, 0), go(0, 1) - go(0, 0)
        mean, variance = go(mean, 0), slope**2 * variance + grain**2
    return mean, variance**0.5


@pytest.mark.parametrize("name", STEPS)
def test_samples_have_the_law_of_the_data(name: str) -> None:
    """250 steps of Ho's schedule; beyond chance, finite steps are off by 5 % of S at most (next test)."""
    x0_at, levels, source = denoiser(MU, S), descent(250), torch.Generator().manual_seed(4)
    mean, variance = start(levels[0])
    x = mean + variance**0.5 * normal(5)
    for gamma, after in pairwise(levels):
        noise = torch.randn(COUNT, generator=source, dtype=torch.float64)
        x = STEPS[name](x, x0_at(x, gamma), gamma, after, noise)
    same_law(x, MU, S, bias=0.05 * S)
    same_law(x, *law_after(name, 250))  # and without any allowance, what the sampler gives for these steps


@pytest.mark.parametrize("name", STEPS)
def test_the_error_falls_with_the_number_of_steps(name: str) -> None:
    errors = []
    for steps in (10, 50, 250):
        mean, std = law_after(name, steps)
        assert mean == pytest.approx(MU, abs=1e-9)  # exact with any number of steps
        errors.append(abs(std - S))
    assert errors[0] > 2.5 * errors[1]
    assert errors[1] > 3.5 * errors[2]  # of first order: 5 in the limit
    assert errors[2] < 0.05 * S


def test_refinement_is_exact_for_unit_data() -> None:
    """Ho et al. 2020, section 3.2: the variance beta is right where x0 ~ N(0, 1), with any number of steps."""
    x0_at, levels = denoiser(0.0, 1.0), descent(5)
    variance = 1.0
    for gamma, after in pairwise(levels[:-1]):  # the last step adds no noise
        slope = refinement(number(1), x0_at(number(1), gamma), gamma, after, number(0)).item()
        grain = refinement(number(0), x0_at(number(0), gamma), gamma, after, number(1)).item()
        variance = slope**2 * variance + grain**2
        assert variance == pytest.approx(1.0, abs=1e-9)


def test_ancestral_and_ddim_are_exact_for_one_picture() -> None:
    for name in ("ancestral", "ddim-0", "ddim-1"):
        assert law_after(name, 5, 0.7, 0.0) == pytest.approx((0.7, 0.0), abs=1e-9)


def test_ddim_follows_the_flow_of_the_densities() -> None:
    """The limit of eta = 0 (Song et al. 2021, eq. 14) carries each place to that of the same rank in the data."""
    x0_at, worst = denoiser(MU, S), []
    for steps in (100, 1000):
        levels = descent(steps)
        mean, variance = start(levels[0])
        rank = torch.linspace(-2, 2, 9, dtype=torch.float64)
        x = mean + variance**0.5 * rank
        for gamma, after in pairwise(levels):
            x = ddim_step(x0 := x0_at(x, gamma), eps_of(x, x0, gamma), gamma, after, 0.0, None)
        worst.append((x - (MU + S * rank)).abs().max().item())
    assert worst[1] < worst[0] / 5
    assert worst[1] < 0.02 * S


# Flow


def velocity(x: Tensor, t: float) -> Tensor:
    """The exact one from N(0, 1) to N(MU, S^2) along x_t = (1 - t) z + t x1: E[x1 - z | x_t]."""
    variance = (1 - t) ** 2 + (t * S) ** 2
    return MU + (t * S**2 - (1 - t)) / variance * (x - t * MU)


def test_euler_flow_carries_noise_to_the_data() -> None:
    z = normal(6)
    same_law(euler_flow(velocity, z, 200), MU, S, bias=0.02 * S)
    exact, worst = MU + S * z, []  # each place goes to that of the same rank
    for steps in (50, 100, 200):
        worst.append((euler_flow(velocity, z, steps) - exact).abs().max().item())
    assert worst[0] / worst[1] == pytest.approx(2, rel=0.1)  # of first order
    assert worst[1] / worst[2] == pytest.approx(2, rel=0.1)


def test_euler_flow_closed_forms() -> None:
    x = normal(7, 50)
    for steps in (1, 3, 25):
        asked: list[float] = []

        def growth(x: Tensor, t: float, asked: list[float] = asked) -> Tensor:
            asked.append(t)
            return x

        torch.testing.assert_close(euler_flow(growth, x, steps), x * (1 + 1 / steps) ** steps)
        assert asked == [i / steps for i in range(steps)]
        torch.testing.assert_close(euler_flow(lambda x, _: torch.full_like(x, 0.3), x, steps), x + 0.3)
        rising = euler_flow(lambda x, t: torch.full_like(x, t), x, steps)  # sum of i / steps^2
        torch.testing.assert_close(rising, x + (steps - 1) / (2 * steps))


@pytest.mark.parametrize("steps", [0, -1])
def test_euler_flow_needs_a_step(steps: int) -> None:
    with pytest.raises(ValueError, match=f"at least 1, got {steps}"):
        euler_flow(velocity, number(0), steps)
