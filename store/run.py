"""Writing a run: its plan once, then its shards, in any order, each exactly once."""

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from socket import gethostname
from typing import TYPE_CHECKING, Any, Self

from .blocks import collect_superseded
from .commit import Payload, collect_stale, commit, prepare, publish
from .committed import Committed, read_committed
from .errors import StoreError
from .layout import FORMAT, files_at, format_bytes, raise_format, run_folder
from .plan import Plan, differences, plan_from_bytes, plan_to_bytes, run_id_of
from .record import canonical, utc_now
from .schema import TABLES
from .suspects import Trail

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["COUNTED", "Plan", "RunWriter", "run_id_of"]

COUNTED = ("n_prompts", "n_tokens", "n_quarantined")
"""What the `info` of every shard counts."""

_RUN_ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+-]{0,199}")


class RunWriter:
    """A run that shards are committed to; several writers may share one run."""

    plan: Plan
    """As the first writer of this run made it."""

    def __init__(
        self,
        root: str | Path,
        plan: Plan,
        *,
        check: Callable[[str | Path], None] = lambda root: None,
    ) -> None:
        """Create the run, or open it again if it has the same identity. `check` is
        called when the store is there and the run may not be: if it raises, none is."""
        if not _RUN_ID.fullmatch(plan.run_id):
            raise StoreError(
                f"run name {plan.run_id!r}: use up to 200 letters, digits and . _ + -"
            )
        self._open(root, plan.run_id)
        self._make_store()
        check(root)
        self.plan = self._settle(plan)
        collect_stale(self._files, self._folder)
        collect_superseded(self._files, self._folder)

    @classmethod
    def join(cls, root: str | Path, plan: Plan) -> Self:
        """Another writer of a run that is there, perhaps on another machine.

        Raises StoreError if this machine does not see that run.
        """
        writer = cls.__new__(cls)
        writer._open(root, plan.run_id)
        path = f"{writer._folder}/plan.json"
        if not writer._files.exists(path):
            raise StoreError(
                f"{gethostname()} does not see {writer._files.where(path)}: put the "
                f"store where all workers see it, on a shared disk or an object store"
            )
        writer.plan = writer._settled(plan)
        return writer

    def committed(self) -> set[int]:
        """The shards that are done, whoever did them."""
        return set(self._committed().shards)

    def commit(
        self,
        shard: int,
        tables: Mapping[str, "pa.Table"],
        *,
        prompt_ids: Sequence[int],
        info: Mapping[str, Any],
    ) -> int:
        """Commit one shard's tables together; the bytes of their files, 0 if another
        writer has done so."""
        from .parquet import to_parquet

        assert 0 <= shard < self.plan.n_shards, shard
        assert set(COUNTED) <= info.keys(), info
        payloads = {
            name: Payload(to_parquet(TABLES[name], rows), rows.num_rows)
            for name, rows in tables.items()
            if rows.num_rows
        }
        won = commit(
            self._files,
            self._folder,
            shard=shard,
            tables=payloads,
            config_sha256=self.plan.config_sha256,
            prompt_ids=prompt_ids,
            info=info,
            committed_at=utc_now(),
        )
        return sum(len(payload.data) for payload in payloads.values()) if won else 0

    def attempt(self, shard: int) -> Trail:
        """Note that a shard is begun, and learn of attempts that died at it."""
        return Trail(self._files, self._folder, shard)

    def totals(self) -> dict[str, int]:
        """`n_prompts`, `n_tokens` and `n_quarantined` of all committed shards."""
        infos = self.infos().values()
        return {name: sum(info[name] for info in infos) for name in COUNTED}

    def infos(self) -> dict[int, Mapping[str, Any]]:
        """What was noted of every committed shard."""
        return {shard: rec.info for shard, rec in self._committed().shards.items()}

    def stop(self, reason: str) -> None:
        """Note that the run was stopped on purpose, and why."""
        said = canonical({"reason": reason, "stopped_at": utc_now()})
        self._publish(f"{self._folder}/stopped.json", said)

    def resume(self) -> None:
        """Forget that the run was stopped."""
        self._files.unlink(f"{self._folder}/stopped.json")

    def _open(self, root: str | Path, run_id: str) -> None:
        self.store = root
        self._files = files_at(root)
        self._folder = run_folder(run_id)
        self._known: Committed = Committed()

    def _committed(self) -> Committed:
        self._known = read_committed(self._files, self._folder, known=self._known)
        return self._known

    def _make_store(self) -> None:
        self._files.make_root()
        is_store = self._files.exists(FORMAT)
        if is_store:
            raise_format(self._files)
        prepare(self._files, self._folder)
        if not is_store:
            self._publish(FORMAT, format_bytes())

    def _settle(self, plan: Plan) -> Plan:
        """The plan that this run goes by: the one it has, or else this one."""
        path = f"{self._folder}/plan.json"
        if self._publish(path, plan_to_bytes(plan)):
            return plan
        return self._settled(plan)

    def _settled(self, plan: Plan) -> Plan:
        path = f"{self._folder}/plan.json"
        settled = plan_from_bytes(self._files.read(path), path=self._files.where(path))
        differing = differences(settled.identity, plan.identity)
        if differing:
            raise StoreError(
                f"run {plan.run_id!r} in {self.store} has another configuration: "
                f"{', '.join(differing)}; give the same options, or another --run name"
            )
        return settled

    def _publish(self, path: str, data: bytes) -> bool:
        return publish(self._files, path, data, tmp=f"{self._folder}/tmp")
