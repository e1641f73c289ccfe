"""One head over a run: its roles, where it looks, when it matters, what it writes."""

from functools import partial
from typing import Any

import pyarrow as pa

from flowglass.store import head_queries as ask
from flowglass.store.at_once import Jobs, at_once
from flowglass.store.store import Store

from . import head_sections as words
from .component_plots import ShareBars, Spreads
from .downloads import Extract
from .prediction import Row
from .sections import Heading, Note
from .sheets_page import WIDTH, SheetsPage
from .writes_sections import writes_sections

N_EXAMPLES = 12
EXAMPLES = "head_queries.examples"
CHOOSE = "Choose a head: click a cell of the map on the page `Components`."


class HeadPage(SheetsPage):
    """The head that `layer` and `head` of the Selection name."""

    followed = ("layer", "head", "role", "tau")

    def columns(self) -> tuple[list[Any], list[Any]]:
        self._filled: tuple[object, ...] = ()
        self._part = ""
        self._roles = self.sheet("Roles")
        self._looks = self.sheet()
        self._importance = self.sheet("Importance by category")
        self._examples = self.sheet("Examples")
        self._writes = self.sheet("What it writes")
        drawn: dict[str, Any] = {"colour": "attn", "width": WIDTH}
        left = [
            self._roles,
            self._looks,
            self.plot(ShareBars("offsets", **drawn)),
            self.plot(ShareBars("sources", **drawn)),
            self._importance,
            self.plot(Spreads("spreads", named=words.category_named, **drawn)),
        ]
        return left, [self._examples, self._writes]

    def name(self) -> str:
        layer, head = self._selection.layer, self._selection.head
        return "" if layer is None or head is None else f"layer {layer} head {head}"

    def choose(self, changes: dict[str, Any]) -> None:
        """A role is chosen on this page; all else leads away."""
        if set(changes) == {"role"}:
            self._selection.role = changes["role"]
        else:
            super().choose(changes)

    def fill(self, run: Row) -> str:
        layer, head = self._selection.layer, self._selection.head
        if layer is None or head is None:
            return CHOOSE
        if layer >= run["n_layers"] or head >= run["n_heads"]:
            return (
                f"This model has {run['n_layers']} layers of {run['n_heads']} heads: "
                f"layer {layer} head {head} is not among them."
            )
        role = self._selection.role if self._selection.role in words.ROLES else ""
        tau = max(float(self._selection.tau), float(run["cutoff"]))
        at = {"layer": layer, "head": head}
        looked = self._examples_of(at, role)
        examples = partial(ask.examples, self._store, run["run_id"], **looked)
        jobs: Jobs = {"examples": examples}
        # A role that is chosen changes no more than its mark and the examples.
        wanted = (run["run_id"], run["n_prompts"], layer, head, tau)
        if wanted != self._filled:
            self._filled = ()
            part = self._store.sample(run["run_id"])
            self._part = words.part_read(part, self._store, run)
            jobs = {**jobs, **self._jobs(part, run, at, tau)}
        found = at_once(jobs)
        self.title(f"Layer {layer} · head {head}", self._part)
        if "roles" in found:
            self._found_roles = found["roles"]
            self._fill_looks(run, at, found["offsets"], found["sources"])
            self._fill_importance(run, at, tau, found["importance"])
            self._writes.fill(found["writes"])
            self._filled = wanted
        self._fill_roles(run, at, role)
        self._fill_examples(run, at, role, found["examples"])
        return ""

    def _jobs(self, store: Store, run: Row, at: dict[str, int], tau: float) -> Jobs:
        """What is the same whatever role is chosen, from a part of a large run."""
        run_id = run["run_id"]
        of: dict[str, Any] = {"layer": at["layer"], "index": at["head"]}
        return {
            "roles": partial(store.roles, run_id, layer=at["layer"], head=at["head"]),
            "offsets": partial(ask.offsets, store, run_id, **at),
            "sources": partial(ask.source_tokens, store, run_id, **at),
            "importance": partial(
                ask.importance_by_category, store, run_id, **of, tau=tau
            ),
            "writes": partial(
                writes_sections,
                store,
                run,
                "head",
                caption="Promotes and suppresses",
                not_added="This run stored no logit attribution.",
                part=self._part,
                **of,
            ),
        }

    def _examples_of(self, at: dict[str, int], role: str) -> dict[str, Any]:
        return {**at, "role": role or None, "n": N_EXAMPLES}

    def _extract(
        self, run: Row, function: str, table: pa.Table, at: Row, **asked: Any
    ) -> Extract:
        of = f"layer-{at['layer']}-head-{at['head']}"
        part = "" if function == EXAMPLES else self._part
        return words.found_by(function, run, table, of=of, part=part, **asked)

    def _fill_roles(self, run: Row, at: dict[str, int], role: str) -> None:
        found = self._found_roles
        rows = found.to_pylist()
        extract = self._extract(run, "store.roles", found, at, **at)
        table = words.roles_table(rows, role, extract)
        note = [Note(words.sampled(found, rows))] if rows else []
        self._roles.fill([table, *note])

    def _fill_looks(
        self, run: Row, at: dict[str, int], offsets: pa.Table, sources: pa.Table
    ) -> None:
        extract = self._extract(run, "head_queries.offsets", offsets, at, **at)
        self._looks.fill([Heading("Where it looks", words.LOOKS, extract)])
        self._drawn["offsets"] = offsets.to_pylist()
        self._drawn["sources"] = sources.to_pylist()

    def _fill_importance(
        self, run: Row, at: dict[str, int], tau: float, found: pa.Table
    ) -> None:
        rows = found.to_pylist()
        function = "head_queries.importance_by_category"
        asked = {"layer": at["layer"], "index": at["head"], "tau": tau}
        extract = self._extract(run, function, found, at, **asked)
        self._importance.fill([words.categories_table(rows, extract, tau=tau)])
        self._drawn["spreads"] = rows

    def _fill_examples(
        self, run: Row, at: dict[str, int], role: str, found: pa.Table
    ) -> None:
        asked = self._examples_of(at, role)
        extract = self._extract(run, EXAMPLES, found, at, **asked)
        rows = found.to_pylist()
        self._examples.fill(
            [words.head_examples(rows, **at, role=role, extract=extract)]
        )
