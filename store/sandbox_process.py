"""The parent's end of a sandbox's child: started, asked, and ended for certain."""

import os
import select
import signal
import subprocess
import sys
from queue import SimpleQueue
from tempfile import TemporaryDirectory
from threading import Thread
from types import TracebackType
from typing import Any, Self

from .wire import receive, send

COMMAND = (sys.executable, "-P", "-m", "flowglass.store.sandbox_child")

_KEPT = ("LD_LIBRARY_PATH", "PYTHONHOME", "PYTHONPATH", "TZ")
"""All that the child sees of the environment: where Python is, and the time zone."""


Started = SimpleQueue["subprocess.Popen[bytes] | OSError"]


class Ended(Exception):
    """The child is gone; says which signal or exit code ended it."""

    def __init__(self, exit_code: int) -> None:
        name = signal.Signals(-exit_code).name if exit_code < 0 else None
        super().__init__(name or f"exit code {exit_code}")


class SandboxProcess:
    """A child process and its temporary folder; both are gone after `end`.

    It does not survive this process: the kernel kills it, and it notices by itself when
    its pipe is closed.
    """

    late = False
    """Whether it was ended because time was over."""

    busy = False
    """Whether it was asked something that it has not answered to the end."""

    def __init__(self) -> None:
        self._folder = TemporaryDirectory(prefix="flowglass-sql-")
        self.temp = self._folder.name
        started: Started = SimpleQueue()
        Thread(target=_keep, args=[started], daemon=True).start()
        process = started.get()
        if isinstance(process, OSError):
            raise process
        self._process = process

    @property
    def is_there(self) -> bool:
        """Whether it still runs: its end of the pipe is open."""
        assert self._process.stdout is not None
        hung_up = select.poll()
        hung_up.register(self._process.stdout, 0)
        return not hung_up.poll(0)

    def ask(self, request: dict[str, Any]) -> None:
        """Say something that an answer follows."""
        self.busy = True
        assert self._process.stdin is not None
        try:
            send(self._process.stdin, request)
        except BrokenPipeError:
            raise Ended(self._exit_code()) from None

    def answer(self) -> tuple[dict[str, Any], bytes]:
        """The next message; the last one of an answer has no `rows`."""
        assert self._process.stdout is not None
        try:
            header, payload = receive(self._process.stdout)
        except EOFError:
            raise Ended(self._exit_code()) from None
        self.busy = "rows" in header
        return header, payload

    def stop_late(self) -> None:
        """End it because time is over; whoever waits for an answer gets `Ended`."""
        self.late = True
        self._process.kill()

    def _exit_code(self) -> int:
        """Of a child that has hung up, or speaks nonsense and is ended."""
        try:
            return self._process.wait(1)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()

    def end(self) -> None:
        """End it, whatever it does."""
        self._process.kill()
        self._process.wait()
        self._folder.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.end()


def _keep(started: Started) -> None:
    """Start the child and wait for its end.

    The kernel kills a child when the thread that started it ends, which must not be
    some thread that asked a query and went.
    """
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    try:
        process = subprocess.Popen(
            [*COMMAND, str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=kept,
            start_new_session=True,  # Ctrl-C in a terminal is for us alone
        )
    except OSError as error:
        started.put(error)
        return
    started.put(process)
    process.wait()
