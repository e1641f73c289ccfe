"""The process that runs untrusted SQL, `python -m flowglass.store.sandbox_child`.

Nothing it is asked to run is trusted, so it gives up what queries do not need, in this
order, before there is a database or a second thread:

1. the caller's open files and environment, and outliving its parent;
2. files (Landlock): it reads the store's data and what Python and DuckDB are made of,
   writes to its own temporary folder, and opens no TCP connection;
3. address space beyond a bound, large files, and core dumps.

Then it opens a DuckDB that is locked, and answers: it parses a query for its parent to
judge, makes the views that its parent says, and runs the query in a transaction that
only reads.
"""

import os
import select
import sys
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, BinaryIO

from . import landlock
from .connect import lock, open_database, run_all, unreadable
from .guard import parse
from .layout import MODELS, RUNS
from .shown import shown
from .system_limits import SYSTEM_FILES, Space, close_files_from, die_with, is_alone
from .wire import receive, send

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

COUNTED = 1_000_000
"""Rows behind a limit that are counted; beyond, the answer says `more than`."""
MOST_SHOWN = 64 * 2**20
"""Bytes of the rows within a limit."""

_BATCH = 512  # rows; a cell may be large
_PAYLOAD = 2**20
_DEEPEST = 250
"""Expressions within expressions; a parser that recurses must not use up its stack."""


def main() -> None:
    """Serve the parent whose process id is the argument, until it hangs up."""
    requests, answers = _pipes()
    die_with(int(sys.argv[1]))
    for name in set(os.environ) - {"TZ"}:
        del os.environ[name]
    # Arrow's own allocators reserve a gigabyte of addresses, which are counted here.
    os.environ["ARROW_DEFAULT_MEMORY_POOL"] = "system"
    import duckdb  # starts no thread

    request, _ = receive(requests)
    space = Space()
    missing = _confine(request, space)
    threading.Thread(target=_watch, args=[requests.fileno()], daemon=True).start()
    try:
        connection = _connect(request)
    except duckdb.Error as error:  # the memory does not suffice for an empty database
        send(answers, {"error": _said(error)})
        return
    space.settle(request["memory"])
    send(answers, {"missing": missing})
    os.dup2(0, 2)  # what ends this process need not be read by people
    while True:
        try:
            request, _ = receive(requests)
        except EOFError:
            return
        if "parse" in request:
            _parse(connection, request, answers)
        elif "probe" in request:
            send(answers, {"file": unreadable(connection, request["probe"])})
        else:
            end = _answer(connection, request, answers)
            send(answers, {**end, "worn": space.is_worn()})


def _pipes() -> tuple[BinaryIO, BinaryIO]:
    """The ends that standard input and output are; nothing else stays open but 2."""
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    close_files_from(max(requests.fileno(), answers.fileno()) + 1)
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(nothing, 1)
    os.close(nothing)
    return requests, answers


def _confine(request: dict[str, Any], space: Space) -> list[str]:
    """Steps 2 and 3; what this system cannot hold back."""
    import importlib.util

    # pyarrow does without numpy, which would start threads and take time.
    sys.modules["numpy"] = None  # type: ignore[assignment]
    arrow = importlib.util.find_spec("pyarrow")
    assert arrow is not None
    packages = {
        os.path.dirname(os.path.dirname(str(file)))
        for file in (sys.modules["duckdb"].__file__, arrow.origin)
    }
    os.chdir(request["root"])
    alone = is_alone()
    missing = landlock.restrict(
        read=[RUNS, MODELS, *packages, os.path.dirname(os.__file__), *SYSTEM_FILES],
        write=[request["temp"]],
    )
    if not alone:
        missing.append("Landlock for a thread that ran before it")
    import pyarrow as pa  # noqa: F401  # starts a thread, confined by now

    return missing + space.limit(memory=request["memory"], file=request["spill"])


