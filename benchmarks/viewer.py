"""What readers of the viewer wait for, and what their sessions take.

    python benchmarks/viewer.py [STORE] [--markdown]

Starts `flowglass view` on the store, or on one made here, drives Debian's Chromium and
sessions without a browser, and prints each number beside its bar: the median, and the
worst. HOW says how each was taken.
"""

import argparse
import asyncio
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import inf
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console
from rich.table import Table
from viewer_browser import (
    chromium,
    distinct,
    other_prompts,
    paints,
    slider_steps,
)
from viewer_server import (
    Prompt,
    Viewer,
    make_demo,
    make_dense,
    prompt_with,
    read_prompts,
    viewing,
)
from viewer_sessions import Session, look_around, open_sessions

from flowglass.store import open_store
from flowglass.viewer.serve import PATIENCE

EDGES = 5000
GONE = sum(PATIENCE.values()) / 1000 + 25
"""Seconds after which the server has surely dropped sessions whose browser has gone: it
looks for them every 17 s."""


@dataclass(frozen=True)
class Measured:
    """Something measured, and its bar."""

    name: str
    how: str
    """A key of HOW."""
    unit: str
    bar: float
    """For the median; infinite where there is none."""
    values: Sequence[float]


@dataclass(frozen=True)
class Size:
    """How much of everything; small in a test."""

    cold: int = 3
    warm: int = 5
    prompts: int = 12
    steps: int = 60
    sessions: int = 20
    """For the memory half as many."""
    turns: int = 6
    look: float = 15
    """Seconds that readers look at what they have opened; meanwhile the server makes
    the page of each that it did not open with."""


HOW = {
    "paint": "In Chromium, 1280 x 800: from the start of the navigation to the frame "
    "after the first row of the list of prompts is there. Cold: a new browser with an "
    "empty profile on a server that has served nothing; warm: a new tab of the same.",
    "prompt": "From a click on a row of the list to the frame after the graph of that "
    "prompt is drawn; the first one has the page's components built.",
    "slider": f"Made-up prompt, 24 layers of 16 heads: between the two lowest "
    f"thresholds, from the slider's event until the next frame is drawn, all pixels "
    f"too. At both it draws about {EDGES:,} edges or more.",
    "memory": "Sessions without a browser, each opened on a prediction, then three "
    "times to the list and three times to another prediction. Resident memory of the "
    "server: of ten sessions less that of one, by nine; and of ten more, after the "
    "first ten were closed and dropped, less that of the first ten.",
    "turns": "The same sessions go from list to prediction and back, without a pause, "
    "all at once, or one of them while the others only tick.",
    "opens": "All at once, until the last one's document has come: page, websocket, "
    "document, parsed here on the same cores.",
}


def in_browser(store: Path, dense: Path, size: Size) -> Iterator[Measured]:
    """What one reader waits for."""
    cold, warm = paints(store, cold=size.cold, warm=size.warm)
    yield Measured("first useful paint, cold", "paint", "ms", 2500, cold)
    yield Measured("first useful paint, warm", "paint", "ms", 1500, warm)
    prompts = distinct(read_prompts(store), size.prompts)
    with viewing(store) as viewer, chromium() as context:
        first, *others = other_prompts(context, viewer.address, prompts)
    yield Measured("first prompt opened", "prompt", "ms", inf, [first])
    yield Measured("another prompt", "prompt", "ms", 500, others)
    with open_store(dense) as opened:
        prompt = prompt_with(opened, EDGES)
    with viewing(dense) as viewer, chromium() as context:
        found = slider_steps(context, viewer.address, prompt, steps=size.steps)
    yield Measured("a step of the slider", "slider", "ms", 50, [ms for ms, _ in found])
    yield Measured("edges drawn", "slider", "", inf, [n for _, n in found])


