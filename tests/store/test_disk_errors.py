"""What a disk refuses is said in one line, and loses nothing."""

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flowglass.store import StoreError, files, open_store
from flowglass.store.run import RunWriter
from flowglass.store.verify import verify

from .builders import commit_shard, make_plan, write_run


def failing(number: int) -> Any:
    def fail(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    return fail


@pytest.mark.parametrize(
    ("where", "what"),
    [(Path, "open"), (files, "_fsync"), (os, "link")],
    ids=["write", "sync", "link"],
)
def test_a_full_disk_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: object, what: str
) -> None:
    """The shard fails with one line and gives its space back; then it can be redone."""
    writer = write_run(tmp_path, make_plan(), shards=range(1))
    before = set(tmp_path.rglob("*.*"))
    with monkeypatch.context() as patch:
        patch.setattr(where, what, failing(errno.ENOSPC))
        with pytest.raises(StoreError, match="disk is full"):
            commit_shard(writer, 1)
    assert set(tmp_path.rglob("*.*")) == before
    assert writer.committed() == {0}
    assert commit_shard(writer, 1)


def test_a_disk_without_hard_links_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is no other exclusive commit, so the sweep does not even begin."""
    monkeypatch.setattr(os, "link", failing(errno.EOPNOTSUPP))
    with pytest.raises(StoreError, match="makes no hard links"):
        RunWriter(tmp_path, make_plan())


def test_a_network_disk_may_repeat_our_own_link(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A link that succeeded but is reported as existing counts as won."""
    writer = RunWriter(tmp_path, make_plan())
    real = os.link

    def twice(source: Path, link: Path) -> None:
        real(source, link)
        real(source, link)

    monkeypatch.setattr(os, "link", twice)
    assert commit_shard(writer, 0)
    assert writer.totals()["n_prompts"] == 2


def test_a_store_that_may_not_be_written_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lack of permission names the path."""
    monkeypatch.setattr(Path, "mkdir", failing(errno.EACCES))
    with pytest.raises(StoreError, match=r"cannot write .*store.* \(Permission"):
        RunWriter(tmp_path / "store", make_plan())


@pytest.mark.parametrize(
    ("where", "what"),
    [(Path, "stat"), (Path, "read_bytes"), (os, "listdir")],
    ids=["look", "read", "list"],
)
@pytest.mark.parametrize("act", [open_store, verify])
def test_a_store_that_may_not_be_read_says_so(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    act: Callable[[Path], object],
    where: object,
    what: str,
) -> None:
    """As one that another user has made for himself."""
    write_run(tmp_path, make_plan())
    monkeypatch.setattr(where, what, failing(errno.EACCES))
    with pytest.raises(
        StoreError, match=r"cannot read .*\(Permission.*: ask its owner"
    ):
        act(tmp_path)


@pytest.mark.parametrize(
    ("number", "dropped"), [(errno.EACCES, False), (errno.EMFILE, False), (5, True)]
)
def test_repair_drops_what_is_broken_not_what_it_may_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, dropped: bool
) -> None:
    """Such a file may be whole; a disk that fails (5, EIO) gives nothing back."""
    write_run(tmp_path, make_plan())
    (victim,) = tmp_path.glob("runs/*/data/edges/shard=000001/*")
    read = Path.read_bytes

    def refused(path: Path) -> bytes:
        return failing(number)() if path == victim else read(path)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", refused)
        found = verify(tmp_path, repair=True)
    (damage,) = found.damages
    assert str(victim) in damage.what
    assert damage.mended == dropped
    assert found.dropped == ({"runs/run_id=tiny": {1}} if dropped else {})
    assert verify(tmp_path).damages == ()
