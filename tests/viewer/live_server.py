"""What answers typed prompts: within a test, or as a running `flowglass view`."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from flowglass.store import Store, open_store, queries
from flowglass.viewer.app import App
from flowglass.viewer.live import Live
from flowglass.viewer.live_asks import Ask, Request, Visitor
from flowglass.viewer.pulse import Pulse
from flowglass.viewer.stores import Stores

from .conftest import FLOWGLASS, TINY, free_port, wait_until_served
from .synthetic import write_run
from .synthetic_corpus import make_prompt
from .synthetic_flow import Shape

MODEL = "tiny-gpt2"


@dataclass(frozen=True)
class Server:
    """What a server holds, without the server."""

    path: str
    stores: Stores
    pulse: Pulse
    live: Live

    def app(self, query: str = "") -> App:
        return App(self.pulse, path=self.path, query=query, live=self.live)


@contextmanager
def serving(path: str, beside: Path) -> Iterator[Server]:
    """Beside a store that is there."""
    with (
        open_store(path) as store,
        Stores(store, beside / "runs") as stores,
        Pulse(stores) as pulse,
        Live(pulse, stores, beside, path=path) as live,
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
