"""A sandbox answers questions, stops what is too much, and leaves nothing behind."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pyarrow as pa
import pytest

from flowglass.store import Store, StoreError, open_store, sandbox_process
from flowglass.store.connect import connect, function_names, show, table_names
from flowglass.store.landlock import version
from flowglass.store.sandbox import LimitReached, Limits, Sandbox, open_sandbox
from flowglass.store.sandbox_limits import in_bytes
from flowglass.store.sandbox_process import SandboxProcess
from flowglass.store.shown import PLAIN
from flowglass.store.sql_helpers import HELPERS

from .builders import commit_shard, make_plan, write_run
from .sandboxed import WITHOUT_LANDLOCK

SLOW = "SELECT count(*) FROM range(1000000) a, range(1000000) b WHERE a.range > b.range"
DEAF = "SELECT levenshtein(repeat('a', 4000000), repeat('b', 4000000))"
"""Some seconds in which DuckDB does not look at the clock."""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("store")
    write_run(root, make_plan())
    return root


@pytest.fixture(scope="module")
def store(root: Path) -> Iterator[Store]:
    with open_store(root) as store:
        yield store


@pytest.fixture(scope="module")
def sandbox(store: Store) -> Iterator[Sandbox]:
    with store.sandbox(seconds=30) as sandbox:
        yield sandbox


def pid(sandbox: Sandbox) -> int:
    assert sandbox._session is not None
    return sandbox._session.process._process.pid


def is_running(pid: int) -> bool:
    """Whether a process is there, and not just a record of how it ended."""
    try:
        return ") Z" not in Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False


def until(condition: Callable[[], bool]) -> bool:
    """Wait for up to ten seconds."""
    deadline = time.monotonic() + 10
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    return condition()


def test_all_rows_of_a_small_answer_come_as_a_table(sandbox: Sandbox) -> None:
    """With their types, in their order, and nothing more."""
    rows = sandbox.query("SELECT prompt_id, text FROM prompts ORDER BY prompt_id DESC")
    ids = list(range(5, -1, -1))
    expected = {"prompt_id": ids, "text": [f"prompt {i}" for i in ids]}
    assert rows.table == pa.table(
        expected, schema=pa.schema({"prompt_id": pa.int32(), "text": pa.string()})
    )
    assert (rows.more, rows.exact) == (0, True)


@pytest.mark.parametrize(
    ("n", "limit", "shown", "more", "exact"),
    [
        (0, 40, 0, 0, True),
        (40, 40, 40, 0, True),
        (41, 40, 40, 1, True),
        (5, 0, 0, 5, True),
        (1_000_040, 40, 40, 1_000_000, True),
        (1_000_041, 40, 40, 1_000_000, False),
        (10**15, 40, 40, 1_000_000, False),
    ],
)
def test_the_first_rows_come_with_the_number_of_the_others(
    sandbox: Sandbox, n: int, limit: int, shown: int, more: int, exact: bool
) -> None:
    """Exact up to a million, whatever the size of the answer."""
    rows = sandbox.query(f"SELECT range AS i FROM range({n})", limit=limit)
    assert rows.table["i"].to_pylist() == list(range(shown))
    assert (rows.more, rows.exact) == (more, exact)


def test_a_stream_gives_every_row(sandbox: Sandbox) -> None:
    """More than one message holds, and then the sandbox is free again."""
    reader = sandbox.stream("SELECT range AS i, repeat('x', 50) AS t FROM range(90000)")
    assert reader.schema.names == ["i", "t"]
    table = reader.read_all()
    assert table["i"].to_pylist() == list(range(90000))
    assert sandbox.query("SELECT 1").table.num_rows == 1


def test_a_stream_of_no_rows_has_a_schema(sandbox: Sandbox) -> None:
    """So that a file of it can be written."""
    reader = sandbox.stream("SELECT 1::SMALLINT AS a WHERE false")
    assert reader.schema == pa.schema({"a": pa.int16()})
    assert reader.read_all().num_rows == 0


def test_what_fails_late_in_a_stream_is_told(sandbox: Sandbox) -> None:
    """As the same error, where the rows end."""
    late = "CASE WHEN range < 4900000 THEN 1 ELSE error('late') END"
    reader = sandbox.stream(f"SELECT {late} FROM range(5000000)")
    with pytest.raises(StoreError, match="late"):
        reader.read_all()
    assert sandbox.query("SELECT 1").table.num_rows == 1


def test_one_question_at_a_time(store: Store) -> None:
    """While a stream is read there is no other answer; when it is given up there is."""
    with store.sandbox() as sandbox:
        reader = sandbox.stream("FROM range(100000000)")
        with pytest.raises(StoreError, match="one query at a time"):
            sandbox.query("SELECT 1")
        del reader
        assert sandbox.query("SELECT 1").table.num_rows == 1


def test_what_is_committed_since_is_seen_after_a_refresh(tmp_path: Path) -> None:
    """The sandbox shows what its store shows."""
    writer = write_run(tmp_path, make_plan(), shards=range(1))
    count = "SELECT count(*) AS n FROM prompts"
    with open_store(tmp_path) as store, store.sandbox() as sandbox:
        assert sandbox.query(count).table["n"].to_pylist() == [2]
        commit_shard(writer, 1)
        assert sandbox.query(count).table["n"].to_pylist() == [2]
        store.refresh()
        assert sandbox.query(count).table["n"].to_pylist() == [4]


@pytest.mark.parametrize("name", ["it's [odd]* ?", "with space", "ünïcode"])
def test_a_sandboxed_store_may_lie_in_any_folder(tmp_path: Path, name: str) -> None:
    """Quotes and what looks like a pattern are names like any other."""
    write_run(tmp_path / name, make_plan())
    with open_sandbox(tmp_path / name, Limits(30, "1GB", None)) as sandbox:
        assert sandbox.query("FROM prompts").table.num_rows == 6


def test_an_address_is_no_folder(store: Store) -> None:
    """The child has no network: somebody must fetch the files first."""
    with pytest.raises(StoreError, match="s3://b/runs is no folder"):
        Sandbox("s3://b/runs", lambda: store.snapshot, Limits(1, "1GB", None))


def test_the_names_that_may_be_used_are_those_that_are_made(store: Store) -> None:
    """No view is forgotten by the guard, and none is announced in vain."""
    with closing(connect()) as connection:
        show(connection, store.root, store.snapshot)
        tables = connection.execute("SELECT name FROM (SHOW TABLES)").fetchall()
        functions = connection.execute(
            "SELECT DISTINCT function_name FROM duckdb_functions() WHERE NOT internal"
        ).fetchall()
    assert {name for (name,) in tables} == table_names()
    assert {name for (name,) in functions} == function_names()


def test_tables_can_be_listed_before_any_was_read(store: Store) -> None:
    """Though a view is only made when a query names it."""
    with store.sandbox() as sandbox:
        assert set(sandbox.query("SHOW TABLES").table["name"].to_pylist()) == (
            table_names()
        )
        described = sandbox.query("DESCRIBE edges").table["column_name"].to_pylist()
        assert described[:3] == ["run_id", "prompt_id", "layer"]
        assert sandbox.query("FROM edges").table.num_rows == 12
        assert sandbox.query("FROM information_schema.columns").table.num_rows > 100


ARGUMENTS = {"head_prompts": "0, 0"}


@pytest.mark.parametrize("name", [*HELPERS, "helpers"])
def test_a_helper_alone_has_what_it_reads(sandbox: Sandbox, name: str) -> None:
    """The tables behind it are made with it."""
    helper = HELPERS.get(name)
    called = f"{name}({ARGUMENTS.get(name, '')})"
    sandbox.query(f"FROM {called if helper and helper.parameters else name}", limit=1)


def test_tables_are_announced_before_they_are_read(root: Path, store: Store) -> None:
    """So that whoever keeps the files elsewhere can fetch them."""
    asked: list[set[str]] = []
    limits = Limits(30, "1GB", None)
    with Sandbox(
        root,
        lambda: store.snapshot,
        limits,
        before=lambda tables: asked.append({*tables}),
    ) as sandbox:
        sandbox.query("SELECT 1")
        sandbox.query("FROM edges, heads LIMIT 1")
        sandbox.query("FROM accuracy")
        with pytest.raises(StoreError):
            sandbox.query("FROM edges, '/etc/passwd'")
    assert asked == [set(), {"edges", "heads"}, {"accuracy", "prompts", "targets"}]


def test_a_plan_can_be_explained(sandbox: Sandbox, root: Path) -> None:
    """Without running the query, and without telling where the store lies."""
    for query in ("EXPLAIN FROM edges WHERE layer = 0", " explain/**/(SELECT 1)"):
        plan = str(sandbox.query(query).table.to_pylist())
        assert "physical_plan" in plan
        assert str(root) not in plan
    with pytest.raises(StoreError):
        sandbox.query("EXPLAIN ANALYZE FROM edges")


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("SELECT contributoin FROM edges", "no column 'contributoin': .*contribution"),
        ("SELECT frequenzy FROM activation_frequency()", "did you mean frequency"),
        ("SELECT * FROM edgse", "no table 'edgse': did you mean edges"),
        ("FROM zzzzzz", "no table 'zzzzzz': SHOW TABLES lists them"),
        ("SELCT 1", 'syntax error at or near "SELCT"'),
        ("SELECT 1; SELECT 2", "one SQL statement, not 2"),
        ("-- nothing", "one SQL statement, not 0"),
        ("SELECT foo(1)", "Scalar Function with name foo does not exist"),
        ("SELECT CAST('a' AS INTEGER)", "Could not convert string 'a' to INT32"),
        ("SELECT ?", "[Pp]arameter"),
        ("SELECT '\ud800'", "no text"),
        ("SELECT 1\0, 2", "no text"),
        ("SELECT 1 --" + "x" * 200_000, "longer than 200,000 characters"),
        ("SELECT " + "(" * 400 + "1" + ")" * 400, "nests too deeply"),
        ("FROM " + "(FROM " * 300 + "edges" + ")" * 300, "nests too deeply"),
    ],
)
def test_a_mistake_is_explained_in_one_line(
    sandbox: Sandbox, query: str, message: str
) -> None:
    """And costs nothing: the same child answers the next query."""
    before = pid(sandbox)
    with pytest.raises(StoreError, match=message) as refusal:
        sandbox.query(query)
    assert "\n" not in str(refusal.value)
    assert sandbox.query("SELECT 1").table.num_rows == 1
    assert pid(sandbox) == before


def test_an_answer_of_large_rows_is_not_shown(sandbox: Sandbox) -> None:
    """Whoever asks for forty rows does not get a gigabyte."""
    with pytest.raises(StoreError, match="first 40 rows are larger than"):
        sandbox.query("SELECT repeat('x', 9000000) FROM range(40)", limit=40)


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:100])


def without_content(file: Path) -> None:
    file.write_bytes(b"")


def with_blank_footer(file: Path) -> None:
    data = file.read_bytes()
    length = 8 + int.from_bytes(data[-8:-4], "little")
    file.write_bytes(data[:-length] + bytes(length - 8) + data[-8:])


@pytest.mark.parametrize("shard", [0, 1])
@pytest.mark.parametrize(
    "damage", [Path.unlink, cut, without_content, with_blank_footer]
)
def test_a_damaged_file_is_named_with_its_remedy(
    tmp_path: Path, damage: Callable[[Path], None], shard: int
) -> None:
    """Whether a view cannot be made of it or a query comes across it."""
    root = tmp_path / "a store [1]"
    write_run(root, make_plan())
    limits = Limits(30, "1GB", None)
    (file,) = root.glob(f"runs/*/data/edges/shard=00000{shard}/*")
    with open_sandbox(root, limits) as sandbox:
        damage(file)
        with pytest.raises(StoreError) as refusal:
            sandbox.query("SELECT sum(contribution) FROM edges")
        assert sandbox.query("FROM prompts").table.num_rows == 6
    assert f"file {file} is missing or damaged" in str(refusal.value)
    assert f"commits/00000{shard}.json and run the sweep again" in str(refusal.value)


def test_a_link_out_of_the_store_is_not_followed(tmp_path: Path) -> None:
    """A file that may not be read is no damaged one: its record must stay."""
    write_run(tmp_path / "store", make_plan())
    run = tmp_path / "store/runs/run_id=tiny"
    run.rename(tmp_path / "elsewhere")
    run.symlink_to(tmp_path / "elsewhere")
    with (
        open_sandbox(tmp_path / "store", Limits(30, "1GB", None)) as sandbox,
        pytest.raises(StoreError, match="may not be read: .* link") as refusal,
    ):
        sandbox.query("FROM edges")
    assert "delete" not in str(refusal.value)


def test_damage_within_a_file_is_told(tmp_path: Path) -> None:
    """Where DuckDB does not say in which, whoever can look says so."""
    write_run(tmp_path, make_plan())
    (file,) = tmp_path.glob("runs/*/data/edges/shard=000001/*")
    data = file.read_bytes()
    broken = "SELECT DISTINCT kind FROM edges"
    with open_sandbox(tmp_path, Limits(30, "1GB", None)) as sandbox:
        expected = sandbox.query(broken).table
        said = set()
        for place in range(4, len(data) // 2, 37):
            file.write_bytes(data[:place] + b"\xff\xff\xff" + data[place + 3 :])
            try:
                assert sandbox.query(broken).table.schema == expected.schema
            except StoreError as error:
                said.add(str(error))
    assert said
    for message in said:
        assert str(file) in message or "`flowglass verify` names it" in message


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


def test_a_process_killed_between_queries_is_replaced(store: Store) -> None:
    """As by a system that runs out of memory."""
    with store.sandbox() as sandbox:
        sandbox.query("SELECT 1")
        os.kill(pid(sandbox), signal.SIGKILL)
        assert until(lambda: not is_running(pid(sandbox)))
        assert sandbox.query("SELECT 1").table.num_rows == 1


def test_a_process_killed_during_a_query_is_told(store: Store) -> None:
    """In one line that says what ended it."""
    with store.sandbox() as sandbox:
        sandbox.query("SELECT 1")
        threading.Timer(0.3, os.kill, [pid(sandbox), signal.SIGKILL]).start()
        with pytest.raises(StoreError, match=r"ended \(SIGKILL\) with no answer"):
            sandbox.query(SLOW)
        assert sandbox.query("SELECT 1").table.num_rows == 1


def test_closing_ends_a_query_of_another_thread(store: Store) -> None:
    """The viewer's way to give up; nothing is left behind."""
    sandbox = store.sandbox()
    sandbox.query("SELECT 1")
    child = pid(sandbox)
    assert sandbox._session is not None
    temp = Path(sandbox._session.process.temp)
    assert temp.is_dir()
    threading.Timer(0.3, sandbox.close).start()
    with pytest.raises(StoreError, match="closed"):
        sandbox.query(SLOW)
    assert until(lambda: not is_running(child) and not temp.exists())
    with pytest.raises(StoreError, match="closed"):
        sandbox.query("SELECT 1")


