"""The viewer's questions to a store: a function each, values bound, answers in Arrow.

    >>> from flowglass.store import open_store  # doctest: +SKIP
    >>> store = open_store("runs/")             # doctest: +SKIP
    >>> prompts(store, run_id, search="Mary", sort="predicted_prob")  # doctest: +SKIP

A question about one prompt reads that prompt's one file of a table; a question about
all of a run's prompts goes through the views.
"""

import re
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from .schema import TABLES
from .store import Store
from .views import quote

PROMPT_COLUMNS = (
    "prompt_id",
    "text",
    "dataset",
    "category",
    "answer",
    "predicted_token",
    "predicted_prob",
    "correct",
    "n_tokens",
)
"""The columns of `prompts`, each of which it can sort by."""

TARGET_COLUMNS = frozenset({"predicted_token", "predicted_prob", "correct"})

# The target that stands for its prompt in a list: `last`; else the first position that
# predicts the answer; else the last one chosen.
STANDS_FIRST = """
    CASE reason WHEN 'last' THEN -2e9 WHEN 'answer' THEN target - 1e9 ELSE -target END
"""
STANDING = f"""
    SELECT prompt_id,
           unnest(arg_min({{
               predicted_token: predicted_token,
               predicted_prob: predicted_prob,
               correct: correct
           }}, {STANDS_FIRST}))
"""

WITH_STANDING = f"""LEFT JOIN (
    {STANDING}
    FROM targets WHERE run_id = $run_id GROUP BY prompt_id
) USING (prompt_id)"""


def prompts(
    store: Store,
    run_id: str,
    *,
    search: str = "",
    dataset: str | None = None,
    category: str | None = None,
    sort: str = "prompt_id",
    descending: bool = False,
    limit: int = 25,
    offset: int = 0,
) -> pa.Table:
    """One page of a run's prompts, each with what was predicted at its target.

    `search` is text they contain, whatever its case; nothing in it is a wildcard.
    Unknown values (no answer, no category) come last in either direction.
    """
    kept, values = _kept(run_id, search, dataset, category)
    source = f"({kept})"
    if sort in TARGET_COLUMNS:  # else only the targets that are shown are looked up
        source += f" {WITH_STANDING}"
    query = f"""
        SELECT * FROM {source}
        ORDER BY {_order(sort, descending)}
        LIMIT $limit OFFSET $offset
    """
    page = store.table(query, {**values, "limit": limit, "offset": offset})
    if sort not in TARGET_COLUMNS:
        page = _with_standing(store, run_id, page)
    return page.select(PROMPT_COLUMNS)


def listing(
    run_id: str,
    *,
    search: str = "",
    dataset: str | None = None,
    category: str | None = None,
    sort: str = "prompt_id",
    descending: bool = False,
) -> tuple[str, dict[str, Any]]:
    """The query for all that `prompts` gives page by page, and the values it binds."""
    kept, values = _kept(run_id, search, dataset, category)
    query = (
        f"SELECT {', '.join(PROMPT_COLUMNS)}\nFROM ({kept})\n{WITH_STANDING}\n"
        f"ORDER BY {_order(sort, descending)}"
    )
    return query, values


def spelt(query: str, values: dict[str, Any]) -> str:
    """A query with its values in their places, for a person to copy.

    >>> spelt("SELECT $a", {"a": "it's"})
    "SELECT 'it''s'"
    """
    return re.sub(r"\$(\w+)", lambda name: quote(values[name[1]]), query)


def _order(sort: str, descending: bool) -> str:
    if sort not in PROMPT_COLUMNS:
        raise ValueError(f"cannot sort by {sort!r}; choose of {PROMPT_COLUMNS}")
    return f"{sort} {'DESC' if descending else 'ASC'} NULLS LAST, prompt_id"


