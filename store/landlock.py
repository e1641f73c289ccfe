"""Linux's Landlock: give up, for good, all files but some, and all TCP.

A process restricts itself and the threads and children it starts from then on; it needs
no privilege, and there is no way back. Threads that already run are not restricted, so
`restrict` is called before there are any.
"""

import ctypes
import os
import struct
from collections.abc import Iterable

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_NO_NEW_PRIVILEGES = 38
_PATH_BENEATH = 1

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_READ = _READ_FILE | _READ_DIR
_FILE_RIGHTS = {1: 13, 2: 14, 3: 15, 5: 16}
"""The version of Landlock that first knew this many rights to files."""
_TRUNCATE = 1 << 14
_TCP_SINCE, _TCP_RIGHTS = 4, 0b11  # bind, connect
_SCOPES_SINCE, _SCOPES = 6, 0b11  # abstract sockets, signals to processes outside


def version() -> int:
    """Which Landlock this kernel has; 0 if none, or if it is switched off."""
    try:
        return max(0, _system(_CREATE_RULESET, None, 0, 1))
    except (OSError, AttributeError):  # no such system call; no C library
        return 0


def restrict(*, read: Iterable[str], write: Iterable[str]) -> list[str]:
    """Read below the one folders, read and write below the others, and nothing else.

    Paths that do not exist are left out. Returns what this kernel cannot hold back, one
    line each.
    """
    known = version()
    if known == 0:
        return ["Landlock (this system has none)"]
    rights = (1 << _FILE_RIGHTS[max(v for v in _FILE_RIGHTS if v <= known)]) - 1
    tcp = _TCP_RIGHTS if known >= _TCP_SINCE else 0
    scopes = _SCOPES if known >= _SCOPES_SINCE else 0
    asked = struct.pack("QQQ", rights, tcp, scopes)
    size = 24 if scopes else 16 if tcp else 8
    ruleset = _system(_CREATE_RULESET, asked[:size], size, 0)
    for path in read:
        _allow(ruleset, path, _READ)
    for path in write:
        _allow(ruleset, path, rights & ~_EXECUTE)
    if ctypes.CDLL(None, use_errno=True).prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_NO_NEW_PRIVS)")
    _system(_RESTRICT_SELF, ruleset, 0)
    os.close(ruleset)
    return [] if tcp else ["Landlock's rules for TCP (they came with Linux 6.7)"]


def _allow(ruleset: int, path: str, rights: int) -> None:
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    if not os.path.isdir(path):
        rights &= _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE
    rule = struct.pack("=Qi", rights, descriptor)
    _system(_ADD_RULE, ruleset, _PATH_BENEATH, rule, 0)
    os.close(descriptor)


def _system(number: int, *arguments: int | bytes | None) -> int:
    wide = [ctypes.c_size_t(a) if isinstance(a, int) else a for a in arguments]
    result = ctypes.CDLL(None, use_errno=True).syscall(ctypes.c_long(number), *wide)
    if result < 0:
        raise OSError(ctypes.get_errno(), f"system call {number} failed")
    return int(result)
