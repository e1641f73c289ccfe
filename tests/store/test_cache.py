"""Copies of a remote store's files, for readers who may not touch the network."""

import os
import subprocess
import sys
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from flowglass.store import StoreError
from flowglass.store.cache import LATELY, cache_folder, fetch
from flowglass.store.record import DataFile
from flowglass.store.remote import RemoteFiles, remote_files

from .s3_server import S3Server

PATHS = [f"runs/run_id=x/data/edges/shard={n:06d}/a.parquet" for n in range(5)]
CONTENT = {path: bytes([number]) * 1000 for number, path in enumerate(PATHS)}
PLENTY = 10**9

FETCH = """
import sys
from pathlib import Path
from flowglass.store.cache import fetch
from flowglass.store.remote import remote_files
url, cache, *paths = sys.argv[1:]
files = remote_files(url)
files.listdir("")
print("ready", flush=True)
for number in range(5):
    fetch(files, paths, Path(cache) / str(number), limit_bytes=10**9)
"""


@pytest.fixture(scope="module")
def files(s3: tuple[S3Server, str]) -> RemoteFiles:
    files = remote_files(f"{s3[1]}/sweeps")
    for path, data in CONTENT.items():
        files.create(path, data)
    return files


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def described(path: str, data: bytes) -> dict[str, DataFile]:
    """What a record says of a file with this content."""
    return {path: DataFile("edges", path, 1, len(data), zlib.crc32(data))}


def copies(cache: Path) -> dict[str, bytes]:
    found = (path for path in cache.rglob("*") if path.is_file())
    return {str(path.relative_to(cache)): path.read_bytes() for path in found}


def last_used(cache: Path, path: str, seconds_ago: float) -> None:
    then = time.time() - seconds_ago
    os.utime(cache / path, (then, then))


def test_wanted_files_are_there_under_their_names(
    files: RemoteFiles, cache: Path
) -> None:
    """Those, whole, and nothing else."""
    fetch(files, PATHS[:3], cache, limit_bytes=PLENTY)
    assert copies(cache) == {path: CONTENT[path] for path in PATHS[:3]}


def test_what_is_there_is_not_fetched_again(
    files: RemoteFiles, cache: Path, server: S3Server
) -> None:
    """Nor is the server asked at all about files that records describe."""
    known = {p: f for path in PATHS for p, f in described(path, CONTENT[path]).items()}
    fetch(files, PATHS[:3], cache, limit_bytes=PLENTY, described=known)
    before = len(server.asked)
    fetch(files, PATHS[:3], cache, limit_bytes=PLENTY, described=known)
    assert len(server.asked) == before
    fetch(files, PATHS[:4], cache, limit_bytes=PLENTY, described=known)
    assert server.asked[before:] == [f"GET /{files.objects.key(PATHS[3])}"]


def test_a_cut_copy_is_made_again(files: RemoteFiles, cache: Path) -> None:
    """As a power failure may leave one."""
    fetch(files, PATHS[:1], cache, limit_bytes=PLENTY)
    (cache / PATHS[0]).write_bytes(b"cut")
    fetch(files, PATHS[:1], cache, limit_bytes=PLENTY)
    assert copies(cache) == {PATHS[0]: CONTENT[PATHS[0]]}


