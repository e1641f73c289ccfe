"""A prompt that a reader types is traced, shown, and stored only when asked to be."""

import http.cookiejar
import os
import re
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from flowglass.pipeline import trace
from flowglass.store import Store, open_store, queries
from flowglass.viewer import live as live_file
from flowglass.viewer.app import App
from flowglass.viewer.live import Ask, Live, LiveError, Request, Visitor, ask_of
from flowglass.viewer.pulse import Pulse
from flowglass.viewer.stores import Stores

from .conftest import FLOWGLASS, TINY, free_port, wait_until_served
from .synthetic import write_run
from .synthetic_corpus import make_prompt
from .synthetic_flow import Shape
from .test_browser import Tab

MODEL = "tiny-gpt2"
HOSTILE = "<script>alert(1)</script> \x1b[31mred\x1b[0m \u202eover"


@dataclass(frozen=True)
class Server:
    """What a server holds, without the server."""

    path: Path
    stores: Stores
    pulse: Pulse
    live: Live

    def app(self, query: str = "") -> App:
        return App(self.pulse, path=str(self.path), query=query, live=self.live)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """Beside a store with one prompt."""
    path = tmp_path / "runs"
    write_run(path, TINY, [make_prompt(0)], Shape())
    beside = tmp_path / "beside"
    with (
        open_store(path) as store,
        Stores(store, beside / "runs") as stores,
        Pulse(stores) as pulse,
        Live(pulse, stores, beside, path=str(path)) as live,
    ):
        yield Server(path, stores, pulse, live)


def nobody() -> None:
    """Nobody hears how it goes on."""


def ended(request: Request) -> Request:
    """A request once it is over."""
    deadline = time.monotonic() + 120
    while not request.over and time.monotonic() < deadline:
        time.sleep(0.01)
    assert request.over
    return request


def traced(server: Server, ask: Ask, visitor: Visitor | None = None) -> Request:
    """What became of an Ask."""
    made = server.live.submit(visitor or Visitor(), ask, notify=nobody)
    return ended(made)


def edges_of(store: Store, run_id: str) -> list[dict[str, object]]:
    """A prompt's edges, as `trace` gives them."""
    return queries.edges(store, run_id, 0).drop_columns(["run_id"]).to_pylist()


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
    assert [row[6] for row in other._runs.root.rows] == ["live", "complete"]
    assert other._runs.root.current == 1


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
    for second in range(1, live_file.PER_MINUTE):
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
        "import sys, flowglass.viewer.serve; from flowglass.viewer.live import *; "
        "models_offered([]); print({'torch', 'transformers'} & sys.modules.keys())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "set()", done.stderr


class Viewer:
    """A running `flowglass view`."""

    def __init__(self, folder: Path, *options: str, password: str = "") -> None:
        self.store, self.log, port = folder / "runs", folder / "log", free_port()
        write_run(self.store, TINY, [make_prompt(0)], Shape())
        command = [sys.executable, "-c", FLOWGLASS, "view", str(self.store)]
        (folder / "tmp").mkdir()
        with self.log.open("w") as output:
            self.process = subprocess.Popen(
                [*command, "--no-browser", "--port", str(port), *options],
                stdout=output,
                stderr=output,
                env={
                    **os.environ,
                    "FLOWGLASS_PASSWORD": password,
                    "TMPDIR": str(folder / "tmp"),
                },
            )
        self.address = f"http://127.0.0.1:{port}/"
        wait_until_served(self.address, self.process, self.log)

    def end(self) -> None:
        self.process.terminate()
        self.process.wait(30)


@pytest.fixture
def tab(tmp_path: Path, browser: BrowserContext) -> Iterator[Tab]:
    """On a viewer of its own; nothing foreign, no error, nothing left behind."""
    viewer = Viewer(tmp_path)
    page = browser.new_page()
    try:
        tab = Tab(page, viewer.address)
        yield tab
        assert not tab.foreign
        assert not tab.errors
    finally:
        page.close()
        viewer.end()
    assert "Traceback" not in viewer.log.read_text()
    assert not list((tmp_path / "tmp").glob("flowglass-*"))


def sources(page: Page) -> dict[str, str]:
    """What the graph says it draws."""
    graph = page.locator("[data-testid=route-graph][data-edges]")
    graph.wait_for()
    return {
        name: graph.get_attribute(f"data-{name}") or ""
        for name in ("edges", "target", "threshold")
    }


def test_a_reader_traces_a_prompt_and_saves_it(tab: Tab, tmp_path: Path) -> None:
    """Ctrl+Enter, the prediction as `trace` gives it, then into the store."""
    text = "The capital of <b>France</b> is"
    tab.load("")
    page = tab.page
    page.get_by_label("Prompt", exact=True).fill(text)
    page.get_by_label("Prompt", exact=True).press("Control+Enter")

    expect(page).to_have_title("prompt 0 · flowglass", timeout=120_000)
    found = trace(MODEL, text)
    target = found.tokens.num_rows - 1
    shown = sources(page)
    assert shown["target"] == str(target)
    assert int(shown["edges"]) == found.route(threshold=0.04).num_rows
    with open_store(tmp_path / "runs") as store:
        assert list(store.snapshot.runs) == [TINY]

    page.get_by_role("button", name="Save into the store").click()
    expect(page.get_by_text("Saved into")).to_be_visible(timeout=120_000)
    expect(page.get_by_role("button", name="Save into the store")).to_be_hidden()
    with open_store(tmp_path / "runs") as store:
        assert len(store.snapshot.runs) == 2

    page.go_back()
    expect(page.get_by_role("table", name="Runs")).to_contain_text("typed")
    page.get_by_label("Prompt", exact=True).fill("and " * 4000)
    page.get_by_role("button", name="Trace").click()
    expect(page.get_by_text(re.compile("context"))).to_be_visible()


def test_auth_asks_for_the_password(tmp_path: Path) -> None:
    """For pages and websockets; the login page carries the policy and is ours."""
    viewer = Viewer(tmp_path, "--auth", password="README.md")
    try:
        jar = http.cookiejar.CookieJar()
        browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(jar))
        with browser.open(viewer.address) as answer:
            page = answer.read().decode()
            assert "default-src 'self'" in answer.headers["Content-Security-Policy"]
        assert 'type="password"' in page
        assert "http" not in page
        upgrade = {
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
            "Sec-WebSocket-Protocol": "bokeh, token",
            "Origin": viewer.address.rstrip("/"),
        }
        socket = urllib.request.Request(viewer.address + "ws", headers=upgrade)

        def shake_hands() -> int:
            # urllib takes 101, a websocket that opens, for an error as well.
            with pytest.raises(urllib.error.HTTPError) as refused:
                browser.open(socket, timeout=5)
            return refused.value.code

        assert shake_hands() == 403

        def log_in(password: str) -> str:
            fields = {"username": "reader", "password": password}
            data = urllib.parse.urlencode(fields).encode()
            with browser.open(viewer.address + "login", data) as answer:
                return str(answer.read().decode())

        assert "That is not the password." in log_in("wrong")
        assert "flowglass" in log_in("README.md")
        with browser.open(viewer.address) as answer:
            assert 'type="password"' not in answer.read().decode()
    finally:
        viewer.end()
    assert "README.md" not in viewer.log.read_text()
