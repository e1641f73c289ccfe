"""Attention from one token to another: its heads, the maps of one, and its tokens."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from flowglass.store import prediction_queries as ask
from flowglass.store.store import Store

from .downloads import Extract
from .examples import leading_to_page
from .not_stored import WHOLE_MAPS, not_projected
from .places import Attention
from .prediction import Prediction, Row
from .promoted import promoted_table
from .sections import Chip, Chips, Heading, Note, Section, Title

NOT_STORED, LATER = -1.0, -2.0
"""In a map: a value below the cutoff; a key after its query."""


@dataclass(frozen=True)
class Maps:
    """A head's maps [query, key] as they are drawn."""

    attention: NDArray[np.float32]
    contribution: NDArray[np.float32]


@dataclass(frozen=True)
class EdgePanel:
    """What is above the maps, the maps, and what is below."""

    above: list[Section]
    maps: Maps | None
    below: list[Section]


def edge_panel(
    store: Store, prediction: Prediction, place: Attention, *, head: int | None
) -> EdgePanel:
    """The panel of an attention edge with one of its heads; the strongest if unsaid."""
    run_id, prompt_id = prediction.key
    found = ask.edge_heads(
        store,
        run_id,
        prompt_id,
        layer=place.layer,
        query=place.query,
        key=place.key,
    )
    heads = found.table.to_pylist()
    title: list[Section] = [
        Title(
            f"Layer {place.layer} · attention",
            [prediction.name(place.key), prediction.name(place.query)],
            closes=True,
        )
    ]
    if not heads:
        cutoff = prediction.run["cutoff"]
        said = f"No head brings as much as the run's cutoff, {cutoff:g}, this way."
        return EdgePanel([*title, Note(said, "missing")], None, [])
    chosen = next((row for row in heads if row["head"] == head), heads[0])
    number = chosen["head"]
    maps, heading = head_maps(store, prediction, layer=place.layer, head=number)
    stem = f"prompt-{prompt_id}-head-{place.layer}"
    written = ask.writes(
        store,
        run_id,
        prompt_id,
        "head",
        layer=place.layer,
        position=place.query,
        index=number,
    )
    return EdgePanel(
        [
            *title,
            Note(shares(store, prediction, place, heads)),
            head_chips(
                heads,
                number,
                prediction.run["n_heads"],
                Extract(f"{stem}s-{place.query}-{place.key}", found.table, found.sql),
            ),
            heading,
        ],
        maps,
        [
            promoted_table(
                f"Head {number}, all it writes at {prediction.name(place.query)}",
                written,
                name=f"{stem}-{number}-at-{place.query}",
                missing=not_projected(prediction, "writes"),
            ),
            Note(
                f"Its roles and examples: layer {place.layer}",
                link=f"head {number} over all prompts",
                opens=leading_to_page("head", layer=place.layer, head=number),
            ),
        ],
    )


def head_chips(heads: list[Row], chosen: int, n_heads: int, extract: Extract) -> Chips:
    """The heads; the heat is the contribution."""
    hottest = heads[0]["contribution"]
    return Chips(
        "head",
        f"Heads · contribution, {len(heads)} of {n_heads}",
        [
            Chip(
                value=row["head"],
                text=str(row["head"]),
                detail=f"{row['contribution']:.3f}",
                heat=row["contribution"] / hottest,
                hint=f"attention {row['attention']:.3f}",
            )
            for row in heads
        ],
        chosen,
        f"{hottest:.3f}",
        extract,
    )


def shares(
    store: Store, prediction: Prediction, place: Attention, heads: list[Row]
) -> str:
    """How much of the state the edge brings, and what its step leaves unsaid."""
    run_id, prompt_id = prediction.key
    total = sum(row["contribution"] for row in heads)
    said = f"These heads bring {total:.3f} of the state they write to"
    step = "block" if prediction.run["block_kind"] == "parallel" else "attn"
    rows = ask.step(
        store, run_id, prompt_id, layer=place.layer, step=step, query=place.query
    ).table.to_pylist()
    if not rows:
        return f"{said}."
    below = rows[0]["below_cutoff"]
    return (
        f"{said}; from all tokens attention brings {rows[0]['attn']:.3f}. "
        f"Parts below the cutoff, {below:.3f} in all, are not stored."
    )


def head_maps(
    store: Store, prediction: Prediction, *, layer: int, head: int
) -> tuple[Maps, Heading]:
    """A head's maps, and what they are: whole, or what is above the cutoff."""
    run_id, prompt_id = prediction.key
    name = f"prompt-{prompt_id}-head-{layer}-{head}"
    dense, sql = ask.dense_head(store, run_id, prompt_id, layer=layer, head=head)
    title = f"Head {head}: where it reads, from every token"
    if dense is not None:
        sql = f"-- lower triangles, row by row, as bytes of floats\n{sql}"
        whole = Maps(*(masked(m) for m in (dense.attention, dense.contribution)))
        said = "Whole maps. A row is a query, a column the key it reads."
        return whole, Heading(title, said, Extract(name, dense.table, sql))
    answer = ask.head_edges(store, run_id, prompt_id, layer=layer, head=head)
    mean = ask.head_mean(store, run_id, prompt_id, layer=layer, head=head)
    sparse = Maps(
        *(
            scattered(answer.table, name, len(prediction.tokens))
            for name in ("attention", "contribution")
        )
    )
    said = missing_mass(answer.table, mean.table, len(prediction.tokens))
    return sparse, Heading(title, said, Extract(name, answer.table, answer.sql))


def missing_mass(edges: pa.Table, mean: pa.Table, n: int) -> str:
    """How much of a head its stored edges hold.

    Its attention sums to 1 at every query; its contributions to n times their mean.
    """
    attention = pc.sum(edges["attention"]).as_py() or 0.0
    said = f"{attention / n:.0%} of its attention"
    if mean.num_rows and (total := n * mean["contribution"][0].as_py()) > 0:
        kept = min(1.0, (pc.sum(edges["contribution"]).as_py() or 0.0) / total)
        said = f"{kept:.0%} of its contribution and {said}"
    return f"Only the {edges.num_rows} edges above the cutoff: {said}. {WHOLE_MAPS}"


def masked(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """A whole map, the keys after each query marked as such."""
    later = np.triu(np.ones(values.shape, bool), 1)
    return np.where(later, np.float32(LATER), values)


def scattered(edges: pa.Table, name: str, n: int) -> NDArray[np.float32]:
    """The map of a column of a head's edges."""
    found = masked(np.full((n, n), NOT_STORED, np.float32))
    at = (edges["query"].to_numpy(), edges["key"].to_numpy())
    found[at] = edges[name].to_numpy()
    return found
