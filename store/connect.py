"""DuckDB connections: in memory, with a store's views.

No process ever holds a .duckdb file: it would lock others out and go stale. What makes
the views is a list of statements, so that the process that knows the store need not be
the one that runs queries.
"""

import tempfile
from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from time import monotonic, sleep
from typing import TYPE_CHECKING
from uuid import uuid4

from .layout import MODELS, RUNS
from .run import COUNTED
from .schema import RUNS as RUNS_TABLE
from .schema import TABLES
from .snapshot import RunState, Snapshot
from .sql_helpers import HELPERS, helper_definitions
from .views import by_the_letter, first_files, quote, view_definitions

if TYPE_CHECKING:
    import duckdb

MEMORY_LIMIT = "60%"

PATIENCE = 5.0
"""Seconds in which a query that is interrupted has to end."""

Statement = tuple[str, list[object]]
"""SQL, and the values that its question marks stand for; JSON knows them all."""

_CLOSED = {
    "python_enable_replacements": "false",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "allow_community_extensions": "false",
    "allow_unsigned_extensions": "false",
    "allow_persistent_secrets": "false",
}


def connect() -> "duckdb.DuckDBPyConnection":
    """An empty database for trusted use."""
    spill = Path(tempfile.gettempdir()) / f"flowglass-{uuid4().hex[:12]}"
    # The folder is made when it is needed, and removed on close.
    return open_database(memory_limit=MEMORY_LIMIT, temp_directory=str(spill))


def open_database(**settings: str) -> "duckdb.DuckDBPyConnection":
    """An empty database that sees no Python variables and fetches no extensions."""
    import duckdb

    config: dict[str, str | bool | int | float | list[str]] = {**_CLOSED, **settings}
    connection = duckdb.connect(":memory:", config=config)
    connection.execute("SET enable_progress_bar = false")
    return connection


def end(
    connection: "duckdb.DuckDBPyConnection",
    cursors: Iterable["duckdb.DuckDBPyConnection"],
) -> None:
    """Close a database, and end the queries that its cursors are at."""
    import duckdb

    cursors = list(cursors)
    give_up = monotonic() + PATIENCE
    while True:
        for cursor in cursors:
            cursor.interrupt()
        try:
            connection.close()
            return
        except duckdb.ResourceInUseException:
            if monotonic() > give_up:
                raise
            sleep(0.01)


def lock(connection: "duckdb.DuckDBPyConnection", root: Path | str) -> None:
    """From here on: no file outside the store's data, and no setting can be changed."""
    folders = [f"{root}/{name}/" for name in (RUNS, MODELS)]
    # Views name files so that they are no globs; both spellings must be allowed.
    allowed = {quote(path) for path in (*folders, *map(by_the_letter, folders))}
    connection.execute(f"SET allowed_directories = [{', '.join(sorted(allowed))}]")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")


def show(
    connection: "duckdb.DuckDBPyConnection", root: Path | str, snapshot: Snapshot
) -> None:
    """Make all views show this snapshot, at once or not at all."""
    import duckdb

    try:
        run_all(connection, chain(*definitions(root, snapshot).values()))
    except duckdb.Error as error:
        if (file := unreadable(connection, first_files(root, snapshot))) is None:
            raise
        raise duckdb.IOException(f"cannot read '{file}'") from error


def run_all(
    connection: "duckdb.DuckDBPyConnection", statements: Iterable[Statement]
) -> None:
    """Run statements in one transaction."""
    import duckdb

    connection.begin()
    try:
        for sql, values in statements:
            connection.execute(sql, values)
        connection.commit()
    except duckdb.Error:
        connection.rollback()
        raise


def unreadable(
    connection: "duckdb.DuckDBPyConnection", files: Iterable[str]
) -> str | None:
    """The file that keeps a view from being made: DuckDB does not always name it."""
    import duckdb

    for file in files:
        try:
            connection.execute("FROM parquet_file_metadata(?)", [by_the_letter(file)])
        except duckdb.Error:
            return file
    return None


def definitions(root: Path | str, snapshot: Snapshot) -> dict[str, list[Statement]]:
    """What makes each view, the table `runs` and each helper, by its name.

    `root` is the folder or address that the names of files begin with. What reads
    another comes after it.
    """
    views: dict[str, list[Statement]] = {
        name: [(f"CREATE OR REPLACE VIEW {name} AS {query}", [])]
        for name, query in view_definitions(root, snapshot)
    }
    helpers: dict[str, list[Statement]] = {
        name: [(statement, [])] for name, statement in helper_definitions()
    }
    return {**views, RUNS_TABLE.name: list(_runs(snapshot)), **helpers}


def with_sources(names: Collection[str]) -> set[str]:
    """The names, and those of the tables that helpers among them read."""
    read = (HELPERS[name].reads for name in names if name in HELPERS)
    return {*names, *chain.from_iterable(read)}


def table_names() -> set[str]:
    """What `definitions` makes that can be read as a table."""
    views = {helper.name for helper in HELPERS.values() if not helper.parameters}
    return {*TABLES, RUNS_TABLE.name, *views, "helpers"}


def function_names() -> set[str]:
    """What `definitions` makes that is called behind FROM."""
    return {helper.name for helper in HELPERS.values() if helper.parameters}


def _runs(snapshot: Snapshot) -> Iterator[Statement]:
    columns = ", ".join(f"{c.name} {c.sql_type}" for c in RUNS_TABLE.columns)
    yield f"CREATE OR REPLACE TABLE runs (run_id VARCHAR, {columns})", []
    marks = ", ".join("?" for _ in ["run_id", *RUNS_TABLE.columns])
    for run_id, state in snapshot.runs.items():
        values = _run_values(state)
        row = [run_id, *(values[column.name] for column in RUNS_TABLE.columns)]
        yield f"INSERT INTO runs VALUES ({marks})", row


def _run_values(state: RunState) -> Mapping[str, object]:
    """A run's row of `runs`, by column."""
    import json

    plan = state.plan
    return {
        **vars(plan),
        "datasets": list(plan.datasets),
        "config": json.dumps(plan.config),
        "versions": json.dumps(plan.versions),
        "started_at": _utc(plan.started_at),
        "finished_at": _utc(state.finished_at),
        "status": state.status,
        **{name: state.total(name) for name in COUNTED},
    }


def _utc(iso: str | None) -> str | None:
    """A time of a plan or record as a TIMESTAMP in UTC."""
    from datetime import UTC, datetime

    if iso is None:
        return None
    at = datetime.fromisoformat(iso).astimezone(UTC)
    return at.replace(tzinfo=None).isoformat(sep=" ")
