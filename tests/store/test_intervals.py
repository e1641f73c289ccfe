"""Intervals in SQL: the numbers of textbooks, and of brute force."""

from math import sqrt

import duckdb
import numpy as np
import pytest

from flowglass.store.intervals import N_EFFECTIVE, around, ratio_error, wilson


def value(sql: str, rows: str = "(SELECT 1)") -> float | None:
    with duckdb.connect() as connection:
        found = connection.execute(f"SELECT {sql} FROM {rows}").fetchone()
    assert found is not None
    return found[0]  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("share", "n", "low", "high"),
    [(0.5, 10, 0.2366, 0.7634), (0.0, 10, 0.0, 0.2775), (1.0, 20, 0.8389, 1.0)],
)
def test_wilson(share: float, n: int, low: float, high: float) -> None:
    """As tabulated for a share of n; at 0 and 1 it is no point."""
    ends = [value(wilson(f"{share}::DOUBLE", f"{n}::DOUBLE", sign)) for sign in "-+"]
    assert ends == pytest.approx([low, high], abs=5e-5)


def test_wilson_of_nothing_is_null() -> None:
    """No answer was due: neither end is a number."""
    assert value(wilson("NULL::DOUBLE", "NULL::DOUBLE", "+")) is None


@pytest.mark.parametrize(
    ("n", "t"), [(5, 2.776), (10, 2.262), (30, 2.045), (900, 1.963)]
)
def test_student(n: int, t: float) -> None:
    """Student's quantile within 2%, for so few prompts as have an interval."""
    assert value(around("0.0", "1.0", f"{n}", "+")) == pytest.approx(t, rel=0.02)
    assert value(around("0.0", "1.0", "4", "+")) is None


def test_kish() -> None:
    """Equal prompts count as prompts; one large one for hardly more than one."""
    assert value(N_EFFECTIVE, "(SELECT 7 AS n FROM range(5))") == 5
    uneven = "(SELECT unnest([100, 1, 1]) AS n)"
    assert value(N_EFFECTIVE, uneven) == pytest.approx(102**2 / (100**2 + 2))


def test_the_error_of_a_ratio() -> None:
    """The textbook's sum of squares, and about what a jackknife over prompts finds."""
    chance = np.random.default_rng(0)
    t = chance.integers(5, 15, 400)
    x = t * (0.3 + 0.1 * chance.standard_normal(400))
    pairs = ", ".join(
        f"({a!r}::DOUBLE, {b})" for a, b in zip(x.tolist(), t.tolist(), strict=True)
    )
    found = value(ratio_error("x", "t"), f"(VALUES {pairs}) AS p(x, t)")

    ratio = x.sum() / t.sum()
    spread = ((x - ratio * t) ** 2).sum() * 400 / 399
    assert found == pytest.approx(sqrt(spread) / t.sum(), rel=1e-6)
    left_out = (x.sum() - x) / (t.sum() - t)
    jackknife = sqrt(399 / 400 * ((left_out - left_out.mean()) ** 2).sum())
    assert found == pytest.approx(jackknife, rel=0.02)
