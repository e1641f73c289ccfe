"""A prompt that a reader types is traced, shown, and stored only when asked to be."""

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from flowglass.pipeline import trace
from flowglass.store import open_store, queries
from flowglass.viewer.live_asks import (
    PER_MINUTE,
    Ask,
    LiveError,
    Request,
    Visitor,
    ask_of,
)

from .conftest import TINY
from .live_server import MODEL, Server, edges_of, ended, nobody, serving, traced
from .synthetic import write_run
from .synthetic_corpus import make_prompt
from .synthetic_flow import Shape

HOSTILE = "<script>alert(1)</script> \x1b[31mred\x1b[0m \u202eover"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """Beside a store with one prompt."""
    path = tmp_path / "runs"
    write_run(path, TINY, [make_prompt(0)], Shape())
    with serving(str(path), tmp_path / "beside") as found:
        yield found


def test_what_is_stored_is_what_trace_gives(server: Server) -> None:
    """Every edge, and the answer's tokens as targets; not in the store itself."""
    ask = Ask(MODEL, ("The capital of France is",), answer="Paris", distractor="Rome")
    done = traced(server, ask)
    found = trace(
        MODEL, ask.texts[0], answer="Paris", distractor="Rome", targets="answer"
    )

    assert not done.error
    stored = queries.edges(server.stores, done.run_id, 0)
    assert stored.num_rows == found.edges.num_rows
    for name in ("layer", "query", "key", "contribution"):
        mine, own = (sorted(each[name].to_pylist()) for each in (stored, found.edges))
        assert mine == pytest.approx(own, abs=1e-6)
    assert done.run_id in server.stores.snapshot.runs
    assert server.stores.is_live(done.run_id)
    with open_store(server.path) as store:
        assert list(store.snapshot.runs) == [TINY]


def test_a_live_run_is_listed_and_opens(server: Server) -> None:
    """By the session that asked; others see it in the list, and keep their own run."""
    app, other = server.app(), server.app()
    assert app._live is not None
    app._live.form._handle_msg({"trace": {"text": "One two", "model": MODEL}})
    request = app._live._visitor.request
    assert request is not None
    assert app._live.form.busy
    ended(request)

    app._tick_live()

    assert app.selection.prompt == 0
    assert app.selection.run == request.run_id
    assert app._prediction.root.visible
    assert "".join(app._prediction._graph.tokens).endswith("·two")
    assert "live" in app._live._said.object
    assert app._live.line.visible
    other._update()
    assert [row[8] for row in other._front.runs.root.rows] == ["live", "complete"]
    assert other._front.runs.root.current == 1


def test_saving_writes_it_into_the_store(server: Server) -> None:
    """The same run and rows, and it is live no more."""
    done = traced(server, Ask(MODEL, ("One two three",)))
    before = edges_of(server.stores, done.run_id)
    app = server.app(f"?run={done.run_id}&prompt=0")
    assert app._live is not None
    assert app._live._save.visible

    app._live._save_run()
    request = app._live._visitor.request
    assert request is not None
    ended(request)
    app._tick_live()
    app._update()

    assert f"Saved into {server.path}" in app._live._said.object
    assert not server.stores.is_live(done.run_id)
    assert not app._live._save.visible
    with open_store(server.path) as store:
        assert edges_of(store, done.run_id) == before


def test_saving_into_an_object_store(tmp_path: Path) -> None:
    """The store that is shown may be on S3; the temporary one is on this machine."""
    from tests.store.s3_server import s3_bucket  # takes a second to import

    with s3_bucket() as (s3, bucket):
        path = f"{bucket}/runs"
        write_run(path, TINY, [make_prompt(0)], Shape())
        with serving(path, tmp_path / "beside") as server:
            written = len([each for each in s3.asked if each.startswith("PUT")])
            visitor = Visitor()
            done = traced(server, Ask(MODEL, ("One two three",)), visitor)
            before = edges_of(server.stores, done.run_id)
            assert not done.error
            assert server.stores.is_live(done.run_id)
            assert len([each for each in s3.asked if each.startswith("PUT")]) == written

            saved = ended(server.live.save(visitor, done.run_id, notify=nobody))

            assert saved.said == f"Saved into {path} as {done.run_id}."
            assert not server.stores.is_live(done.run_id)
        with open_store(path) as store:
            assert edges_of(store, done.run_id) == before


