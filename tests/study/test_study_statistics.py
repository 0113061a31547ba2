"""How sure a figure is, when rows belong together."""

from __future__ import annotations

import numpy as np
import pytest

from likeness.study.statistics import bootstrap, grouped

VALUES = np.random.default_rng(0).normal(3, 1, 40)


def test_draws_that_say_the_same_make_a_figure_no_surer() -> None:
    groups = [f"p{number}" for number in range(40)] * 3
    assert grouped(np.tile(VALUES, 3), groups) == pytest.approx(bootstrap(VALUES))
    careless = bootstrap(np.tile(VALUES, 3))
    assert careless.high - careless.low < 0.7 * (bootstrap(VALUES).high - bootstrap(VALUES).low)


def test_one_row_to_a_group_is_the_plain_interval() -> None:
    assert grouped(VALUES, list(range(40))) == bootstrap(VALUES)


def test_groups_of_different_sizes_and_a_statistic_of_the_rows() -> None:
    pairs = np.stack([VALUES, VALUES + 1], axis=1)
    groups = [number // 3 for number in range(40)]
    found = grouped(pairs, groups, lambda drawn: float(drawn[:, 0].sum() / drawn[:, 1].sum()))
    assert found.value == pytest.approx(VALUES.sum() / (VALUES + 1).sum())
    assert found.low < found.value < found.high


def test_rows_without_a_group_and_values_that_are_none() -> None:
    with pytest.raises(ValueError, match="40 values, but 3 groups"):
        grouped(VALUES, [1, 2, 3])
    with pytest.raises(ValueError, match="finite"):
        grouped(np.array([1.0, np.nan, 2.0]), [1, 1, 2])
