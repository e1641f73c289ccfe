"""A page about a run on its own: no server, no browser; and what it says."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from flowglass.store import (
    ffn_queries,
    head_queries,
    neuron_queries,
    open_store,
    token_queries,
    write_queries,
)
from flowglass.store.store import Store
from flowglass.viewer.prediction import Row
from flowglass.viewer.pulse import Pulse
from flowglass.viewer.sections import Examples, Heading, Note, Section, Table
from flowglass.viewer.selection import Selection
from flowglass.viewer.sheet import Sheet
from flowglass.viewer.views import VIEWS, Desk, build


def run_of(store: Store, run_id: str) -> Row:
    """A row of `runs`."""
    (found,) = (row for row in store.runs().to_pylist() if row["run_id"] == run_id)
    return found


@contextmanager
def opened(path: Path) -> Iterator[Store]:
    """A store to read."""
    with open_store(path) as store:
        yield store


def page_on(store: Store, view: str, run_id: str, **chosen: Any) -> Any:
    """A page as a session has it that opened an address."""
    selection = Selection(run=run_id, view=view, **chosen)
    page = build(VIEWS[view], Desk(store, selection, Pulse(store), "runs/"))
    page.root.visible = True  # as the App does
    page.show(run_of(store, run_id))
    return page


def sections(page: Any) -> list[Section]:
    """All that the sheets of a page hold, those in sight."""
    sheets = [part for part in vars(page).values() if isinstance(part, Sheet)]
    hidden = page._body.visible is False
    shown = [page._top] if hidden else sheets
    return [section for sheet in shown for section in sheet.sections]


def table(page: Any, start: str) -> Table:
    """The table whose caption begins so."""
    (found,) = (
        section
        for section in sections(page)
        if isinstance(section, Table) and section.caption.startswith(start)
    )
    return found


def examples(page: Any, start: str) -> Examples:
    """The examples whose caption begins so."""
    (found,) = (
        section
        for section in sections(page)
        if isinstance(section, Examples) and section.caption.startswith(start)
    )
    return found


def notes(page: Any) -> str:
    """What the page says in sentences."""
    return " ".join(s.text for s in sections(page) if isinstance(s, Note))


ASKED = (ffn_queries, head_queries, neuron_queries, token_queries, write_queries)


def assert_calls_find_the_rows(page: Any, store: Store) -> list[str]:
    """What can be taken away with a call is what the call, as it is copied, finds; the
    calls."""
    known = {each.__name__.rpartition(".")[2]: each for each in ASKED}
    calls = []
    for each in sections(page):
        if not isinstance(each, Table | Examples | Heading) or each.extract is None:
            continue
        if not each.extract.sql.startswith("-- in Python"):
            continue
        about, call = each.extract.sql.splitlines()
        call = call.removeprefix("-- ")
        _, dot, sampled = about.rstrip(":").rpartition(".sample(")
        asked = eval(f"store.sample({sampled}", {"store": store}) if dot else store
        again = eval(call, {"store": asked, **known})
        shown = each.extract.table
        assert again.schema == shown.schema, call
        assert again.num_rows == shown.num_rows > 0, call
        for one, other in zip(shown.to_pylist(), again.to_pylist(), strict=True):
            flat = {k: v for k, v in one.items() if not isinstance(v, list)}
            assert {k: other[k] for k in flat} == pytest.approx(flat, nan_ok=True)
        calls.append(call)
    return calls


@contextmanager
def unread(store: Store) -> Iterator[None]:
    """Nothing may be asked of the store meanwhile."""

    def asked(*_: object, **__: object) -> None:
        pytest.fail("the store was asked again")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store, "table", asked)
        yield
