"""`flowglass info --watch`: another process commits, this one is told."""

import io
import os
import pty
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from flowglass.store import open_store
from flowglass.store.run import RunWriter
from flowglass.store.throughput import Observer, pace
from flowglass.store.watch import Look, drawn, line

from .builders import commit_shard, make_plan, write_run
from .command import Run

PATIENCE = 60.0


class Watched:
    """The command, running, and what it has said so far."""

    def __init__(self, root: Path, *, terminal: bool) -> None:
        # As a shell would start it: a test may run where Ctrl-C is ignored.
        script = (
            "import signal; from flowglass.store.cli import main\n"
            "signal.signal(signal.SIGINT, signal.default_int_handler); main()"
        )
        ours, theirs = pty.openpty() if terminal else os.pipe()
        self.process = subprocess.Popen(
            [sys.executable, "-c", script, "info", str(root), "--watch"],
            stdout=theirs,
            stderr=subprocess.PIPE,
            env={**os.environ, "COLUMNS": "120", "LINES": "30", "TERM": "xterm"},
        )
        os.close(theirs)
        self._from = ours
        self.said = ""

    def hear(self, pattern: str) -> None:
        """Wait until it has said something, after what was heard before."""
        heard = len(self.said)
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            if re.search(pattern, self.said[heard:]):
                return
            try:
                more = os.read(self._from, 65536)
            except OSError:  # a terminal that nobody writes to any more
                more = b""
            if not more:
                break
            self.said += more.decode()
        pytest.fail(f"never said {pattern!r}, but:\n{self.said[heard:]}")

    def ended(self) -> tuple[int, str]:
        """Its exit code, and what it complained about."""
        _, errors = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, errors.decode()

    def close(self) -> None:
        """End it whatever happened."""
        self.process.kill()
        self.process.wait()
        os.close(self._from)


@pytest.fixture(params=[True, False], ids=["terminal", "pipe"])
def watched(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Watched]:
    """The command on a store that does not exist yet."""
    started = Watched(tmp_path / "runs", terminal=request.param)
    yield started
    started.close()


def test_it_waits_follows_and_ends_with_the_runs(
    watched: Watched, tmp_path: Path
) -> None:
    """No store, no run, shards one by one, complete: exit code 0."""
    watched.hear("waiting for a store at")
    writer = RunWriter(tmp_path / "runs", make_plan(n_shards=2))
    watched.hear("tiny")
    commit_shard(writer, 0)
    watched.hear("2/4")
    commit_shard(writer, 1)
    watched.hear("complete")
    assert watched.ended() == (0, "")


def test_ctrl_c_ends_it_quietly(watched: Watched, tmp_path: Path) -> None:
    """Exit code 0, no traceback."""
    write_run(tmp_path / "runs", make_plan(), shards=range(1))
    watched.hear("2/6")
    watched.process.send_signal(signal.SIGINT)
    assert watched.ended() == (0, "")


def test_a_store_whose_runs_are_over_is_shown_once(run: Run, tmp_path: Path) -> None:
    """One line a run where there is no terminal, with why it was stopped."""
    write_run(tmp_path, make_plan("done"))
    write_run(tmp_path, make_plan("short", cutoff=0.02), shards=range(1)).stop("late")
    code, out, err = run("info", tmp_path, "--watch")
    assert (code, err) == (0, "")
    done, short = out.splitlines()
    assert done.startswith("done: complete, 6/6 prompts, 18 tokens, ")
    assert short.startswith("short: stopped, 2/6 prompts, 6 tokens, ")
    assert short.endswith(", late")


def test_a_store_of_a_later_flowglass_is_refused(run: Run, tmp_path: Path) -> None:
    """Waiting would not help."""
    (tmp_path / "FORMAT.json").write_text('{"format":"flowglass","schema_version":99}')
    code, out, err = run("info", tmp_path, "--watch")
    assert (code, out) == (2, "")
    assert "upgrade flowglass" in err


def test_unfinished_runs_are_shown_where_room_is_short(tmp_path: Path) -> None:
    """Then the newest; how many others there are is said."""
    write_run(tmp_path, make_plan("going"), shards=range(1))
    for i in range(5):
        later = f"2026-01-0{3 + i}T00:00:00+00:00"
        write_run(tmp_path, replace(make_plan(f"done{i}"), started_at=later))
    observer = Observer()
    with open_store(tmp_path) as store:
        observer.look(store.snapshot, now=time.time())
    out = io.StringIO()

    look = Look(time.time(), observer.runs, "")
    Console(file=out, width=100).print(drawn(look, rows=3, width=100))

    rows = [row.split()[0] for row in out.getvalue().splitlines() if row.split()]
    assert rows[2:] == ["going", "done3", "done4", "and"]
    assert "and 3 more runs" in out.getvalue()


def test_a_line_of_a_run_at_work(tmp_path: Path) -> None:
    """Rate and time left come from the records alone."""
    writer = RunWriter(tmp_path, make_plan(n_shards=4))
    tables = {"n_prompts": 2, "n_tokens": 600, "n_quarantined": 0, "seconds": 10.0}
    writer.commit(0, {}, prompt_ids=[0, 1], info=tables)
    observer = Observer()
    with open_store(tmp_path) as store:
        now = time.time()
        observer.look(store.snapshot, now=now)
        run = observer.runs["tiny"]
        said = line(run, pace(run, now=run.newest[-1].at))
    assert said == (
        "tiny: partial, 2/8 prompts, 600 tokens, 60 tokens/s, 30 s left, 0 B"
    )
