"""What `flowglass info` says: the runs of a store, and what was set aside."""

from typing import TextIO

from .store import Store

QUARANTINED = """
    SELECT run_id, split_part(reason, ':', 1) AS reason, count(*) AS n,
           min(prompt_id) AS example
    FROM quarantine GROUP BY ALL ORDER BY run_id, n DESC, reason
"""


def write_info(store: Store, out: TextIO) -> None:
    """A table of runs, why some were stopped, and the reasons of the quarantine."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(file=out, width=None if out.isatty() else 10_000, highlight=False)
    runs = store.snapshot.runs
    if not runs:
        console.print(f"{store.root} holds no runs yet")
        return
    table = Table(box=box.SIMPLE_HEAD)
    for name in ("run", "model", "datasets", "status"):
        table.add_column(name, overflow="fold")
    for name in ("prompts", "tokens", "quarantined", "size"):
        table.add_column(name, justify="right")
    for run_id, state in sorted(runs.items(), key=lambda run: run[1].plan.started_at):
        done = state.total("n_prompts") + state.total("n_quarantined")
        table.add_row(
            Text(run_id),
            Text(state.plan.model),
            Text(", ".join(state.plan.datasets)),
            Text(state.status, STATUS_STYLES[state.status]),
            f"{done:,}/{state.plan.n_prompts:,}",
            f"{state.total('n_tokens'):,}",
            f"{state.total('n_quarantined'):,}",
            size_said(state.n_bytes),
        )
    console.print(table)
    for run_id, state in runs.items():
        if state.status == "stopped":
            console.print(Text(f"{run_id} was stopped: {state.stopped}"))
    reasons = store.sql(QUARANTINED).fetchall()
    for run_id, reason, n, example in reasons:
        console.print(
            Text(f"{run_id}: {n:,} in quarantine, {reason} (such as prompt {example})")
        )


STATUS_STYLES = {"complete": "green", "partial": "yellow", "stopped": "red"}
"""How the status of a run looks in a terminal."""


def size_said(n_bytes: int) -> str:
    """Bytes as people say them.

    >>> size_said(999), size_said(12_345_678)
    ('999 B', '12.3 MB')
    """
    if n_bytes < 1000:
        return f"{n_bytes} B"
    amount, units = n_bytes / 1000, ["kB", "MB", "GB", "TB"]
    while amount >= 999.5 and len(units) > 1:
        amount, units = amount / 1000, units[1:]
    return f"{amount:.3g} {units[0]}"
