"""Two cohorts, component by component: the difference, its interval, is it chance?

1. Each cohort's targets are chosen by its condition, and summed up by prompt.
2. The mean over targets is taken, and with it the difference.
3. Prompts are drawn anew many times: the interval. They change cohorts many times: p.
   Where cohorts share prompts, or are two runs over the same texts, prompts are drawn
   with what both cohorts have of them, and only change names within the prompt.
4. As many tests as components: q.

docs/statistics.md has the formulas, what they take for granted, and their limits.
"""

import json
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from .at_once import at_once
from .cohort_pairs import Kind, Pairs, pairs
from .cohorts import MEASURES, Cohort, chosen_targets, prompt_sums
from .errors import StoreError
from .permutation import benjamini_hochberg, enough_permutations, p_values
from .plan import Plan
from .resampling import (
    Apart,
    PromptSums,
    Together,
    difference_deviations,
    interval_around,
    standardised,
)
from .routes import Floats
from .schema import DEFAULT_TAU
from .store import Store

if TYPE_CHECKING:
    from .sandbox import Sandbox

FEWEST_PROMPTS = 10
"""In each cohort; with fewer, chance cannot be told from what it did."""

COLUMNS = {
    "layer": pa.int16(),
    "component": pa.string(),
    "index": pa.int32(),
    "n_prompts_a": pa.int64(),
    "n_prompts_b": pa.int64(),
    "n_targets_a": pa.int64(),
    "n_targets_b": pa.int64(),
    "mean_a": pa.float64(),
    "mean_b": pa.float64(),
    "difference": pa.float64(),
    "low": pa.float64(),
    "high": pa.float64(),
    "effect": pa.float64(),
    "p": pa.float64(),
    "q": pa.float64(),
}
"""A row for each component of the model, by layer, heads before the FFN."""

_KEY = b"flowglass.compare"


@dataclass(frozen=True)
class About:
    """What a comparison was made of; the same for all its rows."""

    a: Cohort
    b: Cohort
    measure: str
    tau: float
    kind: Kind
    n_prompts_a: int
    """In the cohort; the rows say of how many their numbers are."""
    n_prompts_b: int
    resamples: int
    permutations: int
    seed: int
    notes: tuple[str, ...]
    """What a reader must know besides, a line each."""


def compare(
    store: Store,
    a: Cohort,
    b: Cohort,
    *,
    measure: str = "contribution",
    tau: float = DEFAULT_TAU,
    resamples: int = 1000,
    permutations: int | None = None,
    seed: int = 0,
    sandbox: "Sandbox | None" = None,
) -> pa.Table:
    """What each head and FFN does more in cohort a than in cohort b.

    `measure` is one of `cohorts.MEASURES`: `contribution`, the mean contribution to a
    target's route, 0 where it is in none; `frequency`, the share of targets with it in
    the route at `tau`; `logit`, the mean it adds to the predicted token's logit. The
    columns are `COLUMNS`, `difference` is mean_a - mean_b, `about` says the rest.
    With fewer prompts than `FEWEST_PROMPTS` in a cohort, interval, effect, p and q are
    null. Conditions that somebody else wrote are run in a `sandbox`.
    """
    plans = _plan(store, a, measure, tau), _plan(store, b, measure, tau)
    _check_same_shape(*plans)
    n_components = plans[0].n_layers * (plans[0].n_heads + 1)
    permutations = permutations or enough_permutations(n_components)
    chance = np.random.default_rng(seed)
    choose = partial(chosen_targets, store, sandbox=sandbox)
    if sandbox is None:
        chosen = at_once({"a": partial(choose, a), "b": partial(choose, b)})
        in_a, in_b = chosen["a"], chosen["b"]
    else:  # which answers one query after the other
        in_a, in_b = choose(a), choose(b)
    of_all = pairs(store, a, b, in_a, in_b)
    some = of_all.sampled(n_components, chance)
    sums_of = partial(prompt_sums, store, measure=MEASURES[measure], tau=tau)
    sums = at_once(
        {
            "a": partial(sums_of, plans[0], in_a, prompt_ids=some.a),
            "b": partial(sums_of, plans[1], in_b, prompt_ids=some.b),
        }
    )
    sums_a, sums_b = sums["a"], sums["b"]
    columns = compared(
        (Apart if some.kind == "apart" else Together)(sums_a, sums_b),
        resamples=resamples,
        permutations=permutations,
        chance=chance,
    )
    about = About(
        a=a,
        b=b,
        measure=measure,
        tau=tau,
        kind=some.kind,
        n_prompts_a=len(in_a.prompts),
        n_prompts_b=len(in_b.prompts),
        resamples=resamples,
        permutations=permutations,
        seed=seed,
        notes=tuple(_notes(of_all, some, sums_a, sums_b)),
    )
    table = _table(plans[0], sums_a, sums_b, columns)
    return table.replace_schema_metadata({_KEY: json.dumps(asdict(about))})


