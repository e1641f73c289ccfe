"""The views of a store: one per table, over all committed files of all runs.

The SQL names every file. Nothing else exists: not what a glob would find besides.
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from .committed import Committed
from .layout import model_folder, run_folder
from .record import Block, Record
from .schema import (
    FIXED_POINT,
    PER_MODEL,
    ROWS_VERSION,
    SHOWN_AS_DOUBLE,
    TABLES,
    Column,
    Table,
)
from .snapshot import Snapshot

SEPARATOR = "\x1f"
"""Between the files of a view, which are one text for DuckDB to split: a list to parse
takes it 10 times as long."""


class Owner(NamedTuple):
    """A run, or a model: what its rows are in."""

    folder: str
    committed: Committed
    rows_version: int


def view_definitions(root: Path | str, snapshot: Snapshot) -> Iterator[tuple[str, str]]:
    """Every table's name with the query that is its view.

    `root` is the folder or address that the files' names begin with.
    """
    runs = {
        run_id: Owner(run_folder(run_id), state.committed, state.plan.rows_version)
        for run_id, state in snapshot.runs.items()
    }
    models = {
        model_hash: Owner(model_folder(model_hash), committed, ROWS_VERSION)
        for model_hash, committed in snapshot.models.items()
    }
    for table in TABLES.values():
        if table.name in PER_MODEL:
            yield table.name, _over("model_hash", table, root, models)
        elif table.name == "component_stats":
            yield table.name, _merged(_over("run_id", table, root, runs))
        else:
            yield table.name, _over("run_id", table, root, runs)


def committed_files(
    root: Path | str, folder: str, units: Iterable[Record | Block], table: str
) -> list[str]:
    """The files of one table that records of one folder name, whole names."""
    return [
        f"{root}/{folder}/{file.path}"
        for unit in units
        for file in unit.files
        if file.table == table
    ]


def first_files(root: Path | str, snapshot: Snapshot) -> Iterator[str]:
    """The first file of every table of every owner: the ones a new view looks into."""
    seen = set()
    for folder, unit in snapshot.units():
        for file in unit.files:
            if (folder, file.table) not in seen:
                seen.add((folder, file.table))
                yield f"{root}/{folder}/{file.path}"


def _over(
    owner: str, table: Table, root: Path | str, owners: Mapping[str, Owner]
) -> str:
    """All rows of a table, led by the run or model that owns them.

    One list of files for all owners, or a store of a hundred runs would take a second
    to open: making a view looks into the first file of each list. A file's owner is
    read from its name, which also lets DuckDB pass over the files of the others.
    """
    by_version: dict[int, dict[str, list[str]]] = {}
    for name, of in owners.items():
        paths = committed_files(root, of.folder, of.committed.units, table.name)
        if paths:
            by_version.setdefault(of.rows_version, {})[name] = paths
    parts = []
    for version, paths_of in by_version.items():
        shown = ", ".join(_shown(column, version) for column in table.columns)
        paths = [by_the_letter(path) for paths in paths_of.values() for path in paths]
        place = f"{root}/".count("/") + 2  # behind the root, and runs/ or models/
        in_path = f"split_part(filename, '/', {place})[{len(owner) + 2}:]"
        led_by = in_path if len(paths_of) > 1 else quote(*paths_of)
        parts.append(
            f"SELECT {led_by} AS {owner}, {shown} FROM read_parquet("
            f"string_split({quote(SEPARATOR.join(paths))}, chr({ord(SEPARATOR)})), "
            f"hive_partitioning = false, filename = true)"
        )
    return " UNION ALL ".join(parts) or _empty(owner, table)


def _empty(owner: str, table: Table) -> str:
    columns = ", ".join(
        f'NULL::{_shown_type(column)} AS "{column.name}"' for column in table.columns
    )
    return f"SELECT NULL::VARCHAR AS {owner}, {columns} WHERE false"


def _merged(parts: str) -> str:
    """`component_stats` of whole runs: sums in whole numbers, then shown as DOUBLE."""
    keys = "run_id, dataset, category, layer, component, index"
    counts = [
        "n_targets",
        *(f"n_in_route_{tau}" for tau in ("001", "002", "004", "008")),
    ]
    counted = ", ".join(f"sum({name})::BIGINT AS {name}" for name in counts)
    summed = ", ".join(
        f"sum({name})::DOUBLE / {FIXED_POINT} AS {name}"
        for name in ("contribution_sum", "contribution_sum_sq")
    )
    return (
        f"SELECT {keys}, {counted}, {summed}, max(contribution_max) AS "
        f"contribution_max FROM ({parts}) GROUP BY ALL"
    )


def _shown(column: Column, rows_version: int) -> str:
    if column.since > rows_version:  # the files of an older run lack it
        return f'NULL::{_shown_type(column)} AS "{column.name}"'
    if _shown_type(column) == column.sql_type:
        return f'"{column.name}"'
    return f'"{column.name}"::{_shown_type(column)} AS "{column.name}"'


def _shown_type(column: Column) -> str:
    is_measure = column.name in SHOWN_AS_DOUBLE and column.sql_type == "FLOAT"
    return "DOUBLE" if is_measure else column.sql_type


def by_the_letter(path: str) -> str:
    """A path in which DuckDB sees no glob."""
    if not any(letter in path for letter in "*?["):  # as nearly always
        return path
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in path)


def quote(text: str) -> str:
    """An SQL string."""
    return "'" + text.replace("'", "''") + "'"
