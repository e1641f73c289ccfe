"""Is everything there, and right? What `flowglass verify` finds out, and repairs.

1. Records: whole, of this run's configuration, no prompt in two of them.
2. Files: there, with the bytes, checksum, rows and columns of their record.
3. Rows: no key twice, prompts of this shard alone, as many as were counted; prompts
   close, shares of a step sum to 1, and its edges to what is not below the cutoff.

Repair takes damaged records away and drops damaged shards, so that the next sweep does
just those again. Files that no record names go too, once nobody can be writing them.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from .blocks import drop_attempts
from .commit import GRACE
from .committed import Committed, numbered, read_committed
from .errors import StoreError
from .files import Files, Unreadable
from .layout import MODELS, RUNS, store_files
from .plan import Plan, plan_from_bytes
from .record import Block, Record
from .verify_records import damaged_records, forget, unnamed_files
from .verify_rows import wrong_rows


@dataclass(frozen=True)
class Damage:
    """One thing that is wrong, with the shards that have to be done again."""

    folder: str
    """Of the run or the model, relative to the store."""
    what: str
    shards: frozenset[int] = frozenset()
    mended: bool = False


@dataclass(frozen=True)
class Verified:
    """What was looked at, and found."""

    n_files: int
    n_rows: int
    damages: tuple[Damage, ...]
    unnamed: tuple[str, ...]
    """Files that no record names, left by a crash; in nobody's way."""
    dropped: Mapping[str, set[int]] = field(default_factory=dict)
    """What a repair took away, per folder of a run or model."""


def verify(
    store: str | Path,
    *,
    repair: bool = False,
    grace: float = GRACE,
    report: Callable[[str], None] = lambda line: None,
) -> Verified:
    """Look at every row of a store; with `repair`, drop the shards that are damaged.

    `report` is told every damage as it is found. Raises StoreError where there is no
    store, or its own files (not a run's) are damaged: those cannot be done again.
    """
    files = store_files(store)
    n_files = n_rows = 0
    damages: list[Damage] = []
    unnamed: list[str] = []
    dropped: dict[str, set[int]] = {}

    def note(damage: Damage) -> None:
        damages.append(damage)
        report(damage.what)

    for folder in _folders(files):
        broken = dict(damaged_records(files, folder))
        named = numbered(files, f"{folder}/commits") if broken else ()
        forgotten = {shard for shard, path in named if path in broken}
        for path, what in broken.items():
            note(Damage(folder, what, mended=repair))
            if repair:
                forget(files, path)
        try:
            plan = _plan(files, folder)
        except StoreError as error:
            note(Damage(folder, str(error)))
            continue
        committed = read_committed(files, folder, without=() if repair else broken)
        bad: set[str] = set()
        for what, twice in _wrong_together(plan, committed):
            mended = repair and bool(twice)
            note(Damage(folder, f"{files.where(folder)}: {what}", twice, mended))
            bad |= {u.attempt for u in committed.units if twice & {*_shards(u)}}
        waiting, seen = list(committed.units), set[str]()
        while waiting:
            unit = waiting.pop(0)
            seen.add(unit.attempt)
            found = list(wrong_rows(files, folder, unit, plan))
            if found:
                now = read_committed(
                    files, folder, known=committed, without=() if repair else broken
                )
                if unit.attempt not in {other.attempt for other in now.units}:
                    # It was merged or dropped meanwhile: look at what stands there.
                    waiting = [u for u in now.units if u.attempt not in seen]
                    continue
            n_files += len(unit.files)
            n_rows += sum(file.rows for file in unit.files)
            shards = frozenset(_shards(unit))
            for wrong in found:
                if isinstance(wrong, Unreadable):  # and perhaps whole: not dropped
                    note(Damage(folder, str(wrong)))
                    continue
                note(Damage(folder, wrong, shards, mended=repair))
                bad.add(unit.attempt)
        if repair and (bad or broken):  # an entry of the log even if no shard is bad:
            gone = drop_attempts(files, folder, bad)  # readers look anew
            forgotten -= committed.shards.keys()
            if plan is not None:
                forgotten &= set(range(plan.n_shards))
            dropped[folder] = gone | forgotten
        lost = unnamed_files(
            files, folder, grace=grace, without=() if repair else broken
        )
        if repair:
            files.unlink_all(lost)
        unnamed += lost
    return Verified(n_files, n_rows, tuple(damages), tuple(unnamed), dropped)


def _folders(files: Files) -> Iterator[str]:
    for above, prefix in ((RUNS, "run_id="), (MODELS, "model_hash=")):
        for name in files.listdir(above):
            if name.startswith(prefix):
                yield f"{above}/{name}"


def _plan(files: Files, folder: str) -> Plan | None:
    """A run's plan; None for a model, or for a run that is just being made."""
    path = f"{folder}/plan.json"
    if not folder.startswith(f"{RUNS}/"):
        return None
    if files.exists(path):
        return plan_from_bytes(files.read(path), path=files.where(path))
    if files.listdir(f"{folder}/commits"):
        raise StoreError(
            f"{files.where(path)} is missing: restore it from a copy, or move its run "
            f"out of the store"
        )
    return None


def _wrong_together(
    plan: Plan | None, committed: Committed
) -> Iterator[tuple[str, frozenset[int]]]:
    """What is wrong with records beside each other, and the shards to do again."""
    if plan is None:
        return
    seen: list[tuple[int, int, int]] = []
    for shard, record in committed.shards.items():
        if record.config_sha256 != plan.config_sha256:
            yield (
                f"shard {shard} was made with another configuration than plan.json "
                f"says: restore that file",
                frozenset[int](),
            )
        if shard >= plan.n_shards:
            yield (
                f"shard {shard} is none of the {plan.n_shards} that plan.json says: "
                f"restore that file, or move the run out of the store",
                frozenset[int](),
            )
        seen += [(start, stop, shard) for start, stop in record.prompts]
    seen.sort()
    for (_, stop, one), (start, _, other) in pairwise(seen):
        if start < stop:
            yield (
                f"shards {one} and {other} both hold prompt {start}",
                frozenset({one, other}),
            )


def _shards(unit: Record | Block) -> Iterator[int]:
    if isinstance(unit, Record):
        yield unit.shard
    else:
        yield from (record.shard for record in unit.shards)
