"""What a sweep says while it works: a bar on a terminal, plain lines elsewhere."""

import sys
import time
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)

from flowglass.store.info import size_said

LINE_EVERY_S = 10.0


class Reporter(Protocol):
    """Hears of everything that is done; one job after the other."""

    def begin(
        self, title: str, *, total: int, done: int, unit: str = "prompts"
    ) -> None:
        """A job of `total` units starts; `done` of them were already stored."""

    def advance(self, units: int, *, tokens: int = 0, quarantined: int = 0) -> None:
        """Some more of them are done."""

    def wrote(self, n_bytes: int) -> None:
        """So many bytes are stored."""

    def say(self, what: str) -> None:
        """One line for people."""


class Silent:
    """Says nothing: the default from Python."""

    def begin(
        self, title: str, *, total: int, done: int, unit: str = "prompts"
    ) -> None:
        pass

    def advance(self, units: int, *, tokens: int = 0, quarantined: int = 0) -> None:
        pass

    def wrote(self, n_bytes: int) -> None:
        pass

    def say(self, what: str) -> None:
        pass


class Bar:
    """A progress bar with tokens per second and the time that is left."""

    def __init__(self, console: Console) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[size]}"),
            TextColumn("{task.fields[bad]}"),
            console=console,
        )

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def begin(
        self, title: str, *, total: int, done: int, unit: str = "prompts"
    ) -> None:
        self._task = self._progress.add_task(
            title, total=total, completed=done, rate="", size="", bad=""
        )
        self._started = time.monotonic()
        self._tokens = self._bad = self._bytes = 0

    def advance(self, units: int, *, tokens: int = 0, quarantined: int = 0) -> None:
        self._tokens += tokens
        self._bad += quarantined
        rate = self._tokens / max(time.monotonic() - self._started, 1e-9)
        self._progress.update(
            self._task,
            advance=units,
            rate=f"{rate:,.0f} tokens/s" if self._tokens else "",
            bad=f"{self._bad} quarantined" if self._bad else "",
        )

    def wrote(self, n_bytes: int) -> None:
        self._bytes += n_bytes
        self._progress.update(self._task, size=size_said(self._bytes))

    def say(self, what: str) -> None:
        self._progress.console.print(what, highlight=False, soft_wrap=True)


class Lines:
    """A line every ten seconds, for logs."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        pass

    def begin(
        self, title: str, *, total: int, done: int, unit: str = "prompts"
    ) -> None:
        self._title, self._total, self._done, self._unit = title, total, done, unit
        self._new = self._tokens = self._bad = self._bytes = 0
        self._started = self._said = time.monotonic()
        if done:
            self._say(f"{done} of {total} {unit} are stored already")

    def advance(self, units: int, *, tokens: int = 0, quarantined: int = 0) -> None:
        self._new += units
        self._tokens += tokens
        self._bad += quarantined
        now = time.monotonic()
        finished = self._done + self._new == self._total
        if now - self._said < LINE_EVERY_S and not finished:
            return
        self._said = now
        seconds = max(now - self._started, 1e-9)
        left = (self._total - self._done - self._new) * seconds / self._new
        self._say(
            f"{self._done + self._new}/{self._total} {self._unit}, "
            + (f"{self._tokens / seconds:,.0f} tokens/s, " if self._tokens else "")
            + (f"{size_said(self._bytes)} stored, " if self._bytes else "")
            + (f"{self._bad} quarantined, " if self._bad else "")
            + ("done" if finished else f"about {left:.0f} s left")
        )

    def wrote(self, n_bytes: int) -> None:
        self._bytes += n_bytes

    def say(self, what: str) -> None:
        print(what, file=sys.stderr, flush=True)

    def _say(self, what: str) -> None:
        self.say(f"{self._title}: {what}")


def reporter() -> Bar | Lines:
    """The one that suits where standard error goes."""
    console = Console(stderr=True)
    return Bar(console) if console.is_terminal else Lines()
