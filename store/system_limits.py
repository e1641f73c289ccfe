"""What a process asks of the system about itself: its life, its size, its threads.

What a system cannot hold back is said, not hidden.
"""

import ctypes
import os
import resource
import signal
import sys

SYSTEM_FILES = (
    "/lib",
    "/lib64",
    "/usr/lib",
    "/usr/lib64",
    f"{sys.base_prefix}/lib",
    f"{sys.prefix}/lib",
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/usr/share/zoneinfo",
    "/proc/self/cgroup",
    "/sys/fs/cgroup",
)
"""What Python and DuckDB read of a system after they have started: shared libraries,
time zones, and how much of the machine is theirs."""

_RESERVED = 4 * 2**30
"""Address space that an empty database may take, hardly any of it used."""
_SLACK = 2**28
_PARENT_DEATH_SIGNAL = 1


def die_with(parent: int) -> None:
    """Be killed when the thread of that process that started this one ends."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PARENT_DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit("the parent is gone")


def close_files_from(lowest: int) -> None:
    """Close what a caller may have left open, from this descriptor up."""
    most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    os.closerange(lowest, most)


class Space:
    """The address space of this process, and the limit that it sets itself.

    DuckDB's own limit covers its buffers; what a function such as repeat() allocates
    is only held by this one.
    """

    def __init__(self) -> None:
        # Opened before files are given up.
        linux = sys.platform == "linux"
        self._sizes = os.open("/proc/self/statm", os.O_RDONLY) if linux else None
        self._worn_at = 0

    def limit(self, *, memory: int, file: int) -> list[str]:
        """Bound what is allocated from now on, and files written; what is missing."""
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_FSIZE, (file, file))
        if self._sizes is None:
            return ["a limit on the memory of a process (this system has none)"]
        self._bound(2 * memory + _RESERVED)
        return []

    def settle(self, memory: int) -> None:
        """Bound what queries may allocate, once the database is there."""
        if self._sizes is not None:
            self._worn_at = self._bound(2 * memory + _SLACK) - memory

    def _bound(self, more: int) -> int:
        """Let the address space grow by so much; to what size."""
        assert self._sizes is not None
        most = self._size(self._sizes) + more
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
        return most

    def is_worn(self) -> bool:
        """Whether so much is reserved that another query might not get its memory.

        DuckDB's allocator gives memory back but keeps the addresses.
        """
        return self._sizes is not None and self._size(self._sizes) > self._worn_at

    def _size(self, sizes: int) -> int:
        pages = int(os.pread(sizes, 100, 0).split()[0])
        return pages * resource.getpagesize()


def is_alone() -> bool:
    """Whether this process has one thread; True where that is not known."""
    threads = "/proc/self/task"
    return not os.path.isdir(threads) or len(os.listdir(threads)) == 1
