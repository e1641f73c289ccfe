"""A query that takes too much time or memory is stopped; the next one is answered."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing

import pytest

from flowglass.store import Store, StoreError, open_store, sandbox_process
from flowglass.store.connect import connect
from flowglass.store.sandbox import LimitReached
from flowglass.store.sandbox_limits import in_bytes

from .builders import make_plan, write_run
from .sandboxed import DEAF, SLOW, is_running, pid, until


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    root = tmp_path_factory.mktemp("store")
    write_run(root, make_plan())
    with open_store(root) as store:
        yield store


def test_time_is_over_for_a_query(store: Store) -> None:
    """DuckDB stops by itself, and its process goes on."""
    with store.sandbox(seconds=0.5) as sandbox:
        sandbox.query("SELECT 1")
        before = pid(sandbox)
        with pytest.raises(LimitReached, match=r"more than 0\.5 seconds") as reached:
            sandbox.query(SLOW)
        assert reached.value.limit == "seconds"
        sandbox.query("SELECT 1")
        assert pid(sandbox) == before


def test_time_is_over_while_the_others_are_counted(store: Store) -> None:
    """Then the first rows are shown nevertheless."""
    few = "FROM range(1000000000000) WHERE range < 5000 OR range % 900000000000 = 1"
    with store.sandbox(seconds=1) as sandbox:
        rows = sandbox.query(few, limit=3)
    assert rows.table.num_rows == 3
    assert (rows.more > 1000, rows.exact) == (True, False)


def test_a_query_that_is_deaf_is_killed(store: Store) -> None:
    """And the next one is answered, by another process."""
    with store.sandbox(seconds=0.5) as sandbox:
        sandbox.query("SELECT 1")
        before = pid(sandbox)
        started = time.monotonic()
        with pytest.raises(LimitReached, match=r"more than 0\.5 seconds"):
            sandbox.query(DEAF)
        assert time.monotonic() - started < 5
        assert not is_running(before)
        assert sandbox.query("FROM edges").table.num_rows == 12


@pytest.mark.parametrize(
    "query",
    [
        "SELECT length(repeat('x', 2000000000) || 'y')",
        "SELECT list(range) FROM range(100000000)",
        "SELECT len(list_sort(range(100000000)))",
    ],
)
def test_memory_is_bounded(store: Store, query: str) -> None:
    """For what DuckDB counts and for what it does not; the next query has it again."""
    with store.sandbox(memory="200MB", seconds=30) as sandbox:
        with pytest.raises(LimitReached, match="more than 200MB") as reached:
            sandbox.query(query)
        assert reached.value.limit == "memory"
        assert sandbox.query("FROM edges").table.num_rows == 12


def test_a_process_that_is_worn_is_replaced(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would not have the memory for another query."""
    worn = (
        "from flowglass.store import sandbox_child, system_limits; "
        "system_limits.Space.is_worn = lambda self: True; sandbox_child.main()"
    )
    monkeypatch.setattr(sandbox_process, "COMMAND", (sys.executable, "-c", worn))
    with store.sandbox() as sandbox:
        assert sandbox.missing_layers == ()
        before = pid(sandbox)
        assert sandbox.query("FROM edges").table.num_rows == 12
        assert until(lambda: not is_running(before))
        assert sandbox.query("FROM edges").table.num_rows == 12


@pytest.mark.parametrize("memory", ["200MB", "2GB"])
def test_ordinary_queries_do_not_wear_a_process(store: Store, memory: str) -> None:
    """What the libraries reserve for themselves is no query's."""
    with store.sandbox(memory=memory, threads=8) as sandbox:
        pids = set()
        for _ in range(3):
            sandbox.query("SELECT count(*) FROM edges, runs")
            sandbox.query("SELECT DISTINCT range FROM range(1000000)", limit=40)
            pids.add(pid(sandbox))
    assert len(pids) == 1


def test_a_process_is_worn_when_little_room_is_left() -> None:
    """What is only reserved counts as well; beyond the limit nothing is given."""
    script = """
import mmap
from flowglass.store.system_limits import Space
space = Space()
assert space.limit(memory=2**28, file=2**20) == []
space.settle(2**28)
assert not space.is_worn()
with mmap.mmap(-1, 2 * 2**28 + 2**20):
    assert space.is_worn()
    try: bytearray(2**28)
    except MemoryError: print("refused")
assert not space.is_worn()
"""
    done = subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE)
    assert (done.returncode, done.stdout) == (0, b"refused\n")


def test_too_little_memory_is_told(store: Store) -> None:
    """As any other query that needs more."""
    with store.sandbox(memory="1MB") as sandbox, pytest.raises(LimitReached):
        sandbox.query("SELECT list(range) FROM range(10000000)")


@pytest.mark.parametrize(
    "amount", ["2GB", "1.5 GiB", "500mb", "64MiB", "300 M", "1000000 bytes", "2tb"]
)
def test_memory_is_understood_as_duckdb_does(amount: str) -> None:
    """A person who knows DuckDB writes what it takes."""
    with closing(connect()) as connection:
        shown = []
        for said in (amount, f"{in_bytes(amount)}B"):
            connection.execute(f"SET memory_limit = '{said}'")
            shown.append(
                connection.execute("SELECT current_setting('memory_limit')").fetchall()
            )
    assert shown[0] == shown[1]


@pytest.mark.parametrize(
    ("seconds", "memory"),
    [(0, "1GB"), (-1, "1GB"), (1, "much"), (1, "0GB"), (1, "80%")],
)
def test_limits_that_are_none_are_refused(
    store: Store, seconds: float, memory: str
) -> None:
    """With what was given, before a process is started."""
    with pytest.raises(StoreError, match="give a"):
        store.sandbox(seconds=seconds, memory=memory)