def test_many_prompts_are_one_run(server: Server) -> None:
    """A line each; blank ones are none."""
    form = {"text": "One\r\n\n two \nthree", "model": MODEL, "many": True}
    assert ask_of(form).texts == ("One", " two ", "three")

    done = traced(server, ask_of(form))

    assert not done.error
    assert queries.count_prompts(server.stores, done.run_id) == 3


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (Ask(MODEL, (" \n",)), "Type a prompt"),
        (Ask(MODEL, ("x" * 20_001,)), "20,001 characters; 20,000"),
        (Ask(MODEL, ("x",) * 51), "51 prompts; 50"),
        (Ask("/etc", ("x",)), "not offered"),
        (Ask(MODEL, ("x", "y"), answer="z"), "single prompt"),
        (Ask(MODEL, ("\ud800",)), "half of a character"),
    ],
)
def test_what_is_too_much_is_refused(server: Server, ask: Ask, said: str) -> None:
    """With one clear line, before it waits."""
    with pytest.raises(LiveError, match=said):
        server.live.submit(Visitor(), ask, notify=nobody)


def test_a_prompt_longer_than_the_context_is_told(server: Server) -> None:
    """The message is the plan's own."""
    done = traced(server, Ask(MODEL, ("and " * 4000,)))
    assert re.search(r"tokens", done.error)
    assert "Traceback" not in done.error
    assert not server.stores.snapshot.runs.keys() - {TINY}


def test_a_session_waits_its_turn_and_not_more_often_than_it_may() -> None:
    """One request at a time, twenty a minute."""
    visitor, ask = Visitor(), Ask(MODEL, ("x",))
    visitor.note(Request(ask), 0.0)
    with pytest.raises(LiveError, match="not done yet"):
        visitor.check(1.0)
    for second in range(1, PER_MINUTE):
        visitor.note(Request(ask, over=True), float(second))
    with pytest.raises(LiveError, match="a minute are the most: wait 31 s"):
        visitor.check(30.0)
    visitor.check(60.5)


def test_a_full_queue_is_told(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """One in work and eight that wait; a crash of the worker is told, and is no end."""
    go = time.monotonic() + 1

    def crash(request: Request) -> None:
        time.sleep(max(0.0, go - time.monotonic()))
        raise RuntimeError("<b>broken</b>")

    monkeypatch.setattr(server.live, "_run", crash)
    ask = Ask(MODEL, ("x",))
    made = [server.live.submit(Visitor(), ask, notify=nobody) for _ in range(9)]
    with pytest.raises(LiveError, match="8 requests are waiting"):
        server.live.submit(Visitor(), ask, notify=nobody)

    assert all("RuntimeError: <b>broken" in ended(each).error for each in made)
    monkeypatch.undo()
    assert not traced(server, ask).error


@pytest.mark.parametrize("text", [HOSTILE, "x" * 10_000, "nul \x00 in it"])
def test_hostile_text_does_no_harm(server: Server, text: str) -> None:
    """It is shown as text, or refused in one line."""
    done = traced(server, Ask(MODEL, (text,)))
    if done.error:
        assert "Tracing broke off" not in done.error
        return
    app = server.app(f"?run={done.run_id}&prompt=0")
    assert "<script" not in app._prediction._words.object
    assert app._prediction.root.visible


def test_the_viewer_starts_without_torch() -> None:
    """It comes with the first prompt."""
    code = (
        "import sys, flowglass.viewer.serve; "
        "from flowglass.viewer.live_sweep import models_offered; models_offered([]); "
        "print({'torch', 'transformers'} & sys.modules.keys())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "set()", done.stderr
