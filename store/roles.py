"""What each head does over a corpus: previous-token, induction, and five other roles.

1. `heads` has what a head brings from every kind of source, exactly, small parts too.
2. A head that spread what it brings evenly over all keys it can see would bring some of
   it from there as well: the share of such keys, averaged over a prompt's queries.
3. A role's score is how far the head is from that, 1 if everything comes from there:
   (share - chance) / (1 - chance), as Cohen's kappa is of agreement.

Contribution and not attention: many heads attend to the first position and bring
nothing from it. The roles are those of Ferrando & Voita 2024 (previous token, subword
merging), Olsson et al. 2022 (induction), Wang et al. 2022 (duplicates), Clark et al.
2019 (delimiters) and Xiao et al. 2023 (the sink). docs/statistics.md has what to mind.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from .ratio import resampled_interval
from .routes import Floats, Ints
from .sources import COUNTED, ROLES
from .store import Store

MOST_PROMPTS = 1000
MOST_CELLS = 2**19
"""Prompts, and prompts times heads, that scores are found on."""

COLUMNS = {
    "role": pa.string(),
    "layer": pa.int16(),
    "head": pa.int16(),
    "n_prompts": pa.int64(),
    "n_queries": pa.int64(),
    "n_possible": pa.int64(),
    "contribution": pa.float64(),
    "share": pa.float64(),
    "chance": pa.float64(),
    "score": pa.float64(),
    "low": pa.float64(),
    "high": pa.float64(),
}
"""A row for each role and head: see `roles`."""

PROMPT_IDS = """
    SELECT prompt_id FROM prompts
    WHERE run_id = $run_id AND ($dataset IS NULL OR dataset = $dataset)
      AND ($category IS NULL OR category = $category)
    ORDER BY prompt_id
"""
OFFERED = f"""
    SELECT prompt_id, count(*) AS n_queries,
           {
    ", ".join(
        f"count(*) FILTER ({role.available} > 0) AS possible_{role.name}, "
        f"avg({role.available} / (position + 1)) AS chance_{role.name}"
        for role in ROLES
    )
}
    FROM ({COUNTED}) GROUP BY prompt_id ORDER BY prompt_id
"""
BROUGHT = f"""
    SELECT prompt_id, layer, head, contribution, {", ".join(r.column for r in ROLES)}
    FROM heads WHERE run_id = $run_id AND prompt_id IN (SELECT unnest($prompt_ids))
      AND ($layer IS NULL OR layer = $layer) AND ($head IS NULL OR head = $head)
"""  # fmt: skip


@dataclass(frozen=True, eq=False)
class Offered:
    """The sources that prompts offer."""

    prompt_id: Ints
    """[prompt], ascending."""
    n_queries: Ints
    """[prompt]"""
    n_possible: Ints
    """[prompt, role]: queries that have such a source."""
    chance: Floats
    """[prompt, role]: what an even spread would bring from there, of all it brings."""


@dataclass(frozen=True, eq=False)
class Brought:
    """What heads bring to those prompts, in all and from each kind of source."""

    layer: Ints
    """[head]"""
    head: Ints
    """[head]; its number in the layer."""
    total: NDArray[np.float32]
    """[prompt, head]: sum over queries."""
    on: NDArray[np.float32]
    """[prompt, role, head]: the same, from sources of the role's kind."""


