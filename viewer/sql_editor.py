"""The editor of the SQL page, with questions, saved queries and tables beside it."""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import param
from panel.custom import JSComponent

from flowglass.store.questions import Question, about
from flowglass.store.vocabulary import vocabulary

HERE = Path(__file__).parent
SOURCES = (
    "download_menu.js",
    "sql_words.js",
    "sql_completion.js",
    "sql_shelf.js",
    "sql_editor.js",
)


class SqlEditor(JSComponent):
    """What is typed is the browser's until it is run."""

    sources = param.List([], doc="Tables and helpers, as `vocabulary` gives them.")
    questions = param.List([], doc="Dicts of text, doc and sql, about this run.")
    run = param.String("", doc="The run in view.")
    text = param.String("", doc="What was put into the editor last.")
    turn = param.Integer(0, doc="Counts the times that something was put into it.")
    busy = param.Boolean(False, doc="A query runs.")
    message = param.String("", doc="What to say below the editor.")
    tone = param.String("", doc="`bad` or nothing.")

    _esm = "\n".join((HERE / source).read_text("utf-8") for source in SOURCES)

    def __init__(
        self,
        *,
        on_run: Callable[[str], None],
        on_stop: Callable[[], None],
        **params: Any,
    ) -> None:
        params["sources"] = [asdict(source) for source in vocabulary()]
        super().__init__(**params)  # type: ignore[no-untyped-call]  # Panel's
        self._on_run = on_run
        self._on_stop = on_stop

    def put(self, text: str) -> None:
        """Have this in the editor, whatever is typed there."""
        self.param.update(text=text, turn=self.turn + 1)

    def say(self, message: str, *, tone: str = "") -> None:
        """What became of the last query."""
        self.param.update(busy=False, message=message, tone=tone)

    def _handle_msg(self, msg: dict[str, Any]) -> None:
        if "run" in msg:
            self._on_run(str(msg["run"]))
        if "stop" in msg:
            self._on_stop()


def shown(
    questions: tuple[Question, ...], *, run: str, other: str
) -> list[dict[str, str]]:
    """The questions about a run, for the browser."""
    return [
        {
            "text": question.text,
            "doc": " ".join(question.doc.split()),
            "sql": about(question, run=run, other=other),
        }
        for question in questions
    ]
