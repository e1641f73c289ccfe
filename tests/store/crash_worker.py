"""A process for test_crashes.py to kill: sweeps, compacts or repairs a small store.

`python crash_worker.py STORE WHAT SEED`; prints each shard that it has committed.
"""

import random
import sys
from collections.abc import Callable

from flowglass.store.compact import compact
from flowglass.store.run import RunWriter
from flowglass.store.verify import verify
from tests.store.builders import commit_shard, make_plan

N_SHARDS = 12


def sweep(store: str, chance: random.Random) -> None:
    """Commit every shard that is missing, in any order."""
    writer = RunWriter(store, make_plan(n_shards=N_SHARDS))
    todo = sorted(set(range(N_SHARDS)) - writer.committed())
    for shard in chance.sample(todo, len(todo)):
        if commit_shard(writer, shard):
            print(shard, flush=True)


def compaction(store: str, chance: random.Random) -> None:
    """Merge in small steps and remove what is superseded at once."""
    for target_rows in (8, 16, 100):
        compact(store, target_rows=target_rows, grace=0)


def repair(store: str, chance: random.Random) -> None:
    """Drop whatever is damaged."""
    verify(store, repair=True)


WORK: dict[str, Callable[[str, random.Random], None]] = {
    "sweep": sweep,
    "compaction": compaction,
    "repair": repair,
}

if __name__ == "__main__":
    store, what, seed = sys.argv[1:]
    print("ready", flush=True)
    WORK[what](store, random.Random(int(seed)))
