"""Bradley-Terry strengths, shares and rank correlations against closed forms, simulated votes and scipy."""

from __future__ import annotations

import numpy as np
import pytest

from likeness.study.rating.preference import (
    Comparisons,
    bradley_terry,
    fit,
    kendall,
    preference_shares,
    spearman,
)

PLANTED = np.array([1.2, 0.4, -0.3, -1.3])


def simulated(count: int, seed: int = 0, pictures: int = 40, raters: int = 15) -> Comparisons:
    """Votes by the model, with the planted strengths, 1 in 10 "no difference"."""
    rng = np.random.default_rng(seed)
    left = rng.integers(0, 4, count)
    right = (left + rng.integers(1, 4, count)) % 4
    chance = 1 / (1 + np.exp(PLANTED[right] - PLANTED[left]))
    score = (rng.random(count) < chance).astype(float)
    score[rng.random(count) < 0.1] = 0.5
    return Comparisons(4, left, right, score, rng.integers(0, pictures, count), rng.integers(0, raters, count))


def one_rater(scores: list[float]) -> Comparisons:
    """Two methods, the first on the left, each vote on a picture of its own."""
    zero = np.zeros(len(scores), dtype=int)
    return Comparisons(2, zero, zero + 1, np.array(scores), np.arange(len(scores)), zero)


def test_two_methods_have_the_closed_form() -> None:
    found = bradley_terry(np.array([[0, 30], [7, 0]]))
    assert found[0] - found[1] == pytest.approx(np.log(30 / 7), abs=1e-9)
    assert found.sum() == pytest.approx(0, abs=1e-12)
    found = bradley_terry(np.array([[0, 30], [0, 0]]), prior=0.5)
    assert found[0] - found[1] == pytest.approx(np.log(30.5 / 0.5), abs=1e-9)


def test_planted_strengths_are_found_and_lie_in_their_intervals() -> None:
    votes = simulated(40_000)
    clear = votes.score != 0.5  # the model knows no ties: half a win each pulls strengths to the middle
    columns = votes.left, votes.right, votes.score, votes.picture, votes.rater
    votes = Comparisons(4, *(column[clear] for column in columns))
    assert np.abs(bradley_terry(votes.wins()) - PLANTED).max() < 0.05
    for estimate, planted in zip(fit(votes, resamples=300).strengths, PLANTED, strict=True):
        assert estimate.low < planted < estimate.high
        assert estimate.high - estimate.low < 0.4


def log_likelihood(wins: np.ndarray, s: np.ndarray) -> float:
    return float(-(wins * np.log1p(np.exp(s[None, :] - s[:, None]))).sum())


def test_nothing_near_the_optimum_is_better() -> None:
    wins = simulated(300).wins()
    best = bradley_terry(wins)
    for i in range(4):
        step = np.zeros(4)
        step[i] = 1e-4
        slope = (log_likelihood(wins, best + step) - log_likelihood(wins, best - step)) / 2e-4
        assert abs(slope) < 1e-5
        away = np.zeros(4)
        away[i] = 0.1
        assert log_likelihood(wins, best + away) < log_likelihood(wins, best) > log_likelihood(wins, best - away)


def test_order_and_batches_change_nothing() -> None:
    wins = simulated(500).wins()
    found = bradley_terry(wins)
    order = np.array([2, 0, 3, 1])
    assert bradley_terry(wins[np.ix_(order, order)]) == pytest.approx(found[order], abs=1e-7)
    many = np.stack([wins, wins.T, wins * 3])
    assert bradley_terry(many) == pytest.approx(np.stack([found, -found, found]), abs=1e-7)
    votes = simulated(200)
    turned = Comparisons(4, votes.right, votes.left, 1 - votes.score, votes.picture, votes.rater)
    assert np.array_equal(turned.wins(), votes.wins())


def test_weakly_joined_groups_come_to_the_optimum_too() -> None:
    wins = np.zeros((4, 4))
    wins[0, 1], wins[1, 0], wins[2, 3], wins[3, 2] = 400, 300, 500, 100
    found = bradley_terry(wins, prior=0.5)
    expected = 1 / (1 + np.exp(found[None, :] - found[:, None]))
    wins += 0.5 * (1 - np.eye(4))
    gradient = (wins - (wins + wins.T) * expected).sum(1)
    assert np.abs(gradient).max() < 1e-6


