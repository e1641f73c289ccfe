"""What a sandbox and its child say to each other: JSON, and bytes behind it.

A message is two lengths (4 and 8 bytes, little-endian), a JSON object, and a payload,
which is an Arrow IPC stream, or text. Nothing that a reader would have to run.
"""

import json
import struct
from typing import IO, Any

_LENGTHS = struct.Struct("<IQ")
MOST = 2**31
"""Bytes of a part of a message; one that announces more is broken."""


def send(
    out: IO[bytes], header: dict[str, Any], payload: bytes | memoryview = b""
) -> None:
    """Write one message."""
    said = json.dumps(header).encode()
    out.write(_LENGTHS.pack(len(said), len(payload)) + said)
    out.write(payload)
    out.flush()


def receive(source: IO[bytes]) -> tuple[dict[str, Any], bytes]:
    """Read one message; EOFError if there is none, or half of one, or none can be."""
    length, more = _LENGTHS.unpack(_exactly(source, _LENGTHS.size))
    if max(length, more) > MOST:
        raise EOFError
    try:
        header = dict(json.loads(_exactly(source, length)))
    except (ValueError, TypeError, RecursionError):
        raise EOFError from None
    return header, _exactly(source, more)


def _exactly(source: IO[bytes], length: int) -> bytes:
    data = source.read(length)
    if len(data) < length:
        raise EOFError
    return data