def roles(
    store: Store,
    run_id: str,
    *,
    layer: int | None = None,
    head: int | None = None,
    dataset: str | None = None,
    category: str | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> pa.Table:
    """How much every head of a run, or of a layer, or one head, plays each role.

    Over those prompts in which the role is possible: `n_prompts`, with `n_queries`
    positions, `n_possible` of which have such a source. `contribution` is what the head
    brings to a position of them, on average; `share`, how much of it comes from there;
    `chance`, how much would if it were spread evenly over all keys at or before the
    position, as much at every position of a prompt; `score` = (share - chance) / (1 -
    chance), and `low` and `high` are the ends of its 95% interval, found by drawing
    prompts anew (null with fewer than ten). Null where nothing is brought. Rows go by
    role, the highest score first. Of more than 1,000 prompts, or 2^19 prompts times
    heads, a random sample is taken: the table's metadata says `prompts` and `sampled`.
    """
    store.files(run_id, "heads")  # says so if there is no such run
    asked = {"run_id": run_id, "dataset": dataset, "category": category}
    ids = store.table(PROMPT_IDS, asked)["prompt_id"].to_numpy()
    plan = store.snapshot.runs[run_id].plan
    n_heads = 1 if head is not None else plan.n_heads
    n_layers = 1 if layer is not None else plan.n_layers
    chance = np.random.default_rng(seed)
    sampled = _sample(ids, n_layers * n_heads, chance)
    offered = _offered(store, run_id, sampled)
    brought = _brought(store, run_id, offered, layer=layer, head=head)
    columns = scores(offered, brought, resamples=resamples, chance=chance)
    found = pa.table(
        [pa.array(columns[name], of, from_pandas=True) for name, of in COLUMNS.items()],
        names=list(COLUMNS),
    ).take(_order(columns["score"]))
    said = {"prompts": str(len(ids)), "sampled": str(len(sampled))}
    return found.replace_schema_metadata(said)


def _sample(ids: Ints, n_heads: int, chance: np.random.Generator) -> Ints:
    most = max(1, min(MOST_PROMPTS, MOST_CELLS // n_heads))
    if len(ids) <= most:
        return ids
    sampled: Ints = np.sort(chance.choice(ids, most, replace=False))
    return sampled


def scores(
    offered: Offered, brought: Brought, *, resamples: int, chance: np.random.Generator
) -> dict[str, Any]:
    """The columns of COLUMNS: every head of the first role, then of the second, ..."""
    n_prompts, n_heads = brought.total.shape
    wide = (n_prompts, len(ROLES) * n_heads)
    possible = offered.n_possible > 0
    even = offered.chance.astype(np.float32)[..., None]
    total = brought.total[:, None, :] * possible[..., None]
    on = brought.on * possible[..., None]
    above, most = on - total * even, total * (1 - even)
    low, high = resampled_interval(
        above.reshape(wide),
        most.reshape(wide),
        resamples=resamples,
        chance=chance,
    )
    n_queries = np.where(possible, offered.n_queries[:, None], 0).sum(axis=0)

    def of_roles(values: NDArray[Any]) -> NDArray[Any]:
        return np.repeat(values, n_heads)

    return {
        "role": of_roles(np.array([role.name for role in ROLES])),
        "layer": np.tile(brought.layer, len(ROLES)),
        "head": np.tile(brought.head, len(ROLES)),
        "n_prompts": of_roles(possible.sum(axis=0)),
        "n_queries": of_roles(n_queries),
        "n_possible": of_roles(offered.n_possible.sum(axis=0)),
        "contribution": _ratio(_sum(total), of_roles(n_queries)),
        "share": _ratio(_sum(on), _sum(total)),
        "chance": _ratio(_sum(total * even), _sum(total)),
        "score": _ratio(_sum(above), _sum(most)),
        "low": low,
        "high": high,
    }


def _offered(store: Store, run_id: str, prompt_ids: Ints) -> Offered:
    values = {"run_id": run_id, "prompt_ids": prompt_ids.tolist()}
    found = store.table(OFFERED, values)

    def by_role(name: str) -> NDArray[Any]:
        return np.stack([found[f"{name}_{r.name}"].to_numpy() for r in ROLES], axis=1)

    return Offered(
        found["prompt_id"].to_numpy(),
        found["n_queries"].to_numpy(),
        by_role("possible"),
        by_role("chance"),
    )


def _brought(
    store: Store, run_id: str, offered: Offered, *, layer: int | None, head: int | None
) -> Brought:
    ids = offered.prompt_id
    values = {
        "run_id": run_id,
        "prompt_ids": ids.tolist(),
        "layer": layer,
        "head": head,
    }
    found = store.table(BROUGHT, values)
    at = np.searchsorted(ids, found["prompt_id"].to_numpy())
    number = found["layer"].to_numpy().astype(np.int64) << 16 | found["head"].to_numpy()
    heads, unit = np.unique(number, return_inverse=True)
    n_queries = offered.n_queries[at].astype(np.float32)
    on = np.zeros((len(ids), 1 + len(ROLES), len(heads)), np.float32)
    for i, column in enumerate(("contribution", *(role.column for role in ROLES))):
        on[at, i, unit] = n_queries * found[column].to_numpy()
    return Brought(heads >> 16, heads & 0xFFFF, on[:, 0], on[:, 1:])


def _sum(values: NDArray[np.float32]) -> Floats:
    """Over prompts, [role * head]."""
    total: Floats = values.sum(axis=0, dtype=np.float64).ravel()
    return total


def _ratio(part: Floats, whole: Floats | Ints) -> Floats:
    """NaN where the whole is 0."""
    found: Floats = np.full(len(part), np.nan)
    np.divide(part, whole, out=found, where=whole > 0)
    return found


def _order(score: Floats) -> Ints:
    """Rows by role; within one the highest score first, then by layer and head."""
    role = np.arange(len(score)) // max(1, len(score) // len(ROLES))
    order: Ints = np.lexsort((np.where(np.isnan(score), np.inf, -score), role))
    return order
