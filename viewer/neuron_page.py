"""One neuron over a run: where it is strong, what it promotes, where it matters.

What is stored of neurons are the strongest of each layer and position, so every figure
says at how many positions that is.
"""

from typing import Any

import pyarrow as pa

from flowglass.store import neuron_queries as ask
from flowglass.store import prediction_queries

from . import head_sections as words
from . import neuron_sections as said
from .component_plots import Histogram
from .downloads import Extract
from .not_stored import NO_VOCAB
from .prediction import Row
from .promoted import promoted_table
from .sections import Heading, Note
from .sheets_page import WIDTH, SheetsPage
from .writes_sections import writes_sections

N_EXAMPLES = 14
CHOOSE = (
    "Choose a neuron: open a prompt, click an FFN square in its graph, and one of the "
    "neurons there."
)


class NeuronPage(SheetsPage):
    """The neuron that `layer`, `expert` and `neuron` of the Selection name."""

    followed = ("layer", "expert", "neuron")

    def columns(self) -> tuple[list[Any], list[Any]]:
        self._summary = self.sheet()
        self._weights = self.sheet("What its weights promote")
        self._context = self.sheet("What it promotes in context")
        self._activations = self.sheet()
        self._importance = self.sheet("Where it matters")
        self._examples = self.sheet("Examples")
        left = [
            self._summary,
            self._activations,
            self.plot(Histogram("activations", width=WIDTH)),
            self._weights,
            self._context,
            self._importance,
        ]
        return left, [self._examples]

    def name(self) -> str:
        chosen = self._selection
        if chosen.layer is None or chosen.neuron is None:
            return ""
        return said.neuron_named(chosen.layer, chosen.neuron, chosen.expert).lower()

    def fill(self, run: Row) -> str:
        chosen = self._selection
        layer, neuron, expert = chosen.layer, chosen.neuron, chosen.expert
        if layer is None or neuron is None:
            return CHOOSE
        if why := said.not_there(run, layer=layer, neuron=neuron, expert=expert):
            return why
        at: dict[str, Any] = {"layer": layer, "neuron": neuron, "expert": expert}
        run_id = run["run_id"]
        found = ask.summary(self._store, run_id, **at).to_pylist()[0]
        name = said.neuron_named(layer, neuron, expert)
        self.title(name)
        self._fill_weights(run, at)
        self._context.fill(
            writes_sections(
                self._store,
                run,
                "neuron",
                caption="In context",
                not_added=said.NOT_ADDED,
                layer=layer,
                index=neuron,
                expert=expert,
            )
        )
        self._summary.fill([Note(said.summed_up(found, run))])
        self._fill_activations(run, at, found)
        by = ask.importance_by_category(self._store, run_id, **at)
        extract = self._extract(run, at, "importance_by_category", by)
        self._importance.fill([said.categories_table(by.to_pylist(), extract)])
        rows = ask.examples(self._store, run_id, **at, n=N_EXAMPLES)
        extract = self._extract(run, at, "examples", rows, n=N_EXAMPLES)
        self._examples.fill(
            [said.neuron_examples(rows.to_pylist(), at, extract=extract)]
        )
        return ""

    def _extract(
        self, run: Row, at: Row, name: str, table: pa.Table, **asked: Any
    ) -> Extract:
        of = f"layer-{at['layer']}-neuron-{at['neuron']}"
        function = f"neuron_queries.{name}"
        return words.found_by(function, run, table, of=of, **at, **asked)

    def _fill_weights(self, run: Row, at: Row) -> None:
        found = prediction_queries.neuron_vocab(self._store, run["model_hash"], **at)
        name = f"layer-{at['layer']}-neuron-{at['neuron']}-weights"
        table = promoted_table("By its weights", found, name=name, missing=NO_VOCAB)
        self._weights.fill([table])

    def _fill_activations(self, run: Row, at: Row, summary: Row) -> None:
        self._drawn.pop("activations", None)
        if not summary["n_positions"]:
            self._activations.fill([])
            return
        found = ask.activation_histogram(self._store, run["run_id"], **at)
        extract = self._extract(run, at, "activation_histogram", found)
        self._activations.fill([Heading("Activation", said.STORED_ONLY, extract)])
        self._drawn["activations"] = found.to_pylist()
