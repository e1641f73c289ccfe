"""What is committed in a store at one moment: all that a reader knows of it."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from .committed import Committed, read_committed
from .errors import StoreError
from .files import Files
from .layout import MODELS, RUNS, model_folder, run_folder
from .plan import Plan, plan_from_bytes
from .record import Block, Record


@dataclass(frozen=True)
class RunState:
    """A run as its plan and its records describe it."""

    plan: Plan
    committed: Committed
    stopped: str | None
    """Why it was stopped on purpose; None if it was not."""

    @property
    def status(self) -> str:
        """complete, stopped, or partial: interrupted or still going."""
        if len(self.committed.shards) == self.plan.n_shards:
            return "complete"
        return "partial" if self.stopped is None else "stopped"

    @property
    def finished_at(self) -> str | None:
        """When the last shard was committed; None while some are missing."""
        if self.status != "complete":
            return None
        times = [record.committed_at for record in self.committed.shards.values()]
        return max(times, default=self.plan.started_at)

    @property
    def n_bytes(self) -> int:
        """Bytes of data on disk."""
        return sum(unit.n_bytes for unit in self.committed.units)

    def total(self, name: str) -> int:
        """The sum over shards of something their `info` counts."""
        return sum(shard.info[name] for shard in self.committed.shards.values())


@dataclass(frozen=True)
class Snapshot:
    """Runs by run_id, and the shards of model tables by model_hash."""

    runs: Mapping[str, RunState] = field(default_factory=dict)
    models: Mapping[str, Committed] = field(default_factory=dict)

    def units(self) -> Iterator[tuple[str, Record | Block]]:
        """Everything that has files, with the folder that its paths are relative to."""
        for run_id, state in self.runs.items():
            for unit in state.committed.units:
                yield run_folder(run_id), unit
        for model_hash, committed in self.models.items():
            for unit in committed.units:
                yield model_folder(model_hash), unit


def take_snapshot(files: Files, *, known: Snapshot) -> Snapshot:
    """What is committed now; records that `known` has are not read again."""
    runs = {}
    for run_id in _named(files, RUNS, "run_id="):
        state = _run_state(files, run_id, known.runs.get(run_id))
        if state is not None:
            runs[run_id] = state
    models = {
        model_hash: read_committed(
            files, model_folder(model_hash), known=known.models.get(model_hash)
        )
        for model_hash in _named(files, MODELS, "model_hash=")
    }
    return Snapshot(runs, models)


def _run_state(files: Files, run_id: str, known: RunState | None) -> RunState | None:
    folder = run_folder(run_id)
    path = f"{folder}/plan.json"
    try:
        plan = plan_from_bytes(files.read(path), path=files.where(path))
    except FileNotFoundError:  # a run that is being made
        return None
    unchanged = known is not None and known.plan == plan
    committed = read_committed(
        files, folder, known=known.committed if known and unchanged else None
    )
    for record in committed.shards.values():
        if record.config_sha256 != plan.config_sha256:
            raise StoreError(
                f"shard {record.shard} of run {run_id!r} was made with another "
                f"configuration than {files.where(path)} says: restore that file"
            )
    return RunState(plan, committed, _stopped(files, folder))


def _stopped(files: Files, folder: str) -> str | None:
    path = f"{folder}/stopped.json"
    try:
        return str(json.loads(files.read(path))["reason"])
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError(
            f"{files.where(path)} is damaged ({error}): delete it, for it only says "
            f"why the run was stopped"
        ) from error


def _named(files: Files, folder: str, prefix: str) -> list[str]:
    names = files.listdir(folder)
    return [name.removeprefix(prefix) for name in names if name.startswith(prefix)]
