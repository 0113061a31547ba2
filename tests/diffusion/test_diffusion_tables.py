"""Discrete schedules against numbers that are got another way, and which steps are kept of them."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from likeness.diffusion import Schedule, ancestral_step, spread_evenly, strided

SCHEDULES = {
    "Ho": Schedule.linear(),
    "SR3": Schedule.linear(1e-6, 1e-2, 2000),
    "Stable Diffusion": Schedule.scaled_linear(),
    "short": Schedule.from_betas(np.array([0.1, 0.3, 0.2])),
    "kept": Schedule.linear().respaced(spread_evenly(1000, 10)),
}


@pytest.fixture(params=SCHEDULES)
def schedule(request: pytest.FixtureRequest) -> Schedule:
    return SCHEDULES[request.param]


# Levels


def levels(betas: list[float]) -> list[float]:
    """By sums of logarithms rather than products."""
    logs = [math.log1p(-beta) for beta in betas]
    return [math.exp(math.fsum(logs[: t + 1])) for t in range(len(logs))]


def test_linear() -> None:
    for first, last, steps in [(1e-4, 2e-2, 1000), (1e-6, 1e-2, 2000), (0.1, 0.5, 3)]:
        schedule = Schedule.linear(first, last, steps)
        betas = [first + (last - first) * t / (steps - 1) for t in range(steps)]
        assert schedule.gammas.tolist() == pytest.approx(levels(betas), rel=1e-11)
        assert schedule.betas.tolist() == pytest.approx(betas, rel=1e-9)
        assert schedule.times.tolist() == list(range(steps))
        assert len(schedule) == steps
    assert Schedule.linear().gammas[-1] == pytest.approx(4.0358e-5, rel=1e-4)  # Ho's: the picture is all but gone


def test_scaled_linear() -> None:
    for first, last, steps in [(0.00085, 0.012, 1000), (0.04, 0.25, 4)]:
        schedule = Schedule.scaled_linear(first, last, steps)
        roots = [math.sqrt(first) + (math.sqrt(last) - math.sqrt(first)) * t / (steps - 1) for t in range(steps)]
        assert schedule.gammas.tolist() == pytest.approx(levels([root**2 for root in roots]), rel=1e-11)
        assert schedule.betas[[0, -1]].tolist() == pytest.approx([first, last], rel=1e-9)
    assert Schedule.scaled_linear(0.04, 0.25, 4).betas.tolist() == pytest.approx([0.04, 0.09, 0.16, 0.25])
    assert Schedule.scaled_linear().gammas.tolist() == Schedule.scaled_linear(0.00085, 0.012, 1000).gammas.tolist()


def test_from_betas() -> None:
    schedule = Schedule.from_betas(np.array([0.5, 0.5, 0.75]))
    assert schedule.gammas.tolist() == [0.5, 0.25, 0.0625]
    assert schedule.gammas_before.tolist() == [1.0, 0.5, 0.25]
    assert schedule.betas.tolist() == [0.5, 0.5, 0.75]
    half = Schedule.from_betas(np.array([0.1, 0.2], np.float32))  # tables are float64 whatever is given
    assert half.gammas.dtype == np.float64
    assert half.gammas[-1] == (1 - float(np.float32(0.1))) * (1 - float(np.float32(0.2)))


@pytest.mark.parametrize(
    ("gammas", "times"),
    [
        ([], []),
        ([[0.9, 0.5]], [[0, 1]]),  # not one row
        ([0.9, 0.5], [0]),  # of two lengths
        ([0.5, 0.9], [0, 1]),  # rising
        ([0.9, 0.9], [0, 1]),  # no noise added
        ([1.0, 0.5], [0, 1]),  # begins without noise
        ([0.5, 0.0], [0, 1]),  # ends without picture
        ([0.5, -0.1], [0, 1]),
        ([0.9, math.nan, 0.1], [0, 1, 2]),
        ([math.nan], [0]),
    ],
)
def test_impossible_levels_are_refused(gammas: list[float], times: list[int]) -> None:
    with pytest.raises(ValueError, match=r"expected two tables|levels must fall"):
        Schedule(np.array(gammas), np.array(times))


@pytest.mark.parametrize("betas", [[0.1, 0.0], [0.0], [0.1, 1.0], [0.1, -0.1], [0.1, 1.5], []])
def test_impossible_betas_are_refused(betas: list[float]) -> None:
    with pytest.raises(ValueError, match=r"expected two tables|levels must fall"):
        Schedule.from_betas(np.array(betas))


# The posterior q(x_{t-1} | x_t, x0)


def test_posterior_is_bayes(schedule: Schedule) -> None:
    """Prior N(sqrt(before) x0, 1 - before) times likelihood N(x_t; sqrt(1 - beta) x_{t-1}, beta), by precisions."""
    of_x0, of_x_t = schedule.posterior_mean
    for t in {1, 2, len(schedule) // 2, len(schedule) - 1}:
        before = float(schedule.gammas[t - 1])
        beta = 1 - float(schedule.gammas[t]) / before
        variance = 1 / (1 / (1 - before) + (1 - beta) / beta)
        assert schedule.posterior_variance[t] == pytest.approx(variance, rel=1e-9)
        assert of_x0[t] == pytest.approx(variance * math.sqrt(before) / (1 - before), rel=1e-9)
        assert of_x_t[t] == pytest.approx(variance * math.sqrt(1 - beta) / beta, rel=1e-9)


def test_posterior_identities(schedule: Schedule) -> None:
    of_x0, of_x_t = schedule.posterior_mean
    # Without noise in x_t there is none in x_{t-1} either.
    np.testing.assert_allclose(
        of_x0 + of_x_t * np.sqrt(schedule.gammas), np.sqrt(schedule.gammas_before), rtol=1e-9, atol=0
    )
    # The posterior over x_t ~ q(x_t | x0) has the variance of q(x_{t-1} | x0).
    np.testing.assert_allclose(
        schedule.posterior_variance + of_x_t**2 * (1 - schedule.gammas), 1 - schedule.gammas_before, rtol=1e-9, atol=0
    )
    assert (schedule.posterior_variance[1:] < schedule.betas[1:]).all()
    assert (schedule.posterior_variance[0], of_x0[0], of_x_t[0]) == (0, pytest.approx(1), 0)


def test_posterior_is_that_of_the_ancestral_step(schedule: Schedule) -> None:
    of_x0, of_x_t = schedule.posterior_mean
    one, zero = torch.ones(1, dtype=torch.float64), torch.zeros(1, dtype=torch.float64)
    for t in {0, 1, len(schedule) - 1}:
        levels = (float(schedule.gammas[t]), float(schedule.gammas_before[t]))
        assert ancestral_step(zero, one, *levels, zero).item() == pytest.approx(of_x0[t], rel=1e-9)
        assert ancestral_step(one, zero, *levels, zero).item() == pytest.approx(of_x_t[t], rel=1e-9)
        assert ancestral_step(zero, zero, *levels, one).item() ** 2 == pytest.approx(
            schedule.posterior_variance[t], rel=1e-9
        )


# Fewer steps


def test_respaced() -> None:
    full, kept = Schedule.linear(), np.array([0, 111, 500, 999])
    few = full.respaced(kept)
    assert few.times.tolist() == kept.tolist()
    assert few.gammas.tolist() == full.gammas[kept].tolist()  # the same levels, to the last bit
    for i in range(1, 4):  # betas of several steps are those of their signals multiplied
        between = full.betas[kept[i - 1] + 1 : kept[i] + 1]
        assert 1 - few.betas[i] == pytest.approx(math.exp(math.fsum(np.log1p(-between))), rel=1e-9)
    assert few.betas[0] == full.betas[0]

    again = few.respaced(np.array([1, 3]))
    assert again.times.tolist() == [111, 999]  # the network's steps, not indices
    assert again.gammas.tolist() == full.gammas[[111, 999]].tolist()
    assert again.gammas_before.tolist() == [1.0, full.gammas[111]]
    with pytest.raises(ValueError, match="levels must fall"):
        full.respaced(np.array([5, 2]))
    with pytest.raises(ValueError, match="levels must fall"):
        full.respaced(np.array([2, 2]))


@pytest.mark.parametrize(
    ("total", "count", "stride"), [(1000, 250, 4), (1000, 1000, 1), (1000, 1, 1000), (1000, 334, 3), (10, 4, 3)]
)
def test_strided(total: int, count: int, stride: int) -> None:
    kept = strided(total, count)
    assert kept.tolist() == [stride * i for i in range(count)]
    assert kept[-1] < total


@pytest.mark.parametrize(("total", "count"), [(1000, 300), (10, 6), (10, 0), (10, -1), (10, 11)])
def test_no_stride_gives_that_count(total: int, count: int) -> None:
    with pytest.raises(ValueError, match=f"no whole stride keeps {count} of {total}"):
        strided(total, count)


@pytest.mark.parametrize(
    ("total", "count"), [(1000, 10), (1000, 7), (1000, 2), (1000, 999), (1000, 1000), (15, 4), (6, 3), (2, 2), (1, 1)]
)
def test_spread_evenly(total: int, count: int) -> None:
    kept = spread_evenly(total, count)
    assert len(kept) == count
    assert kept[0] == 0
    if count > 1:
        gaps = np.diff(kept)
        assert kept[-1] == total - 1
        assert gaps.min() >= 1
        assert gaps.max() - gaps.min() <= 1
        exact = (total - 1) / (count - 1) * np.arange(count)
        assert np.abs(kept - exact).max() <= 0.5 + 1e-9


def test_spread_evenly_examples() -> None:
    assert spread_evenly(1000, 10).tolist() == [0, 111, 222, 333, 444, 555, 666, 777, 888, 999]
    assert spread_evenly(1000, 4).tolist() == [0, 333, 666, 999]
    assert spread_evenly(1000, 1).tolist() == [0]  # the least noisy one


@pytest.mark.parametrize("count", [0, -1, 11])
def test_spread_evenly_refuses(count: int) -> None:
    with pytest.raises(ValueError, match=rf"count must be in \[1, 10\], got {count}"):
        spread_evenly(10, count)
