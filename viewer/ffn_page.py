"""One FFN over a run: how much it brings, when it matters, its neurons, its writes."""

from functools import partial
from typing import Any

import pyarrow as pa

from flowglass.store import ffn_queries as ask
from flowglass.store import head_queries, neuron_queries
from flowglass.store.at_once import Jobs, at_once
from flowglass.store.store import Store

from . import ffn_sections as said
from . import head_sections as words
from .component_plots import Spreads
from .prediction import Row
from .sections import Note, Section
from .sheets_page import WIDTH, SheetsPage
from .writes_sections import writes_sections

N_EXAMPLES = 12


class FfnPage(SheetsPage):
    """The FFN of the `layer` of the Selection."""

    followed = ("layer", "tau")
    _part = ""

    def columns(self) -> tuple[list[Any], list[Any]]:
        self._summary = self.sheet()
        self._importance = self.sheet("Importance by category")
        self._neurons = self.sheet("Strongest neurons")
        self._examples = self.sheet("Examples")
        self._writes = self.sheet("What it writes")
        spreads = Spreads(
            "ffn-spreads", named=words.category_named, colour="ffn", width=WIDTH
        )
        left = [self._summary, self._importance, self.plot(spreads), self._neurons]
        return left, [self._examples, self._writes]

    def name(self) -> str:
        layer = self._selection.layer
        return "" if layer is None else f"layer {layer} FFN"

    def fill(self, run: Row) -> str:
        layer = self._selection.layer
        if layer is None:
            return said.CHOOSE
        if why := said.not_there(run, layer):
            return why
        tau = max(float(self._selection.tau), float(run["cutoff"]))
        part = self._store.sample(run["run_id"])
        self._part = words.part_read(part, self._store, run)
        self.title(f"Layer {layer} · FFN", self._part)
        found = at_once(self._jobs(part, run, layer, tau))
        summary = found["summary"].to_pylist()[0]
        self._summary.fill([Note(said.summed_up(summary, run))])
        self._fill_importance(run, layer, tau, found["importance"])
        self._fill_neurons(run, layer, found["neurons"])
        self._fill_examples(run, layer, summary, found["examples"])
        self._writes.fill(found["writes"])
        return ""

    def _jobs(self, store: Store, run: Row, layer: int, tau: float) -> Jobs:
        """All but the examples from a part of a large run."""
        run_id = run["run_id"]
        of: dict[str, Any] = {"layer": layer, "component": "ffn", "index": 0}
        return {
            "summary": partial(ask.summary, store, run_id, layer=layer),
            "examples": partial(
                ask.examples, self._store, run_id, layer=layer, n=N_EXAMPLES
            ),
            "neurons": partial(neuron_queries.strongest, store, run_id, layer=layer),
            "importance": partial(
                head_queries.importance_by_category, store, run_id, **of, tau=tau
            ),
            "writes": partial(
                writes_sections,
                store,
                run,
                "ffn",
                caption="Promotes and suppresses",
                not_added="This run stored no logit attribution.",
                part=self._part,
                layer=layer,
                index=0,
            ),
        }

    def _fill_importance(
        self, run: Row, layer: int, tau: float, found: pa.Table
    ) -> None:
        rows = found.to_pylist()
        extract = words.found_by(
            "head_queries.importance_by_category",
            run,
            found,
            of=f"layer-{layer}-ffn",
            part=self._part,
            layer=layer,
            component="ffn",
            index=0,
            tau=tau,
        )
        self._importance.fill([words.categories_table(rows, extract, tau=tau)])
        self._drawn["ffn-spreads"] = rows

    def _fill_neurons(self, run: Row, layer: int, found: pa.Table) -> None:
        rows = found.to_pylist()
        of = f"layer-{layer}-ffn"
        extract = words.found_by(
            "neuron_queries.strongest",
            run,
            found,
            of=of,
            part=self._part,
            layer=layer,
        )
        table: list[Section] = [said.neurons_table(rows, layer, run, extract)]
        note = [Note(said.which_neurons(run))] if rows else []
        self._neurons.fill([*table, *note])

    def _fill_examples(
        self, run: Row, layer: int, summary: Row, found: pa.Table
    ) -> None:
        rows = found.to_pylist()
        of = f"layer-{layer}-ffn"
        extract = words.found_by(
            "ffn_queries.examples", run, found, of=of, layer=layer, n=N_EXAMPLES
        )
        self._examples.fill([said.ffn_examples(rows, layer, summary, extract)])
