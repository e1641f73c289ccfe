"""activation_frequency: the same as counting `importance`, target by target."""

from pathlib import Path

import numpy as np
import pytest

from flowglass.store import open_store
from flowglass.store.errors import StoreError
from flowglass.store.run import RunWriter

from .builders import N_HEADS, N_LAYERS, make_plan, write_run
from .test_rollup import made_up, rolled_up

DIRECTLY = """
    WITH component AS (
        SELECT layer::SMALLINT AS layer, component, index::INTEGER AS index
        FROM range({layers}) l(layer), (
            SELECT 'head' AS component, unnest(range({heads})) AS index
            UNION ALL SELECT 'ffn', 0
        )
    ), traced AS (
        SELECT prompt_id, target FROM targets JOIN prompts USING (run_id, prompt_id)
        WHERE run_id = 'tiny' AND ($category IS NULL OR category = $category)
    ), here AS (FROM importance WHERE run_id = 'tiny')
    SELECT layer, component, index, count(*) AS n_targets,
           count(*) FILTER (survives_at > $tau) AS n_in_route
    FROM traced CROSS JOIN component
    LEFT JOIN here USING (prompt_id, target, layer, component, index)
    GROUP BY ALL ORDER BY layer, component DESC, index
"""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three shards in three groups of prompts, and another run beside them."""
    root = tmp_path_factory.mktemp("store")
    writer = RunWriter(root, make_plan())
    for shard in range(3):
        ids = range(20 * shard, 20 * shard + 20)
        tables = made_up(ids, seed=shard)
        tables["component_stats"] = rolled_up(tables)
        counts = {"n_prompts": 20, "n_tokens": 60, "n_quarantined": 0}
        writer.commit(shard, tables, prompt_ids=ids, info=counts)
    write_run(root, make_plan("other", cutoff=0.05))
    return root


@pytest.mark.parametrize("category", [None, "a"])
@pytest.mark.parametrize("tau", [0.01, 0.02, 0.04, 0.08])
def test_it_equals_counting_importance(
    root: Path, tau: float, category: str | None
) -> None:
    """At every tau, of all prompts (those without a category too) and of a category."""
    query = DIRECTLY.format(layers=N_LAYERS, heads=N_HEADS)
    with open_store(root) as store:
        found = store.activation_frequency("tiny", tau=tau, category=category)
        counted = store.table(query, {"tau": tau, "category": category})
    assert found.select(counted.column_names).to_pylist() == counted.to_pylist()
    assert 0 < max(found["n_in_route"].to_pylist()) < found["n_targets"][0].as_py()


def test_share_and_standard_error(root: Path) -> None:
    """n_in_route of n_targets, as of so many independent throws of a coin."""
    with open_store(root) as store:
        found = store.activation_frequency("tiny")
    n, k = found["n_targets"].to_numpy(), found["n_in_route"].to_numpy()
    throws = [np.arange(of) < each for each, of in zip(k, n, strict=True)]
    np.testing.assert_allclose(found["share"], [t.mean() for t in throws])
    errors = [t.std() / np.sqrt(len(t)) for t in throws]
    np.testing.assert_allclose(found["standard_error"], errors)


def test_it_follows_the_shards(tmp_path: Path) -> None:
    """No row before the first; then of the targets that are there."""
    writer = write_run(tmp_path, make_plan(), shards=range(0))
    with open_store(tmp_path) as store:
        empty = store.activation_frequency("tiny")
        assert empty.num_rows == 0
        for shard in (2, 0):
            write_run(tmp_path, writer.plan, shards=range(shard, shard + 1))
            store.refresh()
            found = store.activation_frequency("tiny")
            assert found.schema.names == empty.schema.names
            assert found.num_rows == N_LAYERS * (N_HEADS + 1)
        assert set(found["n_targets"].to_pylist()) == {4}


@pytest.mark.parametrize(
    ("run", "tau", "message"),
    [
        ("tiny", 0.03, "not counted at tau 0.03: choose of 0.01, 0.02, 0.04, 0.08"),
        ("other", 0.04, "nothing below its cutoff 0.05"),
        ("tny", 0.04, "no run 'tny': did you mean tiny"),
    ],
)
def test_what_is_not_known_is_refused(
    root: Path, run: str, tau: float, message: str
) -> None:
    """In one line that says what there is."""
    with open_store(root) as store, pytest.raises(StoreError, match=message):
        store.activation_frequency(run, tau=tau)
