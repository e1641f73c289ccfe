"""What the neuron's page says, as sections; no widgets.

Rows are those of `store.neuron_queries`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from .compare_words import brief, signed
from .downloads import Extract
from .examples import example_of
from .head_sections import asked_for, between, category_named
from .prediction import Row
from .sections import Column, Example, Examples, Table

STORED_ONLY = "Over those positions where it is among the stored neurons."


def neuron_named(layer: int, neuron: int, expert: int | None) -> str:
    """`Layer 3 · neuron 17`, with its expert in a mixture of experts.

    >>> neuron_named(3, 17, None), neuron_named(3, 17, -1), neuron_named(3, 17, 5)
    ('Layer 3 · neuron 17', 'Layer 3 · shared expert · neuron 17', \
'Layer 3 · expert 5 · neuron 17')
    """
    of = "" if expert is None else f"expert {expert} · "
    return (
        f"Layer {layer} · {'shared expert · ' if expert == -1 else of}neuron {neuron}"
    )


def not_there(run: Row, *, layer: int, neuron: int, expert: int | None) -> str:
    """Why a model can have no such neuron; nothing if it may.

    >>> not_there({"n_layers": 4, "d_ffn": 64}, layer=3, neuron=64, expert=None)
    'An FFN of this model has 64 neurons, from 0: none is 64.'
    """
    if layer >= run["n_layers"]:
        return f"This model has {run['n_layers']} layers, from 0: none is {layer}."
    # Experts have widths of their own.
    if expert is None and run["d_ffn"] and neuron >= run["d_ffn"]:
        return (
            f"An FFN of this model has {run['d_ffn']:,} neurons, from 0: none is "
            f"{neuron}."
        )
    return ""


NO_NEURONS = "This run stored no neurons: sweep with `--neurons 16` to see them."
NOT_ADDED = (
    "At no stored target is it among the stored neurons: sweep with `--targets all` "
    "to look at every position."
)


def summed_up(row: Row, run: Row) -> str:
    """How often it is stored, and what it does there."""
    if asked_for(run).get("neurons") == 0:
        return NO_NEURONS
    if not row["n_positions"]:
        return (
            f"At none of the run's {row['n_tokens'] or 0:,} positions is it among the "
            "stored neurons: those that contribute most. Sweep with more `--neurons`, "
            "or with a lower `--cutoff`."
        )
    return (
        f"Among the stored neurons, those that contribute most, at "
        f"{row['n_positions']:,} of {row['n_tokens']:,} positions "
        f"({100 * row['frequency']:.2f} %), in {row['n_prompts']:,} prompts. There its "
        f"contribution is {brief(row['mean_contribution'])} on average and "
        f"{brief(row['max_contribution'])} at most, and its activation from "
        f"{signed(row['min_activation'])} to {signed(row['max_activation'])}."
    )


def categories_table(rows: Sequence[Row], extract: Extract) -> Table:
    """In which datasets and categories it matters."""
    order = sorted(rows, key=lambda row: -row["mean"])
    return Table(
        "Where it matters",
        [
            Column("Dataset · category", width="36%"),
            Column("Mean", "number", 4, width="13%", hint=MEAN),
            Column("95% interval", width="25%", hint="Over prompts"),
            Column("Stored at", "percent", hint="Of all positions"),
            Column("Prompts", "number", 0),
        ],
        [
            [
                category_named(row),
                row["mean"],
                between(row),
                row["frequency"],
                row["n_prompts"],
            ]
            for row in order
        ],
        extract,
        empty="No prompt of this run is stored yet.",
        tallest=420,
    )


MEAN = "Contribution over all positions, 0 where it is not stored"


def neuron_examples(
    rows: Sequence[Row], at: Mapping[str, Any], *, extract: Extract
) -> Examples:
    """Where it contributes most, tokens shaded by its activation."""
    largest = max(
        (abs(a) for row in rows for a in row["activations"] if a is not None),
        default=0.0,
    )
    return Examples(
        "Top examples",
        [_example(row, at, largest) for row in rows],
        note=SHADED if rows else "",
        extract=extract if rows else None,
        empty="No prompt of this run stores it.",
    )


SHADED = (
    "Where it contributes most in each prompt, shaded by its activation: blue above 0, "
    "orange below; unshaded where it is not among the stored ones."
)


def _example(row: Row, at: Mapping[str, Any], largest: float) -> Example:
    known = {
        position: activation
        for position, activation in zip(
            row["positions"], row["activations"], strict=True
        )
        if activation is not None
    }
    return example_of(
        row,
        figure=f"contribution {brief(row['contribution'])} · activation "
        f"{signed(row['activation'])}",
        marks={row["position"]: "to"},
        shades={p: a / (largest or 1.0) for p, a in known.items()},
        hints={p: f"activation {signed(a)}" for p, a in known.items()},
        opens={
            "selected": f"ffn-{at['layer']}-{row['position']}",
            "neuron": at["neuron"],
            "expert": at["expert"],
        },
    )
