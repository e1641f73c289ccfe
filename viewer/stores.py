"""The store that is shown and the temporary one beside it, as one store.

A run is in one of the two, or, once it has been saved, in both with equal rows: then
the store that is shown answers for it.
"""

from collections.abc import Mapping
from pathlib import Path
from threading import Lock
from typing import Any

import pyarrow as pa

from flowglass.store.layout import FORMAT, files_at
from flowglass.store.schema import DEFAULT_TAU
from flowglass.store.snapshot import Snapshot
from flowglass.store.store import Params, Store, open_store


class Stores(Store):
    """Answers as a Store does, a run's questions from the store that holds the run.

    What is not about one run (`sql`, `connect`, `sandbox`) is about the store that is
    shown.
    """

    def __init__(self, shown: Store, beside: Path) -> None:
        """`beside` is where the temporary store will be once something is in it."""
        # No super().__init__: it would open a third store.
        self.shown = shown
        self.files_of_store = shown.files_of_store
        self.root = shown.root
        self._beside = beside
        self._live: Store | None = None
        self._looking = Lock()
        self.snapshot = shown.snapshot

    def is_live(self, run_id: str) -> bool:
        """Whether a run is only in the temporary store."""
        return self.store_of(run_id) is not self.shown

    def store_of(self, run_id: str) -> Store:
        """The store that holds a run; the one that is shown if none does."""
        live = self._live
        held = live is not None and run_id in live.snapshot.runs
        if live is None or not held or run_id in self.shown.snapshot.runs:
            return self.shown
        return live

    def runs(self) -> pa.Table:
        tables = [self.shown.runs()]
        if self._live is not None:
            live = self._live.runs()
            mine = [self.is_live(run_id) for run_id in live["run_id"].to_pylist()]
            tables.append(live.filter(pa.array(mine, pa.bool_())))
        order = [("started_at", "ascending"), ("run_id", "ascending")]
        return pa.concat_tables(tables, promote_options="default").sort_by(order)

    def files(self, run_id: str, table: str, prompt_id: int | None = None) -> list[str]:
        return self.store_of(run_id).files(run_id, table, prompt_id)

    def table(self, query: str, params: Params = None) -> pa.Table:
        asked = params if isinstance(params, Mapping) else {}
        if "run_id" in asked:
            return self.store_of(asked["run_id"]).table(query, params)
        if "files" in asked:
            return self._store_with(asked["files"]).table(query, params)
        # About a model's weights, which either store may hold; the rows are the same.
        found = self.shown.table(query, params)
        if found.num_rows or self._live is None:
            return found
        return self._live.table(query, params)

    def activation_frequency(
        self, run_id: str, *, tau: float = DEFAULT_TAU, category: str | None = None
    ) -> pa.Table:
        store = self.store_of(run_id)
        return store.activation_frequency(run_id, tau=tau, category=category)

    def sample(self, run_id: str, *, prompts: int = 5000) -> Store:
        return self.store_of(run_id).sample(run_id, prompts=prompts)

    def refresh(self) -> bool:
        changed = self.shown.refresh()
        return self.refresh_live() or changed

    def refresh_live(self) -> bool:
        """See what has come to the temporary store alone, which takes no time."""
        with self._looking:
            if self._live is None and files_at(self._beside).exists(FORMAT):
                self._live = open_store(self._beside)
            elif self._live is not None:
                self._live.refresh()
            merged = self._merged()
            changed = merged != self.snapshot
            if changed:
                self.snapshot = merged
            return changed

    def close(self) -> None:
        """Close the temporary store; the other is its owner's."""
        if self._live is not None:
            self._live.close()

    def cursor(self, query: str) -> Any:
        return self.shown.cursor(query)

    def connect(self) -> Any:
        return self.shown.connect()

    def sandbox(self, **limits: Any) -> Any:
        return self.shown.sandbox(**limits)

    def _store_with(self, files: list[str]) -> Store:
        live = self._live
        inside = live is not None and all(f.startswith(live.root) for f in files)
        return live if live is not None and inside else self.shown

    def _merged(self) -> Snapshot:
        shown = self.shown.snapshot
        if self._live is None:
            return shown
        live = self._live.snapshot
        return Snapshot({**live.runs, **shown.runs}, {**live.models, **shown.models})
