"""Traces what readers ask, as a sweep.

The one file of the viewer that uses the pipeline, and only once a request comes: the
viewer starts without torch. A request is a sweep into a temporary store beside the
server, or, to save it, the same sweep into the store that is shown.
"""

import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flowglass.store.errors import StoreError

from .live_asks import Ask, Request

if TYPE_CHECKING:
    from flowglass.pipeline.engine import LocalEngine
    from flowglass.pipeline.shard_worker import Workbench
    from flowglass.pipeline.sweeping import Run

DATASET = "typed"
"""What the runs of typed prompts call their data."""


@dataclass(frozen=True)
class Planned:
    """A sweep that can begin."""

    run_id: str
    engine: "LocalEngine"
    options: dict[str, Any]


class Sweeper:
    """Sweeps on models that stay loaded, one request at a time, in any one thread."""

    def __init__(self, folder: Path, *, path: str) -> None:
        """`folder` is temporary, and `path` the address of the store that is shown."""
        self._folder = folder
        self._path = path
        self._bench: Workbench | None = None
        self._engine: LocalEngine | None = None
        self._halted = False

    def plan(self, request: Request) -> Planned:
        """Load what the sweep needs, and name its run."""
        if self._bench is None:
            request.tell("Starting PyTorch …", 0.02)
        from flowglass.pipeline.engine import LocalEngine
        from flowglass.pipeline.job import plan_job
        from flowglass.pipeline.quiet import silence_libraries
        from flowglass.pipeline.shard_worker import Workbench
        from flowglass.pipeline.sweep_runs import all_options

        silence_libraries()
        self._bench = self._bench or Workbench()
        self._engine = engine = LocalEngine(self._bench)
        if self._halted:
            engine.halt()
        options = all_options(self._options(request))
        request.tell(f"Loading {request.ask.model} …", 0.05)
        return Planned(plan_job(options, engine.facts).plan.run_id, engine, options)

    def sweep(
        self, planned: Planned, request: Request, *, stored: Callable[[], None]
    ) -> None:
        """Store the prompts; `stored` is called once they are, and at the end."""
        from flowglass.pipeline.sweeping import sweep_on

        report = Telling(request, stored)
        run = sweep_on(planned.engine, planned.options, report)
        stored()
        request.error = trouble_of(run)
        saved = f"Saved into {self._path} as {planned.run_id}."
        request.tell(saved if request.save else "Traced.", 1.0)

    def halt(self) -> None:
        """Let the sweep at work end soon, and those that come."""
        self._halted = True
        if self._engine is not None:
            self._engine.halt()

    def _options(self, request: Request) -> dict[str, Any]:
        ask = request.ask
        return {
            "model": ask.model,
            "data": str(self._file_of(ask)),
            "store": self._path if request.save else str(self._folder / "runs"),
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
