"""Stores to look at, and a running `flowglass view`, for viewer.py."""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from urllib.parse import urlencode

from corpus import Corpus, write_corpus
from synthetic import Shape

from flowglass.store import open_store
from flowglass.store.store import Store

FLOWGLASS = "from flowglass.store.cli import main; main()"
TASKS = ("ioi", "facts", "induction", "agreement", "addition", "sentences")
DENSE = Shape(n_layers=24, n_heads=16)
LOW, NEXT = 0.01, 0.015
"""The slider's lowest thresholds, one step apart."""
MB = 2**20


@dataclass(frozen=True)
class Prompt:
    """A prompt and what its graph draws of its default target's route."""

    run_id: str
    prompt_id: int
    target: int
    n_edges: int

    @property
    def query(self) -> str:
        """The address's, for its prediction."""
        return "?" + urlencode({"run": self.run_id, "prompt": self.prompt_id})

    def listed(self, page: int) -> str:
        """The address's, for a page of the list of its run's prompts."""
        return "?" + urlencode({"run": self.run_id, "page": page})


def make_demo(store: Path, *, limit: int = 40) -> Path:
    """What `make demo` makes, of fewer prompts."""
    from flowglass.pipeline import sweep

    for model in ("tiny-gpt2", "tiny-llama"):
        sweep(
            model=model,
            data=list(TASKS),
            limit=limit,
            targets="answer",
            tensors="dense",
            store=store,
        )
    return store


def make_dense(store: Path) -> Path:
    """Made-up prompts of up to 128 tokens in a model of 24 layers and 16 heads."""
    write_corpus(store, Corpus(24, DENSE))
    return store


def prompts_of(store: Store) -> list[Prompt]:
    """The prompts of the newest run with any, in the list's order."""
    full = [run for run in store.runs().to_pylist() if run["n_prompts"]]
    run = max(full, key=lambda run: str(run["started_at"]))
    found = store.sql(
        """
        SELECT prompt_id, first(target ORDER BY reason = 'last', target),
               first(n_edges ORDER BY reason = 'last', target)
        FROM targets WHERE run_id = $run_id GROUP BY prompt_id ORDER BY prompt_id
        """,
        {"run_id": run["run_id"]},
    ).fetchall()
    return [Prompt(run["run_id"], *row) for row in found]


def prompt_with(store: Store, n_edges: int) -> Prompt:
    """The prompt whose route has about so many edges one step above the lowest."""
    found = store.sql(
        """
        SELECT run_id, prompt_id, target, count(*) AS n_edges FROM routes
        WHERE survives_at > $threshold GROUP BY ALL
        ORDER BY abs(count(*) - $wanted) LIMIT 1
        """,
        {"threshold": NEXT, "wanted": n_edges},
    ).fetchall()
    return Prompt(*found[0])


def read_prompts(path: Path) -> list[Prompt]:
    with open_store(path) as store:
        return prompts_of(store)


class Viewer:
    """A running `flowglass view`."""

    def __init__(self, process: "subprocess.Popen[bytes]", port: int) -> None:
        self._process = process
        self.port = port

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    @property
    def megabytes(self) -> float:
        """What the process holds in memory (its resident set)."""
        lines = Path(f"/proc/{self._process.pid}/status").read_text().splitlines()
        kilobytes = next(int(s.split()[1]) for s in lines if s.startswith("VmRSS"))
        return kilobytes * 1024 / MB


@contextmanager
def viewing(store: Path) -> Iterator[Viewer]:
    """A server that listens, and has not been asked for anything yet."""
    port = free_port()
    command = [sys.executable, "-c", FLOWGLASS, "view", str(store)]
    with TemporaryFile() as log:
        process = subprocess.Popen(
            [*command, "--no-browser", "--port", str(port)], stdout=log, stderr=log
        )
        try:
            wait_until_listening(process, port)
            yield Viewer(process, port)
        except BaseException:
            log.seek(0)
            sys.stderr.write(log.read().decode())
            raise
        finally:
            process.terminate()
            process.wait(30)


def free_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until_listening(process: "subprocess.Popen[bytes]", port: int) -> None:
    """Return once it takes connections."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=5).close()
            return
        except ConnectionRefusedError:
            time.sleep(0.05)
    raise RuntimeError("flowglass view did not start; what it says is above")
