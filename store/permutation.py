"""Could a difference between cohorts be chance? p-values, of all components at once.

A p-value is the share of the ways to give prompts to the cohorts at which the statistic
is at least as far from 0 as it is: p = (1 + b) / (1 + m), b of m random ways, which is
never 0 and valid for any m (Phipson and Smyth 2010).

Of many prompts, random groups of equal size change places together: such changes are
permutations too, so the p-value stays valid, and their number does not grow.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil

import numpy as np
from numpy.typing import NDArray

from .resampling import Apart, PromptSums, Together, surplus_over
from .routes import Floats, Ints

FEWEST_PERMUTATIONS = 1999
PERMUTED_AT_ONCE = 256

MOST_GROUPS, FEWEST_GROUPS = 1000, 250
WORK = 1e9
"""Groups times components times permutations, between those bounds."""

NEAR = 1e-5
"""Relative: a statistic so near to the observed one may differ by rounding alone."""


def enough_permutations(n_components: int) -> int:
    """So many that one component of `n_components` can reach q < 0.05 with room.

    Its p-value then is 1 / (40 n) at least, and q = 0.025 if no other comes near.
    """
    return max(FEWEST_PERMUTATIONS, 40 * n_components - 1)


def p_values(
    cohorts: Apart | Together, *, permutations: int, chance: np.random.Generator
) -> Floats:
    """[component]: two-sided p-values that both means are equal."""
    if isinstance(cohorts, Apart):
        return permuted_p(
            cohorts.a, cohorts.b, permutations=permutations, chance=chance
        )
    return flipped_p(cohorts.a, cohorts.b, permutations=permutations, chance=chance)


def permuted_p(
    a: PromptSums, b: PromptSums, *, permutations: int, chance: np.random.Generator
) -> Floats:
    """[component]: prompts change cohorts, as if these were only names.

    The statistic is (R_a - R_b) / sqrt(V_a + V_b), with V = sum (x - R t)^2 / T^2 *
    n / (n - 1) the variance of a ratio. Exact if prompts of both cohorts are alike but
    for their names; being divided by its own error, also right to first order if only
    the means are equal and not the spread or the size (Chung and Romano 2013).
    """
    most = _most_groups(a.total.shape[1], permutations)
    groups = _groups_of_both(a, b, most=most, chance=chance)
    observed = np.arange(len(groups.moving)) < groups.n_moving_in_a

    def permuted() -> Iterator[Floats]:
        for n in _portions(permutations):
            place = chance.random((n, len(observed)))
            n_th = np.partition(place, groups.n_moving_in_a, axis=1)
            yield _studentised(groups, place < n_th[:, groups.n_moving_in_a, None])

    return _p(_studentised(groups, observed[None])[0], permuted(), permutations)


def flipped_p(
    a: PromptSums, b: PromptSums, *, permutations: int, chance: np.random.Generator
) -> Floats:
    """[component]: within a prompt, what is in a and what is in b change names.

    Prompt p adds e_p = (x_a - R t_a) / T_a - (x_b - R t_b) / T_b to the difference of
    the means, with R the mean of both; to change the names turns its sign. Exact where
    prompts have as many targets in one cohort as in the other; else right to first
    order, as the sum of e is 0 on average if the means are equal (the wild bootstrap).
    """
    together = (a.mean + b.mean) / 2
    added = surplus_over(a, together) / np.float32(a.n_all)
    added -= surplus_over(b, together) / np.float32(b.n_all)
    most = _most_groups(added.shape[1], permutations)
    order = chance.permutation(len(added))
    starts = np.arange(0, len(added), ceil(len(added) / most))
    groups = np.add.reduceat(added[order], starts, axis=0)

    def flipped() -> Iterator[Floats]:
        for n in _portions(permutations):
            flips = chance.integers(0, 2, (n, len(groups)), np.int8)
            yield _summed(2 * flips.astype(np.float32) - 1, groups)

    observed = _summed(np.ones((1, len(groups)), np.float32), groups)[0]
    return _p(observed, flipped(), permutations)


def benjamini_hochberg(p: Floats) -> Floats:
    """[component]: q, the false discovery rate at which a p-value is still found.

    Among all with q < 0.05, 5% at most are expected to be chance (Benjamini and
    Hochberg 1995; for components that rise and fall together, their 2001).

    >>> benjamini_hochberg(np.array([0.01, 0.9, 0.02, 0.04])).round(4).tolist()
    [0.04, 0.9, 0.04, 0.0533]
    """
    order = np.argsort(-p)
    scaled = p[order] * (len(p) / np.arange(len(p), 0, -1))
    q = np.empty_like(p)
    q[order] = np.minimum(np.minimum.accumulate(scaled), 1)
    return q


def _most_groups(n_components: int, permutations: int) -> int:
    return int(np.clip(WORK / n_components / permutations, FEWEST_GROUPS, MOST_GROUPS))


@dataclass(frozen=True)
class _Groups:
    """Groups of prompts as sums of features: y, y^2, y t of components, then t, t^2."""

    moving: NDArray[np.float32]
    """[group, feature]: of equal size, those in a first."""
    n_moving_in_a: int
    staying: tuple[Floats, Floats]
    """[feature], of a and b: the sums of all other groups."""
    n: tuple[int, int]
    """Groups of a and b in all."""


def _groups_of_both(
    a: PromptSums, b: PromptSums, *, most: int, chance: np.random.Generator
) -> _Groups:
    """At most `most` groups that move; of the smaller cohort, as far as it goes."""
    fewer, n = min(len(a.total), len(b.total)), len(a.total) + len(b.total)
    size = max(1, min(ceil(n / most), fewer // (most // 4)))
    mean = (a.total.sum(axis=0, dtype=np.float64) + b.total.sum(axis=0)) / (
        a.n_all + b.n_all
    )
    moving, staying, n_groups = [], [], []
    for of in (a, b):
        groups = _grouped(of, mean, size, chance)
        n_moving = min(len(of.total) // size, most - fewer // size)
        moving.append(groups[:n_moving])
        staying.append(groups[n_moving:].sum(axis=0, dtype=np.float64))
        n_groups.append(len(groups))
    return _Groups(
        moving=np.concatenate(moving),
        n_moving_in_a=len(moving[0]),
        staying=(staying[0], staying[1]),
        n=(n_groups[0], n_groups[1]),
    )


def _grouped(
    of: PromptSums, mean: Floats, size: int, chance: np.random.Generator
) -> NDArray[np.float32]:
    """[group, feature]: of random groups, each of `size` prompts but for the last."""
    order = chance.permutation(len(of.total))
    starts = np.arange(0, len(order), size)
    y = np.add.reduceat(surplus_over(of, mean)[order], starts, axis=0)
    t = np.add.reduceat(of.n_targets[order], starts).astype(np.float32)[:, None]
    return np.column_stack([y, y * y, y * t, t, t * t])


def _studentised(groups: _Groups, in_a: NDArray[np.bool_]) -> Floats:
    """[permutation, component]: the statistic, if the groups `in_a` were those of a."""
    moved = _summed(in_a.astype(np.float32), groups.moving)
    rest = groups.moving.sum(axis=0, dtype=np.float64) - moved
    mean_a, variance_a = _mean_and_variance(moved + groups.staying[0], groups.n[0])
    mean_b, variance_b = _mean_and_variance(rest + groups.staying[1], groups.n[1])
    return _quotient(mean_a - mean_b, np.sqrt(variance_a + variance_b))


def _mean_and_variance(sums: Floats, n_groups: int) -> tuple[Floats, Floats]:
    """[permutation, component], twice: a ratio and its variance, from features."""
    y, yy, yt = np.split(sums[:, :-2], 3, axis=1)
    t, tt = sums[:, -2:-1], sums[:, -1:]
    mean = y / t
    squares = np.maximum(yy - 2 * mean * yt + mean**2 * tt, 0)
    return mean, squares / t**2 * n_groups / (n_groups - 1)


def _summed(weights: NDArray[np.float32], groups: NDArray[np.float32]) -> Floats:
    return (weights @ groups).astype(np.float64)


def _quotient(a: Floats, b: Floats) -> Floats:
    """a / b, but 0 where both are 0."""
    with np.errstate(invalid="ignore", divide="ignore"):
        quotient: Floats = np.where(a == 0, 0.0, a / b)
    return quotient


def _portions(n: int) -> Iterator[int]:
    for start in range(0, n, PERMUTED_AT_ONCE):
        yield min(PERMUTED_AT_ONCE, n - start)


def _p(observed: Floats, others: Iterator[Floats], permutations: int) -> Floats:
    """[component]: (1 + those as far from 0 as the observed one) / (1 + all)."""
    least = np.abs(observed) * (1 - NEAR)
    n_as_far: Ints = sum(
        ((np.abs(other) >= least).sum(axis=0) for other in others),
        np.zeros(len(least), int),
    )
    return (1 + n_as_far) / (1 + permutations)
