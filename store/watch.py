"""What `flowglass info --watch` says: the runs of a store, as they go on.

Looks come one after another, whoever shows them: a table that is drawn anew in a
terminal, a line for each run that changed elsewhere.
"""

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, TextIO

from .errors import StoreError
from .info import STATUS_STYLES, size_said
from .layout import FORMAT, files_at
from .store import open_store
from .throughput import Observer, Pace, Progress, pace, rate_said, rest_said

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.table import Table

EVERY = 2.0
"""Seconds between two looks."""

WIDE = 100
"""Columns of a terminal that shows everything."""


@dataclass(frozen=True)
class Look:
    """A store at one moment."""

    now: float
    runs: Mapping[str, Progress]
    note: str
    """What is waited for, or why this look failed; empty if nothing is the matter."""


def watch(path: str, out: TextIO) -> None:
    """Show the runs of a store until all are over, or until Ctrl-C."""
    from rich.console import Console

    wide = None if out.isatty() else 10_000
    console = Console(file=out, width=wide, highlight=False)
    show = show_table if console.is_terminal else show_lines
    try:
        show(console, looks(path))
    except KeyboardInterrupt:  # the way to end it
        return


def looks(path: str, *, every: float = EVERY) -> Iterator[Look]:
    """A store every so many seconds, until it has runs and all are over.

    A look that fails says so and is followed by another: a night's sweep outlives a
    network that is gone for a minute.
    """
    files = files_at(path)
    while not files.exists(FORMAT):
        yield Look(time.time(), {}, f"waiting for a store at {path}")
        time.sleep(every)
    observer = Observer()
    with open_store(path) as store:
        note = ""
        while True:
            now = time.time()
            observer.look(store.snapshot, now=now)
            waiting = "" if observer.runs else f"{path} holds no runs yet: waiting"
            yield Look(now, observer.runs, note or waiting)
            if observer.runs and not any(map(_is_open, observer.runs.values())):
                return
            time.sleep(every)
            try:
                store.refresh()
                note = ""
            except StoreError as error:
                note = f"trying again: {error}"


def _is_open(run: Progress) -> bool:
    return run.status == "partial"


def show_table(console: "Console", looks: Iterator[Look]) -> None:
    """A table in place, which stays when all is over."""
    from rich.live import Live

    with Live(console=console, auto_refresh=False) as live:
        for look in looks:
            # As many rows as there is room for, besides the head and two lines.
            rows, width = console.height - 6, console.width
            live.update(drawn(look, rows=rows, width=width), refresh=True)
        live.update(drawn(look, rows=len(look.runs), width=width))


def show_lines(console: "Console", looks: Iterator[Look]) -> None:
    """A line for each run about which there is something new."""
    said: dict[str, object] = {}
    for look in looks:
        if look.note and said.get("") != look.note:
            console.print(look.note, markup=False)
        said[""] = look.note
        for run_id, run in look.runs.items():
            at = pace(run, now=look.now)
            news = (run.status, run.n_done, run.n_tokens, run.n_bytes, type(at))
            if said.get(run_id) != news:
                said[run_id] = news
                console.print(line(run, at), markup=False)


def line(run: Progress, at: Pace) -> str:
    """A run in one line."""
    parts = [
        f"{run.run_id}: {run.status}",
        f"{run.n_done:,}/{run.n_all:,} prompts",
        f"{run.n_tokens:,} tokens",
        f"{rate_said(at)} tokens/s" if rate_said(at) else "",
        rest_said(at),
        f"{run.n_quarantined:,} quarantined" if run.n_quarantined else "",
        size_said(run.n_bytes),
        run.stopped or "",
    ]
    return ", ".join(part for part in parts if part)


def drawn(look: Look, *, rows: int, width: int) -> "RenderableType":
    """A look as a table of so many rows; those that are at work go first, then news."""
    from rich.console import Group
    from rich.text import Text

    ranked = sorted(reversed([*look.runs.values()]), key=lambda run: not _is_open(run))
    shown = {run.run_id for run in ranked[: max(1, rows)]}
    parts: list[RenderableType] = []
    if look.runs:
        runs = [run for run in look.runs.values() if run.run_id in shown]
        parts.append(_table(runs, look.now, names=_columns(runs, width)))
    if len(shown) < len(look.runs):
        parts.append(Text(f"and {len(look.runs) - len(shown):,} more runs", "dim"))
    if look.note:
        parts.append(Text(look.note, "dim"))
    return Group(*parts)


def _columns(runs: Iterable[Progress], width: int) -> list[str]:
    """What there is to say, or in a narrow terminal what matters most of it."""
    names = [
        "run",
        "status",
        "prompts",
        "tokens",
        "tokens/s",
        "",
        "quarantined",
        "size",
    ]
    left_out = {"tokens", "size"} if width < WIDE else set()
    if not any(run.n_quarantined for run in runs):
        left_out.add("quarantined")
    return [name for name in names if name not in left_out]


def _table(runs: list[Progress], now: float, *, names: list[str]) -> "Table":
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in names:
        said = name in ("run", "status", "")
        table.add_column(
            name,
            justify="left" if said else "right",
            no_wrap=name not in ("run", ""),
            overflow="fold",
        )
    for run in runs:
        at = pace(run, now=now)
        cells: dict[str, str | Text] = {
            "run": Text(run.run_id),
            "status": Text(run.status, STATUS_STYLES[run.status]),
            "prompts": f"{run.n_done:,}/{run.n_all:,}",
            "tokens": f"{run.n_tokens:,}",
            "tokens/s": rate_said(at),
            "": Text(run.stopped or rest_said(at)),
            "quarantined": f"{run.n_quarantined:,}" if run.n_quarantined else "",
            "size": size_said(run.n_bytes),
        }
        table.add_row(*(cells[name] for name in names))
    return table
