"""The command `flowglass sweep` in processes of its own, to be disturbed."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SHARD_PROMPTS = 32
MAIN = f"""
from flowglass.pipeline import corpus
from flowglass.store.cli import main
corpus.SHARD_PROMPTS = {SHARD_PROMPTS}
main()
"""
"""The program, with shards that take a fraction of a second. Workers are sent shards as
they are, and need not know."""
FEW_ROWS = ("--neurons", "0", "--project", "none")


@contextmanager
def sweeping(
    prompts: Path, store: Path, *options: str, model: str = "tiny-llama"
) -> Iterator[subprocess.Popen]:
    """The command, in a group of processes of its own."""
    command = [sys.executable, "-c", MAIN, "sweep", "--model", model, *FEW_ROWS]
    command += ["--data", str(prompts), "--store", str(store), *options]
    process = subprocess.Popen(
        command,
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def commits(store: Path) -> list[Path]:
    return list(store.glob("runs/*/commits/*.json"))


def attempts(store: Path) -> list[Path]:
    """The marks of shards in work, and of those that died."""
    return list(store.glob("runs/*/suspects/*"))


def wait_for_shards(process: subprocess.Popen, store: Path, n: int) -> None:
    """Until so many are committed, or the process has ended."""
    while process.poll() is None and len(commits(store)) < n:
        time.sleep(0.01)


def workers_of(process: subprocess.Popen) -> list[int]:
    """Process ids of the workers below a command."""
    pids = [int(folder.name) for folder in Path("/proc").glob("[0-9]*")]
    return [
        pid
        for pid in pids
        if status_of(pid)[1:] == [str(process.pid)]
        and "spawn_main" in Path(f"/proc/{pid}/cmdline").read_text()
    ]


def status_of(pid: int) -> list[str]:
    """The state of a process and its parent; nothing if it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[:2]
    except OSError:
        return []


def wait_for_death(pids: list[int]) -> None:
    deadline = time.monotonic() + 20
    while any(status_of(pid)[:1] not in ([], ["Z"]) for pid in pids):
        assert time.monotonic() < deadline
        time.sleep(0.1)
