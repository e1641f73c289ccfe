"""Proximities of parts that are multiples of few vectors, on a CPU: exact and sparse.

For a part a * u and the whole y, with s = sign(y),

    |y|_1 - |y - a u|_1 = a <s, u> - 2 sum_d max(0, a s_d u_d - |y_d|)

1. *Pull*: <s, u>. Signs need no products: sums of four coordinates with every pattern
   of signs are made once for a vector, and then looked up for each whole (the method of
   four Russians); a matrix product takes twice the time. The left side is concave in
   a and 0 at a = 0, so it is at most a * pull: where that is not positive the proximity
   is 0, and the part is done.
2. *Overshoot*: the sum. A coordinate is in it only where |y_d| < |a| max|u|, a few in a
   hundred; with the coordinates sorted by |y_d| they come first.

Both terms are as small as the part, so small parts lose nothing to cancellation.
"""

from itertools import product

import torch
from jaxtyping import Float
from torch import Tensor

from . import contributions
from .goal import Goal
from .kernels import compiled, in_threads, pieces
from .proximity_loop import many_parts, one_part

LANES = 64
"""Vectors that stay in the cache while the queries pass by; at most, where there are
few,"""

MANY = 512
"""and twice as many where there are so many vectors."""

TILE_ON_CPU = 2**20
"""Floats of the vectors that exist at once: 4 MB stay in the cache."""

TILE_ELSEWHERE = 2**27


def proximity(
    part: Float[Tensor, "batch query d_model"],
    whole: Float[Tensor, "batch query d_model"],
) -> Float[Tensor, "batch query"]:
    """`contributions.proximity` in one pass."""
    if not part.is_cpu:
        return contributions.proximity(part, whole)
    rows = whole.shape[:-1]
    found = torch.zeros(rows, dtype=whole.dtype)
    parts, wholes = (t.contiguous().flatten(0, -2).numpy() for t in (part, whole))
    loop, out = compiled(one_part), found.flatten().numpy()

    def work(start: int, stop: int) -> None:
        some = slice(start, stop)
        loop(parts[some], wholes[some], out[some])

    in_threads(work, pieces(len(wholes)))
    return found


def proximities_of_multiples(
    coefficient: Float[Tensor, "batch head query key"],
    vectors: Float[Tensor, "batch head key d_model"],
    goal: Goal,
    *,
    causal: bool,
) -> Float[Tensor, "batch head query key"]:
    """The proximity of every part `coefficient[h, i, j] * vectors[h, j]` to `whole[i]`.

    With `causal`, keys after the query must have a coefficient of 0.
    """
    if not coefficient.is_cpu:
        return contributions.proximities_of_multiples(
            coefficient, vectors, goal.whole, causal=causal
        )
    coefficient = coefficient.contiguous()
    result = torch.zeros_like(coefficient)
    turned = vectors.transpose(2, 3).contiguous()
    _fill(result, coefficient, turned, goal, causal=causal)
    return result


def proximities_of_products(
    coefficient: Float[Tensor, "batch head query key"],
    value: Float[Tensor, "batch head key d_head"],
    output: Float[Tensor, "head d_head d_model"],
    goal: Goal,
) -> Float[Tensor, "batch head query key"]:
    """The same, causal, for the vectors `value[h, j] @ output[h]`, of which no more
    than a tile exists at once."""
    batch, heads, _, keys = coefficient.shape
    coefficient = coefficient.contiguous()
    result = torch.zeros_like(coefficient)
    most = TILE_ON_CPU if coefficient.is_cpu else TILE_ELSEWHERE
    per_head = keys * output.shape[-1]
    heads_at_once = min(heads, max(1, most // per_head))
    prompts_at_once = max(1, most // (per_head * heads))
    for b, h in product(
        range(0, batch, prompts_at_once), range(0, heads, heads_at_once)
    ):
        some, own = slice(b, b + prompts_at_once), slice(h, h + heads_at_once)
        values = value[some, own].transpose(2, 3)
        turned = output[own].transpose(1, 2) @ values
        if coefficient.is_cpu:
            _fill(result, coefficient, turned, goal, at=(b, h), causal=True)
        else:
            result[some, own] = contributions.proximities_of_multiples(
                coefficient[some, own],
                turned.transpose(2, 3),
                goal.whole[some],
                causal=True,
            )
    return result


def _fill(
    result: Tensor,
    coefficient: Tensor,
    turned: Tensor,
    goal: Goal,
    *,
    causal: bool,
    at: tuple[int, int] = (0, 0),
) -> None:
    """Run the loop over every head of a tile of vectors [batch, head, d_model, key],
    whose first prompt and head are `at`."""
    loop, wholes = compiled(many_parts), goal.sorted
    times, of, out = (tensor.numpy() for tensor in (coefficient, turned, result))
    batch, heads, _, keys = of.shape
    lanes = min(LANES if keys < MANY else 2 * LANES, -(-keys // 16) * 16)

    def work(b: int, h: int, start: int, stop: int) -> None:
        some = (at[0] + b, at[1] + h, b, h, start * lanes, min(keys, stop * lanes))
        loop(times, of, some, lanes, causal, *wholes, out)

    cuts = pieces(-(-keys // lanes), of=batch * heads)
    in_threads(
        work,
        ((b, h, *cut) for b in range(batch) for h in range(heads) for cut in cuts),
    )
