"""The runs of a store, how far each is, and which of them is looked at."""

from collections.abc import Mapping
from datetime import datetime

from flowglass.store.info import size_said
from flowglass.store.throughput import Going, Pace, Progress, pace, rate_said, rest_said

from .data_table import Column, DataTable
from .prediction import Row
from .selection import Selection

COLUMNS = (
    Column("run_id", "Run"),
    Column("model", "Model", width="10%"),
    Column("datasets", "Datasets", width="10%"),
    Column(
        "n_prompts",
        "Prompts",
        width="128px",
        align="right",
        kind="bar",
        hint="Done of all, the quarantined included",
    ),
    Column(
        "n_quarantined",
        "Aside",
        width="60px",
        align="right",
        hint="Prompts in quarantine; the table `quarantine` says why",
    ),
    Column("n_tokens", "Tokens", width="92px", align="right"),
    Column("n_bytes", "Size", width="80px", align="right", hint="On disk"),
    Column(
        "closure",
        "Closure",
        width="80px",
        align="right",
        hint="How far the parts of a step are from their sum, at the worst",
    ),
    Column(
        "status",
        "Status",
        width="206px",
        kind="muted",
        hint="While it runs: tokens a second over the last minutes, and what is left "
        "at that rate; live: of a prompt typed here, gone when this server ends",
    ),
    Column("started_at", "Started, UTC", width="128px", align="right"),
)
BAR = str([column.name for column in COLUMNS].index("n_prompts"))


class RunsTable:
    """Newest first; a click chooses one."""

    def __init__(self, selection: Selection) -> None:
        self._selection = selection
        self._runs: list[Row] = []
        self.root = DataTable(
            COLUMNS,
            on_open=self._choose,
            label="Runs",
            empty="No runs yet.",
            narrowest=1180,
            sizing_mode="stretch_width",
            styles={"max-height": "264px", "overflow-y": "auto"},
            margin=0,
        )

    def show(
        self,
        runs: list[Row],
        current: Row | None,
        progress: Mapping[str, Progress],
        closures: Mapping[str, float],
        *,
        now: float,
    ) -> None:
        """List the runs, how far they are by now, and mark the current one."""
        self._runs = [{**run, "closure": closures.get(run["run_id"])} for run in runs]
        self.root.param.update(
            links=[
                self._selection.query(run=run["run_id"], **FRESH) for run in self._runs
            ],
            current=runs.index(current) if current else -1,
            **rows_of(self._runs, progress, now),
        )

    def tick(self, progress: Mapping[str, Progress], *, now: float) -> None:
        """The same runs a moment later: what is left runs down."""
        if all(run["run_id"] in progress for run in self._runs):
            self.root.param.update(**rows_of(self._runs, progress, now))

    def _choose(self, index: int) -> None:
        # Filters of another run's datasets would leave an unexplained empty list.
        self._selection.param.update(run=self._runs[index]["run_id"], **FRESH)


FRESH = {"prompt": None, "target": None, "dataset": "", "category": "", "page": 1}


def rows_of(
    runs: list[Row], progress: Mapping[str, Progress], now: float
) -> dict[str, list[object]]:
    """What the table shows of the runs."""
    of = [progress[run["run_id"]] for run in runs]
    return {
        "rows": [
            cells(run, each, pace(each, now=now))
            for run, each in zip(runs, of, strict=True)
        ],
        "shares": [bar(each) for each in of],
    }


def bar(progress: Progress) -> dict[str, float]:
    """How full the bar is, by its column; a complete run needs none."""
    if progress.status == "complete":
        return {}
    return {BAR: round(progress.n_done / max(1, progress.n_all), 3)}


def cells(run: Row, progress: Progress, at: Pace) -> list[str]:
    """What the table says of a run, column by column."""
    done = f"{progress.n_done:,}"
    return [
        run["run_id"],
        run["model"],
        ", ".join(run["datasets"]),
        done if progress.n_done == progress.n_all else f"{done} / {progress.n_all:,}",
        f"{progress.n_quarantined:,}" if progress.n_quarantined else "",
        f"{progress.n_tokens:,}",
        size_said(progress.n_bytes) if progress.n_bytes else "",
        "" if run["closure"] is None else f"{run['closure']:.1e}",
        " · ".join(filter(None, (status_said(run, progress, at), pace_said(at)))),
        minute(run["started_at"]),
    ]


def status_said(run: Row, progress: Progress, at: Pace) -> str:
    """How the run is, in a word."""
    if isinstance(at, Going):
        return "running"
    done = progress.status == "complete"
    return "live" if done and run.get("is_live") else progress.status


def pace_said(at: Pace) -> str:
    """Rate and time left in a few words.

    >>> pace_said(Going(1234.5, 200.0))
    '1,234 tok/s · 3 min left'
    """
    rate = rate_said(at)
    return " · ".join(
        part for part in (rate and f"{rate} tok/s", rest_said(at)) if part
    )


def minute(time: datetime) -> str:
    """A time to the minute, in columns that align.

    >>> minute(datetime(2026, 3, 1, 9, 5))
    '2026-03-01 09:05'
    """
    return time.strftime("%Y-%m-%d %H:%M")
