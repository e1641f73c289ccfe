"""DuckDB's complaints as one line that says what to do."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path

from .errors import StoreError
from .schema import RUNS, TABLES
from .sql_helpers import HELPERS

_COLUMN = re.compile(
    r'Referenced column "([^"]+)" not found'
    r'|does not have a column named "([^"]+)"'
)
_TABLE = re.compile(r"Table with name (\S+) does not exist")
_KIND = re.compile(r"^(\w+ )+Error: ")
UNNAMED = "`flowglass verify` names it"
"""Ends what is said of damage in a file that DuckDB does not name."""
_FILE = re.compile(r"['\"]([^'\"]+\.parquet)['\"]")


@contextmanager
def explained(root: Path | str) -> Iterator[None]:
    """Turn what a query or a store's files got wrong into a StoreError."""
    import duckdb

    try:
        yield
    except (duckdb.InternalException, duckdb.InterruptException):
        raise
    except duckdb.Error as error:
        raise StoreError(explain(str(error), root)) from error


def explain(message: str, root: Path | str) -> str:
    """What a message of DuckDB's means in a store that lies there."""
    if unknown := _COLUMN.search(message):
        name = unknown[1] or unknown[2]
        return f"no column {name!r}: {_near(name, _columns())}"
    if unknown := _TABLE.search(message):
        return f"no table {unknown[1]!r}: {_near(unknown[1], _tables())}"
    if (file := _FILE.search(message)) and file[1].startswith(f"{root}/"):
        return _forbidden(file[1]) if "Permission" in message else _damaged(file[1])
    if "Max expression depth" in message:
        return "the query nests too deeply: make it simpler"
    reason = _KIND.sub("", message).strip().partition("\n")[0]
    if is_damage(message):
        return f"a file of the store is damaged ({reason}): {UNNAMED}"
    return reason or "the query failed"


def is_damage(message: str) -> bool:
    """Whether a message comes from inside a file: only there DuckDB names no kind."""
    return _KIND.match(message) is None


def _forbidden(path: str) -> str:
    return (
        f"the store's file {path} may not be read: see its permissions, and whether a "
        f"link leads to it out of the store"
    )


def _damaged(path: str) -> str:
    return (
        f"the store's file {path} is missing or damaged: if shards were merged or "
        f"dropped meanwhile, open the store again; else restore it from a copy, or let "
        f"`flowglass verify STORE --repair` drop its shards and run the sweep again"
    )


def _near(name: str, known: list[str]) -> str:
    near = get_close_matches(name.lower(), known, n=3, cutoff=0.5)
    if near:
        return f"did you mean {' or '.join(near)}?"
    return "SHOW TABLES lists the tables, DESCRIBE a table its columns"


def _tables() -> list[str]:
    return [*TABLES, RUNS.name, *HELPERS]


def _columns() -> list[str]:
    tables = [*TABLES.values(), RUNS]
    names = {column.name for table in tables for column in table.columns}
    helped = {name for helper in HELPERS.values() for name in helper.columns}
    return sorted(names | helped | {"run_id", "model_hash"})
