"""Run one query in a sandbox and write its rows out, as `flowglass sql` does."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import StoreError
from .render import write_csv, write_json, write_parquet, write_table
from .sandbox import LimitReached, Sandbox
from .shown import PLAIN

SHOWN_ROWS = 40
WRITERS = {"csv": write_csv, "json": write_json}


def print_query(sandbox: Sandbox, query: str, *, format: str) -> None:
    """Write a query's rows to the terminal, or where standard output goes."""
    _begin(sandbox)
    with _told_of_options():
        if format == "table":
            rows = sandbox.query(query, limit=SHOWN_ROWS, kept=PLAIN)
            write_table(rows, sys.stdout)
        else:
            WRITERS[format](sandbox.stream(query, kept=PLAIN), sys.stdout)


def save_query(sandbox: Sandbox, query: str, *, format: str, output: Path) -> None:
    """Write a query's rows to a file, which is there whole or not at all."""
    if not output.parent.is_dir():
        raise StoreError(f"cannot write {output}: there is no folder {output.parent}")
    draft = output.with_name(f".{output.name}.{os.getpid()}")
    _begin(sandbox)
    try:
        with _told_of_options():
            _save(sandbox, query, format, draft)
        draft.replace(output)
    finally:
        draft.unlink(missing_ok=True)


def _begin(sandbox: Sandbox) -> None:
    """Say which layer of the sandbox this system lacks, if it lacks one."""
    _load_arrow()  # meanwhile its child starts
    for missing in sandbox.missing_layers:
        said = f"note: this system cannot hold back everything: {missing}"
        print(said, file=sys.stderr)


def _save(sandbox: Sandbox, query: str, format: str, draft: Path) -> None:
    if format == "parquet":
        write_parquet(sandbox.stream(query), str(draft))
        return
    with draft.open("w", encoding="utf-8", newline="") as out:
        if format == "table":
            write_table(sandbox.query(query, limit=SHOWN_ROWS, kept=PLAIN), out)
        else:
            WRITERS[format](sandbox.stream(query, kept=PLAIN), out)


@contextmanager
def _told_of_options() -> Iterator[None]:
    """A limit that was reached, with the option that moves it."""
    try:
        yield
    except LimitReached as reached:
        raise StoreError(
            f"{reached}: ask for less, or allow more with --{reached.limit}"
        ) from None


def _load_arrow() -> None:
    """Import pyarrow without numpy, which rows as text do not need: half the time."""
    if "numpy" not in sys.modules:
        sys.modules["numpy"] = None  # type: ignore[assignment]
        import pyarrow  # noqa: F401

        del sys.modules["numpy"]
