"""Which object stores a store may lie in.

A shard is committed by a PUT that the server refuses if the name is taken. A file
system that looks first and writes then would let two writers win, so only those are
accepted that are known to leave the decision to the server.
"""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .errors import StoreError


@dataclass(frozen=True)
class Kind:
    """A sort of object store: which package speaks to it for fsspec, and how."""

    package: str
    install: str
    errors: tuple[str, ...]
    """What the package raises besides OSError, as module:name."""
    reading: Mapping[str, Any]
    """Options of `cat_file` that make it one request."""

    def raised(self) -> tuple[type[Exception], ...]:
        """The exceptions that a request may end in."""
        named = (name.split(":") for name in self.errors)
        found = (getattr(importlib.import_module(m), name) for m, name in named)
        return (OSError, *found)


S3 = Kind(
    package="s3fs",
    install='pip install "flowglass[s3]"',
    errors=(
        "botocore.exceptions:BotoCoreError",
        "botocore.exceptions:ClientError",
        "botocore.parsers:ResponseParserError",
        "aiohttp:ClientError",
        "urllib3.exceptions:HTTPError",
    ),
    reading={"max_concurrency": 1},
)

KINDS = {"s3": S3, "s3a": S3}
"""By the scheme of an address. s3fs sends `If-None-Match: *` with its exclusive PUT,
and with the request that completes a PUT in parts."""


def kind_of(url: str) -> Kind:
    """The kind of an address; StoreError if no store can be there."""
    scheme, _, place = url.partition("://")
    if scheme not in KINDS:
        raise StoreError(
            f"{url}: it is not known of {scheme}:// that of two writers of one name "
            f"the second is refused, and a shard is committed by that: give a folder, "
            f"or an address with {' or '.join(f'{name}://' for name in KINDS)}"
        )
    if not place.strip("/"):
        raise StoreError(f"{url}: name a bucket, as in {scheme}://bucket/prefix")
    kind = KINDS[scheme]
    try:
        importlib.import_module(kind.package)
    except ImportError as error:
        raise StoreError(
            f"{url} needs the package {kind.package} ({error}): {kind.install}"
        ) from error
    return kind
