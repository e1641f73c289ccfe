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

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from . import contributions
from .coordinate_loop import few_queries, one_part
from .goal import Goal
from .kernels import can_fuse, compiled, fused, in_threads, pieces
from .proximity_loop import look_up_pulls, multiples, products

LANES = 64
"""Vectors that stay in the cache while the queries pass by, at most;"""

MANY = 512
"""twice as many where there are so many vectors."""

FEW = 8
"""For fewer queries the sum over all coordinates is cheaper than to look up pulls."""

TILE = 2**27
"""Floats of the vectors that exist at once on another device."""


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
        return _in_tensors(coefficient, vectors, goal.whole, causal=causal)
    if coefficient.shape[2] < FEW:
        return _one_by_one(coefficient, vectors, goal.whole)
    vectors, by_row = _as_they_lie(vectors)
    result = torch.zeros_like(coefficient, memory_format=torch.contiguous_format)
    loop, wholes = compiled(multiples), tuple(goal.sorted)
    times, of, out = _arrays(coefficient, vectors, result)
    _in_threads(
        lambda which, lanes: loop(times, of, by_row, which, lanes, causal, wholes, out),
        coefficient,
    )
    return result


def _one_by_one(coefficient: Tensor, vectors: Tensor, whole: Tensor) -> Tensor:
    result = torch.zeros_like(coefficient, memory_format=torch.contiguous_format)
    loop = compiled(few_queries)
    times, of, goals, out = _arrays(coefficient, vectors, whole, result)
    batch, heads, _, keys = times.shape

    def work(b: int, h: int, start: int, stop: int) -> None:
        some = np.ascontiguousarray(times[b, h, :, start:stop])
        loop(some, of[b, h, start:stop], goals[b], out[b, h, :, start:stop])

    cuts = pieces(keys, of=batch * heads)
    in_threads(
        work,
        ((b, h, *cut) for b in range(batch) for h in range(heads) for cut in cuts),
    )
    return result


def proximities_of_products(
    coefficient: Float[Tensor, "batch head query key"],
    value: Float[Tensor, "batch head key d_head"],
    output: Float[Tensor, "head d_head d_model"],
    goal: Goal,
) -> Float[Tensor, "batch head query key"]:
    """The same, causal, for the vectors `value[h, j] @ output[h]`, of which no more
    than a tile exists at once."""
    if not coefficient.is_cpu:
        return products_in_tiles(coefficient, value, output, goal)
    batch, heads, queries, _ = coefficient.shape
    # What pulls a vector is the signs, through the head's output, on its value.
    rows, by_row = _as_they_lie(output.flatten(0, 1)[None, None])
    signs = goal.sorted.patterns.reshape(1, batch * queries, -1)
    back = _pulls(signs, rows, by_row=by_row).reshape(batch, queries, heads, -1)
    pulls = back.transpose(1, 2) @ value.transpose(2, 3)
    result = torch.zeros_like(coefficient, memory_format=torch.contiguous_format)
    loop, wholes = compiled(products), tuple(goal.sorted)
    times, along, of, by, out = _arrays(
        coefficient, pulls, value, output.transpose(1, 2), result
    )
    _in_threads(
        lambda which, lanes: loop(times, along, of, by, which, lanes, wholes, out),
        coefficient,
    )
    return result


def products_in_tiles(
    coefficient: Tensor, value: Tensor, output: Tensor, goal: Goal
) -> Tensor:
    """`proximities_of_products` on any other device."""
    batch, heads, _, keys = coefficient.shape
    result = torch.zeros_like(coefficient)
    per_head = keys * output.shape[-1]
    heads_at_once = min(heads, max(1, TILE // per_head))
    prompts_at_once = max(1, TILE // (per_head * heads))
    for b, h in product(
        range(0, batch, prompts_at_once), range(0, heads, heads_at_once)
    ):
        some, own = slice(b, b + prompts_at_once), slice(h, h + heads_at_once)
        vectors = value[some, own] @ output[own]
        result[some, own] = _in_tensors(
            coefficient[some, own], vectors, goal.whole[some], causal=True
        )
    return result


def _in_tensors(
    coefficient: Tensor, vectors: Tensor, whole: Tensor, *, causal: bool
) -> Tensor:
    """The sum over all coordinates, on another device: fused where that is possible."""
    plain = contributions.all_proximities
    of_tile = fused(plain) if can_fuse(coefficient.device) else plain
    return contributions.proximities_of_multiples(
        coefficient, vectors, whole, causal=causal, of_tile=of_tile
    )


def _as_they_lie(
    vectors: Float[Tensor, "batch head key d_model"],
) -> tuple[Tensor, bool]:
    """Vectors as [batch, head, key, d_model] (then true), or with the last two axes
    turned, without copying them if possible."""
    turned = vectors.transpose(2, 3)
    return (turned, False) if turned.is_contiguous() else (vectors.contiguous(), True)


def _pulls(
    patterns: NDArray[np.uint8], vectors: Tensor, *, by_row: bool
) -> Float[Tensor, "batch head query key"]:
    """The dot products of the signs of wholes, [batch, query, group], with vectors."""
    keys = vectors.shape[2 if by_row else 3]
    pulls = vectors.new_empty(*vectors.shape[:2], patterns.shape[1], keys)
    loop, (of, out) = compiled(look_up_pulls), _arrays(vectors, pulls)
    _in_threads(
        lambda which, lanes: loop(patterns, of, by_row, which, lanes, out), pulls
    )
    return pulls


def _arrays(*tensors: Tensor) -> list[NDArray[Any]]:
    return [tensor.contiguous().numpy() for tensor in tensors]


def _in_threads(work: Callable[..., None], parts: Tensor) -> None:
    """Call `work` with every head's ranges of keys, and how many of them at once."""
    batch, heads, _, keys = parts.shape
    lanes = min(LANES if keys < MANY else 2 * LANES, -(-keys // 16) * 16)
    cuts = pieces(-(-keys // lanes), of=batch * heads)
    in_threads(
        lambda b, h, start, stop: work(
            (b, h, start * lanes, min(keys, stop * lanes)), lanes
        ),
        ((b, h, *cut) for h in range(heads) for b in range(batch) for cut in cuts),
    )
