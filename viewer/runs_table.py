"""The runs of a store, one of which is looked at."""

from datetime import datetime

from .data_table import Column, DataTable
from .prediction import Row
from .selection import Selection

COLUMNS = (
    Column("run_id", "Run"),
    Column("model", "Model", width="14%"),
    Column("datasets", "Datasets", width="18%"),
    Column("n_prompts", "Prompts", width="92px", align="right"),
    Column(
        "n_quarantined",
        "Quarantined",
        width="104px",
        align="right",
        hint="Prompts set aside; the table `quarantine` says why",
    ),
    Column("n_tokens", "Tokens", width="112px", align="right"),
    Column("status", "Status", width="96px"),
    Column("started_at", "Started, UTC", width="148px", align="right"),
)


class RunsTable:
    """Newest first; a click chooses one."""

    def __init__(self, selection: Selection) -> None:
        self._selection = selection
        self._run_ids: list[str] = []
        self.root = DataTable(
            COLUMNS,
            on_open=self._choose,
            label="Runs",
            empty="No runs yet.",
            narrowest=1040,
            sizing_mode="stretch_width",
            styles={"max-height": "264px", "overflow-y": "auto"},
            margin=0,
        )

    def show(self, runs: list[Row], current: Row | None) -> None:
        """List the runs and mark the current one."""
        self._run_ids = [run["run_id"] for run in runs]
        self.root.param.update(
            rows=[cells(run) for run in runs],
            links=[
                self._selection.query(run=run_id, **FRESH) for run_id in self._run_ids
            ],
            current=runs.index(current) if current else -1,
        )

    def _choose(self, index: int) -> None:
        # Filters of another run's datasets would leave an unexplained empty list.
        self._selection.param.update(run=self._run_ids[index], **FRESH)


FRESH = {"prompt": None, "target": None, "dataset": "", "category": "", "page": 1}


def cells(run: Row) -> list[str]:
    """What the table says of a run, column by column."""
    return [
        run["run_id"],
        run["model"],
        ", ".join(run["datasets"]),
        f"{run['n_prompts']:,}",
        f"{run['n_quarantined']:,}" if run["n_quarantined"] else "",
        f"{run['n_tokens']:,}",
        run["status"],
        minute(run["started_at"]),
    ]


def minute(time: datetime) -> str:
    """A time to the minute, in columns that align.

    >>> minute(datetime(2026, 3, 1, 9, 5))
    '2026-03-01 09:05'
    """
    return time.strftime("%Y-%m-%d %H:%M")
