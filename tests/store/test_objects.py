"""What a store relies on of an object store, and of the package that speaks to it."""

import pytest

from flowglass.store.objects import Objects, open_objects
from flowglass.store.remote import RemoteFiles

from .s3_server import S3Server


@pytest.fixture(scope="module")
def objects(s3: tuple[S3Server, str]) -> Objects:
    return open_objects(f"{s3[1]}/sweeps")


def test_a_long_folder_is_listed_whole(
    objects: Objects, s3: tuple[S3Server, str]
) -> None:
    """S3 lists a thousand names at a time; records are read side by side."""
    from moto.core import DEFAULT_ACCOUNT_ID
    from moto.s3.models import s3_backends

    bucket, _, prefix = objects.key("commits").partition("/")
    names = [f"{number:06d}.json" for number in range(2500)]
    for name in names:
        s3_backends[DEFAULT_ACCOUNT_ID]["aws"].put_object(
            bucket, f"{prefix}/{name}", name.encode()
        )
    before = len(s3[0].asked)
    assert objects.names("commits") == names
    assert len(s3[0].asked) == before + 3
    some = {f"commits/{name}": name.encode() for name in names[:40]}
    assert RemoteFiles(objects).read_all(some) == some


def test_a_folders_own_mark_is_no_file_in_it(objects: Objects) -> None:
    """Some tools put an empty object named as the folder, with a slash behind it."""
    objects.put("marked/", b"")
    objects.put("marked/a", b"1")
    assert objects.names("marked") == ["a"]


def test_a_large_object_is_new_or_refused_too(objects: Objects) -> None:
    """s3fs sends one in parts; the condition goes with the request that ends it."""
    put, key = objects.file_system.pipe_file, objects.key("large")
    parts = {"mode": "create", "chunksize": 5 * 2**20}
    put(key, b"1" * 11 * 2**20, **parts)
    with pytest.raises(FileExistsError):
        put(key, b"2" * 11 * 2**20, **parts)
    assert objects.get_range("large", 0, 9) == b"1" * 9
