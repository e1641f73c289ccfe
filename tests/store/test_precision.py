"""Rounding keeps what routes and aggregates rely on."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from flowglass.store.precision import round_mantissa

FLOATS = arrays(np.float32, st.integers(1, 20), elements=st.floats(width=32))
NORMAL = st.floats(2.0**-126, 2.0**127, width=32) | st.just(0.0)
NUMBERS = arrays(np.float32, st.integers(1, 20), elements=NORMAL)


@settings(deadline=None, max_examples=50)
@given(NUMBERS, st.integers(1, 22))
def test_the_relative_error_is_bounded(x: np.ndarray, bits: int) -> None:
    """At most half a step of the last mantissa bit that is kept."""
    error = np.abs(round_mantissa(x, bits).astype(np.float64) - x)
    assert (error <= x * 2.0 ** -(bits + 1)).all()


@settings(deadline=None, max_examples=50)
@given(NUMBERS)
def test_rounding_keeps_order(x: np.ndarray) -> None:
    """What was at or above a cutoff is at or above the rounded cutoff."""
    assert (np.diff(round_mantissa(np.sort(x))) >= 0).all()


@settings(deadline=None, max_examples=50)
@given(FLOATS, st.integers(1, 22))
def test_rounding_twice_is_rounding_once(x: np.ndarray, bits: int) -> None:
    """And sign, zero, infinities and NaN stay what they are."""
    once = round_mantissa(x, bits)
    assert np.array_equal(round_mantissa(once, bits), once, equal_nan=True)
    assert (np.isnan(once) == np.isnan(x)).all()
    assert (np.signbit(once) == np.signbit(x))[~np.isnan(x)].all()
    assert (once == x)[np.isinf(x) | (x == 0)].all()


def test_ties_go_to_even() -> None:
    """Halfway between two neighbours, the one with an even last bit is taken."""
    step = 2.0**-7
    halfway = np.array([1 + step / 2, 1 + 3 * step / 2], np.float32)
    assert round_mantissa(halfway).tolist() == [1.0, 1 + 2 * step]