async def of_memory(
    viewer: Viewer, prompts: Sequence[Prompt], size: Size, *, gone: float
) -> list[Measured]:
    """What sessions take, and leave behind."""
    n = size.sessions // 2

    async def opened(prompts: Sequence[Prompt]) -> list[Session]:
        sessions = await open_sessions(viewer, prompts)
        for session in sessions:
            await look_around(session, prompts, turns=size.turns)
        return sessions

    one = await opened(prompts[:1])
    of_one = viewer.megabytes
    sessions = one + await opened(prompts[1:n])
    of_all = viewer.megabytes
    close(sessions)
    await asyncio.sleep(gone)
    kept = viewer.megabytes
    more = await opened(prompts[:n])
    of_more = viewer.megabytes
    close(more)
    each = (of_all - of_one) / (n - 1)
    return [
        Measured("server with one session", "memory", "MB", inf, [of_one]),
        Measured("a session more", "memory", "MB", 30, [each]),
        Measured(f"server after {n} sessions", "memory", "MB", inf, [kept]),
        Measured(f"added by {n} later ones", "memory", "MB", inf, [of_more - of_all]),
    ]


async def of_many(
    viewer: Viewer, prompts: Sequence[Prompt], size: Size
) -> list[Measured]:
    """What readers wait for when there are many."""
    n, turns = size.sessions, size.turns
    await open_sessions(viewer, prompts[:1])  # the server's first session takes longer
    places = [prompts[i % len(prompts)] for i in range(n)]
    sessions = await asyncio.gather(
        *[Session.open(viewer, prompt.query, settle=0) for prompt in places]
    )
    opens = [session.milliseconds for session in sessions]
    await asyncio.sleep(size.look)
    alone = await look_around(sessions[0], prompts[1:], turns=2 * turns)
    all_at_once = await asyncio.gather(
        *[
            look_around(session, prompts[1 + i :] + prompts[: 1 + i], turns=turns)
            for i, session in enumerate(sessions)
        ]
    )
    close(sessions)
    taken = [ms for each in all_at_once for ms in each]
    return [
        Measured(
            f"{n} sessions open at once, the last", "opens", "ms", 6000, [max(opens)]
        ),
        Measured(f"an action, {n} sessions open", "turns", "ms", 2000, alone),
        Measured(f"an action, {n} acting at once", "turns", "ms", 2000, taken),
    ]


def close(sessions: Sequence[Session]) -> None:
    for session in sessions:
        session.close()


def measure(
    store: Path, dense: Path, size: Size, *, gone: float = GONE
) -> Iterator[Measured]:
    """Everything, in the order of the table."""
    yield from in_browser(store, dense, size)
    prompts = read_prompts(store)
    with viewing(store) as viewer:
        yield from asyncio.run(of_memory(viewer, prompts, size, gone=gone))
    with viewing(store) as viewer:
        yield from asyncio.run(of_many(viewer, prompts, size))


HEADER = ("what", "unit", "bar", "median", "worst", "n", "")


def row(found: Measured) -> list[str]:
    """A line of the table."""
    bar = "" if found.bar == inf else f"{found.bar:g}"
    median = statistics.median(found.values)
    verdict = ("" if median <= found.bar else "over") if bar else ""
    return [
        found.name,
        found.unit,
        bar,
        f"{median:,.0f}" if abs(median) >= 100 else f"{median:.1f}",
        f"{max(found.values):,.0f}",
        str(len(found.values)),
        verdict,
    ]


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("store", type=Path, nargs="?", help="if not one made here")
    options.add_argument("--markdown", action="store_true")
    asked = options.parse_args()
    with TemporaryDirectory() as folder:
        store = asked.store or make_demo(Path(folder) / "demo")
        dense = make_dense(Path(folder) / "dense")
        lines = [row(found) for found in measure(store, dense, Size())]
    if asked.markdown:
        for line in (HEADER, ["---"] * len(HEADER), *lines):
            print(f"| {' | '.join(line)} |")
    else:
        table = Table(*HEADER)
        for line in lines:
            table.add_row(*line)
        Console(width=100).print(table)
    for name, how in HOW.items():
        print(f"{name}: {how}")


if __name__ == "__main__":
    main()
