"""Cohorts: targets of a run that a condition chooses, and what their prompts add up to.

The condition is SQL over the helper `cohort_targets` (docs/sql.md): every column of a
target, of its prompt and of the token at its position, and token classes.

    >>> Cohort("gpt2", "dataset = 'ioi' and correct")
    Cohort(run_id='gpt2', where="dataset = 'ioi' and correct")
    >>> Cohort("gpt2", "ends_sentence or metadata ->> '$.hero' = 'Lisa'").where
    "ends_sentence or metadata ->> '$.hero' = 'Lisa'"
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from .errors import StoreError
from .plan import Plan
from .resampling import PromptSums
from .routes import Ints
from .sql_errors import explained
from .store import Store
from .views import quote

if TYPE_CHECKING:
    from .sandbox import Sandbox

ROWS_AT_ONCE = 100_000

_KEY = {"prompt_id": pa.int32(), "target": pa.int32()}


@dataclass(frozen=True)
class Cohort:
    """Targets of one run."""

    run_id: str
    where: str = ""
    """The condition; empty chooses all."""


@dataclass(frozen=True)
class CohortSize:
    """How much a cohort holds."""

    n_prompts: int
    n_targets: int


@dataclass(frozen=True)
class Targets:
    """Chosen targets as parallel arrays, by prompt and position, each once."""

    prompt_id: Ints
    target: Ints

    def of_prompts(self, prompt_ids: Ints) -> "Targets":
        """Those of some prompts."""
        kept = np.isin(self.prompt_id, prompt_ids)
        return Targets(self.prompt_id[kept], self.target[kept])

    @property
    def keys(self) -> Ints:
        """A number for each target, by which they are in order."""
        return self.prompt_id * 2**32 + self.target

    @property
    def prompts(self) -> Ints:
        """Every prompt that has one, once."""
        return np.unique(self.prompt_id)


@dataclass(frozen=True)
class Measure:
    """What is summed over a component's rows, and 0 where it has none."""

    table: str
    value: str
    rows: str
    doc: str


MEASURES = {
    "contribution": Measure(
        "importance", "contribution", "true", "mean contribution to a target's route"
    ),
    "frequency": Measure(
        "importance", "1", "survives_at > $tau", "share of targets with it in the route"
    ),
    "logit": Measure(
        "logit_attribution",
        "value",
        "role = 'predicted' AND component IN ('head', 'ffn')",
        "mean logits that it adds to the predicted token",
    ),
}


def cohort_size(
    store: Store, cohort: Cohort, *, sandbox: "Sandbox | None" = None
) -> CohortSize:
    """How many prompts and targets a cohort has; `sandbox` as for `chosen_targets`."""
    targets = chosen_targets(store, cohort, sandbox=sandbox)
    return CohortSize(len(targets.prompts), len(targets.target))


def chosen_targets(
    store: Store, cohort: Cohort, *, sandbox: "Sandbox | None" = None
) -> Targets:
    """The targets of a cohort.

    Who did not write the condition gives a sandbox (`Store.sandbox`): it may then hold
    whatever somebody typed. Raises StoreError for a run that is not there, and for a
    condition that is none, in one line that says what is wrong.
    """
    store.files(cohort.run_id, "targets")  # says so if there is no such run
    source, condition = "targets", ""
    if cohort.where.strip():
        # On lines of its own: it may end in a comment.
        source, condition = "cohort_targets", f"AND (\n{cohort.where}\n)"
    query = f"""
        SELECT prompt_id, target FROM {source}
        WHERE run_id = {quote(cohort.run_id)} {condition}
    """
    found = store.table(query) if sandbox is None else sandbox.query(query).table
    if [(f.name, f.type) for f in found.schema] != [*_KEY.items()]:
        raise StoreError(f"{cohort.where!r} is not one condition on a target")
    prompt_id, target = (column.to_numpy().astype(np.int64) for column in found.columns)
    _, each = np.unique(Targets(prompt_id, target).keys, return_index=True)
    return Targets(prompt_id[each], target[each])


def prompt_sums(
    store: Store,
    plan: Plan,
    targets: Targets,
    *,
    measure: Measure,
    tau: float,
    prompt_ids: Ints,
) -> PromptSums:
    """The sums of a measure over those targets that are of these prompts.

    In the order of `prompt_ids`; components go by layer, heads before the FFN.
    """
    of = targets.of_prompts(prompt_ids)
    order = np.argsort(prompt_ids)
    place = order[np.searchsorted(prompt_ids, of.prompt_id, sorter=order)]
    width = plan.n_heads + 1
    n_components = plan.n_layers * width
    found = np.zeros(len(prompt_ids) * n_components, np.float32)
    query = f"""
        SELECT place * $n_components + layer * $width
               + CASE component WHEN 'head' THEN index ELSE $width - 1 END AS cell,
               {measure.value}::FLOAT AS value
        FROM {measure.table} JOIN chosen USING (prompt_id, target)
        WHERE run_id = $run_id AND {measure.rows}
    """
    values = {"run_id": plan.run_id, "n_components": n_components, "width": width}
    if "$tau" in query:
        values["tau"] = tau
    chosen = {
        "prompt_id": pa.array(of.prompt_id, pa.int32()),
        "target": pa.array(of.target, pa.int32()),
        "place": place,
    }
    with explained(store.root):
        cursor = store.cursor(query)
        cursor.register("chosen", pa.table(chosen))
        # Its rows may be many more than there are cells.
        for batch in cursor.sql(query, params=values).to_arrow_reader(ROWS_AT_ONCE):
            np.add.at(found, batch["cell"].to_numpy(), batch["value"].to_numpy())
    n_targets = np.bincount(place, minlength=len(prompt_ids))
    return PromptSums(found.reshape(-1, n_components), n_targets)
