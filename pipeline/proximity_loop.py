"""The loops of proximity_kernel.py, which says what they compute.

They and their constants are in one file: a change of it is what numba's cache notices.
"""

from typing import Any

import numpy as np

CHUNK = 4
"""Coordinates between two looks at whether there are more."""

GROUP = 4
"""Coordinates whose sums are looked up together."""

GROUPS_AT_ONCE = 8
"""Groups whose sums stay in the cache while the queries pass by."""

FINENESS = 4
"""Sizes are sorted by their exponent and this many bits of their mantissa."""

NOTHING = 1e-30
"""A coefficient this small changes no float32 sum; products with it would be denormal,
which processors compute a hundred times slower."""


def look_up_pulls(
    all_patterns: Any,
    all_vectors: Any,
    by_row: bool,
    which: Any,
    lanes: int,
    result: Any,
) -> None:
    """Fill `result` [batch, head, query, key] with the dot products of signs and
    vectors; arguments as of `multiples`."""
    b, h, begin, end = which
    patterns, out = all_patterns[b], result[b, h]
    block, longest = _new_block(patterns, lanes, result)
    pulls = np.zeros((len(patterns), lanes), result.dtype)
    for start in range(begin, end, lanes):
        stop = min(start + lanes, end)
        _pack(all_vectors[b, h], by_row, start, stop, block, longest)
        _look_up(block, patterns, pulls)
        for i in range(len(patterns)):
            row, pull = out[i, start:stop], pulls[i]
            for k in range(stop - start):
                row[k] = pull[k]


def _new_block(patterns: Any, lanes: int, like: Any) -> Any:
    """Vectors side by side, [d_model, key], and each one's max |u_d|; coordinates that
    fill up the last group are 0."""
    block = np.zeros((patterns.shape[1] * GROUP, lanes), like.dtype)
    return block, np.zeros(lanes, like.dtype)


def _look_up(block: Any, patterns: Any, pulls: Any) -> None:
    """The dot products of signs and the vectors of a block, [query, key]."""
    queries, groups = patterns.shape
    lanes = block.shape[1]
    sums = np.zeros((GROUPS_AT_ONCE, 2**GROUP, lanes), block.dtype)
    s0, s1, s2, s3 = sums[0], sums[1], sums[2], sums[3]
    s4, s5, s6, s7 = sums[4], sums[5], sums[6], sums[7]
    pulls[:] = 0
    for g in range(0, groups, GROUPS_AT_ONCE):
        _sum_up(block[g * GROUP : (g + GROUPS_AT_ONCE) * GROUP], sums)
        for i in range(queries):
            own, pull = patterns[i, g : g + GROUPS_AT_ONCE], pulls[i]
            r0, r1, r2, r3 = s0[own[0]], s1[own[1]], s2[own[2]], s3[own[3]]
            r4, r5, r6, r7 = s4[own[4]], s5[own[5]], s6[own[6]], s7[own[7]]
            for k in range(lanes):
                pull[k] += ((r0[k] + r1[k]) + (r2[k] + r3[k])) + (
                    (r4[k] + r5[k]) + (r6[k] + r7[k])
                )


def _sum_up(block: Any, sums: Any) -> None:
    """The sums of each group of coordinates with every pattern of signs."""
    lanes = block.shape[1]
    plus, less = sums.dtype.type(1), sums.dtype.type(-1)
    for g in range(GROUPS_AT_ONCE):
        at = g * GROUP
        u0, u1, u2, u3 = block[at], block[at + 1], block[at + 2], block[at + 3]
        for pattern in range(2**GROUP):
            row = sums[g, pattern]
            s0 = plus if pattern & 1 else less
            s1 = plus if pattern & 2 else less
            s2 = plus if pattern & 4 else less
            s3 = plus if pattern & 8 else less
            for k in range(lanes):
                row[k] = (s0 * u0[k] + s1 * u1[k]) + (s2 * u2[k] + s3 * u3[k])


def _of_prompt(wholes: Any, b: int) -> Any:
    """One prompt's patterns, and the rest."""
    patterns, order, sizes, split = wholes
    return patterns[b], (order[b], sizes[b], split[b])


def multiples(
    all_times: Any,
    all_vectors: Any,
    by_row: bool,
    which: Any,
    lanes: int,
    causal: bool,
    wholes: Any,
    result: Any,
) -> None:
    """Fill `result` [batch, head, query, key] with proximities, for a range of keys of
    one head. `wholes` is a `Sorted`; vectors are [batch, head, key, d_model] if
    `by_row`, else [batch, head, d_model, key]."""
    b, h, begin, end = which
    patterns, by_size = _of_prompt(wholes, b)
    block, longest = _new_block(patterns, lanes, result)
    pulls = np.zeros((len(patterns), lanes), result.dtype)
    for start in range(begin, end, lanes):
        stop, first = min(start + lanes, end), start if causal else 0
        _pack(all_vectors[b, h], by_row, start, stop, block, longest)
        _look_up(block, patterns[first:], pulls[first:])
        where = first, start, stop, 0
        _proximities(
            all_times[b, h], pulls, where, block, longest, by_size, result[b, h]
        )


