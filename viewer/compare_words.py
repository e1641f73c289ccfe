"""What a comparison says: cells of the map, the ranked table, sentences; no widgets.

Rows are those of `store.compare`.
"""

from collections.abc import Iterable, Sequence

from flowglass.store.compare import About
from flowglass.store.schema import DEFAULT_TAU

from .component_map import Cell, Key, page_of, scale
from .prediction import Row
from .sections import Column, Note, Section, Table

MINUS = "\u2212"
DIFFERENCE = f"A {MINUS} B"
SURE = 0.05
"""A difference with a q below this is marked: of those so marked, at most so large a
share is expected to be chance (Benjamini and Hochberg 1995)."""

MEASURES = {
    "contribution": "Contribution to the route",
    "frequency": "Activation frequency",
    "logit": "Logit of the predicted token",
}
"""By the names that `store.compare` has for them; the first is the default."""

KINDS = {
    "apart": "The cohorts share no prompt: whole prompts are drawn anew, and change "
    "sides.",
    "same prompts": "The cohorts share prompts: these are drawn anew with what both "
    "have of them, and change sides within the prompt.",
    "two runs": "Two runs over the same texts: a prompt is compared with itself.",
}
SUGGESTIONS = (
    ("ends_sentence", "tokens that end a sentence"),
    ("NOT ends_sentence", "tokens that do not end a sentence"),
    ("is_punctuation", "punctuation"),
    ("NOT is_punctuation", "no punctuation"),
    ("repeats", "tokens that occurred before in the prompt"),
    ("NOT repeats", "tokens that did not occur before"),
    ("starts_word", "tokens that begin a word"),
    ("NOT starts_word", "later pieces of a word"),
    ("correct", "targets whose answer came first"),
    ("NOT correct", "targets whose answer did not come first"),
)
"""Conditions on targets that every run knows, with what they mean."""


def conditions(groups: Iterable[Row]) -> list[tuple[str, str]]:
    """Conditions to choose from, with what they mean; of the `dataset` and `category`
    of rows of `queries.prompt_groups`, then of tokens.

    >>> conditions([{"dataset": "o'x", "category": None, "n_prompts": 2}])[0]
    ("dataset = 'o''x'", "dataset o'x")
    """
    rows = list(groups)
    datasets = dict.fromkeys(row["dataset"] for row in rows)
    found = [(f"dataset = {_quoted(name)}", f"dataset {name}") for name in datasets]
    for row in rows:
        if row["category"]:
            where = f"dataset = {_quoted(row['dataset'])} AND "
            where += f"category = {_quoted(row['category'])}"
            found.append((where, f"{row['dataset']} · {row['category']}"))
    return [*found, *SUGGESTIONS]


def rest(where: str) -> str:
    """The condition of all targets that another does not choose; of none, none.

    >>> rest("correct"), rest("")
    ('(\\ncorrect\\n) IS NOT TRUE', '')
    """
    # On lines of its own: it may end in a comment.
    return f"(\n{where}\n) IS NOT TRUE" if where else ""


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def cells_of(rows: Sequence[Row]) -> dict[Key, Cell]:
    """A cell for every component: its colour says which cohort it does more in."""
    tops = largest(rows)
    return {
        (row["layer"], row["component"], row["index"]): Cell(
            "plus" if row["difference"] >= 0 else "minus",
            abs(row["difference"]) / (tops[row["component"]] or 1.0),
            signed(row["difference"]),
            _detail(row),
        )
        for row in rows
        if row["difference"] is not None
    }


def largest(rows: Sequence[Row]) -> dict[str, float]:
    """The largest difference of heads and of FFNs, whatever its sign."""
    tops = {"head": 0.0, "ffn": 0.0}
    for row in rows:
        size = abs(row["difference"] or 0.0)
        tops[row["component"]] = max(tops[row["component"]], size)
    return tops


def legend(rows: Sequence[Row]) -> str:
    """The scales of the colours, as HTML."""
    found = []
    for component, name in (("head", "heads: more in B"), ("ffn", "FFN: more in B")):
        top = signed(largest(rows)[component]).lstrip("+")
        found.append(scale("minus", name, MINUS + top, "0"))
        found.append(scale("plus", "", "", f"+{top} more in A"))
    return "".join(found)


