"""How sure the ranking of heads already is, when a part of a run's prompts is done.

1. Heads rank by their mean contribution per target, as `component_stats` has it.
2. Prompts that are done are drawn anew, with replacement, many times: how far the means
   of such a draw lie from those of all that are done is how far chance moves a mean.
3. The more of the run is done, the less is left to chance. What the means may still
   become follows, and with it how many of the first heads stay among the first.

Two things are taken for granted. What is done is a fair sample of all, as in a sweep
with a budget; the first prompts of a file say nothing about the rest. And each prompt
counts by itself: it is drawn whole, since its targets resemble one another, but
categories are ignored. A sample that holds each category by its share leaves less to
chance than is said here.
"""

from dataclasses import dataclass
from math import floor, log10, sqrt

import numpy as np
from numpy.typing import NDArray

from .plan import Plan
from .resampling import drawn_deviations
from .routes import Floats, Ints
from .sql_errors import explained
from .store import Store

FEWEST_PROMPTS = 30
"""With fewer, chance cannot be told from what it did."""

MOST_PROMPTS = 20_000
MOST_CELLS = 2**24
"""Prompts, and prompts times heads, that chance is measured on: 64 MiB, twice."""

ROWS_AT_ONCE = 100_000

TRACED = """
    SELECT prompt_id, count(*) AS n_targets
    FROM targets WHERE run_id = $run_id GROUP BY prompt_id ORDER BY prompt_id
"""
MEANS = """
    SELECT layer, index AS head, sum(contribution_sum) / sum(n_targets) AS mean
    FROM component_stats WHERE run_id = $run_id AND component = 'head'
    GROUP BY layer, index ORDER BY layer, index
"""
OF_PROMPTS = """
    SELECT prompt_id, layer, index AS head, contribution
    FROM importance WHERE run_id = $run_id AND component = 'head'
    AND prompt_id IN (SELECT unnest($prompt_ids))
"""


@dataclass(frozen=True)
class RankedHead:
    """One of the heads that rank first now."""

    layer: int
    head: int
    mean: float
    """Contribution per target, over the prompts that are done."""
    low: float
    high: float
    """With 95% confidence, the mean over all prompts will lie between these."""


@dataclass(frozen=True)
class RankingCertainty:
    """The heads that rank first now, and how many of them will in the end."""

    n_prompts: int
    """Prompts that are done, those in quarantine too."""
    n_planned: int
    heads: tuple[RankedHead, ...]
    """The largest mean first; equal ones by layer and head."""
    expected_to_stay: float
    """So many of them, on average, will rank first once all prompts are done."""
    least_to_stay: int
    """At least so many of them will, with 97.5% confidence."""


@dataclass(frozen=True)
class TooFewPrompts:
    """Too little is done for any figure."""

    n_prompts: int
    """Prompts that are done, those in quarantine too."""
    n_planned: int
    n_traced: int
    """Of them, those with a target."""


