"""Rankings by stated rules: order, ties that chance explains, who is left out, and what is said."""

from __future__ import annotations

import numpy as np
import pytest

from likeness.measure.cards import metric_card
from likeness.study.compare_document import SECONDS, TO_INPUT
from likeness.study.ranking import BASELINE, PREFERENCES, Criterion, groups, leaders, rank, told_apart

CARDS = {"seconds": SECONDS, "identity-to-input": TO_INPUT}
N = 12


def values(mean: float, noise: float = 0.0, seed: int = 0, count: int = N) -> dict[str, float]:
    """Of ``count`` pictures; ``noise`` differs from seed to seed."""
    shared = np.random.default_rng(99).normal(size=count)  # pictures are easy or hard for all
    own = np.random.default_rng(seed).normal(size=count) * noise
    return {f"p{i:02d}": float(mean + shared[i] + own[i]) for i in range(count)}


def criterion(metric: str, **contenders: dict[str, float]) -> Criterion:
    return Criterion(CARDS.get(metric) or metric_card(metric), contenders)


def criteria(**metrics: dict[str, dict[str, float]]) -> dict[str, Criterion]:
    return {n.replace("_", "-"): criterion(n.replace("_", "-"), **contenders) for n, contenders in metrics.items()}


def order(ranking) -> list[tuple[int, str]]:  # type: ignore[no-untyped-def]
    return [(one.place, one.name) for one in ranking.places]


def test_a_small_difference_on_all_pictures_counts_though_pictures_differ_much() -> None:
    """Paired: the spread between pictures (1 dB) is ten times the difference, and says nothing about it."""
    assert told_apart(values(30.1), values(30.0), True) == "better"
    assert told_apart(values(30.1), values(30.0), False) == "worse"
    assert told_apart(values(30.05, noise=1, seed=1), values(30.0, noise=1, seed=2), True) == "not told apart"


@pytest.mark.parametrize(("count", "verdict"), [(5, "not told apart"), (6, "better")])
def test_few_pictures_tell_nothing_apart(count: int, verdict: str) -> None:
    assert told_apart(values(31, count=count), values(30, count=count), True) == verdict


def test_noise_is_not_ranked() -> None:
    measured = criterion("psnr", a=values(30), b=values(30.02, noise=0.5, seed=1), c=values(28), input=values(26))
    found = rank("fidelity", {"psnr": measured})
    assert sorted(order(found)[:2]) == [(1, "a"), (1, "b")]
    assert order(found)[2] == (3, "c")
    assert set(found.places[0].shared) | {found.places[0].name} == {"a", "b"}
    assert "share the first place" in found.sentence
    assert [one.against_input for one in found.places] == ["better"] * 3
    assert "Then follows c" in found.sentence


def test_fidelity_goes_by_psnr_then_by_ssim() -> None:
    tied = {"a": values(30, 0.5, 1), "b": values(30, 0.5, 2), "c": values(25)}
    ssim = {"a": values(0.5), "b": values(0.9), "c": values(2.0)}  # c is worse by PSNR: SSIM has no say
    assert [len(group) for group in groups(list(tied), [criterion("psnr", **tied)])] == [2, 1]
    assert order(rank("fidelity", criteria(psnr=tied, ssim=ssim))) == [(1, "b"), (2, "a"), (3, "c")]


def test_a_group_is_what_its_best_is_not_told_apart_from() -> None:
    """b is told apart from neither a nor c, but a from c: c does not share the first place."""
    a, c = values(30.6), values(30.0)
    b = {p: (a[p] + c[p]) / 2 + (1.2 if i % 2 else -1.2) for i, p in enumerate(a)}
    psnr = criterion("psnr", a=a, b=b, c=c)
    assert told_apart(a, b, True) == told_apart(b, c, True) == "not told apart"
    assert groups(["c", "b", "a"], [psnr]) == [["a", "b"], ["c"]]
    assert leaders(psnr) == ["a", "b"]


def test_lower_is_better_where_it_is() -> None:
    found = rank("perception", criteria(niqe_faces={"a": values(9), "b": values(5), "input": values(12)}))
    assert order(found) == [(1, "b"), (2, "a")]
    assert "NIQE" in found.rule
    by_lpips = criteria(niqe_faces={"a": values(9), "b": values(5)}, lpips_alex={"a": values(1), "b": values(2)})
    assert order(rank("perception", by_lpips)) == [(1, "a"), (2, "b")]
    assert order(rank("identity", criteria(identity_distance={"a": values(3), "b": values(2)}))) == [(1, "b"), (2, "a")]


def test_no_method_better_than_the_input_is_said() -> None:
    found = rank("identity", criteria(identity_distance={"a": values(3), "b": values(4), "input": values(2)}))
    assert [one.against_input for one in found.places] == ["worse", "worse"]
    assert "no method is better" in found.sentence
    assert BASELINE not in [one.name for one in found.places]


def test_identity_without_a_truth_goes_by_the_input() -> None:
    found = rank("identity", criteria(identity_to_input={"a": values(3), "b": values(2)}))
    assert order(found) == [(1, "b"), (2, "a")]
    assert "distance to the input" in found.rule


def test_speed_is_for_those_who_keep_the_person() -> None:
    measured = criteria(
        seconds={"fast": values(1), "slow": values(3), "stranger": values(0.1)},
        identity_distance={"fast": values(4), "slow": values(3), "stranger": values(9), "input": values(4)},
    )
    found = rank("speed", measured)
    assert order(found) == [(1, "fast"), (2, "slow")]
    assert "farther from the person" in found.left_out["stranger"]
    del measured["identity-distance"]
    found = rank("speed", measured, {"fast": 1.0, "slow": 0.95, "stranger": 0.9})
    assert order(found) == [(1, "fast"), (2, "slow")]
    assert "90 %" in found.left_out["stranger"]


def test_the_same_pictures_for_all_and_who_has_few_is_left_out() -> None:
    most = dict(list(values(28).items())[2:])  # the two that it lacks must not help the others
    few = dict(list(values(50).items())[:3])
    found = rank("fidelity", criteria(psnr={"a": values(30), "b": most, "c": few}))
    assert order(found) == [(1, "a"), (2, "b")]
    assert found.pictures == N - 2
    assert found.left_out == {"c": f"has values for 3 of {N} pictures"}
    wanted = np.mean([v for p, v in values(30).items() if p in most])
    assert found.places[0].estimate.value == pytest.approx(wanted)


@pytest.mark.parametrize("prefer", PREFERENCES)
def test_nothing_measured_is_said(prefer: str) -> None:
    found = rank(prefer, {})
    assert found.places == ()
    assert found.sentence.startswith(f"No ranking for {prefer}: ")
    assert found.as_dict()["sentence"] == found.sentence


def test_one_picture_has_no_interval_and_is_ranked_as_a_tie() -> None:
    found = rank("fidelity", criteria(psnr={"a": {"p": 30.0}, "b": {"p": 20.0}}))
    assert order(found) == [(1, "a"), (1, "b")]
    assert "over 1 picture." in found.sentence


def test_unknown_preference() -> None:
    with pytest.raises(ValueError, match="unknown preference 'beauty'; choose from fidelity"):
        rank("beauty", {})
