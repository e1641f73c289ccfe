"""What goes wrong with an object store is one clear line, with its remedy."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from werkzeug import Request, Response

from flowglass.store import StoreError
from flowglass.store.remote import RemoteFiles, remote_files
from flowglass.store.run import RunWriter
from flowglass.store.verify import verify

from .builders import make_plan, write_run
from .s3_server import S3Server, Serve, error_reply


@pytest.fixture
def files(s3: tuple[S3Server, str]) -> RemoteFiles:
    return remote_files(f"{s3[1]}/sweeps")


def everything(files: RemoteFiles) -> Iterator[str]:
    """The messages of all that one can ask of files which it cannot have."""
    for ask in (
        files.make_root,
        lambda: files.create("a", b""),
        lambda: files.replace("a", b""),
        lambda: files.read("a"),
        lambda: files.size("a"),
        lambda: files.age("a"),
        lambda: files.listdir("a"),
        lambda: files.unlink("a"),
    ):
        with pytest.raises(StoreError) as caught:
            ask()
        assert "\n" not in str(caught.value)
        assert files.where("") in str(caught.value)
        yield str(caught.value)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("gs://b/x", "not known of gs://.*give a folder, or an address with s3://"),
        ("memory://b", "not known of memory://"),
        ("simplecache::s3://b/x", "not known of simplecache::s3://"),
        ("s3://", "name a bucket, as in s3://bucket/prefix"),
    ],
)
def test_an_address_where_no_shard_can_be_committed(url: str, said: str) -> None:
    """A file system that looks first and writes then would let two writers win."""
    with pytest.raises(StoreError, match=said):
        remote_files(url)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the command that brings it."""
    monkeypatch.setitem(__import__("sys").modules, "s3fs", None)
    with pytest.raises(StoreError, match=r'pip install "flowglass\[s3\]"'):
        remote_files("s3://b/x")


def test_a_missing_bucket_is_no_empty_folder(s3: tuple[S3Server, str]) -> None:
    """Whatever is asked of it."""
    for message in everything(remote_files(f"{s3[1]}-gone/sweeps")):
        assert "bucket does not exist: make the bucket, or correct its name" in message


def test_a_name_that_no_bucket_can_have(s3: tuple[S3Server, str]) -> None:
    """It is not even asked for."""
    for message in everything(remote_files("s3://no_bucket!/sweeps")):
        assert "no_bucket!" in message
        assert message.endswith("correct the address")


def test_no_credentials(
    s3: tuple[S3Server, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that botocore looks for are named."""
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    for message in everything(remote_files(f"{s3[1]}/sweeps")):
        assert "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or" in message


def test_an_unknown_profile(
    s3: tuple[S3Server, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name in AWS_PROFILE that no file has."""
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    for message in everything(remote_files(f"{s3[1]}/sweeps")):
        assert "(nobody)" in message
        assert "AWS_PROFILE" in message


def test_no_permission(files: RemoteFiles, server: S3Server) -> None:
    """The server's refusal, and what the credentials must allow."""

    def forbid(request: Request, serve: Serve) -> Response:
        return error_reply(403, "AccessDenied")

    with server.rule(forbid):
        for message in everything(files):
            assert "the server refuses" in message
            assert "credentials that may list, read, write and delete" in message


def test_a_server_in_trouble(files: RemoteFiles, server: S3Server) -> None:
    """To be tried again, and by whom."""

    def fail(request: Request, serve: Serve) -> Response:
        return error_reply(500, "InternalError")

    with server.rule(fail):
        for message in everything(files):
            assert "the server fails" in message
            assert "run the same command again; tries and waiting times are" in message


def test_no_network(s3: tuple[S3Server, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody listens at the address that AWS_ENDPOINT_URL gives."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    for message in everything(remote_files(f"{s3[1]}/sweeps")):
        assert "the server does not answer" in message
        assert "http://127.0.0.1:9/" in message
        assert "check the network and AWS_ENDPOINT_URL" in message
        assert "AWS_MAX_ATTEMPTS" in message


def test_options_come_from_fsspecs_configuration_too(
    s3: tuple[S3Server, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """An endpoint set there needs no environment of botocore's."""
    from fsspec.config import conf

    monkeypatch.delenv("AWS_ENDPOINT_URL")
    monkeypatch.setitem(conf, "s3", {"endpoint_url": s3[0].endpoint})
    configured = remote_files(f"{s3[1]}/configured")
    configured.create("a", b"1")
    assert remote_files(f"{s3[1]}/configured").read("a") == b"1"


def test_a_server_in_trouble_is_no_damage(
    s3: tuple[S3Server, str], server: S3Server
) -> None:
    """A repair stops at the first file that it cannot have, and drops nothing."""
    store = f"{s3[1]}/whole"
    write_run(store, make_plan())

    def fail(request: Request, serve: Serve) -> Response:
        if request.method == "GET" and "/data/edges/shard=000001" in request.path:
            return error_reply(500, "InternalError")
        return serve(request)

    with server.rule(fail), pytest.raises(StoreError, match="the server fails"):
        verify(store, repair=True)
    assert verify(store).damages == ()
    assert RunWriter(store, make_plan()).committed() == {0, 1, 2}
