"""The logit attribution of a target: who pushes which token, and whether it adds up."""

from collections.abc import Sequence
from typing import Any

from flowglass.store import prediction_queries as ask
from flowglass.store.store import Store

from .attribution import Attribution, Push, attribution_of
from .downloads import Extract
from .not_stored import no_attribution, no_neurons
from .prediction import Prediction
from .sections import Column, Note, Section, Table, Title, Value

MOST = 150
"""Rows of a table; the smallest of more become one."""
TALL = 330
EXACT = 0.01
"""Logits; a smaller rest is rounding."""


def attribution_sections(
    store: Store, prediction: Prediction, target: int
) -> list[Section]:
    """A table of heads, FFNs and the rest, one of neurons, and what is missing."""
    run_id, prompt_id = prediction.key
    title = Title("Logit attribution", [prediction.name(target)])
    answer = ask.logit_attribution(store, run_id, prompt_id, target=target)
    if not answer.table.num_rows or prediction.stored_target(target) is None:
        return [title, Note(no_attribution(prediction, target), "missing")]
    lens = ask.lens(
        store,
        run_id,
        prompt_id,
        "post",
        layer=prediction.run["n_layers"] - 1,
        position=target,
    )
    found = attribution_of(prediction, target, answer, lens)
    extract = Extract(
        f"prompt-{prompt_id}-logits-at-{target}", answer.table, answer.sql
    )
    return [
        title,
        Note(checked(found)),
        pushes_table("Heads, FFNs and the rest", found, extract),
        neurons_table(prediction, found, extract),
    ]


def checked(found: Attribution) -> str:
    """Whether the parts make up the logits, and what it means if not."""
    pairs = zip(found.pushed, found.sums, strict=True)
    left = [None if each.logit is None else each.logit - total for each, total in pairs]
    known = [rest for rest in left if rest is not None]
    if not known:
        said = "The logit itself was not stored (`--project routes` does)."
    elif max(map(abs, known)) <= EXACT:
        every = "" if len(known) == len(left) else ", as far as it was stored"
        said = f"The parts add up to the logit{every}."
    else:
        said = (
            f"The parts leave {max(known, key=abs):+.3f} unexplained, as in a model "
            "that caps its logits."
        )
    return f"What each part adds. {said} Neurons are parts of FFNs, not added again."


def pushes_table(caption: str, found: Attribution, extract: Extract) -> Table:
    """All but neurons; under them their sum."""
    shown, rest = largest(found.pushes)
    foot: list[list[Value]] = [
        ["Sum", *found.sums],
        ["Logit", *(each.logit for each in found.pushed)],
    ]
    if rest:
        foot.insert(0, [f"{len(rest)} smaller ones", *sums(rest)])
    return Table(
        caption,
        columns_of(found),
        [[push.name, *push.values] for push in shown],
        extract,
        foot=foot,
        opens=[],
        tallest=TALL,
    )


def neurons_table(
    prediction: Prediction, found: Attribution, extract: Extract
) -> Table:
    """Neurons, and how much of the FFNs they explain."""
    shown, rest = largest(found.neurons)
    foot: list[list[Value]] = [
        [f"All {len(found.neurons)} stored neurons", *found.of_neurons],
        ["All FFNs", *found.of_ffns],
    ]
    if rest:
        foot.insert(0, [f"{len(rest)} smaller ones", *sums(rest)])
    return Table(
        "Neurons, the parts of those FFNs that are stored",
        columns_of(found),
        [[push.name, *push.values] for push in shown],
        extract if shown else None,
        foot=foot,
        tallest=TALL,
        empty=no_neurons(prediction),
    )


def columns_of(found: Attribution) -> list[Column]:
    """A bar to either side for everything that is pushed."""
    bars = [Column(each.name, "bar", digits=3) for each in found.pushed]
    return [Column("Component", "text", width="28%"), *bars]


def largest(pushes: Sequence[Push]) -> tuple[list[Push], list[Push]]:
    """The largest pushes whichever way, largest first, and those left out."""
    order = sorted(pushes, key=lambda push: -max(map(abs, push.values)))
    return order[:MOST], order[MOST:]


def sums(pushes: Sequence[Push]) -> list[Any]:
    """Column by column."""
    return [sum(values) for values in zip(*(p.values for p in pushes), strict=True)]
