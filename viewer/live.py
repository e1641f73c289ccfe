"""Prompts that readers type: traced one request after the other, for all readers.

The one file of the viewer that uses the pipeline, and only once a request comes: the
viewer starts without torch. A request is a sweep into a temporary store beside the
server, or, to save it, the same sweep into the store that is shown.
"""

import json
import sys
import time
import traceback
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from flowglass.store.errors import StoreError

from .pulse import Pulse
from .stores import Stores

if TYPE_CHECKING:
    from flowglass.pipeline.engine import LocalEngine
    from flowglass.pipeline.shard_worker import Workbench
    from flowglass.pipeline.sweeping import Run

MAX_CHARACTERS = 20_000
MAX_PROMPTS = 50
MAX_WAITING = 8
"""Requests of all sessions together, the one in work not counted."""
PER_MINUTE = 20
"""Requests of one session."""

DATASET = "typed"
"""What the runs of typed prompts call their data."""


class LiveError(Exception):
    """A request that is not taken; the message is meant for the reader."""


@dataclass(frozen=True)
class Ask:
    """What a reader wants traced."""

    model: str
    texts: tuple[str, ...]
    answer: str = ""
    """Of a single prompt; empty: none."""
    distractor: str = ""

    def records(self) -> bytes:
        """The prompts as a JSON Lines file."""
        rows: list[dict[str, str]] = [{"text": text} for text in self.texts]
        if self.answer:
            rows[0]["answer"] = self.answer
        if self.distractor:
            rows[0]["distractor"] = self.distractor
        return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


@dataclass(eq=False)
class Request:
    """An Ask on its way; the worker writes it and sessions read it."""

    ask: Ask
    save: bool = False
    said: str = "Waiting for the prompts before it …"
    done: float = 0.0
    """The share that is done, 0 to 1."""
    run_id: str = ""
    """Once the prompts are stored; of one to be saved, from the start."""
    error: str = ""
    over: bool = False
    notify: Callable[[], None] = field(default=lambda: None)

    def tell(self, said: str, done: float | None = None) -> None:
        """Let the session know how far it is."""
        self.said = said
        self.done = self.done if done is None else done
        self.notify()


class Visitor:
    """One session's requests, and how many of them it has made lately."""

    def __init__(self) -> None:
        self.request: Request | None = None
        self._made: deque[float] = deque()

    def check(self, now: float) -> None:
        """Raise LiveError if another request is too much."""
        if self.request is not None and not self.request.over:
            raise LiveError("Your last request is not done yet: wait for it.")
        while self._made and self._made[0] <= now - 60:
            self._made.popleft()
        if len(self._made) >= PER_MINUTE:
            rest = int(self._made[0] + 60 - now) + 1
            raise LiveError(
                f"{PER_MINUTE} requests a minute are the most: wait {rest} s."
            )

    def note(self, request: Request, now: float) -> None:
        """A request of this session was taken."""
        self.request = request
        self._made.append(now)


class Live:
    """The worker and its queue; `with` ends them."""

    def __init__(
        self,
        pulse: Pulse,
        stores: Stores,
        folder: Path,
        *,
        path: str,
        models: Sequence[str] = (),
    ) -> None:
        """`folder` is temporary, and `path` the address of the store that is shown."""
        self.models = models_offered(models)
        self.stores = stores
        self.path = path
        self._pulse = pulse
        self._folder = folder
        self._asks: dict[str, Ask] = {}
        self._lock = Lock()
        self._waiting = 0
        self._bench: Workbench | None = None
        self._engine: LocalEngine | None = None
        self._ended = False
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="live")

    def submit(
        self, visitor: Visitor, ask: Ask, *, notify: Callable[[], None]
    ) -> Request:
        """Have an Ask traced; raises LiveError if it is not taken."""
        return self._submit(visitor, Request(check(ask, self.models), notify=notify))

    def save(
        self, visitor: Visitor, run_id: str, *, notify: Callable[[], None]
    ) -> Request:
        """Have a live run stored in the store that is shown."""
        if run_id not in self._asks:
            raise LiveError("This run is gone: trace its prompt again.")
        return self._submit(
            visitor,
            Request(self._asks[run_id], save=True, run_id=run_id, notify=notify),
        )

    def _submit(self, visitor: Visitor, request: Request) -> Request:
        now = time.monotonic()
        with self._lock:
            visitor.check(now)
            if self._waiting > MAX_WAITING:
                raise LiveError(
                    f"{MAX_WAITING} requests are waiting already: try again in a while."
                )
            self._waiting += 1
            visitor.note(request, now)
        working = self._worker.submit(self._run, request)
        working.add_done_callback(lambda done: self._over(request, done))
        return request

    def _over(self, request: Request, done: "Future[None]") -> None:
        """The worker is done with a request, well or not."""
        with self._lock:
            self._waiting -= 1
        if done.cancelled():
            request.error = "The server is being stopped."
        elif (error := done.exception()) is not None:
            request.error = message_of(error)
        request.over = True
        request.tell(request.said)
        request.notify = lambda: None  # what it holds is a whole session

    def _run(self, request: Request) -> None:
        if self._bench is None:
            request.tell("Starting PyTorch …", 0.02)
        from flowglass.pipeline.engine import LocalEngine
        from flowglass.pipeline.job import plan_job
        from flowglass.pipeline.quiet import silence_libraries
        from flowglass.pipeline.shard_worker import Workbench
        from flowglass.pipeline.sweep_runs import all_options
        from flowglass.pipeline.sweeping import sweep_on

        silence_libraries()
        self._bench = self._bench or Workbench()
        self._engine = engine = LocalEngine(self._bench)
        if self._ended:
            engine.halt()
        options = all_options(self._options(request))
        request.tell(f"Loading {request.ask.model} …", 0.05)
        run_id = plan_job(options, engine.facts).plan.run_id
        self._asks[run_id] = request.ask

        def stored() -> None:
            self._pulse.look_now(live_only=not request.save)
            request.run_id = run_id

        report = Telling(request, stored)
        run = sweep_on(engine, options, report)
        stored()
        request.error = trouble_of(run)
        saved = f"Saved into {self.path} as {run_id}."
        request.tell(saved if request.save else "Traced.", 1.0)

    def _options(self, request: Request) -> dict[str, Any]:
        ask = request.ask
        return {
            "model": ask.model,
            "data": str(self._file_of(ask)),
            "store": self.path if request.save else str(self._folder / "runs"),
            "targets": "answer" if ask.answer else "last",
            "tensors": "dense",
        }

    def _file_of(self, ask: Ask) -> Path:
        records = ask.records()
        name = sha256(records).hexdigest()[:16]
        file = self._folder / "prompts" / name / f"{DATASET}.jsonl"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(records)
        return file

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended = True
        if self._engine is not None:
            self._engine.halt()
        self._worker.shutdown(cancel_futures=True)


