"""A run's log: one line for everything that happened, on a disk or an object store."""

import errno
import os
import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from uuid import uuid4

import pytest

from flowglass.store import StoreError, run_log
from flowglass.store.layout import files_at
from flowglass.store.run_log import RunLog

TIME = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"


@pytest.fixture(params=["local", "s3"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where a store may be."""
    if request.param == "local":
        return str(tmp_path / "store")
    _, bucket = request.getfixturevalue("s3")
    return f"{bucket}/{uuid4().hex[:8]}"


def logs(root: str) -> dict[str, list[str]]:
    """The lines of every log of the run."""
    files, folder = files_at(root), "runs/run_id=mine/logs"
    return {
        files.where(f"{folder}/{name}"): files.read(f"{folder}/{name}")
        .decode()
        .splitlines()
        for name in files.listdir(folder)
    }


def run_with_log(
    root: str | Path, work: Callable[[], None], error: BaseException
) -> None:
    """A sweep that is begun, does this, and ends by that error."""
    with RunLog(root, "mine") as log:
        log.add("begun")
        work()
        raise error


def test_every_message_is_a_line_with_its_time(root: str) -> None:
    """In order, in a file that is named by when and where the sweep began."""
    with RunLog(root, "mine") as log:
        log.add("begun")
        log.add("shard 0: 12 prompts")
    ((path, lines),) = logs(root).items()
    assert path == log.path
    name = rf"/{TIME.replace(' ', 'T').replace(':', '-')}\.\d+-.+-{os.getpid()}\.log"
    assert re.search(f"{name}$", path)
    assert [re.sub(f"^{TIME} ", "", line) for line in lines] == [
        "begun",
        "shard 0: 12 prompts",
    ]
    assert all(re.match(TIME, line) for line in lines)


def test_a_message_of_several_lines_is_one(root: str) -> None:
    """Whatever ends its lines; and any text can be written."""
    with RunLog(root, "mine") as log:
        log.add("first\n  second\r\nthird\u2028fourth")
        log.add("Mogadishu é 東 😀 \udcff")
    ((_, lines),) = logs(root).items()
    assert lines[0][20:] == "first   second third fourth"
    assert lines[1][20:] == "Mogadishu é 東 😀 \\udcff"


@pytest.mark.parametrize("error", [ValueError("no\nsuch thing"), KeyboardInterrupt()])
def test_an_error_is_noted_and_goes_on(root: str, error: BaseException) -> None:
    """The log says how the sweep ended; who called it hears of it too."""
    with pytest.raises(type(error)):
        run_with_log(root, lambda: None, error)
    ((_, lines),) = logs(root).items()
    assert len(lines) == 2
    said = " ".join(str(error).split())
    assert lines[1][20:] == f"ended by {type(error).__name__}: {said}"


def test_every_sweep_of_a_run_has_a_log_of_its_own(root: str) -> None:
    """One after the other, or two at once in one process: no line is lost."""
    with RunLog(root, "mine") as first, RunLog(root, "mine") as second:
        second.add("by the second")
        first.add("by the first")
        first.add("again by the first")
    found = logs(root)
    assert len(found) == 2
    assert [line[20:] for line in found[first.path]] == [
        "by the first",
        "again by the first",
    ]
    assert [line[20:] for line in found[second.path]] == ["by the second"]


def test_on_a_disk_a_line_is_there_at_once(tmp_path: Path) -> None:
    """So that what a killed sweep did is told."""
    log = RunLog(tmp_path, "mine")
    for n in range(3):
        log.add(f"shard {n}")
        assert len(logs(str(tmp_path))[log.path]) == n + 1


def test_on_an_object_store_lines_are_written_now_and_then(
    s3: tuple[object, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first at once; later ones every half minute, and all at the end."""
    now = [1000.0]
    clock = SimpleNamespace(monotonic=lambda: now[0])
    monkeypatch.setattr(run_log, "time", clock)
    root = f"{s3[1]}/{uuid4().hex[:8]}"
    seen = []
    with RunLog(root, "mine") as log:
        for _ in range(4):
            log.add("a shard")
            seen.append(len(logs(root)[log.path]))
            now[0] += 20
    assert seen == [1, 1, 3, 3]
    assert len(logs(root)[log.path]) == 4


def full(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.fixture
def fill_the_disk(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    return lambda: monkeypatch.setattr(Path, "open", full)


def test_a_full_disk_is_said(tmp_path: Path, fill_the_disk: Callable[[], None]) -> None:
    """As everywhere in a store."""
    log = RunLog(tmp_path, "mine")
    fill_the_disk()
    with pytest.raises(StoreError, match="disk is full"):
        log.add("begun")


def test_a_full_disk_does_not_hide_what_ended_the_sweep(
    tmp_path: Path, fill_the_disk: Callable[[], None]
) -> None:
    """The log may not be able to say it any more."""
    with pytest.raises(ValueError, match="the first"):
        run_with_log(tmp_path, fill_the_disk, ValueError("the first"))
