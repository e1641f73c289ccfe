"""A made-up store, a Chromium, and a running viewer for the tests here."""

import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, sync_playwright

from .synthetic import write_run
from .synthetic_corpus import make_prompt
from .synthetic_flow import Shape

CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
FLOWGLASS = "from flowglass.store.cli import main; main()"

TINY, PARALLEL = "tiny-0123456789ab", "parallel-0123456789ab"
FULL, BARE = "full", "bare"
"""Of `corpus_path`."""


@pytest.fixture(scope="session")
def store_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with a sequential run of 40 prompts and a parallel one of 3."""
    root = tmp_path_factory.mktemp("viewer") / "runs"
    write_run(root, TINY, [make_prompt(i) for i in range(40)], Shape())
    older = "2026-02-01T00:00:00.000000+00:00"
    shape = Shape(layers=2, parallel=True, started_at=older)
    prompts = [make_prompt(0), make_prompt(1), make_prompt(2, length=100)]
    write_run(root, PARALLEL, prompts, shape)
    return root


@pytest.fixture(scope="session")
def browser() -> Iterator[BrowserContext]:
    """Debian's Chromium, one for all tests: it reads Panel's scripts only once."""
    if not CHROMIUM.exists():
        pytest.fail(f"the viewer's tests need {CHROMIUM}: apt-get install chromium")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=CHROMIUM, args=ARGUMENTS, headless=True
        )
        yield chromium.new_context(viewport={"width": 1500, "height": 950})
        chromium.close()


def free_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def failures(log: str) -> list[str]:
    """What went wrong in a server, but for messages to a page that had gone: tornado
    tells of these whenever another address is loaded while an answer is on its way."""
    told = log.split("Traceback (most recent call last):")[1:]
    gone = ("WebSocketClosedError", "StreamClosedError")
    return [each for each in told if not any(name in each for name in gone)]


@contextmanager
def served(path: Path, log: Path, program: str = FLOWGLASS) -> Iterator[str]:
    """The address of `flowglass view`, running on a store; nothing fails in it."""
    port = free_port()
    command = [sys.executable, "-c", program, "view", str(path)]
    with log.open("w") as output:
        process = subprocess.Popen(
            [*command, "--no-browser", "--port", str(port)],
            stdout=output,
            stderr=output,
        )
        address = f"http://127.0.0.1:{port}/"
        try:
            wait_until_served(address, process, log)
            yield address
        finally:
            process.terminate()
            process.wait(10)
        assert not failures(log.read_text())


@pytest.fixture(scope="session")
def viewer(store_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a viewer of the made-up store."""
    with served(store_path, tmp_path_factory.mktemp("log") / "viewer.log") as address:
        yield address


@pytest.fixture(scope="session")
def demo_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store as `make demo` makes it, with few prompts."""
    from flowglass.pipeline import sweep

    root = tmp_path_factory.mktemp("demo") / "runs"
    sweep(
        model="tiny-gpt2",
        data="ioi",
        limit=8,
        targets="answer",
        tensors="dense",
        store=root,
    )
    return root


@pytest.fixture(scope="session")
def corpus_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store for the pages about a whole run: one that has all there is to show, and
    one without neurons and without anything read in tokens."""
    from flowglass.pipeline import sweep

    root = tmp_path_factory.mktemp("corpus") / "runs"
    sweep(
        model="tiny-gpt2",
        data=["ioi", "facts"],
        limit=16,
        targets="answer",
        project="all",
        store=root,
        run=FULL,
    )
    sweep(
        model="tiny-llama",
        data="ioi",
        limit=3,
        neurons=0,
        project="none",
        store=root,
        run=BARE,
    )
    return root


@pytest.fixture(scope="session")
def corpus(
    corpus_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """The address of a viewer of that store."""
    log = tmp_path_factory.mktemp("log") / "corpus.log"
    with served(corpus_path, log) as address:
        yield address


@pytest.fixture(scope="session")
def demo(demo_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a viewer of the demo's store."""
    with served(demo_path, tmp_path_factory.mktemp("log") / "demo.log") as address:
        yield address


def wait_until_served(
    address: str, process: subprocess.Popen[bytes], log: Path
) -> None:
    """Return once the address answers; fail with the log if it never does."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        try:
            urllib.request.urlopen(address, timeout=20).read(1)
            return
        except urllib.error.URLError:
            time.sleep(0.2)
    pytest.fail(f"flowglass view did not start:\n{log.read_text()}")