class Telling:
    """A sweep's Reporter that tells one request."""

    def __init__(self, request: Request, stored: Callable[[], None]) -> None:
        self._request = request
        self._stored = stored

    def begin(
        self, title: str, *, total: int, done: int, unit: str = "prompts"
    ) -> None:
        if unit != "prompts":  # all prompts are there: what neurons mean comes next
            self._stored()
        self._total, self._done, self._unit = max(1, total), done, unit
        self._tell()

    def advance(self, units: int, *, tokens: int = 0, quarantined: int = 0) -> None:
        self._done += units
        self._tell()

    def wrote(self, n_bytes: int) -> None:
        pass

    def say(self, what: str) -> None:
        pass

    def _tell(self) -> None:
        share = self._done / self._total
        if self._unit == "prompts":
            of = f"{self._done} of {self._total} prompts"
            said = "Tracing …" if self._total == 1 else f"Tracing: {of} …"
            self._request.tell(said, 0.1 + 0.6 * share)
        else:
            said = f"Reading what neurons mean: {share:.0%} …"
            self._request.tell(said, 0.7 + 0.3 * share)


def models_offered(models: Sequence[str]) -> list[str]:
    """The models that were named, then the bundled ones."""
    from flowglass.datasets.catalog import MODELS

    return list(dict.fromkeys([*models, *MODELS]))


def check(ask: Ask, models: Sequence[str]) -> Ask:
    """The Ask if it may be made; raises LiveError."""
    n = sum(map(len, ask.texts)) + len(ask.answer) + len(ask.distractor)
    if ask.model not in models:
        raise LiveError(
            "This model is not offered here: start the server with --model."
        )
    if not any(text.strip() for text in ask.texts):
        raise LiveError("Type a prompt first.")
    if n > MAX_CHARACTERS:
        raise LiveError(
            f"{n:,} characters; {MAX_CHARACTERS:,} in one request are the most."
        )
    if len(ask.texts) > MAX_PROMPTS:
        raise LiveError(
            f"{len(ask.texts):,} prompts; {MAX_PROMPTS} in one request are the most."
        )
    if len(ask.texts) > 1 and (ask.answer or ask.distractor):
        raise LiveError("An answer and a distractor are for a single prompt.")
    try:
        "".join([*ask.texts, ask.answer, ask.distractor]).encode()
    except UnicodeEncodeError:
        raise LiveError("The text holds half of a character, which is none.") from None
    return ask


def ask_of(form: dict[str, Any]) -> Ask:
    """The Ask in a form as the browser sends it, which need not be ours."""
    text = str(form.get("text", "")).replace("\r\n", "\n")
    model = str(form.get("model", ""))
    if form.get("many"):
        lines = tuple(line for line in text.split("\n") if line.strip())
        return Ask(model, lines)
    answer, distractor = (str(form.get(key, "")) for key in ("answer", "distractor"))
    return replace(Ask(model, (text,)), answer=answer, distractor=distractor)


def trouble_of(run: "Run") -> str:
    """What went wrong in a sweep that ended by itself."""
    if run.n_quarantined:
        return (
            f"{run.n_quarantined} of {run.n_planned} prompts could not be traced: the "
            f"table quarantine of run {run.run_id} says why."
        )
    return "" if run.status == "complete" else "The server is being stopped."


def message_of(error: BaseException) -> str:
    """What to say of an error; one that is no reader's fault goes to the log too."""
    from flowglass.datasets.errors import DatasetError
    from flowglass.pipeline.errors import PipelineError

    if isinstance(error, StoreError | DatasetError | PipelineError):
        return str(error)
    traceback.print_exception(error, file=sys.stderr)
    first = (str(error).splitlines() or [""])[0]
    return (
        f"Tracing broke off ({type(error).__name__}: {first[:300]}): a fault of the "
        "program or of the machine; the server's terminal says more."
    )