@pytest.mark.parametrize(
    ("wins", "said"),
    [
        ([[0, 5, 3], [0, 0, 2], [0, 1, 0]], "a never lost"),
        ([[0, 5, 3], [2, 0, 2], [0, 0, 0]], "c never won"),
        ([[0, 5, 0, 0], [2, 0, 0, 1], [0, 0, 0, 2], [0, 0, 3, 0]], "one group of methods never lost"),
    ],
)
def test_votes_without_an_optimum_are_refused_by_name(wins: list[list[int]], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        bradley_terry(np.array(wins), names="abcd")
    assert np.isfinite(bradley_terry(np.array(wins), prior=0.5)).all()


def test_shares_and_first_choices() -> None:
    votes = one_rater([1, 1, 1, 0.5, 0, 1, 1, 0])
    first, second = preference_shares(votes)
    assert (first.value, second.value) == (5.5 / 8, 2.5 / 8)
    assert first.low < first.value < first.high
    assert first.low == pytest.approx(1 - second.high)
    assert sum(one.value for one in fit(simulated(300), resamples=10).first_choices) == pytest.approx(1)


def test_an_interval_knows_that_votes_on_a_picture_belong_together() -> None:
    """Ten raters who agree on each of six pictures are six observations, not sixty; one picture and rater are none."""
    picture, rater = np.repeat(np.arange(6), 10), np.tile(np.arange(10), 6)
    score = np.repeat([1.0, 0, 1, 0, 1, 0], 10)
    zero = np.zeros(60, dtype=int)
    together = preference_shares(Comparisons(2, zero, zero + 1, score, picture, rater))[0]
    apart = preference_shares(Comparisons(2, zero, zero + 1, score, np.arange(60), zero))[0]
    assert together.high - together.low > 2 * (apart.high - apart.low)
    by_rater = preference_shares(Comparisons(2, zero, zero + 1, np.tile([1.0, 0], 30), zero, rater))[0]
    assert by_rater.high - by_rater.low > 0.4
    alone = preference_shares(Comparisons(2, zero, zero + 1, score, zero, zero))[0]
    assert np.isnan([alone.low, alone.high]).all()
    assert np.isnan(fit(Comparisons(2, zero, zero + 1, score, zero, zero)).strengths[0].low)


def test_the_same_seed_gives_the_same_interval() -> None:
    votes = simulated(100)
    assert preference_shares(votes, seed=1) == preference_shares(votes, seed=1) != preference_shares(votes, seed=2)


def test_rank_correlations_agree_with_scipy() -> None:
    stats = pytest.importorskip("scipy.stats", reason="needs scipy")
    rng = np.random.default_rng(4)
    for n in (2, 3, 5, 9):
        a, b = rng.integers(0, 6, n) + np.arange(n) * 0.1, rng.integers(0, 4, n).astype(float)
        b[0], b[-1] = 0, 3  # not constant
        assert spearman(a, b) == pytest.approx(stats.spearmanr(a, b).statistic, abs=1e-12)
        assert kendall(a, b) == pytest.approx(stats.kendalltau(a, b).statistic, abs=1e-12)
    for correlation in (spearman, kendall):
        assert np.isnan([correlation([], []), correlation([1], [2]), correlation([1, 2], [3, 3])]).all()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"score": np.array([0.7])}, "score"),
        ({"right": np.array([2])}, r"\[0, 2\)"),
        ({"right": np.array([0])}, "itself"),
        ({"left": np.array([0, 1])}, "one length"),
    ],
)
def test_votes_that_make_no_sense_are_refused(change: dict[str, np.ndarray], said: str) -> None:
    one = np.array([0])
    fields = {"left": one, "right": one + 1, "score": one + 0.5, "picture": one, "rater": one}
    with pytest.raises(ValueError, match=said):
        Comparisons(2, **{**fields, **change})


@pytest.mark.parametrize(
    "wins", [np.zeros((2, 3)), np.array([[0, -1], [2, 0]]), np.array([[0, np.nan], [2, 0]]), np.eye(3)]
)
def test_wins_that_make_no_sense_are_refused(wins: np.ndarray) -> None:
    with pytest.raises(ValueError, match="wins must be"):
        bradley_terry(wins)
