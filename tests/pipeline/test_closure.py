"""Closure: exact where it is looked at, and looked at where it is worst."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from flowglass.pipeline.closure import LOOKED_AT, Product, closure


def draw(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_closure_is_relative_to_the_largest_term() -> None:
    """Cancelling terms do not exaggerate a rounding error; 0/0 is 0; NaN stays NaN."""
    big = torch.full((1, 1, 2), 100.0)
    small = torch.full((1, 1, 2), 1e-3)
    assert closure(2 * small, small, big, -big).item() < 2e-5
    assert closure(2 * small, small).item() == 1
    assert closure(0 * big, 0 * big, 0 * big).item() == 0
    assert closure(big * torch.nan, big).isnan().all()


def step(seed: int, *, positions: int = 50, width: int = 24) -> tuple[Tensor, Product]:
    """What is at hand of two prompts, and forty parts beside it."""
    numbers, directions = draw(seed, 2, positions, 40), draw(seed + 1, 40, width)
    return draw(seed + 2, 2, positions, width), Product(numbers, directions)


@given(
    seed=st.integers(0, 2**16),
    position=st.integers(0, 49),
    coordinates=st.integers(1, 24),
    size=st.floats(1e-3, 1e3),
)
@settings(deadline=None, max_examples=60)
def test_an_error_at_one_position_is_found(
    seed: int, position: int, coordinates: int, size: float
) -> None:
    """Wherever it is and in however few coordinates: its closure is the exact one."""
    held, product = step(seed)
    whole = held + product.numbers @ product.directions
    wrong = whole.clone()
    wrong[1, position, :coordinates] += size

    found = closure(held, wrong, held, products=[product])

    exact = closure(whole, wrong, held)
    assert found.argmax() == 50 + position
    torch.testing.assert_close(found.amax(1), exact.amax(1), rtol=1e-4, atol=2e-6)


def test_what_is_looked_at_is_exact() -> None:
    """Where positions are looked at their closure is that of the sum, 0 elsewhere; few
    positions are all looked at."""
    held, product = step(0)
    wrong = held + product.numbers @ product.directions + draw(5, 2, 50, 24)
    exact = closure(held + product.numbers @ product.directions, wrong)

    found = closure(held, wrong, products=[product])

    seen = found > 0
    assert seen.sum(1).tolist() == [LOOKED_AT, LOOKED_AT]
    torch.testing.assert_close(found[seen], exact[seen])
    few = Product(product.numbers[:, :LOOKED_AT], product.directions)
    found = closure(held[:, :LOOKED_AT], wrong[:, :LOOKED_AT], products=[few])
    torch.testing.assert_close(found, exact[:, :LOOKED_AT])


@pytest.mark.parametrize("nothing", [torch.nan, torch.inf])
def test_what_is_no_number_is_looked_at(nothing: float) -> None:
    """A NaN or an infinity in one part of one position is no small error."""
    held, product = step(1)
    whole = held + product.numbers @ product.directions
    product.numbers[0, 17, 3] = nothing

    found = closure(held, whole, products=[product])

    assert not found[0, 17].isfinite()
    assert found[1].max() < 2e-5


def test_padding_is_not_looked_at() -> None:
    """However wrong the places of padding are, a real one is found."""
    held, product = step(3)
    wrong = held + product.numbers @ product.directions
    wrong[:, 40:] += 1000
    wrong[0, 11] += 0.1
    valid = torch.ones(2, 50, dtype=torch.bool)
    valid[:, 40:] = False

    found = closure(held, wrong, products=[product], valid=valid)

    assert found[0].argmax() == 11
    assert found[:, 40:].count_nonzero() == 0


def test_nothing_at_all_closes() -> None:
    """Positions where everything is 0 have closure 0, not 0/0."""
    held, product = step(2)
    zeros = Product(product.numbers * 0, product.directions)
    assert closure(held * 0, held * 0, products=[zeros]).count_nonzero() == 0
