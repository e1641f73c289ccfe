"""What the FFN's page says, as sections; no widgets.

Rows are those of `store.ffn_queries` and `store.neuron_queries`.
"""

from collections.abc import Sequence

from .compare_words import brief
from .component_cells import counted
from .downloads import Extract
from .examples import example_of
from .head_sections import asked_for, between
from .neuron_sections import NO_NEURONS, neuron_named
from .prediction import Row
from .sections import Column, Example, Examples, Table

CHOOSE = "Choose an FFN: click a cell of the map on the page `Components`."
NO_SHARES = (
    "This run stored no shares of its steps. Sweep again with another `--run` name: "
    "every sweep of this version stores them."
)


def not_there(run: Row, layer: int) -> str:
    """Why a model can have no such FFN; nothing if it may.

    >>> not_there({"n_layers": 4}, 4)
    'This model has 4 layers, from 0: none is 4.'
    """
    if layer >= run["n_layers"]:
        return f"This model has {run['n_layers']} layers, from 0: none is {layer}."
    return ""


def summed_up(row: Row, run: Row) -> str:
    """How much it brings, of what, and over how many positions."""
    if not row["n_positions"]:
        return NO_SHARES
    ends = between(row)
    others = "attention and " if run["block_kind"] == "parallel" else ""
    return (
        f"It brings {brief(row['mean'])}{f' ({ends})' if ends else ''} of the state it "
        f"writes to, beside {others}the residual stream: the mean over "
        f"{counted(row['n_positions'], 'position')} of "
        f"{counted(row['n_prompts'], 'prompt')}"
        f"{', with its 95% interval over prompts' if ends else ''}."
    )


def neurons_table(rows: Sequence[Row], layer: int, run: Row, extract: Extract) -> Table:
    """The neurons that contribute most; each opens its page."""
    return Table(
        f"Strongest neurons, {len(rows)} of them" if rows else "Strongest neurons",
        [
            Column("Neuron", width="29%"),
            Column("Share", "percent", width="14%", hint=SHARE),
            Column("95% interval", width="25%", hint="Over prompts"),
            Column("Mean there", "number", 4, hint="Contribution where it is stored"),
            Column("Positions", "number", 0, hint=stored_of(rows)),
        ],
        [
            [
                short_name(row),
                row["share"],
                percents(row),
                row["mean_contribution"],
                row["n_positions"],
            ]
            for row in rows
        ],
        extract if rows else None,
        opens=[
            {
                "view": "neuron",
                "layer": layer,
                "neuron": row["neuron"],
                "expert": row["expert"],
            }
            for row in rows
        ],
        empty=no_neurons(run),
    )


SHARE = "Of all that the layer's stored neurons contribute"


def stored_of(rows: Sequence[Row]) -> str:
    """What `n_positions` is a part of."""
    return f"Where it is stored, of {rows[0]['n_tokens']:,}" if rows else ""


def short_name(row: Row) -> str:
    """A neuron without its layer.

    >>> short_name({"neuron": 3, "expert": 1})
    'Expert 1 · neuron 3'
    """
    name = neuron_named(0, row["neuron"], row["expert"]).removeprefix("Layer 0 · ")
    return name[0].upper() + name[1:]


def percents(row: Row) -> str:
    """The interval of a share; empty if there is none.

    >>> percents({"low": 0.1234, "high": 0.5})
    '12.3 to 50.0 %'
    """
    if row["low"] is None:
        return ""
    return f"{100 * row['low']:.1f} to {100 * row['high']:.1f} %"


def no_neurons(run: Row) -> str:
    """Why a layer has no neurons in a run."""
    if asked_for(run).get("neurons") == 0:
        return NO_NEURONS
    return (
        f"No neuron of this FFN reaches the run's cutoff, {run['cutoff']:g}: sweep "
        "with a lower `--cutoff` to see more."
    )


def which_neurons(run: Row) -> str:
    """Which neurons are stored at all."""
    most = asked_for(run).get("neurons")
    those = f"the {most} neurons" if most else "the neurons"
    return (
        f"At each position, {those} that contribute most are stored, if they reach "
        f"{run['cutoff']:g}; shares are of what all of these contribute."
    )


def ffn_examples(
    rows: Sequence[Row], layer: int, summary: Row, extract: Extract
) -> Examples:
    """Where it brings most, tokens shaded by how much it brings there."""
    return Examples(
        "Top examples",
        [_example(row, layer) for row in rows],
        note=SHADED if rows else "",
        extract=extract if rows else None,
        empty=NOWHERE if summary["n_positions"] else NO_SHARES,
    )


SHADED = "Where it brings most in each prompt, shaded by its share of each state."
NOWHERE = "At no position does it bring anything."


def _example(row: Row, layer: int) -> Example:
    shares = dict(zip(row["positions"], row["contributions"], strict=True))
    return example_of(
        row,
        figure=f"contribution {brief(row['contribution'])}",
        marks={row["position"]: "to"},
        shades=shares,
        hints={place: f"contribution {brief(x)}" for place, x in shares.items()},
        opens={
            "target": row["position"],
            "selected": f"ffn-{layer}-{row['position']}",
        },
    )
