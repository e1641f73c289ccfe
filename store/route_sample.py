"""Which prompts' routes are read, where reading all of a cohort's would take too long.

A cohort is all prompts of a run, or those of a dataset, a category or both. Up to
MOST_ROWS rows of `routes` are read. Beyond that whole shards are taken, spread evenly
over those that hold prompts of the cohort; where even one shard has more rows, only a
part of its prompts counts, chosen by the hash of their number. Each shard stands for
its neighbours in the order of the data.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

from .answer import Answer, named_in, written
from .layout import run_folder
from .record import Block, Record
from .store import Store
from .views import quote

MOST_ROWS = 3_000_000
"""Rows of `routes` that two cores sum up in less than a second."""

TABLES_READ = ("prompts", "tokens", "targets", "routes")

COHORT = """
    cohort AS MATERIALIZED (
        SELECT prompt_id, dataset, text, metadata FROM {prompts} WHERE {in_cohort}
    )
"""
"""The prompts of a query; `ask` fills in where they are and which."""


@dataclass(frozen=True)
class RouteSample:
    """The files to read of a cohort, and how many of its prompts that is."""

    run_id: str
    dataset: str | None
    category: str | None
    files: dict[str, list[str]]
    """By table."""
    every: int
    """One in so many prompts of these files counts."""
    n_cohort: int
    """Prompts of the whole cohort, some of which may not be read."""
    is_whole: bool
    """Whether all of them are read."""


def ask(store: Store, sample: RouteSample, query: str, **values: Any) -> Answer:
    """The rows of a query that names its tables `{prompts}`, `{tokens}` and so on.

    They are read from the sample's files. The query that comes with them reads the
    views, and so all of the cohort: the same rows only if the sample `is_whole`.
    """
    group = _group(sample.dataset, sample.category)
    where = " AND ".join(_conditions(group)) or "true"
    part = f"{where} AND hash(prompt_id) % $every = 0" if sample.every > 1 else where
    read = {name: f"read_parquet(${name})" for name in TABLES_READ}
    views = {
        name: f"(FROM {name} WHERE run_id = {quote(sample.run_id)})"
        for name in TABLES_READ
    }
    asked = _over({**read, "in_cohort": part}, query)
    bound = {**sample.files, **group, "every": sample.every, **values}
    return Answer(
        store.table(asked, named_in(asked, bound)),
        written(_over({**views, "in_cohort": where}, query), {**group, **values}),
    )


def _over(sources: dict[str, str], query: str) -> str:
    for name, source in sources.items():
        query = query.replace(f"{{{name}}}", source)
    return query


def _group(dataset: str | None, category: str | None) -> dict[str, str]:
    """What is asked of a prompt's columns."""
    wanted = {"dataset": dataset, "category": category}
    return {column: value for column, value in wanted.items() if value is not None}


def _conditions(group: dict[str, str]) -> list[str]:
    return [f"{column} = ${column}" for column in group]


def route_sample(
    store: Store,
    run_id: str,
    *,
    dataset: str | None = None,
    category: str | None = None,
    most_rows: int = MOST_ROWS,
) -> RouteSample:
    """The cohort, or as much of it as has about `most_rows` rows of `routes`."""
    counts = _prompts_by_file(store, run_id, dataset=dataset, category=category)
    units = [
        unit
        for unit in store.snapshot.runs[run_id].committed.units
        if counts.keys() & {file.path for file in unit.files}
    ]
    chosen = spread(units, most_rows)
    paths = {file.path for unit in chosen for file in unit.files}
    files = {
        table: [f for f in store.files(run_id, table) if _path(run_id, f) in paths]
        for table in TABLES_READ
    }
    every = max(1, ceil(sum(map(_rows, chosen)) / most_rows))
    return RouteSample(
        run_id,
        dataset,
        category,
        files,
        every,
        n_cohort=sum(counts.values()),
        is_whole=len(chosen) == len(units) and every == 1,
    )


def _path(run_id: str, file: str) -> str:
    """The name of a file as the commit records have it."""
    return file.rpartition(f"{run_folder(run_id)}/")[2]


def _prompts_by_file(
    store: Store, run_id: str, *, dataset: str | None, category: str | None
) -> dict[str, int]:
    """How many prompts of the cohort each file of `prompts` holds, if any."""
    files = store.files(run_id, "prompts")
    if not files:
        return {}
    group = _group(dataset, category)
    where = " AND ".join(_conditions(group)) or "true"
    query = f"""
        SELECT filename, count(*) AS n FROM read_parquet($files, filename = true)
        WHERE {where} GROUP BY filename
    """
    rows = store.table(query, {"files": files, **group}).to_pylist()
    return {_path(run_id, row["filename"]): row["n"] for row in rows}


def spread(units: Sequence[Record | Block], most_rows: int) -> list[Record | Block]:
    """As many of these shards as have about so many rows of `routes`, at least one,
    evenly from the first to the last."""
    n_rows = sum(map(_rows, units))
    if n_rows <= most_rows:
        return list(units)
    wanted = max(1, len(units) * most_rows // n_rows)
    step = len(units) / wanted
    return [units[int((place + 0.5) * step)] for place in range(wanted)]


def _rows(unit: Record | Block) -> int:
    return sum(file.rows for file in unit.files if file.table == "routes")
