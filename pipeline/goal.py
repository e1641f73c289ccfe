"""What parts are compared with, in the form that the loops on a CPU read.

See proximity_kernel.py for what it is good for.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from .kernels import compiled, in_threads, pieces
from .proximity_loop import CHUNK, FINENESS, GROUP, GROUPS_AT_ONCE

BUCKETS = 512
"""32 powers of two; what is smaller lies with the smallest."""


class Sorted(NamedTuple):
    """Wholes as the loop reads them, [batch, query, ...]."""

    patterns: NDArray[Any]
    """The signs of each group of coordinates, a bit each: set where it is >= 0."""
    order: NDArray[Any]
    """Coordinates, those >= 0 first, each sign's by size."""
    sizes: NDArray[Any]
    """Their absolute values; both kinds are filled up to whole chunks with what nothing
    exceeds."""
    split: NDArray[Any]
    """Where the negative ones start."""


@dataclass(frozen=True, eq=False)
class Goal:
    """What parts are compared with."""

    whole: Float[Tensor, "batch query d_model"]

    @cached_property
    def sorted(self) -> Sorted:
        """For the loop on a CPU."""
        whole = self.whole.contiguous().flatten(0, 1)
        double = whole.dtype == torch.float64
        bits = whole.abs().view(torch.int64 if double else torch.int32).numpy()
        given, (rows, width) = whole.numpy(), whole.shape
        above = given >= 0
        shift = (52 if double else 23) - FINENESS
        padded = width + 2 * CHUNK
        index = np.uint16 if width < 2**16 else np.uint32
        found = Sorted(
            np.zeros((rows, groups_of(width)), np.uint8),
            np.zeros((rows, padded), index),
            np.full((rows, padded), np.finfo(given.dtype).max, given.dtype),
            np.zeros(rows, np.int64),
        )
        loop = compiled(_sort)

        def work(start: int, stop: int) -> None:
            some = slice(start, stop)
            rows_of = (array[some] for array in (given, above, bits))
            loop(*rows_of, shift, CHUNK, GROUP, *(array[some] for array in found))

        in_threads(work, pieces(rows))
        batch = len(self.whole)
        return Sorted(*(array.reshape(batch, -1, *array.shape[1:]) for array in found))


def groups_of(width: int) -> int:
    """How many groups of coordinates a state has, filled up to whole slices."""
    return -(-width // (GROUP * GROUPS_AT_ONCE)) * GROUPS_AT_ONCE


def _sort(
    whole: Any,
    above: Any,
    bits: Any,
    shift: int,
    chunk: int,
    group: int,
    patterns: Any,
    order: Any,
    sizes: Any,
    split: Any,
) -> None:
    """Fill one row of a `Sorted` after the other: a counting sort."""
    # `above` is whole >= 0: where a whole is no number, two comparisons in fast
    # arithmetic need not agree.
    rows, width = whole.shape
    ends = np.zeros(2 * BUCKETS, np.int64)
    for i in range(rows):
        own, values, is_above = bits[i], whole[i], above[i]
        largest = own[0]
        for d in range(width):
            largest = max(largest, own[d])
        lowest = (largest >> shift) - (BUCKETS - 1)
        ends[:] = 0
        positive = 0
        for d in range(width):
            bucket = max((own[d] >> shift) - lowest, 0)
            if is_above[d]:
                positive += 1
            else:
                bucket += BUCKETS
            ends[bucket] += 1
        for g in range(-(-width // group)):
            pattern = np.int64(0)
            for d in range(g * group, min((g + 1) * group, width)):
                pattern |= np.int64(is_above[d]) << (d % group)
            patterns[i, g] = pattern
        split[i] = -(-positive // chunk) * chunk
        at = 0
        for bucket in range(2 * BUCKETS):
            if bucket == BUCKETS:
                at = split[i]
            n = ends[bucket]
            ends[bucket] = at
            at += n
        for d in range(width):
            bucket = max((own[d] >> shift) - lowest, 0)
            if not is_above[d]:
                bucket += BUCKETS
            at = ends[bucket]
            ends[bucket] = at + 1
            order[i, at] = d
            sizes[i, at] = abs(values[d])
