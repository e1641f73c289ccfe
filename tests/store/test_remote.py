"""On an object store a shard is committed exactly once too."""

import time
from email.utils import formatdate
from uuid import uuid4

import pytest
from werkzeug import Request, Response

from flowglass.store import StoreError
from flowglass.store.commit import Payload, collect_stale, commit, prepare
from flowglass.store.committed import commit_path, read_committed
from flowglass.store.object_kinds import S3
from flowglass.store.objects import Objects, open_objects
from flowglass.store.remote import RemoteFiles, remote_files

from .s3_server import S3Server, Serve, cut_connection, error_reply

FOLDER = "runs/run_id=x"
TABLES = {"edges": Payload(b"e" * 1000, rows=10), "tokens": Payload(b"t", rows=1)}


@pytest.fixture(scope="module")
def bucket(s3: tuple[S3Server, str]) -> Objects:
    return open_objects(s3[1])


@pytest.fixture
def files(bucket: Objects) -> RemoteFiles:
    """A folder of this test's own."""
    url = bucket.where(uuid4().hex[:8])
    files = RemoteFiles(Objects(bucket.file_system, url, S3))
    prepare(files, FOLDER)
    return files


def commit_one(files: RemoteFiles, shard: int = 0) -> bool:
    return commit(
        files,
        FOLDER,
        shard=shard,
        tables=TABLES,
        config_sha256="cafe",
        prompt_ids=[shard],
        info={},
        committed_at="now",
    )


def all_files(files: RemoteFiles) -> set[str]:
    root = files.objects.key("")
    found = files.objects.file_system.find(root)
    return {key.removeprefix(f"{root}/") for key in found}


def named_files(files: RemoteFiles) -> set[str]:
    """What there must be: the records, and what they name."""
    shards = read_committed(files, FOLDER).shards
    data = {f"{FOLDER}/{f.path}" for r in shards.values() for f in r.files}
    return data | {commit_path(FOLDER, shard) for shard in shards}


def is_commit(request: Request) -> bool:
    return request.method == "PUT" and "/commits/" in request.path


def test_a_commit_is_a_record_and_what_it_names(files: RemoteFiles) -> None:
    """The same protocol, on S3: nothing else is left behind."""
    assert commit_one(files, shard=3)
    record = read_committed(files, FOLDER).shards[3]
    contents = {f.table: files.read(f"{FOLDER}/{f.path}") for f in record.files}
    assert contents == {name: payload.data for name, payload in TABLES.items()}
    assert all_files(files) == named_files(files)


def test_who_comes_second_loses_and_leaves_nothing(files: RemoteFiles) -> None:
    """The first commit of a shard stands; the second is told and cleans up."""
    assert commit_one(files)
    before = all_files(files)
    assert not commit_one(files)
    assert all_files(files) == before


def test_a_file_that_must_be_new_is_not_overwritten(files: RemoteFiles) -> None:
    """As on a disk; only `replace` overwrites."""
    files.create("a", b"first")
    with pytest.raises(FileExistsError, match="/a"):
        files.create("a", b"second")
    assert files.read("a") == b"first"
    files.replace("a", b"third")
    assert files.read("a") == b"third"
    assert (files.size("a"), files.exists("a"), files.exists("b")) == (5, True, False)


def test_what_is_not_there_is_as_on_a_disk(files: RemoteFiles) -> None:
    """A missing file has no size, no age and no content; removing it is fine."""
    assert files.size("gone") is None
    assert files.age("gone") == 0
    assert files.listdir("gone") == []
    files.unlink("gone")
    with pytest.raises(FileNotFoundError):
        files.read("gone")
    assert files.read_all(["gone"]) == {}


def test_a_folder_is_listed_as_it_is_now(files: RemoteFiles) -> None:
    """What others write and remove is seen at once."""
    other = remote_files(files.where(""))
    files.create("tmp/a", b"")
    assert other.listdir("tmp") == ["a"]
    files.create("tmp/b/c", b"")
    files.unlink("tmp/a")
    assert other.listdir("tmp") == ["b"]
    assert "tmp" in other.listdir("")


def test_a_lost_answer_is_no_lost_commit(files: RemoteFiles, server: S3Server) -> None:
    """The next try is told that the name is taken: by ourselves."""
    lost = []

    def lose_first(request: Request, serve: Serve) -> Response:
        response = serve(request)
        if is_commit(request) and not lost:
            lost.append(request.path)
            cut_connection(request)
        return response

    with server.rule(lose_first):
        assert commit_one(files)
    assert lost
    assert all_files(files) == named_files(files)


