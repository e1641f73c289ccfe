"""A part of a run as a store of its own, where all of it would take too long.

Whole shards, spread evenly from the first to the last: each stands for its neighbours
in the order of the data. Every question to the part reads so much less.
"""

from dataclasses import replace

from .committed import Committed
from .snapshot import RunState, Snapshot
from .store import Store


class Part(Store):
    """What `Store.sample` gives: it shows one snapshot for good."""

    def __init__(self, whole: Store, some: Snapshot) -> None:
        self._some = some
        super().__init__(whole.files_of_store)

    def _take(self, known: Snapshot) -> Snapshot:
        return self._some


def part_of(snapshot: Snapshot, run_id: str, *, prompts: int) -> Snapshot | None:
    """One run with so many of its shards as hold about so many prompts, at least one;
    None if they all do."""
    state = snapshot.runs[run_id]
    n_prompts = n_prompts_of(state)
    if n_prompts <= prompts:
        return None
    units = state.committed.units
    wanted = max(1, len(units) * prompts // n_prompts)
    step = len(units) / wanted
    chosen = {units[int((place + 0.5) * step)].attempt for place in range(wanted)}
    whole = state.committed
    some = Committed(
        {n: block for n, block in whole.blocks.items() if block.attempt in chosen},
        {n: each for n, each in whole.records.items() if each.attempt in chosen},
    )
    return Snapshot({run_id: replace(state, committed=some)}, snapshot.models)


def n_prompts_of(state: RunState) -> int:
    """Prompts that are stored of a run."""
    return state.total("n_prompts")
