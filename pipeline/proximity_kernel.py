"""`contributions.proximities_of_multiples` as one fused loop, sums in registers."""

from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from . import contributions
from .kernels import compiled, in_threads, pieces

KEYS_AT_ONCE = 64
"""Vectors that stay in the cache while the queries pass by."""

NOTHING = 1e-30
"""A coefficient this small changes no float32 sum; products with it would be denormal,
which processors compute a hundred times slower."""


def proximities_of_multiples(
    coefficient: Float[Tensor, "batch head query key"],
    vectors: Float[Tensor, "batch head key d_model"],
    whole: Float[Tensor, "batch query d_model"],
    *,
    causal: bool,
) -> Float[Tensor, "batch head query key"]:
    """The proximity of every part `coefficient[h, i, j] * vectors[h, j]` to `whole[i]`.

    With `causal`, keys after the query must have a coefficient of 0.
    """
    if not coefficient.is_cpu:
        return contributions.proximities_of_multiples(
            coefficient, vectors, whole, causal=causal
        )
    loop = compiled(_loop)
    result = torch.zeros_like(coefficient, memory_format=torch.contiguous_format)
    times, of, to, out = (
        tensor.contiguous().numpy() for tensor in (coefficient, vectors, whole, result)
    )
    batch, heads, queries, _ = times.shape

    def work(b: int, h: int, start: int, stop: int) -> None:
        some = slice(start, stop)
        first = start if causal else -1
        loop(times[b, h, some], of[b, h], to[b, some], first, out[b, h, some])

    cuts = pieces(queries, of=batch * heads)
    in_threads(
        work,
        ((b, h, *cut) for b in range(batch) for h in range(heads) for cut in cuts),
    )
    return result


def _loop(times: Any, vectors: Any, whole: Any, first: int, out: Any) -> None:
    """Fill `out` [query, key]; queries start at position `first`, or see all (-1)."""
    queries, keys = times.shape
    width = whole.shape[1]
    zero = out.dtype.type(0)
    kept = np.empty(KEYS_AT_ONCE, np.int64)
    for start in range(0, keys, KEYS_AT_ONCE):
        for i in range(queries):
            stop = min(start + KEYS_AT_ONCE, keys)
            if first >= 0:
                stop = min(stop, first + i + 1)
            n = 0
            for j in range(start, stop):
                if abs(times[i, j]) > NOTHING:
                    kept[n] = j
                    n += 1
            # Four keys at a time share every load of the query's coordinates.
            for at in range(0, n - 3, 4):
                j0, j1, j2, j3 = kept[at], kept[at + 1], kept[at + 2], kept[at + 3]
                a0, a1, a2, a3 = times[i, j0], times[i, j1], times[i, j2], times[i, j3]
                s0 = s1 = s2 = s3 = zero
                for d in range(width):
                    goal = whole[i, d]
                    size = abs(goal)
                    s0 += size - abs(goal - a0 * vectors[j0, d])
                    s1 += size - abs(goal - a1 * vectors[j1, d])
                    s2 += size - abs(goal - a2 * vectors[j2, d])
                    s3 += size - abs(goal - a3 * vectors[j3, d])
                out[i, j0] = max(s0, zero)
                out[i, j1] = max(s1, zero)
                out[i, j2] = max(s2, zero)
                out[i, j3] = max(s3, zero)
            for at in range(n - n % 4, n):
                j = kept[at]
                total = zero
                for d in range(width):
                    goal = whole[i, d]
                    total += abs(goal) - abs(goal - times[i, j] * vectors[j, d])
                out[i, j] = max(total, zero)
