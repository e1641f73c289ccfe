"""An FFN at a position: its strongest neurons, and what it and one of them promote."""

from flowglass.store import prediction_queries as ask
from flowglass.store.answer import Answer
from flowglass.store.store import Store

from .downloads import Extract
from .examples import leading_to_page
from .not_stored import NO_VOCAB, no_neurons, not_projected
from .places import Ffn
from .prediction import Prediction, Row
from .promoted import promoted_table
from .sections import Chip, Chips, Note, Section, Title


def ffn_sections(
    store: Store,
    prediction: Prediction,
    place: Ffn,
    *,
    neuron: int | None,
    expert: int | None = None,
) -> list[Section]:
    """Its title, its neurons, and tokens: of the block, and of the chosen neuron."""
    run_id, prompt_id = prediction.key
    layer, position = place.layer, place.position
    stem = f"prompt-{prompt_id}-ffn-{layer}-{position}"
    block = ask.writes(store, run_id, prompt_id, "ffn", layer=layer, position=position)
    found = ask.neurons(store, run_id, prompt_id, layer=layer, position=position)
    rows = found.table.to_pylist()
    sections: list[Section] = [
        Title(f"Layer {layer} · FFN", [prediction.name(position)], closes=True),
        Note(
            shares(store, prediction, place),
            link="this FFN over all prompts",
            opens=leading_to_page("ffn", layer=layer),
        ),
    ]
    wanted = (expert, neuron)
    chosen = next((r for r in rows if (r["expert"], r["neuron"]) == wanted), None)
    if chosen is None and rows:
        chosen = rows[0]
    if chosen is None:
        sections.append(Note(no_neurons(prediction), "missing"))
    else:
        sections += neuron_sections(
            store, prediction, place, rows, chosen=chosen, found=found
        )
    sections.append(
        promoted_table(
            "The whole FFN here",
            block,
            name=f"{stem}-writes",
            missing=not_projected(prediction, "writes"),
        )
    )
    return sections


def neuron_sections(
    store: Store,
    prediction: Prediction,
    place: Ffn,
    rows: list[Row],
    *,
    chosen: Row,
    found: Answer,
) -> list[Section]:
    """The neurons as chips; the chosen one's tokens, here and of its weights."""
    run_id, prompt_id = prediction.key
    layer, number, expert = place.layer, chosen["neuron"], chosen["expert"]
    here = ask.writes(
        store,
        run_id,
        prompt_id,
        "neuron",
        layer=layer,
        position=place.position,
        index=number,
        expert=expert,
    )
    model_hash = prediction.run["model_hash"]
    weights = ask.neuron_vocab(
        store, model_hash, layer=layer, neuron=number, expert=expert
    )
    stem = f"prompt-{prompt_id}-neuron-{layer}-{number}"
    name = neuron_name(chosen)
    return [
        Chips(
            "neuron",
            f"Neurons · activation, top {len(rows)} of {prediction.run['d_ffn']:,}",
            [neuron_chip(row, rows) for row in rows],
            chip_value(chosen),
            f"contribution {rows[0]['contribution']:.3f}",
            Extract(
                f"prompt-{prompt_id}-neurons-{layer}-{place.position}",
                found.table,
                found.sql,
            ),
        ),
        Note(
            f"Neuron {name}: contribution {chosen['contribution']:.4f}, activation "
            f"{signed(chosen['activation'], 4)}. It writes its weights times that.",
            link="it over all prompts",
            opens=leading_to_page("neuron", layer=layer, neuron=number, expert=expert),
        ),
        promoted_table(
            f"Neuron {name} here",
            here,
            name=f"{stem}-at-{place.position}",
            missing=not_projected(prediction, "writes"),
        ),
        promoted_table(
            f"Neuron {name}, its weights alone",
            weights,
            name=f"neuron-{layer}-{number}-weights",
            missing=NO_VOCAB,
        ),
    ]


def neuron_chip(row: Row, rows: list[Row]) -> Chip:
    """A neuron; the sign of its activation is its hue, its share the heat."""
    activation = row["activation"]
    return Chip(
        value=chip_value(row),
        text=neuron_name(row),
        detail=signed(activation, 2),
        heat=row["contribution"] / rows[0]["contribution"],
        sign=-1 if activation < 0 else 1,
        hint=f"contribution {row['contribution']:.4f}",
    )


def chip_value(row: Row) -> int | str:
    """What tells a neuron from the others of its layer; `inspector.choose` reads it."""
    expert, neuron = row["expert"], row["neuron"]
    return int(neuron) if expert is None else f"{expert}:{neuron}"


def signed(value: float, digits: int) -> str:
    """A number with its sign, a true minus."""
    return f"{value:+.{digits}f}".replace("-", "\u2212")


def neuron_name(row: Row) -> str:
    """Its number, led by its expert's where there are experts."""
    expert = row["expert"]
    if expert is None:
        return str(row["neuron"])
    return f"{'shared' if expert < 0 else expert}·{row['neuron']}"


def shares(store: Store, prediction: Prediction, place: Ffn) -> str:
    """How much of the state the FFN brings."""
    run_id, prompt_id = prediction.key
    step = "block" if prediction.run["block_kind"] == "parallel" else "ffn"
    rows = ask.step(
        store, run_id, prompt_id, layer=place.layer, step=step, query=place.position
    ).table.to_pylist()
    if not rows:
        return "How much it brings was not stored."
    others = [f"the residual stream {rows[0]['resid']:.3f}"]
    if step == "block":
        others.append(f"attention {rows[0]['attn']:.3f}")
    return (
        f"It brings {rows[0]['ffn']:.3f} of the state it writes to, "
        f"{', '.join(others)}."
    )
