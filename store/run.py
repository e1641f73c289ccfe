"""Writing a run: its plan once, then its shards, in any order, each exactly once."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .commit import (
    Payload,
    collect_stale,
    commit,
    committed_shards,
    prepare,
    publish,
    read_records,
)
from .errors import StoreError
from .files import LocalFiles
from .layout import FORMAT, check_format, format_bytes, run_folder
from .plan import Plan, differences, plan_from_bytes, plan_to_bytes, run_id_of
from .record import Record, canonical, utc_now
from .schema import TABLES

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

    def __init__(self, root: str | Path, plan: Plan) -> None:
        """Create the run, or open it again if it has the same identity."""
        if not _RUN_ID.fullmatch(plan.run_id):
            raise StoreError(
                f"run name {plan.run_id!r}: use up to 200 letters, digits and . _ + -"
            )
        self.root = Path(root)
        self._files = LocalFiles(self.root)
        self._folder = run_folder(plan.run_id)
        self._records: dict[int, Record] = {}
        self._make_store()
        self.plan = self._settle(plan)
        collect_stale(self._files, self._folder)

    def committed(self) -> set[int]:
        """The shards that are done, whoever did them."""
        return committed_shards(self._files, self._folder)

    def commit(
        self,
        shard: int,
        tables: Mapping[str, "pa.Table"],
        *,
        prompt_ids: Sequence[int],
        info: Mapping[str, Any],
    ) -> bool:
        """Commit one shard's tables together; False if another writer has done so."""
        from .parquet import to_parquet

        assert 0 <= shard < self.plan.n_shards, shard
        assert set(COUNTED) <= info.keys(), info
        payloads = {
            name: Payload(to_parquet(TABLES[name], rows), rows.num_rows)
            for name, rows in tables.items()
            if rows.num_rows
        }
        return commit(
            self._files,
            self._folder,
            shard=shard,
            tables=payloads,
            config_sha256=self.plan.config_sha256,
            prompt_ids=prompt_ids,
            info=info,
            committed_at=utc_now(),
        )

    def totals(self) -> dict[str, int]:
        """`n_prompts`, `n_tokens` and `n_quarantined` of all committed shards."""
        self._records = read_records(self._files, self._folder, known=self._records)
        return {
            name: sum(record.info[name] for record in self._records.values())
            for name in COUNTED
        }

    def infos(self) -> dict[int, Mapping[str, Any]]:
        """What was noted of every committed shard."""
        records = read_records(self._files, self._folder, known=self._records)
        return {shard: record.info for shard, record in records.items()}

    def stop(self, reason: str) -> None:
        """Note that the run was stopped on purpose, and why."""
        said = canonical({"reason": reason, "stopped_at": utc_now()})
        self._publish(f"{self._folder}/stopped.json", said)

    def resume(self) -> None:
        """Forget that the run was stopped."""
        self._files.unlink(f"{self._folder}/stopped.json")

    def _make_store(self) -> None:
        if self.root.exists() and not self.root.is_dir():
            raise StoreError(f"the store {self.root} is a file: give a folder")
        self._files.make_root()
        is_store = (self.root / FORMAT).exists()
        if is_store:
            check_format(self.root)
        prepare(self._files, self._folder)
        if not is_store:
            self._publish(FORMAT, format_bytes())

    def _settle(self, plan: Plan) -> Plan:
        """The plan that this run goes by: the one it has, or else this one."""
        path = f"{self._folder}/plan.json"
        if self._publish(path, plan_to_bytes(plan)):
            return plan
        settled = plan_from_bytes(self._files.read(path), path=f"{self.root / path}")
        differing = differences(settled.identity, plan.identity)
        if differing:
            raise StoreError(
                f"run {plan.run_id!r} in {self.root} has another configuration: "
                f"{', '.join(differing)}; give the same options, or another --run name"
            )
        return settled

    def _publish(self, path: str, data: bytes) -> bool:
        return publish(self._files, path, data, tmp=f"{self._folder}/tmp")
