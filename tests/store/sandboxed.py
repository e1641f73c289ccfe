"""What tests of the sandbox share: what is on a disk, and a way past the guard."""

import hashlib
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa

from flowglass.store import StoreError
from flowglass.store.sandbox import Sandbox

WITHOUT_LANDLOCK = (
    sys.executable,
    "-P",
    "-c",
    "from flowglass.store import landlock, sandbox_child; "
    "landlock.version = lambda: 0; sandbox_child.main()",
)
"""A child as it is on a system that has no Landlock; its argument follows."""

SLOW = "SELECT count(*) FROM range(1000000) a, range(1000000) b WHERE a.range > b.range"
DEAF = "SELECT levenshtein(repeat('a', 5000000), repeat('b', 5000000))"
"""Some seconds in which DuckDB does not look at the clock."""


def on_disk(folder: Path) -> dict[str, str]:
    """Every path below a folder, with the content and age of what lies there."""
    return {
        str(path.relative_to(folder)): _described(path)
        for path in sorted(folder.rglob("*"))
    }


def _described(path: Path) -> str:
    if path.is_symlink():
        return f"link to {path.readlink()}"
    if path.is_dir():
        return "folder"
    return f"{hashlib.sha256(path.read_bytes()).hexdigest()} {path.stat().st_mtime_ns}"


def unguarded(sandbox: Sandbox, sql: str) -> str:
    """Run SQL in the child that no guard has seen; what came back, or how it ended."""
    try:
        with sandbox._turn() as session:
            process = session.process
            process.ask({"query": sql, "make": [], "kept": [], "rows": 10})
            header, payload = process.answer()
            if not process.busy:
                return str(header["error"])
            process.answer()
    except StoreError as error:  # of a child that has ended
        return str(error)
    with pa.ipc.open_stream(payload) as reader:
        return answered(*reader.read_all().to_pylist())


def answered(*rows: dict[str, object]) -> str:
    """What `unguarded` says of rows."""
    return str(rows)


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