def _connect(request: dict[str, Any]) -> "duckdb.DuckDBPyConnection":
    connection = open_database(
        memory_limit=f"{request['memory']}B",
        temp_directory=request["temp"],
        max_temp_directory_size=f"{request['spill']}B",
        max_expression_depth=str(_DEEPEST),
        **({"threads": str(request["threads"])} if request["threads"] else {}),
    )
    connection.execute(f"SET max_execution_time = {request['milliseconds']}")
    lock(connection, ".")
    return connection


def _watch(requests: int) -> None:
    """End when the parent hangs up, however busy DuckDB is."""
    hung_up = select.poll()
    hung_up.register(requests, 0)
    hung_up.poll()
    os._exit(1)


def _parse(
    connection: "duckdb.DuckDBPyConnection", request: dict[str, Any], answers: BinaryIO
) -> None:
    import duckdb

    try:
        count, serialized = parse(connection, request["parse"])
    except (duckdb.Error, MemoryError) as error:
        send(answers, {"error": _said(error)})
    else:
        send(answers, {"count": count}, serialized.encode())


def _answer(
    connection: "duckdb.DuckDBPyConnection", request: dict[str, Any], answers: BinaryIO
) -> dict[str, Any]:
    """Run a query and send its rows, in as many messages as it takes; how it ended."""
    import duckdb
    import pyarrow as pa

    end: dict[str, Any] = {"more": 0, "exact": True}
    try:
        run_all(connection, request["make"])
    except (duckdb.Error, MemoryError) as error:
        return {"error": _said(error), "unmade": True}
    try:
        connection.execute("BEGIN TRANSACTION READ ONLY")
        relation = shown(connection.sql(request["query"]), set(request["kept"]))
        with relation.to_arrow_reader(_BATCH) as reader:
            if request["rows"] is None:
                for payload in _payloads(reader):
                    send(answers, {"rows": True}, payload)
            else:
                first, end = _first(reader, request["rows"])
                send(answers, {"rows": True}, first)
    except (duckdb.Error, pa.ArrowException, OSError, MemoryError, _TooLarge) as error:
        end = {"error": _said(error)}
    connection.rollback()
    return end


def _payloads(reader: "pa.RecordBatchReader") -> Iterator[memoryview]:
    """All rows, as Arrow streams of a size to be sent; at least one."""
    waiting: list[pa.RecordBatch] = []
    size = sent = 0
    for batch in reader:
        waiting.append(batch)
        size += batch.nbytes
        if size >= _PAYLOAD:
            yield _stream(reader.schema, waiting)
            waiting, size, sent = [], 0, sent + 1
    if waiting or not sent:
        yield _stream(reader.schema, waiting)


def _first(
    reader: "pa.RecordBatchReader", limit: int
) -> tuple[memoryview, dict[str, Any]]:
    """The first rows, and how many there are besides."""
    batches: list[pa.RecordBatch] = []
    taken = more = size = 0
    exact = True
    try:
        for batch in reader:
            part = batch.slice(0, limit - taken)
            if part.num_rows:
                batches.append(part)
                size += part.nbytes
            if size > MOST_SHOWN:
                raise _TooLarge(
                    f"the first {limit:,} rows are larger than {MOST_SHOWN:,} bytes: "
                    f"select fewer of them, or less of each"
                )
            taken += part.num_rows
            more += batch.num_rows - part.num_rows
            if more > COUNTED:
                more, exact = COUNTED, False
                break
    except OSError as error:
        # Time may be over while the others are counted.
        if taken < limit or "INTERRUPT" not in str(error):
            raise
        exact = False
    return _stream(reader.schema, batches), {"more": more, "exact": exact}


class _TooLarge(Exception):
    """More than a person could look at."""


def _stream(schema: "pa.Schema", batches: "list[pa.RecordBatch]") -> memoryview:
    import pyarrow as pa

    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, schema) as writer:
        for batch in batches:
            writer.write_batch(batch)
    return memoryview(sink.getvalue())


def _said(error: BaseException) -> str:
    """An error as DuckDB says it: what kind it is comes first."""
    if isinstance(error, MemoryError):
        return f"Out of Memory Error: {error}"
    return (
        f"Invalid Input Error: {error}" if isinstance(error, _TooLarge) else str(error)
    )


if __name__ == "__main__":
    main()
