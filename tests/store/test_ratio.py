"""Intervals of ratios of sums: by hand, against draws, and how often they are right."""

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from flowglass.store.ratio import (
    FEWEST_PROMPTS,
    interval_of_sums,
    resampled_interval,
    with_ratio,
)

Values = NDArray[np.float64]


def sums(x: Values, y: Values) -> list[Values]:
    """What SQL would give for each column of x and y [prompt, column]."""
    n = np.full(x.shape[1], float(len(x)))
    return [n, *(v.sum(0) for v in (x, y, x * x, x * y, y * y))]


def drawn(x: Values, y: Values, seed: int = 0) -> tuple[Values, Values]:
    """The other way to the same interval."""
    return resampled_interval(
        x.astype(np.float32),
        y.astype(np.float32),
        resamples=1000,
        chance=np.random.default_rng(seed),
    )


def prompts(chance: np.random.Generator, n: int, columns: int) -> tuple[Values, Values]:
    """Skewed y, and x of which y brings 0.3 on average, more where y is large."""
    y = chance.gamma(2.0, 1.0, (n, columns))
    share = chance.beta(3.0, 7.0, (n, columns))
    return y * share, y


def test_it_is_the_standard_error_of_residuals() -> None:
    """With y = 1 everywhere, of a mean: t s / sqrt(n), as anybody computes it."""
    x = np.random.default_rng(0).normal(3.0, 2.0, (25, 1))
    ratio, low, high = interval_of_sums(*sums(x, np.ones_like(x)))
    half = 2.0639 * x.std(ddof=1) / 5  # t of 24 degrees, from a printed table
    assert ratio == pytest.approx(x.mean(0))
    assert low == pytest.approx(x.mean(0) - half, abs=1e-4)
    assert high == pytest.approx(x.mean(0) + half, abs=1e-4)


def test_both_ways_are_right_19_times_of_20() -> None:
    """Each holds the true ratio in 92 to 98% of 400 samples of 60 prompts."""
    x, y = prompts(np.random.default_rng(1), 60, 400)
    # Each column is a sample; E x / E y = 0.3 since share and y are independent.
    for low, high in (interval_of_sums(*sums(x, y))[1:], drawn(x, y)):
        assert 0.92 <= np.mean((low <= 0.3) & (high >= 0.3)) <= 0.98


def test_with_many_prompts_both_ways_agree() -> None:
    """Ends of 2,000 prompts' intervals lie within a tenth of their length."""
    x, y = prompts(np.random.default_rng(2), 2000, 20)
    _, low, high = interval_of_sums(*sums(x, y))
    found = np.stack(drawn(x, y))
    assert np.abs(found - np.stack([low, high])).max() < 0.1 * (high - low).min()


def test_few_prompts_have_no_interval() -> None:
    """One fewer than the fewest; prompts that bring nothing do not count as some."""
    x, y = prompts(np.random.default_rng(3), FEWEST_PROMPTS - 1, 1)
    ratio, low, high = interval_of_sums(*sums(x, y))
    assert np.isfinite(ratio).all()
    assert np.isnan([low, high]).all()
    nothing = np.zeros((50, 1))
    low, high = drawn(np.concatenate([x, nothing]), np.concatenate([y, nothing]))
    assert np.isnan([low, high]).all()


def test_a_table_gets_numbers_or_nulls() -> None:
    """A ratio of 0 / 0 is null, and the lower end is not below what can be."""
    rows = {
        "n": [16, 16],
        "x": [0.5, 0.0],
        "y": [16.0, 0.0],
        "xx": [0.25, 0.0],
        "xy": [0.5, 0.0],
        "yy": [16.0, 0.0],
    }
    found = with_ratio(pa.table({"name": ["a", "b"], **rows}), "share", least=0)
    assert found.column_names == ["name", "share", "low", "high"]
    assert found["share"].to_pylist() == [0.03125, None]
    assert found["low"].to_pylist() == [0.0, None]
    assert found["high"][0].as_py() > 0.03125