def _with_standing(store: Store, run_id: str, page: pa.Table) -> pa.Table:
    """The prompts with the target that stands for each, null where there is none."""
    ids = page["prompt_id"].to_pylist()
    files = {file for id in ids for file in store.files(run_id, "targets", id)}
    if files:
        query = f"""
            {STANDING} FROM read_parquet($files)
            WHERE list_contains($ids, prompt_id) GROUP BY prompt_id
        """
        standing = store.table(query, {"files": sorted(files), "ids": ids})
    else:
        standing = TABLES["targets"].schema.empty_table()
    rows = pc.index_in(page["prompt_id"], value_set=standing["prompt_id"])
    for name in sorted(TARGET_COLUMNS):
        page = page.append_column(name, standing[name].take(rows))
    return page


def count_prompts(
    store: Store,
    run_id: str,
    *,
    search: str = "",
    dataset: str | None = None,
    category: str | None = None,
) -> int:
    """How many prompts `prompts` would list without a limit."""
    kept, values = _kept(run_id, search, dataset, category)
    counted = store.table(f"SELECT count(*) AS n FROM ({kept})", values)
    return int(counted["n"][0].as_py())


def _kept(
    run_id: str, search: str, dataset: str | None, category: str | None
) -> tuple[str, dict[str, Any]]:
    """A query for a run's prompts that pass the filters, and the values it binds."""
    conditions = ["run_id = $run_id"]
    values: dict[str, Any] = {"run_id": run_id}
    if search:
        conditions.append("contains(lower(text), lower($search))")
        values["search"] = search
    for column, wanted in (("dataset", dataset), ("category", category)):
        if wanted is not None:
            conditions.append(f"{column} = ${column}")
            values[column] = wanted
    columns = "prompt_id, text, dataset, category, answer, n_tokens"
    where = " AND ".join(conditions)
    return f"SELECT {columns} FROM prompts WHERE {where}", values


def prompt_groups(store: Store, run_id: str) -> pa.Table:
    """How many prompts a run has of each `dataset` and `category`."""
    query = """
        SELECT dataset, category, count(*) AS n_prompts
        FROM prompts WHERE run_id = $run_id
        GROUP BY ALL ORDER BY dataset, category NULLS LAST
    """
    return store.table(query, {"run_id": run_id})


def worst_closure(store: Store, run_id: str) -> float | None:
    """The largest closure of a run's prompts; None before the first is stored."""
    query = "SELECT max(closure) AS closure FROM prompts WHERE run_id = $run_id"
    worst: float | None = store.table(query, {"run_id": run_id})["closure"][0].as_py()
    return worst


def prompt(store: Store, run_id: str, prompt_id: int) -> pa.Table:
    """The row of one prompt; no row if the run does not hold it."""
    return _of_prompt(store, run_id, "prompts", prompt_id, "prompt_id")


def tokens(store: Store, run_id: str, prompt_id: int) -> pa.Table:
    """A prompt's tokens in order, with the prediction made at each."""
    return _of_prompt(store, run_id, "tokens", prompt_id, "position")


def targets(store: Store, run_id: str, prompt_id: int) -> pa.Table:
    """A prompt's stored targets, the one that stands for the prompt first."""
    return _of_prompt(store, run_id, "targets", prompt_id, STANDS_FIRST)


def edges(store: Store, run_id: str, prompt_id: int) -> pa.Table:
    """A prompt's edges, from which the route of any target follows."""
    order = "layer, step, query, kind, head, key"
    return _of_prompt(store, run_id, "edges", prompt_id, order)


def _of_prompt(
    store: Store, run_id: str, table: str, prompt_id: int, order: str
) -> pa.Table:
    """A prompt's rows of a table, from the one file that holds them."""
    files = store.files(run_id, table, prompt_id)
    if not files:
        raise LookupError(f"run {run_id} holds no {table} of prompt {prompt_id}")
    query = f"""
        SELECT * FROM read_parquet($files)
        WHERE prompt_id = $prompt_id ORDER BY {order}
    """
    return store.table(query, {"files": files, "prompt_id": prompt_id})
