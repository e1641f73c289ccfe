"""How long the viewer's pages about a run take to answer, without a browser.

    python benchmarks/pages.py /path/to/store

*first* is the page built and filled for the first time in a session, *again* the same
page in another session of the same server, about the same thing, *other* the median
over other things of its kind: other heads, neurons, tokens, cohorts, categories. What
the browser then takes to draw it is in benchmarks/viewer.py.
"""

import argparse
import random
import statistics
import time
from collections.abc import Iterator
from typing import Any

from flowglass.store import open_store, queries
from flowglass.store.store import Store
from flowglass.viewer.pulse import Pulse
from flowglass.viewer.selection import Selection
from flowglass.viewer.views import VIEWS, Desk, build

# isort: split
from rich.console import Console
from rich.table import Table

OTHERS = 5
Place = dict[str, Any]


def places(store: Store, run: dict[str, Any], view: str) -> Iterator[Place]:
    """Things that a page can be about, at random; the same at every call."""
    chance = random.Random(0)
    run_id = run["run_id"]
    groups = queries.prompt_groups(store, run_id).to_pylist()
    datasets = sorted({row["dataset"] for row in groups})
    categories = [row for row in groups if row["category"]] or groups
    while True:
        layer = chance.randrange(run["n_layers"])
        yield {
            "components": {"measure": chance.choice(["", "contribution", "logit"])},
            "compare": {"a": conditions(chance.choice(categories))},
            "routes": {"dataset": chance.choice(datasets)},
            "head": {"layer": layer, "head": chance.randrange(run["n_heads"])},
            "ffn": {"layer": layer},
            "neuron": {"layer": layer, "neuron": chance.randrange(run["d_ffn"])},
            "token": {"token": f"#{chance.randrange(min(run['vocab_size'], 600))}"},
            "sql": {},
        }[view]


def conditions(group: dict[str, Any]) -> str:
    """The condition that the page offers for a category."""
    where = f"dataset = '{group['dataset']}'"
    return where + (
        f" AND category = '{group['category']}'" if group["category"] else ""
    )


def answered(desk: Desk, view: str, run: dict[str, Any], wanted: list[Place]) -> Any:
    """Seconds of the page built and filled, and then of each further thing."""
    desk.selection.load(Selection(run=run["run_id"]).query(view=view, **wanted[0]))
    began = time.perf_counter()
    page = build(VIEWS[view], desk)
    page.show(run)
    seconds = [time.perf_counter() - began]
    page.root.visible = False  # it would follow the Selection by itself
    for place in wanted[1:]:
        desk.selection.load(Selection(run=run["run_id"]).query(view=view, **place))
        began = time.perf_counter()
        page.show(run)
        seconds.append(time.perf_counter() - began)
    return seconds


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("store")
    asked = options.parse_args()
    table = Table("page", "first, ms", "again, ms", "other, median", "other, worst")
    with open_store(asked.store) as store, Pulse(store) as pulse:
        run = max(store.runs().to_pylist(), key=lambda row: row["n_prompts"])
        for view in VIEWS:
            some = places(store, run, view)
            wanted = [next(some) for _ in range(1 + OTHERS)]
            desk = Desk(store, Selection(), pulse, asked.store)
            first, *others = answered(desk, view, run, wanted)
            desk = Desk(store, Selection(), pulse, asked.store)
            (again,) = answered(desk, view, run, wanted[:1])
            figures = [first, again, statistics.median(others), max(others)]
            table.add_row(view, *(f"{1000 * seconds:,.0f}" for seconds in figures))
    Console().print(table)


if __name__ == "__main__":
    main()
