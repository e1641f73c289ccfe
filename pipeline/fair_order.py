"""An order of the prompts in which every prefix is a fair sample of all strata.

A sweep with a budget stops somewhere; what it did by then must stand for the whole.

1. Every stratum is shuffled, by bits that no platform and no release of numpy changes.
2. Strata of one size form a group, and are dealt round by round: the first prompts of
   all of them, shuffled, then the second ones.
3. The groups take turns. The j-th prompt of a group that has a share s of all may come
   once j/s turns have begun, and must have come after (j+1)/s; of those that may come,
   the one that must come first does.

**The bound.** After k turns a stratum with a share s of all prompts has had more than
s k - 1 and fewer than s k + 1. For a group the windows of step 3 say just that. There
is a plan that keeps to them: giving every group its share s of every turn does, in
fractions, and so some whole numbers do (a bipartite matching). Earliest deadline first
finds one, as windows begin and end between turns; it is the scheduling of Baruah et al.
1996, "Proportionate progress", for one machine. In a group of m strata, each has had
the m-th part of the group's turns, rounded up or down: it is off by at most 1 - 1/m,
and by less than 1/m for what the group is off.

**Why groups.** For strata alone the windows allow an order that is unfair to many small
ones together: of a thousand strata of three prompts, and as many of one, the larger
ones would all come first. A group as a whole is off by less than 1, and which of its
strata lead a round is left to chance.
"""

from collections.abc import Sequence
from heapq import heappop, heappush

import numpy as np
from numpy.typing import NDArray

SEED = 0


def fair_order(strata: NDArray[np.int64], *, seed: int = SEED) -> NDArray[np.int64]:
    """The prompts, by their places, in a fair order; strata has the stratum of each.

    Strata are told apart by their numbers; which numbers they have changes nothing.

    >>> strata = np.array([0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2])
    >>> [sorted(some) for some in strata[fair_order(strata)].reshape(4, 3).tolist()]
    [[0, 1, 2], [0, 1, 2], [0, 1, 2], [0, 1, 2]]
    """
    _, stratum, sizes = np.unique(strata, return_inverse=True, return_counts=True)
    shuffle = np.random.PCG64(seed).random_raw(len(strata))
    size = sizes[stratum]
    dealt = np.lexsort((shuffle, _place(stratum, sizes, shuffle), size))
    _, lengths = np.unique(size, return_counts=True)
    turns = np.array(take_turns(lengths.tolist()), dtype=np.int64)
    order = np.empty(len(strata), dtype=np.int64)
    order[np.argsort(turns, kind="stable")] = dealt
    return order


def take_turns(lengths: Sequence[int]) -> list[int]:
    """Whose turn it is, for groups that have so many turns in all.

    After k turns a group has had its share of them, rounded up or down.

    >>> take_turns([2, 4])
    [1, 0, 1, 1, 0, 1]
    """
    total = sum(lengths)
    had = [0] * len(lengths)
    begins = {0: list(range(len(lengths)))}
    waiting: list[tuple[int, int]] = []
    turns: list[int] = []
    for turn in range(total):
        for group in begins.pop(turn, ()):
            must_come = -(-(had[group] + 1) * total // lengths[group])
            heappush(waiting, (must_come, group))
        _, group = heappop(waiting)
        turns.append(group)
        had[group] += 1
        if had[group] < lengths[group]:
            may_come = had[group] * total // lengths[group]
            begins.setdefault(max(may_come, turn + 1), []).append(group)
    return turns


def _place(
    stratum: NDArray[np.int64], sizes: NDArray[np.int64], shuffle: NDArray[np.uint64]
) -> NDArray[np.int64]:
    """The place of each prompt in its shuffled stratum."""
    together = np.lexsort((shuffle, stratum))
    starts = np.cumsum(sizes) - sizes
    place = np.empty(len(stratum), dtype=np.int64)
    place[together] = np.arange(len(stratum)) - starts[stratum[together]]
    return place
