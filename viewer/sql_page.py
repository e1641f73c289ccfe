"""Asks the store in SQL: an editor, the rows it finds, a plot of them.

All of it goes through a sandbox (sql_asker.py), so whoever reaches the viewer may type
anything. What is asked is `Selection.sql`: a link opens the query and runs it.
"""

from functools import partial
from html import escape
from threading import RLock
from typing import Any, cast

import panel as pn

from flowglass.store.questions import questions

from .prediction import Row
from .section_head import SectionHead
from .sql_asker import Answer, Asker, Found, Refused
from .sql_editor import SqlEditor, shown
from .sql_result import SqlResult
from .stores import Stores
from .theme import NOTE_STYLE
from .views import Desk

LONGEST_LINK = 6000
"""Characters of a query that goes into the address."""

SOON_MS = 50
"""Until a page that has not loaded yet is looked at again."""

INTRODUCTION = (
    "One statement that reads the store, run where it can harm nothing. "
    "<code>Ctrl Enter</code> runs it, <code>Ctrl Space</code> completes."
)


class SqlPage:
    """A page about the store; the run in view is what questions ask about."""

    def __init__(self, desk: Desk) -> None:
        self._store = desk.store
        self._selection = desk.selection
        self._document = cast(Any, pn.state.curdoc)
        self._asked = ""
        self._lock = RLock()  # a session's events run in several threads
        self._asker = Asker(desk.store, desk.pulse.seats)
        self._questions = questions()
        self._editor = SqlEditor(
            on_run=self._run,
            on_stop=self._asker.stop,
            sizing_mode="stretch_width",
            margin=0,
        )
        self._result = SqlResult(desk.selection)
        self._note = pn.pane.HTML(
            stylesheets=[NOTE_STYLE], visible=False, margin=(6, 0, 0, 0)
        )
        self.root = pn.Column(
            SectionHead("SQL", beside=True, note=INTRODUCTION, margin=(0, 0, 8, 0)),
            self._editor,
            self._note,
            self._result.root,
            sizing_mode="stretch_width",
            margin=(14, 24, 24, 24),
        )
        desk.selection.param.watch(self._selection_changed, "sql")
        if self._is_served:
            self._document.on_session_destroyed(lambda _: self._asker.close())

    @property
    def _is_served(self) -> bool:
        """Whether there is a browser; tests do without."""
        document = self._document
        return document is not None and document.session_context is not None

    def show(self, run: Row) -> None:
        """Questions ask about this run; what the address asks is run."""
        run_id = run["run_id"]
        if self._editor.run != run_id:
            other = next((name for name in self._runs() if name != run_id), run_id)
            self._editor.param.update(
                run=run_id, questions=shown(self._questions, run=run_id, other=other)
            )
        self._follow()

    def set_dark(self, dark: bool) -> None:
        """Only the plot is no CSS."""
        self._result.plot.set_dark(dark)

    def name(self) -> str:
        """The page has one name, whatever is asked."""
        return ""

    def _runs(self) -> list[str]:
        """The runs that a sandbox sees: a typed prompt's are not in the store."""
        store = self._store
        shown_store = store.shown if isinstance(store, Stores) else store
        return list(shown_store.snapshot.runs)

    def _selection_changed(self, *_: object) -> None:
        if self.root.visible and self._selection.view == "sql":
            self._follow()

    def _follow(self) -> None:
        """Run what the address asks, unless it was run; without a query all stays."""
        if self._is_served and not pn.state.loaded:
            # An answer between page and websocket would spoil what the browser gets.
            again = partial(pn.state.execute, self._follow, schedule="thread")
            self._document.add_timeout_callback(again, SOON_MS)
            return
        with self._lock:
            sql = self._selection.sql
            if sql and sql != self._asked:
                self._editor.put(sql)
                self._ask(sql)

    def _run(self, sql: str) -> None:
        """The reader wants an answer, to the same query too."""
        sql = sql.strip()
        if not sql:
            self._editor.say(
                "There is nothing to run: type a query or take a question."
            )
            return
        # Together: between the two, `_follow` of an earlier query would ask that again.
        with self._lock:
            self._ask(sql)
            # What is too long for an address has none.
            self._selection.sql = sql if len(sql) <= LONGEST_LINK else ""

    def _ask(self, sql: str) -> None:
        self._asked = sql
        self._editor.param.update(busy=True, message="", tone="")
        self._asker.ask(sql, lambda answer: self._hear(sql, answer))

    def _hear(self, sql: str, answer: Answer) -> None:
        """An answer has come, in a thread of its own: show it in one of Panel's."""
        if not self._is_served:
            self._show_answer(sql, answer)
            return
        job = partial(self._show_answer, sql, answer)
        in_thread = partial(pn.state.execute, job, schedule="thread")
        self._document.add_next_tick_callback(in_thread)

    def _show_answer(self, sql: str, answer: Answer) -> None:
        if sql != self._asked:
            return
        match answer:
            case Found(rows, seconds, missing):
                self._result.show(rows, sql, self._runs())
                self._editor.say(f"Answered in {seconds:.2f} s.")
                self._tell(missing)
                self._result.draw()
            case Refused(message):
                self._result.clear()
                self._editor.say(message, tone="bad")
            case _:
                self._editor.say("Stopped.")

    def _tell(self, missing: tuple[str, ...]) -> None:
        """What the reader should know of the store or of this system."""
        said = [f"This system cannot hold back everything: {each}." for each in missing]
        if self._editor.run not in self._runs():
            said.append(
                "The run in view is of a typed prompt: SQL sees it once it is saved."
            )
        self._note.object = " ".join(escape(each) for each in said)
        self._note.visible = bool(said)