def test_the_process_outlives_the_thread_that_asked_first(store: Store) -> None:
    """The kernel looks at the thread that started it: one that stays."""
    pids = []

    def ask() -> None:
        with_it = store.sandbox()
        with_it.query("SELECT 1")
        pids.append((with_it, pid(with_it)))

    thread = threading.Thread(target=ask)
    thread.start()
    thread.join()
    ((sandbox, before),) = pids
    time.sleep(0.2)
    with sandbox:
        sandbox.query("SELECT 1")
        assert pid(sandbox) == before


ORPHAN = """
import sys, threading, time
from flowglass.store.sandbox import Limits, open_sandbox
sandbox = open_sandbox(sys.argv[1], Limits(60, "1GB", None))
sandbox.query("SELECT 1")
print(sandbox._session.process._process.pid, flush=True)
try: sandbox.query(sys.argv[2])
finally: time.sleep(60)
"""


def test_the_process_does_not_survive_its_parent(root: Path) -> None:
    """Not even one that is killed while the child is deaf."""
    parent = subprocess.Popen(
        [sys.executable, "-c", ORPHAN, root, DEAF], stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    assert is_running(child)
    parent.kill()
    parent.communicate()
    assert until(lambda: not is_running(child))


def test_the_process_notices_that_nobody_listens(store: Store) -> None:
    """By its pipe alone, in the midst of a query."""
    with store.sandbox() as sandbox:
        sandbox.query("SELECT 1")
        assert sandbox._session is not None
        process = sandbox._session.process
        process.ask({"query": SLOW, "make": [], "kept": [], "rows": 1})
        time.sleep(0.2)
        assert process._process.stdin is not None
        process._process.stdin.close()
        assert until(lambda: not process.is_there)


def test_the_process_inherits_nothing(
    store: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Neither the environment nor open files, even such as others would inherit."""
    monkeypatch.setenv("FLOWGLASS_SECRET", "hunter2")
    (tmp_path / "mine").write_text("x")
    descriptor = os.open(tmp_path / "mine", os.O_RDONLY)
    os.set_inheritable(descriptor, True)
    try:
        with store.sandbox() as sandbox:
            sandbox.query("FROM edges")
            proc = Path(f"/proc/{pid(sandbox)}")
            names = [entry.partition(b"=")[0] for entry in _entries(proc / "environ")]
            opened = [os.readlink(entry) for entry in (proc / "fd").iterdir()]
    finally:
        os.close(descriptor)
    assert set(names) <= {b"LD_LIBRARY_PATH", b"PYTHONHOME", b"PYTHONPATH", b"TZ"}
    kinds = {name.partition(":")[0] for name in opened if "/data/" not in name}
    assert kinds - {"pipe", "anon_inode"} <= {"/dev/null", f"{proc}/statm"}


def _entries(environ: Path) -> list[bytes]:
    return [entry for entry in environ.read_bytes().split(b"\0") if entry]


@pytest.mark.skipif(version() < 4, reason="this kernel's Landlock has no rules for TCP")
def test_no_layer_is_missing_here(sandbox: Sandbox) -> None:
    """On Linux 6.7 and later."""
    assert sandbox.missing_layers == ()


def test_a_system_without_landlock_says_so(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the other layers do their part."""
    monkeypatch.setattr(sandbox_process, "COMMAND", WITHOUT_LANDLOCK)
    with store.sandbox() as sandbox:
        (missing,) = sandbox.missing_layers
        assert "Landlock" in missing
        assert sandbox.query("FROM edges").table.num_rows == 12


def test_a_process_that_cannot_start_is_told(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rather than waited for."""
    monkeypatch.setattr(sandbox_process, "COMMAND", (sys.executable, "-c", "exit(3)"))
    with pytest.raises(StoreError, match=r"ended \(exit code 3\)"):
        store.sandbox().query("SELECT 1")


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


def test_too_little_memory_is_told(store: Store) -> None:
    """As any other query that needs more."""
    with store.sandbox(memory="1MB") as sandbox, pytest.raises(LimitReached):
        sandbox.query("SELECT list(range) FROM range(10000000)")


def test_types_that_arrow_lacks_come_as_text(sandbox: Sandbox) -> None:
    """Inside others too; those that it has are kept, and no name comes twice."""
    (row,) = sandbox.query(
        "SELECT INTERVAL 1 DAY AS a, 1 AS a, {'i': INTERVAL 1 MONTH, 'n': 2} AS s, "
        "[union_value(x := 1)] AS u, MAP {'k': '101'::BIT} AS m, "
        "340282366920938463463374607431768211455::UHUGEINT AS h, "
        "DATE '2026-01-02' AS d, [1, 2]::INTEGER[2] AS f"
    ).table.to_pylist(maps_as_pydicts="strict")
    assert str(row.pop("d")) == "2026-01-02"
    assert row == {
        "a": "1 day",
        "a_2": 1,
        "s": {"i": "1 month", "n": 2},
        "u": ["1"],
        "m": {"k": "101"},
        "h": "340282366920938463463374607431768211455",
        "f": [1, 2],
    }


def test_times_are_text_where_only_plain_types_are_kept(sandbox: Sandbox) -> None:
    """As DuckDB writes them, however far back."""
    rows = sandbox.query(
        "SELECT DATE '0044-03-15 (BC)' AS a, ['infinity'::TIMESTAMP] AS b", kept=PLAIN
    )
    assert rows.table.to_pylist() == [{"a": "0044-03-15 (BC)", "b": ["infinity"]}]


def test_an_answer_that_is_no_sound_arrow_is_refused(sandbox: Sandbox) -> None:
    """As of a number that its type cannot hold."""
    with pytest.raises(StoreError, match=r"cannot be read .*cast"):
        sandbox.query(f"SELECT {2**127 - 1}::HUGEINT")


def test_a_sandbox_needs_no_open_store(root: Path) -> None:
    """Nor does it start a process where there is no store."""
    with open_sandbox(root, Limits(30, "1GB", 1)) as sandbox:
        assert sandbox.query("FROM runs").table["run_id"].to_pylist() == ["tiny"]
    with pytest.raises(StoreError, match="no store at nowhere"):
        open_sandbox("nowhere", Limits(30, "1GB", 1))


def test_a_process_started_ahead_ends_with_its_block() -> None:
    """Whatever happens meanwhile."""
    with SandboxProcess() as process:
        assert process.is_there
        temp = Path(process.temp)
    assert not process.is_there
    assert not temp.exists()