def products(
    all_times: Any,
    all_pulls: Any,
    all_values: Any,
    all_outputs: Any,
    which: Any,
    lanes: int,
    wholes: Any,
    result: Any,
) -> None:
    """The same, causal, for the vectors that values [batch, head, key, d_head] make
    with outputs [head, d_model, d_head]."""
    b, h, begin, end = which
    values, outputs, pulls = all_values[b, h], all_outputs[h], all_pulls[b, h]
    patterns, by_size = _of_prompt(wholes, b)
    block, longest = _new_block(patterns, lanes, result)
    turned = np.zeros((outputs.shape[1], lanes), result.dtype)
    for start in range(begin, end, lanes):
        stop = min(start + lanes, end)
        for k in range(stop - start):
            for v in range(len(turned)):
                turned[v, k] = values[start + k, v]
        _multiply(outputs, turned, block, longest)
        where = start, start, stop, start
        _proximities(
            all_times[b, h], pulls, where, block, longest, by_size, result[b, h]
        )


def _proximities(
    times: Any,
    pulls: Any,
    where: Any,
    block: Any,
    longest: Any,
    by_size: Any,
    out: Any,
) -> None:
    """Fill `out` [query, key] for the vectors of a block. `where`: from which query on,
    from which key to which, and where the keys begin in `pulls`. Rows are sliced here:
    only then does the compiler know that their numbers lie side by side."""
    first, start, stop, at_pulls = where
    order, sizes, split = by_size
    n, lanes, kind = stop - start, block.shape[1], out.dtype.type
    zero, two = kind(0), kind(2)
    # Within a bucket sizes are in any order: they differ by less than this.
    slack = kind(1 + 2.0**-FINENESS)
    along, part, minus, over = longest * 0, longest * 0, longest * 0, longest * 0
    for i in range(first, len(out)):
        own, row = times[i, start:stop], out[i, start:stop]
        pull = pulls[i, at_pulls : at_pulls + n]
        for k in range(n):
            along[k] = own[k] * pull[k]
            toward = along[k] > zero and abs(own[k]) > NOTHING
            part[k] = own[k] if toward else zero
            minus[k] = -part[k]
            over[k] = zero
        reach = zero
        for k in range(lanes):
            reach = max(reach, abs(part[k]) * longest[k])
        if reach > zero:
            reach *= slack
            at = split[i]
            _overshoot(block, order[i, :at], sizes[i, :at], reach, part, over)
            _overshoot(block, order[i, at:], sizes[i, at:], reach, minus, over)
            for k in range(n):
                found = max(along[k] - two * over[k], zero)
                row[k] = found if part[k] != zero else zero


def _multiply(outputs: Any, turned: Any, block: Any, longest: Any) -> None:
    """`block` [d_model, key] = outputs [d_model, d_head] @ turned [d_head, key]; each
    vector's max |u_d|."""
    width, d_head = outputs.shape
    lanes = block.shape[1]
    longest[:] = 0
    whole = d_head - d_head % 8
    for d in range(width):
        row, w = block[d], outputs[d]
        row[:] = 0
        for v in range(0, whole, 8):
            w0, w1, w2, w3 = w[v], w[v + 1], w[v + 2], w[v + 3]
            w4, w5, w6, w7 = w[v + 4], w[v + 5], w[v + 6], w[v + 7]
            v0, v1, v2, v3 = turned[v], turned[v + 1], turned[v + 2], turned[v + 3]
            v4, v5, v6, v7 = turned[v + 4], turned[v + 5], turned[v + 6], turned[v + 7]
            for k in range(lanes):
                row[k] += ((w0 * v0[k] + w1 * v1[k]) + (w2 * v2[k] + w3 * v3[k])) + (
                    (w4 * v4[k] + w5 * v5[k]) + (w6 * v6[k] + w7 * v7[k])
                )
        for v in range(whole, d_head):
            one, given = w[v], turned[v]
            for k in range(lanes):
                row[k] += one * given[k]
        for k in range(lanes):
            longest[k] = max(longest[k], abs(row[k]))


def _pack(
    vectors: Any, by_row: bool, start: int, stop: int, block: Any, longest: Any
) -> None:
    """Copy some vectors to `block` [d_model, key]; each one's max |u_d|."""
    longest[:] = 0
    if by_row:
        width = vectors.shape[1]
        # Few coordinates at a time: what is written stays in the cache.
        for first in range(0, width, 16):
            last = min(first + 16, width)
            for k in range(stop - start):
                own = vectors[start + k]
                for d in range(first, last):
                    block[d, k] = own[d]
                    longest[k] = max(longest[k], abs(own[d]))
    else:
        for d in range(len(vectors)):
            row, given = block[d], vectors[d, start:stop]
            for k in range(stop - start):
                row[k] = given[k]
                longest[k] = max(longest[k], abs(given[k]))


def _overshoot(
    block: Any, order: Any, sizes: Any, reach: Any, part: Any, over: Any
) -> None:
    """Add to `over` by how much parts of the whole's sign exceed it, coordinate by
    coordinate, until the sizes are out of reach."""
    zero, lanes = over.dtype.type(0), len(over)
    for j in range(0, len(order) - CHUNK + 1, CHUNK):
        if sizes[j] >= reach:
            break
        # Four at a time share every load and store of `over`.
        u0, u1 = block[order[j]], block[order[j + 1]]
        u2, u3 = block[order[j + 2]], block[order[j + 3]]
        y0, y1, y2, y3 = sizes[j], sizes[j + 1], sizes[j + 2], sizes[j + 3]
        for k in range(lanes):
            a = part[k]
            over[k] += (max(a * u0[k] - y0, zero) + max(a * u1[k] - y1, zero)) + (
                max(a * u2[k] - y2, zero) + max(a * u3[k] - y3, zero)
            )
