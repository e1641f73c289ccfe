"""A sandbox's child: what it inherits, what ends it, and that it always ends."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from flowglass.store import Store, StoreError, open_store, sandbox_process
from flowglass.store.landlock import version
from flowglass.store.sandbox_process import SandboxProcess

from .builders import make_plan, write_run
from .command import Run
from .sandboxed import DEAF, SLOW, WITHOUT_LANDLOCK, is_running, pid, until


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    root = tmp_path_factory.mktemp("store")
    write_run(root, make_plan())
    with open_store(root) as store:
        yield store


def test_a_process_killed_between_queries_is_replaced(store: Store) -> None:
    """As by a system that runs out of memory."""
    with store.sandbox() as sandbox:
        sandbox.query("SELECT 1")
        assert sandbox._session is not None
        process = sandbox._session.process
        os.kill(pid(sandbox), signal.SIGKILL)
        assert until(lambda: not process.is_there)
        assert sandbox.query("SELECT 1").table.num_rows == 1


def test_a_process_killed_during_a_query_is_told(store: Store) -> None:
    """In one line that says what ended it."""
    with store.sandbox() as sandbox:
        sandbox.query("SELECT 1")
        threading.Timer(0.3, os.kill, [pid(sandbox), signal.SIGKILL]).start()
        with pytest.raises(StoreError, match=r"ended \(SIGKILL\) with no answer"):
            sandbox.query(SLOW)
        assert sandbox.query("SELECT 1").table.num_rows == 1


def test_an_interrupted_query_is_given_up(store: Store) -> None:
    """As by Ctrl-C in a notebook; the next one gets another process."""

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        with store.sandbox() as sandbox:
            sandbox.query("SELECT 1")
            first = pid(sandbox)
            signal.setitimer(signal.ITIMER_REAL, 0.3)
            with pytest.raises(KeyboardInterrupt):
                sandbox.query(SLOW)
            assert not is_running(first)
            assert sandbox.query("FROM edges").table.num_rows == 12
    finally:
        signal.signal(signal.SIGALRM, before)


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


def test_the_process_does_not_survive_its_parent(store: Store, tmp_path: Path) -> None:
    """Not even one that is killed while the child is deaf."""
    parent = subprocess.Popen(
        [sys.executable, "-c", ORPHAN, store.root, DEAF],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        text=True,
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
def test_no_layer_is_missing_here(store: Store) -> None:
    """On Linux 6.7 and later."""
    with store.sandbox() as sandbox:
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


def test_the_command_says_it_too(
    run: Run, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside the answer, not in it."""
    monkeypatch.setattr(sandbox_process, "COMMAND", WITHOUT_LANDLOCK)
    for more in ([], ["--output", tmp_path / "answer.csv"]):
        code, out, err = run("sql", store.root, "SELECT 1 AS one", *more)
        assert code == 0
        assert "Landlock" not in out
        assert err.startswith("note: this system cannot hold back everything: Landlock")


def test_a_process_that_cannot_start_is_told(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rather than waited for."""
    monkeypatch.setattr(sandbox_process, "COMMAND", (sys.executable, "-c", "exit(3)"))
    with pytest.raises(StoreError, match=r"ended \(exit code 3\)"):
        store.sandbox().query("SELECT 1")


def test_a_process_started_ahead_ends_with_its_block() -> None:
    """Whatever happens meanwhile."""
    with SandboxProcess() as process:
        assert process.is_there
        temp = Path(process.temp)
    assert not process.is_there
    assert not temp.exists()
