"""Which prompts of two cohorts are compared, and which of them with which."""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from .certainty import MOST_CELLS, MOST_PROMPTS
from .cohorts import Cohort, Targets
from .errors import StoreError
from .routes import Ints
from .store import Store

Kind = Literal["apart", "same prompts", "two runs"]
"""No prompt in common; some or all in common; the same texts in two runs."""

SAME_TEXT = """
    WITH numbered AS (
        SELECT run_id, prompt_id, prompt_hash, row_number() OVER (
            PARTITION BY run_id, prompt_hash ORDER BY prompt_id
        ) AS nth
        FROM prompts WHERE run_id IN ($a, $b)
    )
    SELECT a.prompt_id AS a, b.prompt_id AS b
    FROM numbered a JOIN numbered b USING (prompt_hash, nth)
    WHERE a.run_id = $a AND b.run_id = $b
    ORDER BY a
"""


@dataclass(frozen=True)
class Pairs:
    """The prompts of two cohorts; unless they are apart, a[i] and b[i] are a pair."""

    kind: Kind
    a: Ints
    b: Ints
    n_left_out: tuple[int, int] = (0, 0)
    """Prompts of a and of b without a partner in the other run."""

    def sampled(self, n_components: int, chance: np.random.Generator) -> "Pairs":
        """A fair sample where there are more prompts than chance is measured on.

        Of cohorts apart each by itself, so that a small one stays as it is.
        """
        most = min(MOST_PROMPTS, MOST_CELLS // n_components)
        if self.kind == "apart":
            of_a = max(most // 2, most - len(self.b))
            of_b = max(most // 2, most - len(self.a))
            return replace(
                self, a=_some(self.a, of_a, chance), b=_some(self.b, of_b, chance)
            )
        rows = _some(np.arange(len(self.a)), most, chance)
        return replace(self, a=self.a[rows], b=self.b[rows])


def pairs(store: Store, a: Cohort, b: Cohort, in_a: Targets, in_b: Targets) -> Pairs:
    """Of one run the prompts as they are; of two runs those of the same text.

    Texts that a run has several times are paired in their order. Raises StoreError if
    a target is in both cohorts, or if two runs have no text in common.
    """
    if a.run_id == b.run_id:
        return _of_one_run(in_a, in_b)
    found = store.table(SAME_TEXT, {"a": a.run_id, "b": b.run_id})
    if not found.num_rows:
        raise StoreError(
            f"the runs {a.run_id!r} and {b.run_id!r} have no prompt in common (by "
            f"prompt_hash): sweep the same data, or choose both cohorts of one run"
        )
    of_a, of_b = found["a"].to_numpy(), found["b"].to_numpy()
    kept = np.isin(of_a, in_a.prompts) & np.isin(of_b, in_b.prompts)
    n_left_out = (len(in_a.prompts) - kept.sum(), len(in_b.prompts) - kept.sum())
    return Pairs("two runs", of_a[kept], of_b[kept], n_left_out)


def _of_one_run(a: Targets, b: Targets) -> Pairs:
    if n_shared := len(np.intersect1d(a.keys, b.keys)):
        raise StoreError(
            f"{n_shared} targets are in both cohorts: leave them out of one of them, "
            f"as in `not (...)` for the rest"
        )
    if np.intersect1d(a.prompts, b.prompts).size:
        both = np.union1d(a.prompts, b.prompts)
        return Pairs("same prompts", both, both)
    return Pairs("apart", a.prompts, b.prompts)


def _some(of: Ints, most: int, chance: np.random.Generator) -> Ints:
    """A random sample in the order of the whole; all if there are no more than that."""
    if len(of) <= most:
        return of
    return of[np.sort(chance.choice(len(of), most, replace=False))]
