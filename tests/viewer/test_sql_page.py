"""The SQL page without a browser: what is asked, answered, refused and linked."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest
from param.parameterized import Event

from flowglass.store import open_store
from flowglass.store.questions import questions
from flowglass.store.sandbox import Rows
from flowglass.store.store import Store
from flowglass.viewer.app import App
from flowglass.viewer.downloads import file_of
from flowglass.viewer.pulse import Pulse
from flowglass.viewer.sql_asker import Found
from flowglass.viewer.sql_editor import shown
from flowglass.viewer.sql_page import LONGEST_LINK, SqlPage
from flowglass.viewer.sql_result import PAGE_SIZE

from .conftest import PARALLEL, TINY
from .sql_stand import ENDLESS, answered, ask, column, page_of, wait_until


@pytest.fixture(scope="module")
def store(store_path: Path) -> Iterator[Store]:
    """The made-up store."""
    with open_store(store_path) as there:
        yield there


@pytest.fixture(scope="module")
def pulse(store: Store) -> Iterator[Pulse]:
    with Pulse(store) as beating:
        yield beating


@pytest.fixture
def app(pulse: Pulse) -> Iterator[App]:
    """A session on the SQL page, nothing asked yet."""
    session = App(pulse, path="runs/", query="?view=sql")
    yield session
    page_of(session)._asker.close()


@pytest.fixture
def page(app: App) -> SqlPage:
    return page_of(app)


def test_a_query_is_answered_as_the_store_answers(page: SqlPage, store: Store) -> None:
    """The same rows, and how many; the address has the query."""
    sql = "from targets select prompt_id, target, predicted_token order by all"

    ask(page, f"  {sql}\n")

    expected = store.table(sql)
    assert page._result._table.equals(expected)
    assert page._result._note.object.startswith(f"{expected.num_rows} rows.")
    assert column(page, "prompt_id")[:3] == ["0", "0", "1"]
    assert page._result.root.visible
    assert page._selection.sql == sql
    assert "Answered in" in page._editor.message


def test_a_link_opens_its_query_and_runs_it(pulse: Pulse) -> None:
    """The editor has it too, and Back to another runs that."""
    app = App(pulse, path="", query="?view=sql&sql=from+runs+select+run_id+order+by+1")
    page = answered(page_of(app))
    assert page._editor.text == "from runs select run_id order by 1"
    assert column(page, "run_id") == [PARALLEL, TINY]

    app._url._handle_msg({"query": "?view=sql&sql=select+7+as+n"})

    assert column(answered(page), "n") == ["7"]
    assert page._editor.text == "select 7 as n"
    page._asker.close()


def test_what_was_asked_stays_while_one_looks_elsewhere(app: App) -> None:
    """Coming back asks nothing anew."""
    page = ask(page_of(app), "select 7 as n")
    turn = page._editor.turn

    app.selection.go(view="")
    assert not page.root.visible
    app.selection.load("?view=sql&sql=select+7+as+n")

    assert page.root.visible
    assert not page._editor.busy
    assert page._editor.turn == turn
    assert column(page, "n") == ["7"]


def test_the_same_query_can_be_asked_again(page: SqlPage) -> None:
    """Run is Run, though the address stays."""
    ask(page, "select uuid() as u")
    before = column(page, "u")

    ask(page, "select uuid() as u")

    assert column(page, "u") != before


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("from edgs", "did you mean edges"),
        ("from edges select contribtion", "did you mean contribution"),
        ("copy (select 1) to '/tmp/x'", "only read"),
        ("from '/etc/passwd'", "no file can be read"),
        ("select 1; select 2", "one SQL statement"),
        ("selekt", "syntax error"),
        ("select error('<b>no</b>')", "<b>no</b>"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(page: SqlPage, sql: str, said: str) -> None:
    """By the sandbox, as text; no rows of another query stay below."""
    ask(page, "select 1")

    ask(page, sql)

    assert said in page._editor.message
    assert page._editor.tone == "bad"
    assert not page._result.root.visible


def test_nothing_is_nothing_to_run(page: SqlPage) -> None:
    """And says so."""
    page._editor._handle_msg({"run": "  \n"})
    assert "nothing to run" in page._editor.message
    assert page._selection.sql == ""


def test_a_query_is_stopped_and_the_next_one_runs(page: SqlPage) -> None:
    """The child that ran it is gone."""
    page._editor._handle_msg({"run": ENDLESS})
    wait_until(lambda: page._asker._sandbox is not None)
    assert page._editor.busy

    page._editor._handle_msg({"stop": True})

    assert answered(page)._editor.message == "Stopped."
    assert column(ask(page, "select 7 as n"), "n") == ["7"]


def test_another_query_takes_the_place_of_one_that_runs(page: SqlPage) -> None:
    """Only the second is answered."""
    page._editor._handle_msg({"run": ENDLESS})

    ask(page, "select 7 as n")

    assert column(page, "n") == ["7"]
    assert page._selection.sql == "select 7 as n"


def test_a_query_too_long_for_an_address_runs_without(page: SqlPage) -> None:
    """The one before it leaves the address, or a link would lead there."""
    ask(page, "select 1")

    ask(page, f"select 8 as n -- {'x' * LONGEST_LINK}")

    assert column(page, "n") == ["8"]
    assert page._selection.sql == ""


def test_rows_come_in_pages_and_are_sorted(page: SqlPage) -> None:
    """Over all pages, down and up and as they came; nulls are last."""
    sql = "from range(60) select range as n, case when n <> 7 then 60 - n end as m"
    rows = ask(page, sql)._result
    assert column(page, "n") == [str(n) for n in range(PAGE_SIZE)]

    rows._pager.value = 2
    assert column(page, "n") == [str(n) for n in range(2 * PAGE_SIZE, 60)]
    rows._rows._handle_msg({"sort": "m"})
    assert rows._pager.value == 0
    assert column(page, "n")[:2] == ["59", "58"]
    rows._pager.value = 2
    assert column(page, "m")[-1] == "null"
    rows._rows._handle_msg({"sort": "-m"})
    assert column(page, "m")[0] == "60"
    rows._rows._handle_msg({"sort": ""})
    assert column(page, "n")[0] == "0"


def test_more_rows_than_are_shown_are_counted(page: SqlPage) -> None:
    """Not silently left out, nor sorted as if they were there."""
    ask(page, "from range(12345)")
    assert page._result._note.object == (
        "The first 10,000 rows; 2,345 more are not shown, sorted or downloaded."
    )
    ask(page, "from range(10) where range > 10")
    assert page._result._note.object == "0 rows."


def test_a_row_opens_what_it_is_about(app: App) -> None:
    """The prediction of its prompt at its target, in its run."""
    page = ask(
        page_of(app),
        f"from targets select prompt_id, target where run_id = '{TINY}' order by all",
    )
    assert page._result._rows.links[0] == f"?run={TINY}&prompt=0&target=14"

    page._result._rows._handle_msg({"open": 0})

    assert app.selection.query() == f"?run={TINY}&prompt=0&target=14"
    assert app._prediction.root.visible


def test_a_row_of_no_certain_run_is_no_link(page: SqlPage) -> None:
    """There are two runs, and neither is named; the page says what would help."""
    ask(page, "from targets select prompt_id")
    assert set(page._result._rows.links) == {""}
    assert "run_id" in page._result._note.object
    page._result._rows._handle_msg({"open": 0})
    assert page._selection.view == "sql"


def test_every_question_is_answered_here(page: SqlPage) -> None:
    """Asked of the run in view, none is refused."""
    assert len(page._editor.questions) == len(questions()) >= 20
    for question in page._editor.questions:
        assert "'gpt2'" not in question["sql"]
        ask(page, question["sql"])
        assert page._editor.tone == "", question["text"] + page._editor.message


def test_questions_follow_the_run_in_view(app: App) -> None:
    """Its name is quoted; a comparison has another run."""
    app.selection.run = PARALLEL
    page = page_of(app)
    sql = {q["text"]: q["sql"] for q in page._editor.questions}
    assert page._editor.run == PARALLEL
    assert f"run_id = '{PARALLEL}'" in sql["Which heads are active most often?"]
    compared = sql["Which prompts does one run get right and another wrong?"]
    assert f"a.run_id = '{PARALLEL}' and b.run_id = '{TINY}'" in compared
    (first, *_) = shown(questions(), run="it's", other="")
    assert "run_id = 'it''s'" in first["sql"]


def test_what_is_shown_can_be_taken_away(page: SqlPage) -> None:
    """In the order that is shown; lists and bytes as text where CSV has no word."""
    sql = "from range(3) select range as n, [range, null] as l, {'a': range} as s, "
    ask(page, sql + "'\\x01'::blob as b")
    page._result._rows._handle_msg({"sort": "-n"})

    extract = page._result._extract()

    assert extract.sql == page._selection.sql
    read = pa.csv.read_csv(pa.py_buffer(file_of(extract, "csv")))
    assert read["n"].to_pylist() == [2, 1, 0]
    assert read["l"].to_pylist()[0] == "[2, null]"
    assert read["s"].to_pylist()[0] == '{"a": 2}'
    assert read["b"].to_pylist()[0] == 1  # hexadecimal: 01
    again = pa.parquet.read_table(pa.BufferReader(file_of(extract, "parquet")))
    assert again.equals(extract.table)


def test_what_a_system_cannot_hold_back_is_said(page: SqlPage) -> None:
    """Beside the answer."""
    page._asked = "select 1"
    rows = Rows(pa.table({"a": [1]}), 0, True)
    page._show_answer("select 1", Found(rows, 0.1, ("no <Landlock>",)))
    assert "no &lt;Landlock&gt;" in page._note.object
    assert page._note.visible
    page._show_answer("select 1", Found(rows, 0.1, ()))
    assert not page._note.visible


def test_a_query_behind_another_is_the_one_that_is_asked(
    page: SqlPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What hears of the first one's address meanwhile does not ask that again."""
    asked: list[str] = []
    behind = threading.Event()

    def ask(sql: str, tell: object) -> None:
        asked.append(sql)
        if sql == "select 2":
            behind.set()
            time.sleep(0.3)  # between its question and its address

    monkeypatch.setattr(page._asker, "ask", ask)
    other = threading.Thread(target=page._run, args=["select 2"])

    def slow(event: Event) -> None:
        if event.new == "select 1":
            other.start()
            behind.wait(0.5)
            page._follow()

    page._selection.param.watch(slow, "sql")
    page._run("select 1")
    other.join(10)

    assert asked == ["select 1", "select 2"]
