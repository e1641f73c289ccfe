"""A session on the SQL page, without a browser."""

from __future__ import annotations

import time
from collections.abc import Callable

from flowglass.viewer.app import App
from flowglass.viewer.sql_page import SqlPage

PATIENCE = 60.0  # seconds; the machine may be busy
ENDLESS = "from range(100000000) a, range(100000) b select sum(hash(a.range + b.range))"


def wait_until(came: Callable[[], bool]) -> None:
    """Return once something has come; fail if it never does."""
    deadline = time.monotonic() + PATIENCE
    while not came() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert came()


def page_of(app: App) -> SqlPage:
    """The SQL page of a session that has opened it."""
    page = app._views["sql"]
    assert isinstance(page, SqlPage)
    return page


def answered(page: SqlPage) -> SqlPage:
    """The page, once its query is answered and shown."""
    wait_until(lambda: not page._editor.busy and not page._asker.is_busy)
    return page


def ask(page: SqlPage, sql: str) -> SqlPage:
    """Run a query as a reader does, and wait for its answer."""
    page._editor._handle_msg({"run": sql})
    return answered(page)


def column(page: SqlPage, name: str) -> list[str]:
    """What the page's table shows of a column."""
    names = [column["name"] for column in page._result._rows.columns]
    return [row[names.index(name)] for row in page._result._rows.rows]
