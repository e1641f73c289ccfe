"""Proximities coordinate by coordinate: of single parts, and where queries are few."""

from typing import Any


def one_part(part: Any, whole: Any, out: Any) -> None:
    zero = out.dtype.type(0)
    for i in range(len(out)):
        own, goal = part[i], whole[i]
        total = zero
        for d in range(len(goal)):
            total += abs(goal[d]) - abs(goal[d] - own[d])
        out[i] = max(total, zero)


def few_queries(times: Any, vectors: Any, whole: Any, out: Any) -> None:
    """Fill `out` [query, key] of one head, coordinate by coordinate; vectors [key,
    d_model]."""
    zero, two = out.dtype.type(0), out.dtype.type(2)
    for i in range(len(out)):
        goal = whole[i]
        for k in range(len(vectors)):
            a, own = times[i, k], vectors[k]
            total = zero
            if a != zero:
                for d in range(len(goal)):
                    # |y| - |y - z|, as small as z: what z brings, or what is left of
                    # the whole when it overshoots.
                    toward = a * own[d] if goal[d] >= zero else -a * own[d]
                    total += min(toward, two * abs(goal[d]) - toward)
            out[i, k] = max(total, zero)
