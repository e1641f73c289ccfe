"""Run one query and write its rows out, as `flowglass sql` does."""

import os
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import StoreError
from .render import write_csv, write_json, write_parquet, write_table
from .sql_errors import explained
from .store import Store

if TYPE_CHECKING:
    import duckdb

WRITERS = {"table": write_table, "csv": write_csv, "json": write_json}


def print_query(store: Store, query: str, *, format: str) -> None:
    """Write a query's rows to the terminal, or where standard output goes."""
    cursor = store.cursor(query)
    with explained(store.root):
        _run(cursor, lambda: WRITERS[format](cursor.execute(query), sys.stdout))


def save_query(store: Store, query: str, *, format: str, output: Path) -> None:
    """Write a query's rows to a file, which is there whole or not at all."""
    if not output.parent.is_dir():
        raise StoreError(f"cannot write {output}: there is no folder {output.parent}")
    cursor = store.cursor(query)
    draft = output.with_name(f".{output.name}.{os.getpid()}")

    def save() -> None:
        if format == "parquet":
            write_parquet(cursor.sql(query), str(draft))
        else:
            with draft.open("w", encoding="utf-8", newline="") as out:
                WRITERS[format](cursor.execute(query), out)

    try:
        with explained(store.root):
            _run(cursor, save)
        draft.replace(output)
    finally:
        draft.unlink(missing_ok=True)


def _run(cursor: "duckdb.DuckDBPyConnection", work: Callable[[], None]) -> None:
    """Do the work so that Ctrl-C ends it: DuckDB itself does not look for it."""
    with ThreadPoolExecutor(max_workers=1) as pool:
        done = pool.submit(work)
        try:
            done.result()
        except KeyboardInterrupt:
            cursor.interrupt()
            raise
