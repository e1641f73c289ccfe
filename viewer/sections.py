"""What a sheet is made of: titles, notes, chips and tables, as values.

Panels are functions that make them, so a test reads what a panel says without a
browser. Numbers stay numbers here: how many digits are shown is the column's.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from .downloads import Extract

Value = str | float | int | None


@dataclass(frozen=True)
class Title:
    """What is shown here, and of which tokens."""

    text: str
    tokens: Sequence[str] = ()
    """White space visible; two are a way from the first to the second."""
    closes: bool = False
    """With a button that chooses nothing again."""
    kind: Literal["title"] = "title"


@dataclass(frozen=True)
class Note:
    """A sentence; what stands between `backticks` is set as code."""

    text: str
    tone: Literal["", "missing"] = ""
    link: str = ""
    """What a link after it says; none if empty."""
    opens: dict[str, Any] = field(default_factory=dict)
    """What following the link changes of the Selection."""
    kind: Literal["note"] = "note"


@dataclass(frozen=True)
class Chip:
    """One of several to choose from."""

    value: int | str
    """A neuron of an expert is `EXPERT:NEURON`."""
    text: str
    detail: str
    """A number beside the text."""
    heat: float
    """0 to 1."""
    sign: int = 0
    """Of what it stands for: 1, -1, or 0 for no matter."""
    hint: str = ""


@dataclass(frozen=True)
class Chips:
    """Chips with a scale of heat; a click chooses one."""

    key: str
    """What is chosen, as the Selection calls it."""
    caption: str
    chips: Sequence[Chip]
    chosen: int | str | None
    hottest: str
    """The upper end of the scale, in words."""
    extract: Extract | None = None
    kind: Literal["chips"] = "chips"


@dataclass(frozen=True)
class Column:
    """How a column of a table is shown."""

    title: str
    show: Literal["text", "token", "number", "signed", "percent", "bar", "change"] = (
        "text"
    )
    digits: int = 3
    width: str = ""
    hint: str = ""


@dataclass(frozen=True)
class Table:
    """Rows under a caption; sortable in the browser, which holds all of them."""

    caption: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Value]]
    extract: Extract | None = None
    foot: Sequence[Sequence[Value]] = ()
    opens: Sequence[dict[str, Any]] = ()
    """For each row, what a click changes of the Selection; none: no links."""
    empty: str = "Nothing here."
    """Instead of rows; a note, as `Note.text`."""
    sortable: bool = True
    tallest: int = 0
    """Pixels, beyond which the rows scroll; 0: as tall as they are."""
    kind: Literal["table"] = "table"


@dataclass(frozen=True)
class Piece:
    """A token of an example."""

    text: str
    """White space visible."""
    mark: Literal["", "to", "from", "both"] = ""
    """Whether it is what the example is about: the place written to, or read from."""
    shade: float = 0.0
    """-1 to 1: how much there is of a figure here, and of which sign."""
    gap: bool = False
    """Whether tokens before it are left out."""
    hint: str = ""


@dataclass(frozen=True)
class Example:
    """A place of a prompt with what stands around it."""

    name: str
    """Which prompt."""
    figure: str
    """The number that it is shown for, as text."""
    pieces: Sequence[Piece]
    opens: dict[str, Any]
    """What a click changes of the Selection."""


@dataclass(frozen=True)
class Examples:
    """Places of prompts, one below the other."""

    caption: str
    examples: Sequence[Example]
    note: str = ""
    extract: Extract | None = None
    empty: str = "Nothing here."
    kind: Literal["examples"] = "examples"


@dataclass(frozen=True)
class Heading:
    """A caption for what follows outside the sheet, with its download."""

    text: str
    note: str = ""
    extract: Extract | None = None
    kind: Literal["heading"] = "heading"


Section = Title | Note | Chips | Table | Examples | Heading


@dataclass(frozen=True)
class Sections:
    """A sheet's sections with their downloads, which stay behind in Python."""

    shown: list[dict[str, Any]] = field(default_factory=list)
    extracts: list[Extract | None] = field(default_factory=list)


def for_browser(sections: Sequence[Section]) -> Sections:
    """The sections as plain values, each download replaced by its query."""
    found = Sections()
    for section in sections:
        extract = getattr(section, "extract", None)
        values = {k: v for k, v in vars(section).items() if k != "extract"}
        for name in ("columns", "chips", "examples"):
            if name in values:
                values[name] = [asdict(value) for value in values[name]]
        if extract is not None:
            values["sql"] = extract.sql
        found.shown.append(values)
        found.extracts.append(extract)
    return found
