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

LINE_EVERY_S = 10.0


class Reporter(Protocol):
    """Hears of every prompt that is done."""

    def begin(self, title: str, *, total: int, done: int) -> None:
        """A sweep of `total` prompts starts; `done` of them were already stored."""

    def advance(self, *, prompts: int, tokens: int, quarantined: int) -> None:
        """A batch has been run."""


class Silent:
    """Says nothing: the default from Python."""

    def begin(self, title: str, *, total: int, done: int) -> None:
        pass

    def advance(self, *, prompts: int, tokens: int, quarantined: int) -> None:
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
            TextColumn("{task.fields[bad]}"),
            console=console,
        )
        self._tokens = self._bad = 0

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

    def begin(self, title: str, *, total: int, done: int) -> None:
        self._task = self._progress.add_task(
            title, total=total, completed=done, rate="", bad=""
        )
        self._started = time.monotonic()

    def advance(self, *, prompts: int, tokens: int, quarantined: int) -> None:
        self._tokens += tokens
        self._bad += quarantined
        rate = self._tokens / max(time.monotonic() - self._started, 1e-9)
        self._progress.update(
            self._task,
            advance=prompts,
            rate=f"{rate:,.0f} tokens/s",
            bad=f"{self._bad} quarantined" if self._bad else "",
        )


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

    def begin(self, title: str, *, total: int, done: int) -> None:
        self._title, self._total, self._done = title, total, done
        self._new = self._tokens = self._bad = 0
        self._started = self._said = time.monotonic()
        if done:
            self._say(f"{done} of {total} prompts are stored already")

    def advance(self, *, prompts: int, tokens: int, quarantined: int) -> None:
        self._new += prompts
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
            f"{self._done + self._new}/{self._total} prompts, "
            f"{self._tokens / seconds:,.0f} tokens/s, {self._bad} quarantined, "
            + ("done" if finished else f"about {left:.0f} s left")
        )

    def _say(self, what: str) -> None:
        print(f"{self._title}: {what}", file=sys.stderr, flush=True)


def reporter() -> Bar | Lines:
    """The one that suits where standard error goes."""
    console = Console(stderr=True)
    return Bar(console) if console.is_terminal else Lines()
