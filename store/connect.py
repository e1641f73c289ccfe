"""The DuckDB connection of an open store: in memory, with the store's views.

No process ever holds a .duckdb file: it would lock others out and go stale.
"""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from .layout import MODELS, RUNS
from .run import COUNTED
from .schema import RUNS as RUNS_TABLE
from .snapshot import RunState, Snapshot
from .views import by_the_letter, first_files, quote, view_definitions

if TYPE_CHECKING:
    import duckdb

MEMORY_LIMIT = "60%"


def connect() -> "duckdb.DuckDBPyConnection":
    """An empty database that sees no Python variables and fetches no extensions."""
    import duckdb

    spill = Path(tempfile.gettempdir()) / f"flowglass-{uuid4().hex[:12]}"
    connection = duckdb.connect(
        ":memory:",
        config={
            "python_enable_replacements": "false",
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            "allow_community_extensions": "false",
            "allow_unsigned_extensions": "false",
            "allow_persistent_secrets": "false",
            "memory_limit": MEMORY_LIMIT,
            "temp_directory": str(spill),  # made when needed, removed on close
        },
    )
    connection.execute("SET enable_progress_bar = false")
    return connection


def lock(connection: "duckdb.DuckDBPyConnection", root: Path) -> None:
    """From here on: no file outside the store's data, and no setting can be changed."""
    folders = [f"{root / name}/" for name in (RUNS, MODELS)]
    # Views name files so that they are no globs; both spellings must be allowed.
    allowed = {quote(path) for path in (*folders, *map(by_the_letter, folders))}
    connection.execute(f"SET allowed_directories = [{', '.join(sorted(allowed))}]")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")


def show(
    connection: "duckdb.DuckDBPyConnection", root: Path, snapshot: Snapshot
) -> None:
    """Make all views show this snapshot, at once or not at all."""
    import duckdb

    connection.begin()
    try:
        for name, query in view_definitions(root, snapshot):
            connection.execute(f"CREATE OR REPLACE VIEW {name} AS {query}")
        _show_runs(connection, snapshot)
        connection.commit()
    except duckdb.Error as error:
        connection.rollback()
        if (file := _unreadable(connection, root, snapshot)) is None:
            raise
        raise duckdb.IOException(f"cannot read '{file}'") from error


def _unreadable(
    connection: "duckdb.DuckDBPyConnection", root: Path, snapshot: Snapshot
) -> str | None:
    """The file that keeps a view from being made: DuckDB does not always name it."""
    import duckdb

    for file in first_files(root, snapshot):
        try:
            connection.execute("FROM parquet_file_metadata(?)", [by_the_letter(file)])
        except duckdb.Error:
            return file
    return None


def _show_runs(connection: "duckdb.DuckDBPyConnection", snapshot: Snapshot) -> None:
    columns = ", ".join(f"{c.name} {c.sql_type}" for c in RUNS_TABLE.columns)
    connection.execute(f"CREATE OR REPLACE TABLE runs (run_id VARCHAR, {columns})")
    marks = ", ".join("?" for _ in ["run_id", *RUNS_TABLE.columns])
    for run_id, state in snapshot.runs.items():
        values = _run_values(state)
        row = [run_id, *(values[column.name] for column in RUNS_TABLE.columns)]
        connection.execute(f"INSERT INTO runs VALUES ({marks})", row)


def _run_values(state: RunState) -> dict[str, object]:
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


def _utc(iso: str | None) -> object:
    """A time of a plan or record as a TIMESTAMP in UTC."""
    from datetime import UTC, datetime

    if iso is None:
        return None
    return datetime.fromisoformat(iso).astimezone(UTC).replace(tzinfo=None)
