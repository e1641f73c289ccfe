"""One token of the vocabulary over a run: where it stands, is predicted and matters."""

from typing import Any

import panel_material_ui as pmu
import pyarrow as pa
from param.parameterized import Event

from flowglass.store import token_queries as ask

from . import head_sections as words
from . import token_sections as said
from .downloads import Extract
from .prediction import Row
from .sections import Note
from .sheets_page import SheetsPage

N_EXAMPLES = 12
CHOOSE = "Type a token, or a part of one: the tokens of this run that fit are listed."
CHOOSE_ONE = "These tokens of the run fit. Choose one."


class TokenPage(SheetsPage):
    """The token that `token` of the Selection names by its id, or those of a text."""

    followed = ("token", "tau")

    def columns(self) -> tuple[list[Any], list[Any]]:
        self._found = self.sheet("Tokens that fit")
        self._found.styles = {"max-width": "560px"}
        self._summary = self.sheet()
        self._readers = self.sheet("Who reads from it")
        self._promoters = self.sheet("Who promotes it")
        self._stands = self.sheet("Where it stands")
        self._predicted = self.sheet("Where it is predicted")
        left = [self._summary, self._readers, self._promoters]
        return left, [self._predicted, self._stands]

    def __init__(self, desk: Any) -> None:
        super().__init__(desk)
        self._typed = pmu.TextInput(
            label="Token",
            placeholder="the",
            size="small",
            width=260,
            margin=(0, 0, 14, 0),
        )
        self._typed.param.watch(self._search, "value")
        self.root.insert(0, self._typed)
        self.root.insert(2, self._found)

    def name(self) -> str:
        return self._named

    _named = ""

    def fill(self, run: Row) -> str:
        wanted = self._selection.token
        self._named = ""
        self._found.visible = False
        if not wanted:
            return CHOOSE
        known = said.id_of(wanted)
        self._typed.value = wanted if known is None else ""
        if known is None:
            return self._list(run, wanted)
        text = ask.token_text(self._store, run["run_id"], known)
        promoters = ask.promoters(self._store, run["run_id"], known)
        if text is None and not promoters.num_rows:
            return said.unknown(known)
        token = said.shown(text)
        self._named = f"token {token}"
        self.title(f"{token} · token {known}")
        self._fill_rows(run, known, promoters)
        return ""

    def _search(self, event: Event) -> None:
        if event.new and event.new != self._selection.token:
            self._selection.go(view="token", token=event.new)

    def _list(self, run: Row, text: str) -> str:
        """The tokens that fit a text, to choose from."""
        found = ask.find_tokens(self._store, run["run_id"], text)
        rows = found.to_pylist()
        extract = self._extract(run, "find_tokens", repr(text), found)
        if not rows:
            return said.nothing_like(text)
        self._found.fill([said.found_table(rows, text, extract)])
        self._found.visible = True
        return CHOOSE_ONE

    def _extract(self, run: Row, name: str, what: object, table: pa.Table) -> Extract:
        """The rows with the call that finds them."""
        call = f"token_queries.{name}(store, {run['run_id']!r}, {what})"
        return Extract(f"{run['run_id']}-{name}-{what}", table, words.python(call))

    def _fill_rows(self, run: Row, token_id: int, promoters: pa.Table) -> None:
        run_id = run["run_id"]
        tau = max(float(self._selection.tau), float(run["cutoff"]))
        (found,) = ask.summary(self._store, run_id, token_id).to_pylist()
        self._summary.fill([Note(said.summed_up(found))])
        readers = ask.readers(self._store, run_id, token_id, tau=tau)
        stands = ask.occurrences(self._store, run_id, token_id, n=N_EXAMPLES)
        predicted = ask.predictions(self._store, run_id, token_id, n=N_EXAMPLES)

        def of(name: str, table: pa.Table) -> Extract:
            return self._extract(run, name, token_id, table)

        self._readers.fill([said.readers_table(readers, of("readers", readers), tau)])
        self._promoters.fill(
            said.promoters_tables(promoters, run, of("promoters", promoters))
        )
        self._stands.fill([said.occurrences(stands, of("occurrences", stands))])
        self._predicted.fill(
            [said.predictions(predicted, of("predictions", predicted))]
        )
