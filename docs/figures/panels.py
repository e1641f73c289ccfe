"""One panel of a figure: rows of the store's answers in, SVG marks out.

A mark that shows a number carries it, with its interval and what it is of.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from svg import ink, line, tag, words

Row = dict[str, Any]


@dataclass(frozen=True)
class Panel:
    """What is drawn, and where it ends."""

    marks: tuple[str, ...]
    bottom: float


def percent(share: float) -> str:
    """A share in words: 0 % and 100 % are said of nothing else."""
    if 0 < share < 0.005:
        return "< 1 %"
    return "> 99 %" if 0.995 <= share < 1 else f"{100 * share:.0f} %"


def numbers(row: Row, value: str) -> dict[str, float | str]:
    """A mark's name and numbers, to be read by a machine."""
    key = ("layer", "step", "component", "index")
    found: dict[str, float | str] = {
        "data_name": " ".join(str(row[part]) for part in key if part in row)
    }
    ends = {"data_value": row[value], "data_low": row["low"], "data_high": row["high"]}
    return found | {name: end for name, end in ends.items() if end is not None}


# --- layer x head ---------------------------------------------------------------------

CELL_WIDTH, CELL_HEIGHT = 62, 34
GAP = 12
"""Between the last head and the FFN."""
STRONGEST = 0.5
"""How opaque a share of 1 is: words on it stay legible."""


def cells(rows: Sequence[Row], left: float, top: float) -> Panel:
    """A square for each head, the FFN beside them, the last layer on top."""
    n_layers = 1 + max(row["layer"] for row in rows)
    n_heads = 1 + max(row["index"] for row in rows)
    bottom = top + n_layers * CELL_HEIGHT
    marks: list[str] = []
    for row in rows:
        is_ffn = row["component"] == "ffn"
        x = left + (n_heads * CELL_WIDTH + GAP if is_ffn else row["index"] * CELL_WIDTH)
        y = bottom - (row["layer"] + 1) * CELL_HEIGHT
        marks += cell(row, x, y, "ffn" if is_ffn else "attn")
        if row["layer"] == 0:
            name, middle = "FFN" if is_ffn else f"H{row['index']}", x + CELL_WIDTH / 2
            marks.append(
                words(middle, bottom + 18, name, anchor="middle", colour="muted")
            )
        if is_ffn:
            name = f"L{row['layer']}"
            marks.append(words(left - 8, y + 22, name, anchor="end", colour="muted"))
    return Panel(tuple(marks), bottom + 18)


def cell(row: Row, x: float, y: float, colour: str) -> Iterator[str]:
    """One square, and its share in words."""
    yield tag(
        "rect",
        x=x + 1,
        y=y + 1,
        width=CELL_WIDTH - 2,
        height=CELL_HEIGHT - 2,
        rx=3,
        fill=ink(colour),
        fill_opacity=STRONGEST * row["value"],
        **numbers(row, "value"),
    )
    yield words(x + CELL_WIDTH / 2, y + 22, percent(row["value"]), anchor="middle")


# --- by layer -------------------------------------------------------------------------

TALL, LAYER_WIDTH = 170, 80
WRITERS = {"attn": "attention", "ffn": "FFN"}


def curves(rows: Sequence[Row], left: float, top: float) -> Panel:
    """A curve for each writer from the first layer to the last, with its numbers."""
    n_layers = 1 + max(row["layer"] for row in rows)
    right, bottom = left + 24 + (n_layers - 1) * LAYER_WIDTH, top + TALL
    marks = []
    for share in (0, 0.5, 1):
        y = bottom - TALL * share
        marks.append(line(left, y, right + 20, y, colour="line"))
        name = percent(share)
        marks.append(words(left - 8, y + 4, name, anchor="end", colour="muted"))
    for layer in range(n_layers):
        x, name = left + 24 + layer * LAYER_WIDTH, f"L{layer}"
        marks.append(words(x, bottom + 22, name, anchor="middle", colour="muted"))
    for writer, name in WRITERS.items():
        mine = [row for row in rows if row["step"] == writer]
        beside = [row["share"] for row in rows if row["step"] != writer]
        marks += curve(mine, beside, left + 24, bottom)
        y = bottom - TALL * mine[-1]["share"]
        marks.append(words(right + 22, y + 4, name, colour=writer, weight=600))
    return Panel(tuple(marks), bottom + 22)


def curve(
    rows: Sequence[Row], beside: Sequence[float], left: float, bottom: float
) -> Iterator[str]:
    """One curve; its numbers stand on the side where the other one is not."""
    at = [(left + r["layer"] * LAYER_WIDTH, bottom - TALL * r["share"]) for r in rows]
    points, colour = " ".join(f"{x:g},{y:.4g}" for x, y in at), ink(rows[0]["step"])
    yield tag("polyline", points=points, fill="none", stroke=colour, stroke_width=2)
    for row, (x, y), other in zip(rows, at, beside, strict=True):
        yield tag("circle", cx=x, cy=y, r=4, fill=colour, **numbers(row, "share"))
        below = -10 if row["share"] >= other else 20
        yield words(x, y + below, percent(row["share"]), anchor="middle")


# --- differences by head --------------------------------------------------------------

HEAD_HEIGHT, LAYER_GAP = 17, 8
HALF = 165
"""From no difference to a difference of 1."""
SPOKEN = 0.4
"""Of a difference as large as this both shares are told."""
DIFFERENT = 0.05
"""The share of false discoveries among what is called different."""


def whiskers(rows: Sequence[Row], left: float, top: float) -> Panel:
    """A line for each head: its difference, and the interval about it."""
    zero, layers = left + HALF, {row["layer"] for row in rows}
    bottom = top + len(rows) * HEAD_HEIGHT + len(layers) * LAYER_GAP
    marks = []
    for share in (-1, -0.5, 0, 0.5, 1):
        x, name = zero + HALF * share, f"{100 * share:+.0f}" if share else "0"
        marks.append(line(x, top, x, bottom, colour="line" if share else "faint"))
        marks.append(words(x, bottom + 18, name, anchor="middle", colour="muted"))
    for place, row in enumerate(rows):
        y = top + (place + 0.5) * HEAD_HEIGHT + (row["layer"] + 0.5) * LAYER_GAP
        name = f"{row['layer']}.{row['index']}"
        marks.append(words(left - 8, y + 4, name, anchor="end", colour="muted"))
        marks += whisker(row, zero, y)
    return Panel(tuple(marks), bottom + 18)


def whisker(row: Row, zero: float, y: float) -> Iterator[str]:
    """The point and interval of a head; of a large difference, both shares in words."""
    if row["low"] is not None:
        low, high = (zero + HALF * row[end] for end in ("low", "high"))
        yield line(low, y, high, y, colour="attn", thick=2)
    is_different = row["q"] is not None and row["q"] < DIFFERENT
    yield tag(
        "circle",
        cx=zero + HALF * row["difference"],
        cy=y,
        r=4,
        fill=ink("attn" if is_different else "surface"),
        stroke=ink("attn"),
        stroke_width=1.5,
        **numbers(row, "difference"),
    )
    if abs(row["difference"]) >= SPOKEN:
        said = f"{percent(row['mean_b'])} → {percent(row['mean_a'])}"
        is_more = row["difference"] > 0
        x, anchor = (zero - 8, "end") if is_more else (zero + 8, "start")
        yield words(x, y + 4, said, anchor=anchor)
