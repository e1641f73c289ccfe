"""A residual state: what the logit lens reads in it, and what wrote it."""

from flowglass.store import prediction_queries as ask
from flowglass.store.store import Store

from .downloads import Extract
from .not_stored import not_projected
from .places import State
from .prediction import Prediction
from .promoted import promoted_table
from .sections import Column, Note, Section, Table, Title
from .theme import show_whitespace

LENS_COLUMNS = (
    Column("Place", "number", digits=0, width="52px"),
    Column("Token", "token"),
    Column("Logit", "number", digits=2, width="72px"),
    Column("Prob.", "percent", width="76px"),
    Column(
        "Before",
        "number",
        digits=0,
        width="68px",
        hint="its place at the state before, on the same position",
    ),
    Column("Change", "change", width="72px", hint="places won or lost since then"),
)
WRITERS = {"attn": "Attention", "ffn": "The FFN"}


def state_sections(store: Store, prediction: Prediction, place: State) -> list[Section]:
    """Its title, its likeliest tokens, and what the last block promoted."""
    run_id, prompt_id = prediction.key
    position, layer = place.position, place.layer
    answer = ask.lens(
        store, run_id, prompt_id, place.state, layer=layer, position=position
    )
    parallel = prediction.run["block_kind"] == "parallel"
    stem = f"prompt-{prompt_id}-{place.state}-{layer}-{position}"
    sections: list[Section] = [
        Title(state_name(place, parallel), [prediction.name(position)], closes=True),
        Note(explained(place)),
        Table(
            "Logit lens: the next token, were this the last state",
            LENS_COLUMNS,
            [
                [
                    row["rank"] + 1,
                    show_whitespace(row["token"]),
                    row["logit"],
                    row["prob"],
                    None if row["rank_before"] is None else row["rank_before"] + 1,
                    None
                    if row["rank_before"] is None
                    else row["rank_before"] - row["rank"],
                ]
                for row in answer.table.to_pylist()
            ],
            Extract(f"{stem}-lens", answer.table, answer.sql),
            empty=not_projected(prediction, "states"),
        ),
    ]
    for component in writers_of(place, parallel):
        written = ask.writes(
            store, run_id, prompt_id, component, layer=layer, position=position
        )
        sections.append(
            promoted_table(
                f"{WRITERS[component]} of layer {layer} wrote, to get here",
                written,
                name=f"{stem}-{component}",
                missing=not_projected(prediction, "writes"),
            )
        )
    return sections


def writers_of(place: State, parallel: bool) -> tuple[str, ...]:
    """The blocks between a state and the one before."""
    if place.state == "embed":
        return ()
    if parallel:
        return ("attn", "ffn")
    return ("attn",) if place.state == "mid" else ("ffn",)


def state_name(place: State, parallel: bool) -> str:
    """A state as the graph calls it."""
    if place.state == "embed":
        return "Embedding"
    after = {"mid": "attention", "post": "the block" if parallel else "FFN"}
    return f"Layer {place.layer} · residual stream after {after[place.state]}"


def explained(place: State) -> str:
    """How the places of its table compare."""
    if place.state == "embed":
        return "The first state: what the token alone says."
    return "Change: against the state before, on the same position."
