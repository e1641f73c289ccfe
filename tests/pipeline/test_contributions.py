"""Properties that contributions have for any numbers at all."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from flowglass.pipeline.contributions import (
    Step,
    contributions,
    proximities_of_multiples,
    proximity,
)

SHAPES = st.tuples(*(st.integers(1, n) for n in (3, 4, 6, 8)))


def draw(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def pattern_of(seed: int, batch: int, heads: int, n: int) -> Tensor:
    """A random causal attention pattern."""
    scores = draw(seed, batch, heads, n, n)
    future = torch.ones(n, n, dtype=torch.bool).triu(1)
    return scores.masked_fill(future, -torch.inf).softmax(-1)


@given(shape=SHAPES, seed=st.integers(0, 2**16))
@settings(deadline=None, max_examples=40)
def test_contributions_of_a_step_sum_to_one(
    shape: tuple[int, int, int, int], seed: int
) -> None:
    """resid, attn and ffn share 1 at every query, and none is negative."""
    batch, heads, n, width = shape
    pattern = pattern_of(seed, batch, heads, n)
    whole = draw(seed + 2, batch, n, width)
    values = draw(seed + 1, batch, heads, n, width)
    step = contributions(
        Step(
            resid=proximity(draw(seed + 3, batch, n, width), whole),
            attn=proximities_of_multiples(pattern, values, whole, causal=True),
            ffn=proximity(draw(seed + 4, batch, n, width), whole),
            bias=proximity(draw(seed + 5, batch, n, width), whole),
        )
    )

    total = step.resid + step.attn.sum((1, 3)) + step.ffn

    torch.testing.assert_close(total, torch.ones_like(total))
    assert min(t.min() for t in (step.resid, step.attn, step.ffn, step.bias)) >= 0


@given(
    shape=SHAPES,
    seed=st.integers(0, 2**16),
    elements=st.integers(1, 500),
    causal=st.booleans(),
)
@settings(deadline=None, max_examples=40)
def test_tiles_change_nothing(
    shape: tuple[int, int, int, int], seed: int, elements: int, causal: bool
) -> None:
    """Whatever the size of a tile, each part has the proximity it has alone."""
    batch, heads, n, width = shape
    pattern = (
        pattern_of(seed, batch, heads, n) if causal else draw(seed, *shape[:2], n, n)
    )
    values, whole = draw(seed, batch, heads, n, width), draw(seed, batch, n, width)

    found = proximities_of_multiples(
        pattern, values, whole, causal=causal, tile=elements
    )

    for b in range(batch):
        for h in range(heads):
            for i in range(n):
                for j in range(n):
                    alone = proximity(
                        pattern[b, h, i, j] * values[b, h, j], whole[b, i]
                    )
                    torch.testing.assert_close(found[b, h, i, j], alone)


def test_future_keys_are_exactly_zero() -> None:
    """A key after its query has attention 0, so proximity 0, not nearly 0."""
    found = proximities_of_multiples(
        pattern_of(0, 2, 3, 7), draw(1, 2, 3, 7, 5), draw(2, 2, 7, 5), causal=True
    )
    assert found.triu(1).count_nonzero() == 0


def test_nothing_near_leaves_everything_to_resid() -> None:
    """Where every proximity is 0, resid has it all; there is no NaN."""
    zero = torch.zeros(1, 2)
    step = contributions(Step(zero, torch.zeros(1, 1, 2, 2), zero, zero))
    assert step.resid.tolist() == [[1, 1]]
    assert step.attn.count_nonzero() == 0


def test_a_part_that_points_away_contributes_nothing() -> None:
    """Proximity is clipped at 0, and a part equal to the whole has its full norm."""
    whole = torch.tensor([1.0, -2.0])
    assert proximity(-whole, whole) == 0
    assert proximity(whole, whole) == 3