def compared(
    cohorts: Apart | Together,
    *,
    resamples: int,
    permutations: int,
    chance: np.random.Generator,
) -> dict[str, Floats]:
    """Each measured column of `COLUMNS` [component]; NaN where there is no number."""
    a, b = cohorts.a, cohorts.b
    found = {"mean_a": a.mean, "mean_b": b.mean, "difference": a.mean - b.mean}
    fewest = min(a.n_prompts, b.n_prompts)
    if fewest < FEWEST_PROMPTS:
        unknown = np.full(a.total.shape[1], np.nan)
        return found | dict.fromkeys(("low", "high", "effect", "p", "q"), unknown)
    difference = found["difference"]
    deviations = difference_deviations(cohorts, resamples=resamples, chance=chance)
    low, high = interval_around(difference, deviations, fewest_prompts=fewest)
    p = p_values(cohorts, permutations=permutations, chance=chance)
    return found | {
        "low": low,
        "high": high,
        "effect": standardised(difference, a, b),
        "p": p,
        "q": benjamini_hochberg(p),
    }


def about(comparison: pa.Table) -> About:
    """What a table of `compare` was made of."""
    said = json.loads(comparison.schema.metadata[_KEY])
    cohorts = {name: Cohort(**said[name]) for name in ("a", "b")}
    return About(**{**said, **cohorts, "notes": tuple(said["notes"])})


def _plan(store: Store, cohort: Cohort, measure: str, tau: float) -> Plan:
    """The plan of a cohort's run, if that has what the measure is of."""
    if measure not in MEASURES:
        raise StoreError(f"no measure {measure!r}: choose of {', '.join(MEASURES)}")
    files = store.files(cohort.run_id, MEASURES[measure].table)
    plan = store.snapshot.runs[cohort.run_id].plan
    if measure == "frequency" and tau < plan.cutoff:
        raise StoreError(
            f"routes at tau {tau:g} are not known: run {cohort.run_id!r} stores "
            f"nothing below its cutoff {plan.cutoff:g}"
        )
    if measure == "logit" and not files:
        raise StoreError(f"run {cohort.run_id!r} stores no logit attribution")
    return plan


def _check_same_shape(*plans: Plan) -> None:
    a, b = ((plan.n_layers, plan.n_heads) for plan in plans)
    if a != b:
        runs = " and ".join(repr(plan.run_id) for plan in plans)
        raise StoreError(
            f"the models of {runs} have different shapes: {a[0]} layers of {a[1]} "
            f"heads and {b[0]} of {b[1]}"
        )


def _notes(of_all: Pairs, some: Pairs, a: PromptSums, b: PromptSums) -> list[str]:
    notes = []
    for name, n in (("a", a.n_prompts), ("b", b.n_prompts)):
        if n < FEWEST_PROMPTS:
            notes.append(
                f"{n} prompts to compare in {name} are too few to tell from chance: "
                f"that takes {FEWEST_PROMPTS} in each"
            )
    if any(of_all.n_left_out):
        of_a, of_b = of_all.n_left_out
        notes.append(
            f"left out, for the other run has no partner: {of_a:,} prompts of a, "
            f"{of_b:,} of b"
        )
    for name, n, n_all in (
        ("a", len(some.a), len(of_all.a)),
        ("b", len(some.b), len(of_all.b)),
    ):
        if n < n_all:
            notes.append(f"{name}: a random sample of {n:,} of {n_all:,} prompts")
    return notes


def _table(
    plan: Plan, a: PromptSums, b: PromptSums, columns: dict[str, Floats]
) -> pa.Table:
    n = plan.n_layers * (plan.n_heads + 1)
    layer, place = np.divmod(np.arange(n), plan.n_heads + 1)
    is_ffn = place == plan.n_heads
    named = {
        "layer": layer,
        "component": np.where(is_ffn, "ffn", "head"),
        "index": np.where(is_ffn, 0, place),
        "n_prompts_a": np.full(n, a.n_prompts),
        "n_prompts_b": np.full(n, b.n_prompts),
        "n_targets_a": np.full(n, a.n_all),
        "n_targets_b": np.full(n, b.n_all),
        **columns,
    }
    return pa.table(
        {
            name: pa.array(named[name], type_, from_pandas=True)
            for name, type_ in COLUMNS.items()
        }
    )
