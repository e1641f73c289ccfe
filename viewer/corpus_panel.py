"""What a run's prompts are and how well its model does on them: a line, and a table of
its datasets and categories."""

from typing import Any

import panel as pn

from flowglass.store.answer import Answer
from flowglass.store.corpus_summary import corpus_summary
from flowglass.store.info import size_said
from flowglass.store.throughput import Progress

from .component_cells import counted
from .data_table import Column, DataTable
from .downloads import Extract
from .prediction import Row
from .pulse import Pulse
from .section_head import SectionHead

TITLE = "Corpus"
OPEN, CLOSED = "Hide categories", "By category"

COLUMNS = (
    Column("dataset", "Dataset", width="15%"),
    Column("category", "Category"),
    Column("n_prompts", "Prompts", width="90px", align="right"),
    Column("n_tokens", "Tokens", width="100px", align="right"),
    Column(
        "n_answers",
        "Answers",
        width="90px",
        align="right",
        hint="Targets at which an answer token is due",
    ),
    Column(
        "accuracy",
        "Accuracy",
        width="92px",
        align="right",
        hint="Share of them where it is the likeliest token",
    ),
    Column(
        "accuracy_interval",
        "95% interval",
        width="132px",
        kind="muted",
        hint="Wilson's, counting prompts",
    ),
    Column(
        "surprisal",
        "Nats / token",
        width="108px",
        align="right",
        hint="Surprisal: the mean of -ln p over all tokens but the first of a prompt",
    ),
    Column(
        "surprisal_interval",
        "95% interval",
        width="132px",
        kind="muted",
        hint="Student's, counting prompts; none with fewer than 5",
    ),
)


class CorpusPanel:
    """The summary of one run; `turn_to` reads it. Its table is made when opened."""

    def __init__(self, pulse: Pulse) -> None:
        self._pulse = pulse
        self._rows: list[list[Any]] = []
        self._table: DataTable | None = None
        self.head = SectionHead(
            TITLE,
            beside=True,
            actions=[["turn", CLOSED, True]],
            acts={"turn": self._turn},
            margin=(18, 0, 0, 0),
        )
        self.root = pn.Column(
            self.head, sizing_mode="stretch_width", visible=False, margin=0
        )

    def turn_to(self, run: Row | None, progress: Progress | None) -> None:
        """Show a run as it is now, or none."""
        if run is None:
            self.root.visible = False
            return
        run_id, store = run["run_id"], self._pulse.store
        found = self._pulse.kept(
            "corpus", run_id, lambda: corpus_summary(store, run_id)
        )
        rows = found.table.to_pylist()
        self.root.visible = bool(rows)
        if not rows:
            return
        self.head.tell(TITLE, said(rows[0], progress), extract_of(run, found))
        self._rows = [cells(row) for row in rows[1:]]
        if self._table is not None:
            self._table.rows = self._rows

    def _turn(self) -> None:
        """Open the table, or close it."""
        if self._table is None:
            self._table = DataTable(
                COLUMNS,
                label="Datasets and categories",
                rows=self._rows,
                narrowest=900,
                sizing_mode="stretch_width",
                margin=(4, 0, 0, 0),
            )
            self.root.append(self._table)
        else:
            self._table.visible = not self._table.visible
        self.head.actions = [["turn", OPEN if self._table.visible else CLOSED, True]]


def extract_of(run: Row, found: Answer) -> Extract:
    """The summary to take away."""
    return Extract(f"{run['run_id']}-corpus", found.table, found.sql)


def said(row: Row, progress: Progress | None) -> str:
    """All of a run's prompts in a line."""
    parts = [counted(row["n_prompts"], "prompt"), counted(row["n_tokens"], "token")]
    if row["surprisal"] is not None:
        parts.append(
            f"{row['surprisal']:.3f} nats a token{bracketed(surprisal_interval(row))}"
        )
    if row["accuracy"] is not None:
        parts.append(
            f"accuracy {100 * row['accuracy']:.1f} %"
            f"{bracketed(accuracy_interval(row))} of "
            f"{counted(row['n_answers'], 'answer')}"
        )
    parts.append(f"worst closure {row['closure']:.1e}")
    if progress is not None:
        if progress.n_quarantined:
            parts.append(f"{progress.n_quarantined:,} quarantined")
        parts.append(f"{size_said(progress.n_bytes)} stored")
    return " · ".join(parts)


def bracketed(text: str) -> str:
    """In brackets, if there is anything."""
    return f" ({text})" if text else ""


def accuracy_interval(row: Row) -> str:
    """The interval in words; empty where no answer is due."""
    if row["accuracy_low"] is None:
        return ""
    return f"{100 * row['accuracy_low']:.1f} to {100 * row['accuracy_high']:.1f} %"


def surprisal_interval(row: Row) -> str:
    """The interval in words; empty with too few prompts."""
    if row["surprisal_low"] is None:
        return ""
    return f"{row['surprisal_low']:.3f} to {row['surprisal_high']:.3f}"


def cells(row: Row) -> list[Any]:
    """What the table says of a group, column by column."""
    accuracy, surprisal = row["accuracy"], row["surprisal"]
    return [
        row["dataset"],
        row["category"] or "",
        f"{row['n_prompts']:,}",
        f"{row['n_tokens']:,}",
        f"{row['n_answers']:,}" if row["n_answers"] else "",
        "" if accuracy is None else f"{100 * accuracy:.1f} %",
        accuracy_interval(row),
        "" if surprisal is None else f"{surprisal:.3f}",
        surprisal_interval(row),
    ]
