"""An object store, through fsspec: the few requests that a store is made of."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from .object_errors import explained, is_conflict, is_missing, is_taken
from .object_kinds import Kind, kind_of

_WAITS = (0.0, 0.1, 0.2, 0.4, 0.8, 1.6)
"""Seconds before each try of a PUT that comes into conflict with another."""


def open_objects(url: str, **storage_options: Any) -> "Objects":
    """The objects below an address such as s3://bucket/prefix.

    Options not given here come from fsspec's configuration (`FSSPEC_S3_...`) and from
    botocore's (`AWS_...`).
    """
    kind = kind_of(url)
    import fsspec

    file_system = fsspec.filesystem(
        url.partition("://")[0],
        **{
            **storage_options,
            "use_listings_cache": False,  # others write here too
            "skip_instance_cache": True,  # the environment may have changed
        },
    )
    return Objects(file_system, url, kind)


class Objects:
    """The objects below an address; threads may share it."""

    def __init__(self, file_system: Any, url: str, kind: Kind) -> None:
        self.file_system = file_system
        self.url = url.rstrip("/")
        self._root = file_system._strip_protocol(self.url)
        self._kind = kind
        self._raised = kind.raised()

    def put(self, path: str, data: bytes) -> None:
        """Write an object, over the one of that name if there is one."""
        with self._asking(path):
            self.file_system.pipe_file(self.key(path), data)

    def put_new(self, path: str, data: bytes) -> bool:
        """Write an object that must be new; False if another one has the name.

        One with the same bytes counts as ours: where an answer was lost, the next try
        is told that the name is taken.
        """
        for wait in _WAITS:
            time.sleep(wait)
            try:
                self.file_system.pipe_file(self.key(path), data, mode="create")
                return True
            except self._raised as error:
                failure = error
            try:
                return self.get(path) == data
            except FileNotFoundError:
                # It was taken and is free again, or two came into conflict.
                if not (is_taken(failure) or is_conflict(failure)):
                    break
        raise explained(failure, self.where(path)) from failure

    def get(self, path: str) -> bytes:
        """An object's bytes."""
        with self._asking(path):
            data: bytes = self.file_system.cat_file(
                self.key(path), **self._kind.reading
            )
            return data

    def get_range(self, path: str, start: int, stop: int) -> bytes:
        """Some of an object's bytes."""
        with self._asking(path):
            data: bytes = self.file_system.cat_file(
                self.key(path), start=start, end=stop
            )
            return data

    def size(self, path: str) -> int | None:
        """Bytes of an object; None if there is none."""
        try:
            with self._asking(path):
                return int(self.file_system.info(self.key(path))["size"])
        except FileNotFoundError:
            return None

    def written(self, path: str) -> datetime:
        """When an object was written, by the server's clock."""
        with self._asking(path):
            moment: datetime = self.file_system.modified(self.key(path))
            return moment

    def names(self, folder: str) -> list[str]:
        """The names of objects in a folder, and of folders in it; none if none."""
        key = self.key(folder)
        try:
            with self._asking(folder):
                found = self.file_system.ls(key, detail=False)
        except FileNotFoundError:
            return []
        names = {name.rstrip("/").removeprefix(f"{key}/") for name in found}
        return sorted(names - {key})  # some tools mark a folder by an empty object

    def below(self, folder: str) -> list[str]:
        """The paths of all objects in a folder and in those in it; none if none."""
        with self._asking(folder):
            found = self.file_system.find(self.key(folder))
        return sorted(name.removeprefix(f"{self._root}/") for name in found)

    def delete(self, path: str) -> None:
        """Remove an object; fine if it is gone."""
        try:
            with self._asking(path):
                self.file_system.rm_file(self.key(path))
        except FileNotFoundError:
            return

    def where(self, path: str) -> str:
        """The address of an object."""
        return f"{self.url}/{path}" if path else self.url

    def key(self, path: str) -> str:
        """What fsspec calls an object."""
        return f"{self._root}/{path}" if path else self._root

    @contextmanager
    def _asking(self, path: str) -> Iterator[None]:
        """Explain what fails, but for an object that is missing."""
        try:
            yield
        except self._raised as error:
            if is_missing(error):
                raise
            raise explained(error, self.where(path)) from error