def _detail(row: Row) -> str:
    parts = [f"{brief(row['mean_a'])} in A, {brief(row['mean_b'])} in B"]
    if row["q"] is not None:
        parts.insert(0, f"({signed(row['low'])} to {signed(row['high'])})")
        parts.append(f"q {small(row['q'])}")
    return " · ".join(parts)


def ranked(rows: Sequence[Row], *, measure: str, n: int = 200) -> Table:
    """Every component, the surest difference first; each opens its page."""
    order = sorted(
        (row for row in rows if row["difference"] is not None),
        key=lambda row: (
            1.0 if row["q"] is None else row["q"],
            -abs(row["difference"]),
        ),
    )[:n]
    percent = measure == "frequency"
    return Table(
        f"{len(order)} of {len(rows)} components, the surest difference first",
        [
            Column("Component", width="21%"),
            Column("A", "percent" if percent else "number", width="11%", hint="Mean"),
            Column("B", "percent" if percent else "number", width="11%", hint="Mean"),
            Column(DIFFERENCE, "bar", width="24%"),
            Column("95% interval", width="16%", hint="Over prompts"),
            Column("Effect", "signed", 2, width="8%", hint=EFFECT),
            Column("q", width="9%", hint="p-value, corrected for so many components"),
        ],
        [_line(row) for row in order],
        opens=[
            page_of((row["layer"], row["component"], row["index"])) for row in order
        ],
        tallest=560,
    )


EFFECT = "The difference in standard deviations between prompts"


def _line(row: Row) -> list[str | float | None]:
    interval = (
        "" if row["low"] is None else f"{signed(row['low'])} to {signed(row['high'])}"
    )
    return [
        component(row),
        row["mean_a"],
        row["mean_b"],
        row["difference"],
        interval,
        row["effect"],
        "" if row["q"] is None else small(row["q"]),
    ]


def component(row: Row) -> str:
    """`Layer 3 · head 2`, or `Layer 3 · FFN`."""
    part = f"head {row['index']}" if row["component"] == "head" else "FFN"
    return f"Layer {row['layer']} · {part}"


def signed(value: float) -> str:
    """A difference to three digits that count.

    >>> signed(0.01234), signed(0.5)
    ('+0.0123', '+0.500')
    """
    return ("+" if value >= 0 else MINUS) + brief(abs(value))


def brief(value: float) -> str:
    """A figure to three digits that count, those before the point always.

    >>> brief(0.0512), brief(0.05), brief(100.0), brief(12345.6)
    ('0.0512', '0.0500', '100', '12346')
    """
    text = f"{value:.0f}" if abs(value) >= 1000 else f"{value:#.3g}".rstrip(".")
    return text.replace("-", MINUS)


def small(value: float) -> str:
    """A p- or q-value.

    >>> small(0.0000031), small(0.0421)
    ('< 0.001', '0.042')
    """
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def sentence(rows: Sequence[Row], about: About) -> str:
    """What was compared with what, of how much."""
    row = rows[0]
    sides = [
        f"{name}: {row[f'n_targets_{key}']:,} targets of {row[f'n_prompts_{key}']:,} "
        f"prompts"
        for name, key in (("A", "a"), ("B", "b"))
    ]
    what = {
        "contribution": "Mean contribution to a target's route, 0 where it is in none",
        "frequency": f"Share of targets with it in the route at tau {about.tau:g}",
        "logit": "Mean of what it adds to the predicted token's logit",
    }[about.measure]
    return f"{what}. {'; '.join(sides)}."


def verdict(rows: Sequence[Row]) -> str:
    """How many differences are no chance."""
    known = [row for row in rows if row["q"] is not None]
    if not known:
        return ""
    sure = sum(row["q"] < SURE for row in known)
    if not sure:
        return (
            f"No component differs surely: none of {len(known)} has q < {SURE:g}. "
            "That does not show that they are equal; the intervals say how large a "
            "difference may be."
        )
    return (
        f"{sure} of {len(known)} components differ (q < {SURE:g}: of these, at most "
        f"{SURE:.0%} are expected to be chance)."
    )


def notes(rows: Sequence[Row], about: About) -> list[Section]:
    """What a reader must know of the numbers."""
    said = [verdict(rows), KINDS[about.kind]]
    found: list[Section] = [Note(" ".join(part for part in said if part))]
    return found + [Note(note, "missing") for note in about.notes]


def default_tau(taus: Sequence[float]) -> float:
    """The threshold that frequencies are compared at first."""
    return DEFAULT_TAU if DEFAULT_TAU in taus else taus[0]