def test_a_large_file_comes_in_pieces(
    files: RemoteFiles, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same bytes, and the same checksum."""
    monkeypatch.setattr("flowglass.store.cache._CHUNK", 7)
    known = described(PATHS[1], CONTENT[PATHS[1]])
    fetch(files, PATHS[1:2], cache, limit_bytes=PLENTY, described=known)
    assert copies(cache) == {PATHS[1]: CONTENT[PATHS[1]]}


@pytest.mark.parametrize("committed", [b"\0" * 999 + b"\1", b"\0" * 1001])
def test_what_is_not_as_committed_is_refused(
    files: RemoteFiles, cache: Path, committed: bytes
) -> None:
    """A file of another checksum or size is named, and no copy of it is kept."""
    known = described(PATHS[0], committed)
    with pytest.raises(
        StoreError, match=r"shard=000000/a\.parquet is not as it was committed"
    ):
        fetch(files, PATHS[:1], cache, limit_bytes=PLENTY, described=known)
    assert copies(cache) == {}


def test_a_file_that_is_gone_is_named(files: RemoteFiles, cache: Path) -> None:
    """Whether a record describes it or not."""
    for known in ({}, described("runs/gone.parquet", b"1")):
        with pytest.raises(StoreError, match=r"runs/gone\.parquet is gone"):
            fetch(files, ["runs/gone.parquet"], cache, limit_bytes=9, described=known)


def test_the_copies_used_least_recently_go(files: RemoteFiles, cache: Path) -> None:
    """As many as must, none that is wanted, and using a copy keeps it."""
    fetch(files, PATHS[:4], cache, limit_bytes=PLENTY)
    for age, path in enumerate(PATHS[:4]):
        last_used(cache, path, seconds_ago=LATELY + 100 * (4 - age))
    fetch(files, PATHS[:1], cache, limit_bytes=PLENTY)
    fetch(files, [PATHS[1], PATHS[4]], cache, limit_bytes=4000)
    assert copies(cache).keys() == {PATHS[0], PATHS[1], PATHS[3], PATHS[4]}


def test_copies_in_use_stay_whatever_the_limit(files: RemoteFiles, cache: Path) -> None:
    """Another process may be about to read what was fetched for it just now."""
    fetch(files, PATHS[:2], cache, limit_bytes=2000)
    fetch(files, PATHS[2:4], cache, limit_bytes=2000)
    assert copies(cache).keys() == set(PATHS[:4])
    for path in PATHS[:4]:
        last_used(cache, path, seconds_ago=LATELY + 1)
    fetch(files, PATHS[4:], cache, limit_bytes=2000)
    assert len(copies(cache)) == 2


def test_what_killed_processes_left_goes_too(files: RemoteFiles, cache: Path) -> None:
    """Half a copy counts, and is removed when its time has come."""
    cache.mkdir()
    (cache / "a.parquet.0123.part").write_bytes(bytes(5000))
    last_used(cache, "a.parquet.0123.part", seconds_ago=LATELY + 1)
    fetch(files, PATHS[:1], cache, limit_bytes=2000)
    assert copies(cache).keys() == {PATHS[0]}


def test_more_than_the_limit_is_not_fetched(files: RemoteFiles, cache: Path) -> None:
    """It says how much it would be, and downloads nothing."""
    with pytest.raises(StoreError, match="may hold 0 MB: ask for fewer tables"):
        fetch(files, PATHS, cache, limit_bytes=4999)
    assert copies(cache) == {}


@pytest.mark.parametrize("path", ["../outside", "runs/../../outside", "/tmp/outside"])
def test_nothing_is_written_outside_the_cache(
    files: RemoteFiles, cache: Path, path: str
) -> None:
    """Whatever a forged record says."""
    known = described(path, b"1")
    with pytest.raises(StoreError, match=r"outside itself, .+: do not trust"):
        fetch(files, [path], cache, limit_bytes=PLENTY, described=known)


def test_a_cache_that_cannot_be_written_is_named(
    files: RemoteFiles, tmp_path: Path
) -> None:
    """With what to set instead."""
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="set XDG_CACHE_HOME to another folder"):
        fetch(files, PATHS[:1], tmp_path / "file" / "cache", limit_bytes=PLENTY)


def test_threads_and_processes_may_fetch_the_same(
    files: RemoteFiles, cache: Path
) -> None:
    """Each finds all copies whole, at once; no part of one is left."""
    command = [sys.executable, "-c", FETCH, files.where(""), str(cache), *PATHS]
    other = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert other.stdout is not None
    assert other.stdout.readline() == b"ready\n"

    def read(number: int) -> dict[str, bytes]:
        here = cache / str(number // 4)
        fetch(files, PATHS, here, limit_bytes=PLENTY)
        return {path: (here / path).read_bytes() for path in PATHS}

    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(read, range(20)))
    other.communicate()
    assert other.returncode == 0
    assert all(each == CONTENT for each in found)
    assert [copies(cache / str(number)) for number in range(5)] == [CONTENT] * 5


def test_the_first_that_fails_ends_the_others(
    files: RemoteFiles, cache: Path, server: S3Server
) -> None:
    """An error is told at once, not after hundreds of requests more."""
    before = len(server.asked)
    gone = [f"runs/gone-{number}.parquet" for number in range(200)]
    with pytest.raises(StoreError, match="is gone"):
        fetch(files, gone, cache, limit_bytes=PLENTY)
    assert len(server.asked) - before < 100


def test_the_users_cache_holds_a_folder_for_each_store(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Where the platform keeps caches; one store has one folder, however written."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folder = cache_folder("s3://b/sweeps")
    assert folder.parent == tmp_path / "flowglass"
    assert folder == cache_folder("s3://b/sweeps/")
    assert folder != cache_folder("s3://b/other")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder("s3://b").parent == Path.home() / ".cache" / "flowglass"