def ranking_certainty(
    store: Store, run_id: str, *, top: int = 20, resamples: int = 1000, seed: int = 0
) -> RankingCertainty | TooFewPrompts:
    """How sure the first `top` heads of a run are, if what is done is a fair sample.

    The mean is `contribution_sum / n_targets` of `component_stats`: over routes at the
    run's cutoff, 0 where a head is in none. Prompts without a target take no part. A
    run that is done is certain, whatever its size. Memory does not grow with the run,
    but for 12 bytes a prompt. Raises StoreError for a run that the store does not hold.
    """
    assert top > 0, top
    store.files(run_id, "importance")  # says so if there is no such run
    state = store.snapshot.runs[run_id]
    n_done = state.total("n_prompts") + state.total("n_quarantined")
    n_planned = state.plan.n_prompts
    traced = store.table(TRACED, {"run_id": run_id})
    if traced.num_rows < (1 if n_done == n_planned else FEWEST_PROMPTS):
        return TooFewPrompts(n_done, n_planned, traced.num_rows)
    means = store.table(MEANS, {"run_id": run_id})
    mean = means["mean"].to_numpy()
    chance = np.random.default_rng(seed)
    if n_done < n_planned:
        n_sampled = min(traced.num_rows, MOST_PROMPTS, MOST_CELLS // len(mean))
        some = chance.choice(traced.num_rows, n_sampled, replace=False)
        sampled = traced.take(np.sort(some))
        deviations = drawn_deviations(
            contributions(store, state.plan, sampled["prompt_id"].to_numpy()),
            sampled["n_targets"].to_numpy(),
            n_prompts=traced.num_rows,
            resamples=resamples,
            chance=chance,
        )
    else:
        deviations = np.zeros((1, len(mean)))
    share_done = n_done / n_planned
    low, high = interval(mean, deviations, share_done=share_done)
    staying = n_staying(mean, final_means(mean, deviations, share_done=share_done), top)
    layer, head = means["layer"].to_pylist(), means["head"].to_pylist()
    return RankingCertainty(
        n_prompts=n_done,
        n_planned=n_planned,
        heads=tuple(
            RankedHead(layer[i], head[i], float(mean[i]), float(low[i]), float(high[i]))
            for i in first(mean, top)
        ),
        expected_to_stay=float(staying.mean()),
        least_to_stay=int(np.quantile(staying, 0.025, method="lower")),
    )


def contributions(store: Store, plan: Plan, prompt_ids: Ints) -> NDArray[np.float32]:
    """[prompt, head]: what each head brings to all targets of each of these prompts.

    `prompt_ids` ascend; heads are those of layer 0, then those of layer 1, and so on.
    """
    n_heads = plan.n_layers * plan.n_heads
    found = np.zeros(len(prompt_ids) * n_heads, np.float32)
    values = {"run_id": plan.run_id, "prompt_ids": prompt_ids.tolist()}
    with explained(store.root):
        # Its rows may be many more than there are prompts and heads.
        for batch in store.sql(OF_PROMPTS, values).to_arrow_reader(ROWS_AT_ONCE):
            row = np.searchsorted(prompt_ids, batch["prompt_id"].to_numpy())
            layer = batch["layer"].to_numpy().astype(np.int64)
            head = layer * plan.n_heads + batch["head"].to_numpy()
            np.add.at(found, row * n_heads + head, batch["contribution"].to_numpy())
    return found.reshape(-1, n_heads)


def interval(
    mean: Floats, deviations: Floats, *, share_done: float
) -> tuple[Floats, Floats]:
    """[head], twice: the 95% interval of each mean over all prompts.

    Of a fixed number of prompts, of which a share f is done, the rest moves the mean by
    sqrt(1 - f) of what it would move without end: the finite-population correction. The
    interval is of one head by itself: of the first of many, some rank there by luck.
    """
    ends = np.quantile(deviations * sqrt(1 - share_done), [0.025, 0.975], axis=0)
    return mean + ends[0], mean + ends[1]


def final_means(mean: Floats, deviations: Floats, *, share_done: float) -> Floats:
    """[draw, head]: what the means may be once all prompts are done.

    Some of the first heads rank there by luck, and will fall back; else a ranking of
    equals would look far surer than it is. With v the variance of a head's deviations
    and A what the heads' own differences leave of the variance of their means, a share
    B = v / (A + v) of a mean's distance from the mean of all heads is luck (Efron and
    Morris 1975), and of that the part 1 - f of the prompts that is not done is free:

        final = mean - (1 - f) B (mean - mean of heads)
                + deviation * sqrt((1 - f) (1 - (1 - f) B))

    Without luck, B = 0, this is the finite-population correction.
    """
    left = 1 - share_done
    v = deviations.var(axis=0)
    own = max(mean.var() - v.mean(), 0.0)
    luck = np.divide(v, own + v, out=np.zeros_like(v), where=v > 0)
    kept = mean - left * luck * (mean - mean.mean())
    drawn: Floats = kept + deviations * np.sqrt(left * (1 - left * luck))
    return drawn


def n_staying(mean: Floats, final: Floats, top: int) -> Ints:
    """[draw]: how many of the first heads by `mean` are the first of `final` too.

    >>> final = np.array([[3.0, 2.0, 1.0], [3.0, 1.0, 2.0]])
    >>> n_staying(np.array([3.0, 2.0, 1.0]), final, 2)
    array([2, 1])
    """
    staying: Ints = np.isin(first(final, top), first(mean, top)).sum(axis=-1)
    return staying


def first(means: Floats, top: int) -> Ints:
    """[..., top]: the heads of the largest means; of equal ones, the earlier."""
    return np.argsort(-means, axis=-1, kind="stable")[..., :top]


def said(certainty: RankingCertainty | TooFewPrompts) -> str:
    """It for people, on one line.

    >>> head = RankedHead(layer=3, head=2, mean=0.0812, low=0.0771, high=0.0853)
    >>> certainty = RankingCertainty(500, 2000, (head,) * 20, 18.2, 16)
    >>> print(said(certainty))  # doctest: +NORMALIZE_WHITESPACE
    the 20 heads that rank first: about 18 of them stay, with 97.5% confidence at least
    16 (first: layer 3 head 2, 0.081 ± 0.004)
    """
    done = certainty.n_prompts == certainty.n_planned
    if isinstance(certainty, TooFewPrompts):
        if done:
            return "no prompt has a target: there is no ranking of heads"
        return (
            f"{certainty.n_traced} prompts with a target are too few to say how sure "
            f"the ranking of heads is: that takes {FEWEST_PROMPTS}"
        )
    best = certainty.heads[0]
    value = mean_said(best.mean, (best.high - best.low) / 2)
    where = f"layer {best.layer} head {best.head}, {value}"
    if len(certainty.heads) == 1:
        sure = "certain" if done else f"{certainty.expected_to_stay:.0%} sure"
        return f"the head that ranks first: {sure} ({where})"
    which = f"the {len(certainty.heads)} heads that rank first"
    if done:
        return f"{which}: certain, for all prompts are done (first: {where})"
    return (
        f"{which}: about {certainty.expected_to_stay:.0f} of them stay, with 97.5% "
        f"confidence at least {certainty.least_to_stay} (first: {where})"
    )


def mean_said(mean: float, give: float) -> str:
    """A mean to the first digit that is uncertain, of three that are not zero at most.

    >>> mean_said(0.0812, 0.0041), mean_said(0.0812, 0.0)
    ('0.081 ± 0.004', '0.0812')
    """
    if give <= 0:
        return f"{mean:.3g}"
    digits = max(0, -floor(log10(give)))
    return f"{mean:.{digits}f} ± {give:.{digits}f}"
