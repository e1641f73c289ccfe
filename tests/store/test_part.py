"""A part of a run is a store of some of its shards, evenly spread."""

from collections import Counter
from pathlib import Path

import pytest

from flowglass.store import StoreError, open_store
from flowglass.store.compact import compact
from flowglass.store.part import n_prompts_of
from flowglass.store.store import Store

from .builders import make_plan, write_run

N_SHARDS = 12
ONE = "SELECT prompt_id FROM prompts WHERE run_id = 'run' ORDER BY prompt_id"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A run of twelve shards, and another."""
    write_run(tmp_path, make_plan("run", n_shards=N_SHARDS))
    write_run(tmp_path, make_plan("other"))
    with open_store(tmp_path) as opened:
        yield opened


def prompts(store: Store) -> list[int]:
    """The prompts of the run that a store shows."""
    return store.table(ONE)["prompt_id"].to_pylist()


def test_it_holds_whole_shards_from_all_over_the_run(store: Store) -> None:
    """With all tables of these, and nothing of the others or of another run."""
    everything = prompts(store)
    n = len(everything)
    part = store.sample("run", prompts=n // 3)

    some = prompts(part)

    assert n / 4 <= len(some) <= n / 2
    assert set(some) < set(everything)
    assert n_prompts_of(part.snapshot.runs["run"]) == len(some)
    thirds = Counter(everything.index(each) * 3 // n for each in some)
    assert set(thirds) == {0, 1, 2}
    assert part.runs()["run_id"].to_pylist() == ["run"]
    ids = ", ".join(map(str, some))
    for table in ("prompts", "edges", "heads"):
        of_these = (
            f"SELECT * FROM {table} WHERE run_id = 'run' AND prompt_id IN ({ids})"
        )
        kept = store.table(f"{of_these} ORDER BY ALL")
        assert part.table(f"FROM {table} ORDER BY ALL").equals(kept)


def test_a_run_that_is_small_is_read_whole(store: Store) -> None:
    """By the store itself."""
    assert store.sample("run") is store
    assert store.sample("run", prompts=len(prompts(store))) is store


def test_it_is_made_once_and_made_anew_when_the_run_has_grown(tmp_path: Path) -> None:
    """What somebody holds does not change under their hands."""
    write_run(tmp_path, make_plan("run", n_shards=N_SHARDS), shards=range(6))
    with open_store(tmp_path) as store:
        part = store.sample("run", prompts=3)
        assert store.sample("run", prompts=3) is part
        before = prompts(part)

        write_run(tmp_path, make_plan("run", n_shards=N_SHARDS), shards=range(6, 12))
        store.refresh()

        assert not part.refresh()
        assert prompts(part) == before
        assert store.sample("run", prompts=3) is not part


def test_merged_shards_are_parts_too(store: Store, tmp_path: Path) -> None:
    """A block is taken whole."""
    n = len(prompts(store))
    compact(tmp_path, target_rows=store.table("FROM prompts").num_rows // 3)
    store.refresh()
    assert len(store.snapshot.runs["run"].committed.blocks) > 1

    some = prompts(store.sample("run", prompts=n // 2))

    assert 0 < len(some) < n


def test_it_ends_with_its_store(tmp_path: Path) -> None:
    """And a run that there is not is told."""
    write_run(tmp_path, make_plan("run", n_shards=N_SHARDS))
    with open_store(tmp_path) as store:
        with pytest.raises(StoreError, match="no run 'gone'"):
            store.sample("gone")
        part = store.sample("run", prompts=1)
    with pytest.raises(Exception, match="losed"):
        prompts(part)
