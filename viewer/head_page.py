"""One head over a run: its roles, where it looks, when it matters, what it writes."""

from typing import Any

import pyarrow as pa

from flowglass.store import head_queries as ask

from . import head_sections as words
from .component_plots import ShareBars, Spreads
from .downloads import Extract
from .prediction import Row
from .sections import Heading, Note
from .sheets_page import WIDTH, SheetsPage
from .writes_sections import writes_sections

N_EXAMPLES = 12
CHOOSE = "Choose a head: click a cell of the map on the page `Components`."


class HeadPage(SheetsPage):
    """The head that `layer` and `head` of the Selection name."""

    followed = ("layer", "head", "role", "tau")

    def columns(self) -> tuple[list[Any], list[Any]]:
        self._filled: tuple[object, ...] = ()
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
        self.title(f"Layer {layer} · head {head}")
        # A role that is chosen changes no more than its mark and the examples.
        wanted = (run["run_id"], run["n_prompts"], layer, head, tau)
        if wanted != self._filled:
            self._filled = ()
            self._fill_all(run, at, tau)
            self._filled = wanted
        self._fill_roles(run, at, role)
        self._fill_examples(run, at, role)
        return ""

    def _fill_all(self, run: Row, at: dict[str, int], tau: float) -> None:
        """What is the same whatever role is chosen."""
        self._found_roles = self._store.roles(
            run["run_id"], layer=at["layer"], head=at["head"]
        )
        self._fill_looks(run, at)
        self._fill_importance(run, at, tau)
        self._writes.fill(
            writes_sections(
                self._store,
                run,
                "head",
                caption="Promotes and suppresses",
                not_added="This run stored no logit attribution.",
                layer=at["layer"],
                index=at["head"],
            )
        )

    def _extract(
        self, run: Row, function: str, table: pa.Table, at: Row, **asked: object
    ) -> Extract:
        of = f"layer-{at['layer']}-head-{at['head']}"
        return words.found_by(function, run, table, of=of, **asked)

    def _fill_roles(self, run: Row, at: dict[str, int], role: str) -> None:
        found = self._found_roles
        rows = found.to_pylist()
        extract = self._extract(run, "store.roles", found, at, **at)
        table = words.roles_table(rows, role, extract)
        note = [Note(words.sampled(found, rows))] if rows else []
        self._roles.fill([table, *note])

    def _fill_looks(self, run: Row, at: dict[str, int]) -> None:
        run_id = run["run_id"]
        offsets = ask.offsets(self._store, run_id, **at)
        sources = ask.source_tokens(self._store, run_id, **at)
        heading = Heading(
            "Where it looks",
            words.LOOKS,
            self._extract(run, "head_queries.offsets", offsets, at, **at),
        )
        self._looks.fill([heading])
        self._drawn["offsets"] = offsets.to_pylist()
        self._drawn["sources"] = sources.to_pylist()

    def _fill_importance(self, run: Row, at: dict[str, int], tau: float) -> None:
        asked: dict[str, Any] = {"layer": at["layer"], "index": at["head"], "tau": tau}
        found = ask.importance_by_category(self._store, run["run_id"], **asked)
        rows = found.to_pylist()
        function = "head_queries.importance_by_category"
        extract = self._extract(run, function, found, at, **asked)
        self._importance.fill([words.categories_table(rows, extract, tau=tau)])
        self._drawn["spreads"] = rows

    def _fill_examples(self, run: Row, at: dict[str, int], role: str) -> None:
        asked: dict[str, Any] = {**at, "role": role or None, "n": N_EXAMPLES}
        found = ask.examples(self._store, run["run_id"], **asked)
        extract = self._extract(run, "head_queries.examples", found, at, **asked)
        rows = found.to_pylist()
        self._examples.fill(
            [words.head_examples(rows, **at, role=role, extract=extract)]
        )
