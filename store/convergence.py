"""How many prompts it takes until the first heads are the first.

Had endless prompts like these been traced, some heads would rank first. A sample of n
prompts finds a share of them:

1. What the means of heads may be without chance is drawn many times from what is known
   of them (`certainty.final_means`, of which nothing is done yet).
2. To each such draw comes what chance adds to the mean of n prompts: sqrt(N / n) of
   what it adds to that of the N that are there.
3. Of the heads that rank first in the one, so many do in the other.

So the curve goes on behind N: where it reaches 90% is how many prompts would be needed.
As in certainty.py, what is there is taken for a fair sample, and prompts count whole.
"""

from dataclasses import dataclass
from math import exp, log

import numpy as np
import pyarrow as pa

from .certainty import (
    FEWEST_PROMPTS,
    MEANS,
    MOST_CELLS,
    MOST_PROMPTS,
    TRACED,
    TooFewPrompts,
    contributions,
    final_means,
    first,
)
from .resampling import drawn_deviations
from .routes import Floats, Ints
from .store import Store

ENOUGH = 0.9
"""Of the heads that rank first: with so many of them a ranking is called stable."""

FEWEST, POINTS, BEYOND = 10, 30, 16
"""The curve goes from so few prompts in so many steps to so many times those there."""


@dataclass(frozen=True)
class Convergence:
    """What samples of n prompts find of the heads that rank first."""

    n_prompts: int
    """Prompts with a target that are there."""
    top: int
    n_heads: int
    """Of the model: if not more than `top`, every sample finds them all."""
    curve: pa.Table
    """By `n`: `expected`, the mean share of them that is found, and its 95% interval
    from `low` to `high`."""
    now: float
    """The expected share that those there have found."""
    needed: int | None
    """So many prompts find 90%; None: more than the curve's last n."""

    @property
    def is_stable(self) -> bool:
        """Whether there are as many prompts as are needed."""
        return self.needed is not None and self.needed <= self.n_prompts


def convergence(
    store: Store, run_id: str, *, top: int = 20, resamples: int = 1000, seed: int = 0
) -> Convergence | TooFewPrompts:
    """The curve of the first `top` heads by their mean contribution per target.

    Raises StoreError for a run that the store does not hold.
    """
    assert top > 0, top
    store.files(run_id, "importance")  # says so if there is no such run
    state = store.snapshot.runs[run_id]
    traced = store.table(TRACED, {"run_id": run_id})
    n = traced.num_rows
    if n < FEWEST_PROMPTS:
        n_done = state.total("n_prompts") + state.total("n_quarantined")
        return TooFewPrompts(n_done, state.plan.n_prompts, n)
    mean = store.table(MEANS, {"run_id": run_id})["mean"].to_numpy()
    chance = np.random.default_rng(seed)
    n_sampled = min(n, MOST_PROMPTS, MOST_CELLS // len(mean))
    sampled = traced.take(np.sort(chance.choice(n, n_sampled, replace=False)))
    deviations = drawn_deviations(
        contributions(store, state.plan, sampled["prompt_id"].to_numpy()),
        sampled["n_targets"].to_numpy(),
        n_prompts=n,
        resamples=2 * resamples,
        chance=chance,
    )
    sizes = np.unique(np.geomspace(FEWEST, BEYOND * n, POINTS).round().astype(int))
    found = found_shares(mean, deviations, n_prompts=n, sizes=sizes, top=top)
    expected = found.mean(axis=1)
    low, high = np.quantile(found, [0.025, 0.975], axis=1)
    return Convergence(
        n_prompts=n,
        top=top,
        n_heads=len(mean),
        curve=pa.table({"n": sizes, "expected": expected, "low": low, "high": high}),
        now=float(np.interp(log(n), np.log(sizes), expected)),
        needed=first_to_reach(sizes, expected, ENOUGH),
    )


def found_shares(
    mean: Floats, deviations: Floats, *, n_prompts: int, sizes: Ints, top: int
) -> Floats:
    """[size, draw]: of the heads that rank first, the share that n prompts find.

    `mean` [head] and `deviations` [draw, head] are of `n_prompts`. One half of the
    draws says what the means may be, the other what chance adds.
    """
    here, there = np.split(deviations[: len(deviations) // 2 * 2], 2)
    true = final_means(mean, here, share_done=0.0)
    ranks_first = np.zeros(true.shape, bool)
    np.put_along_axis(ranks_first, first(true, top), True, axis=1)
    found = np.empty((len(sizes), len(true)))
    for row, n in enumerate(sizes):
        sample = first(true + there * np.sqrt(n_prompts / n), top)
        found[row] = np.take_along_axis(ranks_first, sample, axis=1).mean(axis=1)
    return found


def first_to_reach(sizes: Ints, expected: Floats, share: float) -> int | None:
    """The number of prompts at which the curve reaches a share; None if it does not.

    >>> sizes, expected = np.array([10, 100, 1000]), np.array([0.5, 0.8, 0.9])
    >>> first_to_reach(sizes, expected, 0.85), first_to_reach(sizes, expected, 0.95)
    (316, None)
    """
    reached = np.flatnonzero(expected >= share)
    if not len(reached):
        return None
    at = reached[0]
    if at == 0:
        return int(sizes[0])
    steps, logs = expected[at - 1 : at + 1], np.log(sizes[at - 1 : at + 1])
    return round(exp(float(np.interp(share, steps, logs))))
