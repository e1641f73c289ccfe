"""The hot loop: proximities of parts that are multiples of few vectors.

The mathematics is `contributions.proximities_of_multiples`; each kernel computes the
same in float32 (float64 for a float64 model) and is deterministic. On a CPU, numba
compiles one fused loop that keeps nothing but sums in registers; elsewhere the plain
PyTorch form works tile by tile. numba rather than torch.compile: no compiler on the
machine is needed, it compiles in a second and remembers it on disk, and it skips the
keys after a query instead of computing and masking them.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import product
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from .contributions import proximities_of_multiples as in_torch

KEYS_AT_ONCE = 64
"""Vectors that stay in the cache while the queries pass by."""

NOTHING = 1e-30
"""A coefficient this small changes no float32 sum; products with it would be denormal,
which processors compute a hundred times slower."""


def name_of(device: torch.device) -> str:
    """The kernel used on a device, as `runs.config` says it."""
    return "numba" if device.type == "cpu" else "torch"


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
    if name_of(coefficient.device) == "torch":
        return in_torch(coefficient, vectors, whole, causal=causal)
    return _on_cpu(coefficient, vectors, whole, causal=causal)


def _on_cpu(
    coefficient: Tensor, vectors: Tensor, whole: Tensor, *, causal: bool
) -> Tensor:
    loop = _compiled()
    result = torch.zeros_like(coefficient, memory_format=torch.contiguous_format)
    times, of, to, out = (
        tensor.contiguous().numpy() for tensor in (coefficient, vectors, whole, result)
    )
    batch, heads, queries, _ = times.shape
    threads = torch.get_num_threads()
    # Enough pieces for every thread; a causal query costs more the later it comes.
    pieces = min(queries, -(-4 * threads // (batch * heads)))
    bounds = np.linspace(0, queries, pieces + 1).astype(int)

    def work(piece: tuple[int, int, int]) -> None:
        b, h, p = piece
        some = slice(bounds[p], bounds[p + 1])
        first = int(bounds[p]) if causal else -1
        loop(times[b, h, some], of[b, h], to[b, some], first, out[b, h, some])

    tasks = product(range(batch), range(heads), range(pieces))
    for _ in _pool(threads).map(work, tasks):
        pass
    return result


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="kernel")


@cache
def _compiled() -> Callable[..., Any]:
    """The fused loop; numba is imported when it is first needed."""
    import numba

    # Sums may be reordered, or they could not be vectorised.
    compiled: Callable[..., Any] = numba.njit(
        nogil=True, cache=True, fastmath={"reassoc", "contract", "nsz"}
    )(_loop)
    return compiled


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
