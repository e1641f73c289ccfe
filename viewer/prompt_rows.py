"""What the list of prompts shows of each: its columns, and a row's cells."""

from .data_table import Column
from .prediction import Row
from .theme import show_text, show_whitespace

LONGEST_TEXT = 300

COLUMNS = (
    Column("prompt_id", "#", width="64px", align="right", kind="muted", sortable=True),
    Column("text", "Prompt", sortable=True),
    Column("dataset", "Dataset", width="9.5%", kind="muted", sortable=True),
    Column("category", "Category", width="9.5%", kind="muted", sortable=True),
    Column("answer", "Answer", width="9%", kind="token", sortable=True),
    Column("predicted_token", "Predicted", width="10%", kind="token", sortable=True),
    Column("predicted_prob", "Prob.", width="84px", align="right", sortable=True),
    Column(
        "correct",
        "Correct",
        width="86px",
        align="centre",
        sortable=True,
        hint="Was the answer the likeliest token?",
    ),
    Column("n_tokens", "Tokens", width="86px", align="right", sortable=True),
)
SORTABLE = frozenset(column.name for column in COLUMNS)


def cells(row: Row) -> list[str]:
    """What the table says of a prompt, column by column."""
    share = row["predicted_prob"]
    return [
        str(row["prompt_id"]),
        show_text(row["text"], LONGEST_TEXT),
        row["dataset"],
        row["category"] or "",
        "" if row["answer"] is None else show_whitespace(row["answer"]),
        _token(row["predicted_token"]),
        "" if share is None else f"{100 * share:.1f} %",
        {True: "✓", False: "✗", None: ""}[row["correct"]],
        f"{row['n_tokens']:,}",
    ]


def _token(token: str | None) -> str:
    return "" if token is None else show_whitespace(token)


def tones(row: Row) -> dict[str, str]:
    """Colours of a row's cells, by column number."""
    place = str([column.name for column in COLUMNS].index("correct"))
    if row["correct"] is None:
        return {}
    return {place: "good" if row["correct"] else "bad"}
