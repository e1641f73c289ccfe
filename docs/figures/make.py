"""The README's figures, from the store that `make demo` leaves.

    python docs/figures/make.py runs/ [--out docs/images]

Three questions about the bundled models, each answered by one function of the store:
how often is a component in a route, what does each layer bring, and what do other
prompts use?
"""

import argparse
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from panels import Panel, Row, cells, curves, whiskers
from svg import page, tag, words

from flowglass.store import Store, StoreError, open_store
from flowglass.store.cohorts import Cohort
from flowglass.store.component_queries import component_map
from flowglass.store.schema import DEFAULT_TAU
from flowglass.store.shares import layer_shares

MODELS = ("tiny-gpt2", "tiny-llama")
COMPARED = "tiny-llama"
"""The model that knows nearly all answers of the datasets below."""
DATASETS, AGAINST = ("addition", "translation"), "facts"

Panels = dict[str, tuple[str, Panel]]
"""By name: how much a panel's numbers are of, and what is drawn."""

LEFT, TOP = 48, 66
"""Where the first panel begins."""
PANEL_WIDTH = 416


def main() -> None:
    """Write the figures into a folder."""
    parser = argparse.ArgumentParser(description="Draw the README's figures.")
    parser.add_argument("store", help="the store that `make demo` leaves")
    parser.add_argument("--out", type=Path, default=Path("docs/images"))
    asked = parser.parse_args()
    try:
        with open_store(asked.store) as store:
            pictures = {
                "activation.svg": activation(store),
                "shares.svg": shares(store),
                "datasets.svg": datasets(store),
            }
    except StoreError as error:
        raise SystemExit(str(error)) from None
    asked.out.mkdir(parents=True, exist_ok=True)
    for name, picture in pictures.items():
        (asked.out / name).write_text(f"{picture}\n")
        print(asked.out / name)


def activation(store: Store) -> str:
    """How often each head and FFN is in a route."""
    panels, every = Panels(), []
    for left, model in placed(MODELS):
        rows = component_map(store, run_of(store, model)).table.to_pylist()
        said = f"{rows[0]['n_targets']:,} predictions, {rows[0]['n_prompts']:,} prompts"
        panels[model] = said, cells(rows, left, TOP)
        every += rows
    return figure(
        panels,
        note=f"95% intervals are at most ± {widest(every, 'value'):.1f} points.",
        title=f"Share of predictions whose route at {DEFAULT_TAU} holds each component",
    )


def shares(store: Store) -> str:
    """What attention and the FFN bring to the state that they write to, by layer."""
    panels, every = Panels(), []
    for left, model in placed(MODELS):
        found = layer_shares(store, run_of(store, model)).table.to_pylist()
        rows = [row for row in found if row["part"] == row["step"]]
        said = f"{rows[0]['n_positions']:,} positions, {rows[0]['n_prompts']:,} prompts"
        panels[model] = said, curves(rows, left, TOP + 12)
        every += rows
    return figure(
        panels,
        note="The rest is the residual stream's. 95% intervals are at most "
        f"± {widest(every, 'share'):.1f} points.",
        title="Share of each state that attention and the FFN bring to it, by layer",
    )


def datasets(store: Store) -> str:
    """How much more often each head is in the routes of one dataset than of another."""
    panels, run = Panels(), run_of(store, COMPARED)
    for left, name in placed(DATASETS):
        rows = heads_compared(store, run, name)
        n = rows[0]
        said = (
            f"{n['n_targets_a']:,} predictions, {n['n_prompts_a']:,} prompts; "
            f"{n['n_targets_b']:,} and {n['n_prompts_b']:,}"
        )
        panels[f"{name} against {AGAINST}"] = said, whiskers(rows, left, TOP)
    return figure(
        panels,
        note=f"{COMPARED}, layer.head: difference in points with its 95% interval. "
        "Filled: q < 0.05 among all heads and FFNs.",
        title=f"Heads that are in more or fewer routes than on {AGAINST}",
    )


def run_of(store: Store, model: str) -> str:
    """The latest run of a model."""
    found = [run for run in store.runs().to_pylist() if run["model"] == model]
    if not found:
        raise StoreError(f"no run of {model} in this store; `make demo` makes one")
    return str(found[-1]["run_id"])


def heads_compared(store: Store, run: str, dataset: str) -> list[Row]:
    """The heads in a dataset's routes, against those of `AGAINST`."""
    a, b = (Cohort(run, f"dataset = '{name}'") for name in (dataset, AGAINST))
    found = store.compare(a, b, measure="frequency").to_pylist()
    return [row for row in found if row["component"] == "head"]


def placed(names: Iterable[str]) -> Iterator[tuple[int, str]]:
    """Names, and where the panel of each begins."""
    return ((LEFT + i * PANEL_WIDTH, name) for i, name in enumerate(names))


def widest(rows: Sequence[Row], value: str) -> float:
    """How far an interval reaches at most, in points."""
    known = [row for row in rows if row["low"] is not None]
    ends = [abs(row[end] - row[value]) for row in known for end in ("low", "high")]
    return max(100 * float(end) for end in ends)


def figure(panels: Panels, *, note: str, title: str) -> str:
    """Panels side by side under their names, over what is to be known of them."""
    parts = []
    for left, name in placed(panels):
        said, panel = panels[name]
        marks = [
            words(left, TOP - 36, name, weight=600),
            words(left, TOP - 17, said, colour="muted"),
            *panel.marks,
        ]
        parts.append(tag("g", "\n".join(marks), data_panel=name))
    bottom = max(panel.bottom for _, panel in panels.values())
    parts.append(words(LEFT, bottom + 32, note, colour="muted"))
    width = len(panels) * PANEL_WIDTH + 8
    return page(parts, width=width, height=bottom + 48, title=title)


if __name__ == "__main__":
    main()