def test_with_no_answer_nothing_is_removed(
    files: RemoteFiles, server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The record may be there, so the files that it names must stay."""
    silent = []

    def lose_all(request: Request, serve: Serve) -> Response:
        if is_commit(request) and not silent:
            silent.append(serve(request))
        if silent:
            cut_connection(request)
        return serve(request)

    monkeypatch.setattr(files.objects.file_system, "retries", 1)
    with (
        server.rule(lose_all),
        pytest.raises(StoreError, match="not known, so all files stay as they are"),
    ):
        commit_one(files)
    again = remote_files(files.where(""))
    assert read_committed(again, FOLDER).shards.keys() == {0}
    assert all_files(again) > named_files(again)
    with pytest.raises(StoreError, match="stay as they are"):
        files.unlink(commit_path(FOLDER, 0))
    collect_stale(again, FOLDER, grace=0)
    assert all_files(again) == named_files(again)


@pytest.mark.parametrize(
    ("status", "code"),
    [(409, "ConditionalRequestConflict"), (412, "PreconditionFailed")],
)
def test_a_refusal_that_passes_is_tried_again(
    files: RemoteFiles, server: S3Server, status: int, code: str
) -> None:
    """S3 may tell both of two writers that the other was at it; or the name was taken
    by a record that was taken back since."""
    told = []

    def conflict(request: Request, serve: Serve) -> Response:
        if is_commit(request) and len(told) < 2:
            told.append(request.path)
            return error_reply(status, code)
        return serve(request)

    with server.rule(conflict):
        assert commit_one(files)
    assert len(told) == 2


def test_a_refusal_in_other_words_is_one(files: RemoteFiles, server: S3Server) -> None:
    """Not every server says which condition it was that failed."""

    def terse(request: Request, serve: Serve) -> Response:
        response = serve(request)
        if response.status_code == 412:
            return error_reply(412, "PreconditionFailed")
        return response

    with server.rule(terse):
        assert commit_one(files)
        assert not commit_one(files)


def test_a_server_that_overlooks_the_condition_is_refused(
    files: RemoteFiles, server: S3Server
) -> None:
    """Two writers would both win; a store is not begun there."""

    def overlook(request: Request, serve: Serve) -> Response:
        request.environ.pop("HTTP_IF_NONE_MATCH", None)
        return serve(request)

    files.make_root()
    with server.rule(overlook), pytest.raises(StoreError, match="If-None-Match"):
        files.make_root()
    assert all_files(files) == set()


def test_a_dead_attempt_is_collected_after_its_grace(
    files: RemoteFiles, server: S3Server
) -> None:
    """Young files may belong to a writer at work; old ones do not."""
    commit_one(files)
    left_over = f"{FOLDER}/data/edges/shard=000001/0123456789ab.parquet"
    files.create(left_over, b"e")
    files.create(f"{FOLDER}/tmp/000001-0123456789ab.json", b"")
    assert collect_stale(files, FOLDER) == 0
    assert left_over in all_files(files)

    def two_days_later(request: Request, serve: Serve) -> Response:
        response = serve(request)
        if request.method == "HEAD":
            then = formatdate(time.time() - 2 * 86400, usegmt=True)
            response.headers["Last-Modified"] = then
        return response

    with server.rule(two_days_later):
        assert collect_stale(files, FOLDER) == 1
    assert all_files(files) == named_files(files)


@pytest.mark.parametrize("moment", ["fill", "link", "put", "answer"])
def test_a_sleeper_taken_for_dead_withdraws(files: RemoteFiles, moment: str) -> None:
    """Collected before it fills or links its announcement, it puts no record; collected
    before its decisive PUT or its answer, it takes back a record without files."""
    moments = iter(["fill", "link", "put", "answer"])
    tried = []

    def live() -> None:
        if next(moments, None) == moment:
            collect_stale(files, FOLDER, grace=0)

    class Sleepy(Objects):
        def size(self, path: str) -> int | None:
            live()
            return super().size(path)

        def put_new(self, path: str, data: bytes) -> bool:
            if "/commits/" not in path:
                return super().put_new(path, data)
            tried.append(path)
            live()
            won = super().put_new(path, data)
            live()
            return won

    sleeper = Sleepy(files.objects.file_system, files.where(""), S3)
    with pytest.raises(StoreError, match="removed meanwhile; run the same command"):
        commit_one(RemoteFiles(sleeper))
    assert len(tried) == (moment in ("put", "answer"))
    assert all_files(files) == set()
