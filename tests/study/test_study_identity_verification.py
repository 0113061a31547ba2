"""ROC, equal error rate, TAR at FAR, d', rank 1: brute force and closed forms. The bootstrap: copies counted."""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import NormalDist

import numpy as np
import pytest

from likeness.study.identity import verification as v
from likeness.study.identity.comparisons import Judge, against_all
from likeness.study.identity.resample import interval, resample_persons
from likeness.study.statistics import bootstrap

NORMAL = NormalDist()


def scores(seed: int, genuine: int = 40, impostor: int = 300, digits: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Overlapping, with many ties."""
    rng = np.random.default_rng(seed)
    return rng.normal(1, 1, genuine).round(digits), rng.normal(0, 1, impostor).round(digits)


def normal_scores(mean: float, count: int) -> np.ndarray:
    """The quantiles of a normal law: a sample without chance."""
    return np.array([mean + NORMAL.inv_cdf((k + 0.5) / count) for k in range(count)])


@pytest.mark.parametrize("seed", range(5))
def test_the_curve_agrees_with_counting(seed: int) -> None:
    genuine, impostor = scores(seed)
    curve = v.roc(genuine, impostor)
    assert curve.thresholds[0] == math.inf
    assert sorted(curve.thresholds[1:], reverse=True) == curve.thresholds[1:].tolist()
    assert set(curve.thresholds[1:]) == {*genuine, *impostor}
    for far, tar, threshold in zip(*curve, strict=True):
        assert far == pytest.approx(sum(s >= threshold for s in impostor) / len(impostor), abs=1e-12)
        assert tar == pytest.approx(sum(s >= threshold for s in genuine) / len(genuine), abs=1e-12)


@pytest.mark.parametrize("far", [1 / 300, 0.01, 0.03, 0.1, 0.5, 1.0])
def test_tar_at_far_agrees_with_trying_every_threshold(far: float) -> None:
    for seed in range(5):
        genuine, impostor = scores(seed)
        tried = [
            float((genuine >= t).mean())
            for t in [*genuine, *impostor, math.inf]
            if (impostor >= t).mean() <= far + 1e-12
        ]
        assert v.tar_at_far(genuine, impostor, far) == pytest.approx(max(tried), abs=1e-12)


def test_a_rate_that_so_few_impostors_cannot_show_is_not_a_number() -> None:
    genuine, impostor = scores(0, impostor=100)
    assert math.isnan(v.tar_at_far(genuine, impostor, 0.0099))
    assert not math.isnan(v.tar_at_far(genuine, impostor, 0.01))


@pytest.mark.parametrize("apart", [0.5, 1.0, 2.0, 3.0])
def test_two_normal_laws(apart: float) -> None:
    genuine, impostor = normal_scores(apart, 4000), normal_scores(0, 4000)
    assert v.equal_error_rate(genuine, impostor) == pytest.approx(NORMAL.cdf(-apart / 2), abs=5e-4)
    assert v.d_prime(genuine, impostor) == pytest.approx(apart, rel=2e-3)
    for far in (0.01, 0.1):
        want = 1 - NORMAL.cdf(NORMAL.inv_cdf(1 - far) - apart)
        assert v.tar_at_far(genuine, impostor, far) == pytest.approx(want, abs=2e-3)


def test_d_prime_of_unequal_variances() -> None:
    assert v.d_prime(np.array([4.0, 8.0]), np.array([1.0, 1.0, 1.0])) == pytest.approx(5 / math.sqrt(2))
    assert v.d_prime(np.array([1.0]), np.array([1.0])) == 0
    assert v.d_prime(np.array([2.0]), np.array([1.0])) == math.inf


@pytest.mark.parametrize("seed", range(5))
def test_the_equal_error_rate_lies_between_the_rates_at_the_crossing(seed: int) -> None:
    genuine, impostor = scores(seed)
    rates = [((impostor >= t).mean(), (genuine < t).mean()) for t in sorted({*genuine, *impostor, 99.0}, reverse=True)]
    after = next(k for k, (far, frr) in enumerate(rates) if far >= frr)
    got = v.equal_error_rate(genuine, impostor)
    assert rates[after - 1][0] <= got <= rates[after][0]
    assert rates[after][1] <= got <= rates[after - 1][1]


def test_what_is_apart_or_alike_or_the_wrong_way_round() -> None:
    high, low = np.array([0.9, 0.8]), np.array([0.1, 0.2, 0.3])
    assert v.equal_error_rate(high, low) == 0
    assert v.tar_at_far(high, low, 1 / 3) == 1
    assert v.equal_error_rate(low, high) == 1
    assert v.equal_error_rate(low, low) == pytest.approx(0.5)


def test_weights_are_copies() -> None:
    genuine, impostor = scores(1, 20, 50)
    rng = np.random.default_rng(0)
    gw, iw = rng.integers(0, 4, 20), rng.integers(0, 4, 50)
    more_genuine, more_impostor = np.repeat(genuine, gw), np.repeat(impostor, iw)
    curve, want = v.Ranked(genuine, impostor).roc(gw, iw), v.roc(more_genuine, more_impostor)
    at = np.isin(curve.thresholds, want.thresholds)
    np.testing.assert_allclose(curve.far[at], want.far, atol=1e-12)
    np.testing.assert_allclose(curve.tar[at], want.tar, atol=1e-12)
    assert v.equal_error_rate_of(curve) == pytest.approx(v.equal_error_rate(more_genuine, more_impostor))
    assert v.tar_at_far_of(curve, 0.1, float(iw.sum())) == pytest.approx(v.tar_at_far(more_genuine, more_impostor, 0.1))
    assert v.d_prime(genuine, impostor, gw, iw) == pytest.approx(v.d_prime(more_genuine, more_impostor))


def test_rank_one_agrees_with_looking_through_the_gallery() -> None:
    rng = np.random.default_rng(0)
    gallery, probes = np.array([0, 1, 1, 2, 3]), rng.integers(0, 4, 50)
    similarity = rng.random((50, 5)).round(1)
    want = []
    for row, person in zip(similarity, probes, strict=True):
        best = [gallery[k] for k in range(5) if row[k] == row.max()]
        want.append(set(best) == {person})
    assert v.rank_one(similarity, gallery, probes).tolist() == want
    assert 5 < sum(want) < 45


def test_a_recogniser_that_knows_nothing_finds_nobody() -> None:
    assert not v.rank_one(np.ones((3, 3)), np.arange(3), np.arange(3)).any()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: v.roc(np.array([]), np.ones(3)), "genuine"),
        (lambda: v.equal_error_rate(np.ones(3), np.array([1.0, np.nan])), "impostor"),
        (lambda: v.tar_at_far(np.ones(3), np.zeros(3), 0.0), "far"),
        (lambda: v.Ranked(np.ones(3), np.zeros(3)).roc(np.ones(2)), "3 scores"),
        (lambda: v.rank_one(np.ones((2, 2)), np.arange(2), np.arange(3)), "similarity"),
        (lambda: v.rank_one(np.ones((1, 2)), np.arange(2), np.array([7])), "in the gallery"),
    ],
)
def test_what_does_not_fit_is_refused(call: Callable[[], object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        call()


# The bootstrap


def test_with_one_score_a_person_it_is_the_plain_bootstrap() -> None:
    values = np.random.default_rng(1).normal(size=30)
    drawn = resample_persons(30, lambda counts: np.asarray(counts @ values / counts.sum()), seed=4)
    got, want = interval(values.mean(), drawn), bootstrap(values, seed=4)
    assert got == pytest.approx(want)


def test_people_are_drawn_not_pictures() -> None:
    """Ten copies of each probe say nothing new: the interval stays as it is."""
    values = np.random.default_rng(1).normal(size=20)
    copied, person = np.repeat(values, 10), np.repeat(np.arange(20), 10)
    one = resample_persons(20, lambda counts: np.asarray(counts @ values / counts.sum()))
    ten = resample_persons(20, lambda counts: np.asarray(counts[person] @ copied / counts[person].sum()))
    assert interval(0, ten) == pytest.approx(interval(0, one))


def test_a_draw_without_impostors_does_not_count() -> None:
    assert interval(0.5, np.array([0.4, 0.5, 0.6, np.nan]), 1.0) == (0.5, 0.4, 0.6)
    assert math.isnan(interval(0.5, np.array([0.4, np.nan, np.nan]), 0.95).low)


def test_figures_of_a_draw_agree_with_a_data_set_in_which_people_are_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    """Genuine pairs of p count as often as p is drawn; copies of one person are never impostors of each other."""
    people, rng = 5, np.random.default_rng(2)
    probe_person = np.array([0, 0, 1, 2, 3, 4, 4])
    table = rng.random((len(probe_person), people)) + 0.4 * (probe_person[:, None] == np.arange(people))
    comparisons = against_all(probe_person, np.arange(people))
    judge = Judge(comparisons, np.zeros(comparisons.probe.shape, int), 1, people)
    counts = np.array([2.0, 0, 1, 1, 1])
    taken: list[np.ndarray] = []

    def one_draw(persons: int, statistics: Callable[[np.ndarray], np.ndarray], **_: object) -> np.ndarray:
        taken.append(statistics(counts))
        return np.stack([taken[-1]] * 2)

    monkeypatch.setattr("likeness.study.identity.comparisons.resample_persons", one_draw)
    (figures,) = judge.figures([table.ravel()])

    copies = [p for p in range(people) for _ in range(int(counts[p]))]
    genuine, impostor = [], []
    for x, p in enumerate(copies):
        for row in np.flatnonzero(probe_person == p):
            genuine.append(table[row, p])
            impostor += [table[row, q] for y, q in enumerate(copies) if y != x and q != p]
    g, i = np.array(genuine), np.array(impostor)
    drawn = {name: one.low for name, one in figures.values.items()}
    assert drawn["genuine"] == pytest.approx(g.mean())
    assert drawn["impostor"] == pytest.approx(i.mean())
    assert drawn["eer"] == pytest.approx(v.equal_error_rate(g, i))
    assert drawn["d_prime"] == pytest.approx(v.d_prime(g, i))
    right = table.argmax(1) == probe_person
    assert drawn["rank_one"] == pytest.approx(np.average(right, weights=counts[probe_person]))
    assert figures.values["genuine"].value == pytest.approx(table[np.arange(7), probe_person].mean())
    assert math.isnan(figures.values["tar_at_far_0.01"].value)  # 28 impostors
