"""A signal that asks a sweep to end before it is complete."""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Thread
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stop:
    """Asked before every shard whether to begin it."""

    signal: signal.Signals | None
    """The one that came."""

    def __init__(self) -> None:
        self.signal = None
        self._callbacks: list[Callable[[], None]] = []

    @property
    def asked(self) -> bool:
        """Whether a signal came."""
        return self.signal is not None

    def call(self, callback: Callable[[], None]) -> None:
        """Call this, in a thread of its own, once a signal comes."""
        self._callbacks.append(callback)

    @contextmanager
    def on_signals(self, say: Callable[[str], None]) -> Iterator[None]:
        """Meanwhile the first Ctrl-C or SIGTERM asks to stop, a second one stops at
        once. Nothing that is committed can be lost by either."""

        def handle(number: int, frame: FrameType | None) -> None:
            if self.asked:
                if sys.stderr.isatty():  # where a progress bar hides the cursor
                    sys.stderr.write("\x1b[?25h\n")
                    sys.stderr.flush()
                os._exit(128 + number)
            self.signal = signal.Signals(number)
            say("stopping after the shards in work; once more to stop at once")
            for callback in self._callbacks:
                Thread(target=callback, daemon=True).start()

        before = {number: signal.signal(number, handle) for number in SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
