"""Precision and recall, iPrecision and iRecall: small sets worked out by hand, larger ones by loops."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from likeness.measure import manifold
from likeness.measure.manifold import identity_precision_recall, neighbour_distance, precision_recall


def line(*places: float) -> Tensor:
    return torch.tensor(places)[:, None]


def by_loops(points: Tensor, by: Tensor, k: int, who: list[int] | None = None, whose: list[int] | None = None) -> float:
    """The share of ``points`` that some ball of ``by`` (of the same person) covers."""

    def far(x: Tensor, y: Tensor) -> float:
        return math.sqrt(sum((float(p) - float(q)) ** 2 for p, q in zip(x, y, strict=True)))

    radius = [sorted(far(one, other) for j, other in enumerate(by) if j != i)[k - 1] for i, one in enumerate(by)]
    hits = 0
    for i, point in enumerate(points):
        for j, centre in enumerate(by):
            same = who is None or whose is None or who[i] == whose[j]
            if same and far(point, centre) <= radius[j]:
                hits += 1
                break
    return hits / len(points)


def test_neighbours_by_hand() -> None:
    """0, 1, 3, 7: the nearest other ones are 1, 1, 2, 4 away, the second nearest 3, 2, 3, 6."""
    x = line(0, 1, 3, 7)
    assert neighbour_distance(x, 1).tolist() == [1, 1, 2, 4]
    assert neighbour_distance(x, 2).tolist() == [3, 2, 3, 6]
    assert neighbour_distance(line(2, 2, 5), 1).tolist() == [0, 0, 3]  # an equal feature is a neighbour too


def test_precision_and_recall_by_hand() -> None:
    """k = 1. Real 0, 1, 10, 12 reach 1, 1, 2, 2: they cover [-1, 2], [8, 14]. Restored 1.5, 5, 14 reach 3.5, 3.5, 9:
    they cover [-2, 8.5] and [5, 23]."""
    got = precision_recall(line(0, 1, 10, 12), line(1.5, 5, 14), k=1)
    assert got.precision == pytest.approx(2 / 3)  # 14 lies on the edge
    assert got.recall == 1.0
    got = precision_recall(line(0, 1, 10, 12), line(100, 101, 102), k=1)
    assert got == (0.0, 0.0)


def test_iprecision_and_irecall_by_hand() -> None:
    """Pairs, k = 1. Real 0, 1, 10 reach 1, 1, 9; restored 0.5, 11, 9 reach 8.5, 2, 2.

    Restored 0.5 is within its own real 0; 11 is within reach of the real 10 only, who is another; 9 is within its own.
    Real 0 is within its own restored one (0.5, 8.5); 1 is within reach of 0.5 only, another; 10 of its own 9.
    """
    real, restored = line(0, 1, 10), line(0.5, 11, 9)
    assert identity_precision_recall(real, restored, k=1) == (pytest.approx(2 / 3), pytest.approx(2 / 3))
    assert precision_recall(real, restored, k=1) == (1.0, 1.0)  # who it is does not count there


def test_the_three_cases_of_figure_4() -> None:
    """papers/003, Figure 4 (c)-(e): near the same person counts; out of reach, or near another, does not."""
    real = line(0, 1, 2, 3, 4, 50, 51, 52, 53, 54)  # four neighbours reach at most 4
    person = torch.tensor([7, 1, 2, 3, 4, 8, 11, 12, 13, 14])
    for place, who, wanted in ((1.5, 7, 1.0), (9.0, 7, 0.0), (0.0, 8, 0.0)):
        restored = line(*[place] * 5)
        got = identity_precision_recall(real, restored, person, torch.full((5,), who))
        assert got.precision == wanted


def test_any_picture_of_the_same_person_will_do() -> None:
    """Eq. 11 asks for one real e' of the same identity, not for the true one of the pair, nor for the nearest."""
    real, restored = line(0, 20, 22), line(21, 0.1, 50)
    person = torch.tensor([1, 2, 1])
    got = identity_precision_recall(real, restored, person, torch.tensor([1, 1, 2]), k=1)
    assert got.precision == pytest.approx(2 / 3)  # 21 by 22, 0.1 by 0; 50 is nobody


def test_with_one_neighbour_it_asks_whether_the_restored_face_is_the_nearest() -> None:
    """What papers/003, section 5.3, says of k = 1."""
    generator = torch.Generator().manual_seed(0)
    real = torch.randn(30, 4, generator=generator, dtype=torch.float64)
    restored = real + 0.8 * torch.randn(30, 4, generator=generator, dtype=torch.float64)
    nearest = 0
    for i in range(30):
        others = [float((real[i] - real[j]).norm()) for j in range(30) if j != i]
        nearest += float((real[i] - restored[i]).norm()) <= min(others)
    assert identity_precision_recall(real, restored, k=1).precision == nearest / 30
    assert 0 < nearest < 30


@pytest.mark.parametrize("k", [1, 3, 4])
@pytest.mark.parametrize("width", [1, 2, 5])
def test_both_are_what_loops_find(k: int, width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifold, "_ROWS", 7)  # several rounds
    generator = torch.Generator().manual_seed(10 * k + width)
    real = torch.randn(24, width, generator=generator, dtype=torch.float64).mul(4).round()  # whole numbers: ties
    restored = torch.randn(17, width, generator=generator, dtype=torch.float64).mul(5).round()
    got = precision_recall(real, restored, k)
    assert got == (by_loops(restored, real, k), by_loops(real, restored, k))
    person = torch.randint(0, 4, (24,), generator=generator)
    who = torch.randint(0, 4, (17,), generator=generator)
    same = identity_precision_recall(real, restored, person, who, k)
    want = by_loops(restored, real, k, who.tolist(), person.tolist())
    assert same == (want, by_loops(real, restored, k, person.tolist(), who.tolist()))
    assert same.precision <= got.precision


def test_four_neighbours_are_the_default() -> None:
    generator = torch.Generator().manual_seed(0)
    real, restored = (torch.randn(40, 3, generator=generator) for _ in range(2))
    assert identity_precision_recall(real, restored) == identity_precision_recall(real, restored, k=4)
    assert identity_precision_recall(real, restored) != identity_precision_recall(real, restored, k=3)


def test_perfect_restorations() -> None:
    real = torch.randn(12, 3, generator=torch.Generator().manual_seed(0))
    assert identity_precision_recall(real, real.clone()) == (1.0, 1.0)


def test_what_does_not_fit_is_refused() -> None:
    x = torch.zeros(6, 2)
    with pytest.raises(ValueError, match="k must be"):
        precision_recall(x, x[:3], k=3)
    with pytest.raises(ValueError, match="k must be"):
        precision_recall(x, x, k=0)
    with pytest.raises(ValueError, match=r"\(N, D\)"):
        precision_recall(x, torch.zeros(6, 3))
    with pytest.raises(ValueError, match="finite"):
        precision_recall(x, x * float("nan"))
    with pytest.raises(ValueError, match="pairs"):
        identity_precision_recall(x, x[:5])
    with pytest.raises(ValueError, match="neither"):
        identity_precision_recall(x, x, torch.arange(6))
    with pytest.raises(ValueError, match="whole numbers"):
        identity_precision_recall(x, x, torch.arange(6), torch.zeros(6))
    with pytest.raises(ValueError, match="whole numbers"):
        identity_precision_recall(x, x, torch.arange(6), torch.arange(5))
