"""Which routes are read of a long run, and what a position is in its prompt."""

import json
from collections.abc import Iterator

import duckdb
import pytest

from flowglass.datasets.catalog import BUILTIN, load
from flowglass.store import open_store
from flowglass.store.aggregate_routes import aggregate_routes
from flowglass.store.errors import StoreError
from flowglass.store.position_roles import SLOTS
from flowglass.store.route_sample import route_sample
from flowglass.store.run import RunWriter
from flowglass.store.store import Store

from .builders import make_plan, rows
from .role_prompts import hand_made


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """The two prompts again and again, in eight shards of 11 route edges."""
    root = tmp_path_factory.mktemp("store")
    writer = RunWriter(root, make_plan(n_shards=8))
    for shard in range(8):
        ids = [2 * shard, 2 * shard + 1]
        tables = {
            name: rows(name, *({**r, "prompt_id": ids[r["prompt_id"]]} for r in some))
            for name, some in hand_made().items()
        }
        info = {"n_prompts": 2, "n_tokens": 14, "n_quarantined": 0}
        assert writer.commit(shard, tables, prompt_ids=ids, info=info)
    with open_store(root) as store:
        yield store


def test_a_long_run_is_read_in_part(long: Store) -> None:
    """As many shards as the rows allow, evenly from all of the run; and it says so."""
    whole = route_sample(long, "tiny")
    part = route_sample(long, "tiny", most_rows=25)

    assert (whole.is_whole, whole.n_cohort, len(whole.files["routes"])) == (True, 16, 8)
    assert (part.is_whole, part.n_cohort, len(part.files["routes"])) == (False, 16, 2)
    assert aggregate_routes(long, whole).n_prompts == 16
    assert aggregate_routes(long, part).n_prompts == 4
    shards = [file.split("shard=")[1][:6] for file in part.files["routes"]]
    assert shards == ["000002", "000006"]


def test_of_a_shard_with_too_many_rows_a_part_counts(long: Store) -> None:
    """Some of the prompts of the middle shard, the same ones each time."""
    sample = route_sample(long, "tiny", most_rows=4)
    assert (sample.every, len(sample.files["routes"])) == (3, 1)
    found = [aggregate_routes(long, sample).n_prompts for _ in range(2)]
    assert found[0] == found[1] <= 2
    assert not sample.is_whole


def test_the_sum_of_all_shards_is_that_of_one(long: Store) -> None:
    """Frequencies and contributions of eight times the same prompts are the same."""
    one = aggregate_routes(long, route_sample(long, "tiny", most_rows=11)).edges
    eight = aggregate_routes(long, route_sample(long, "tiny")).edges
    for name in ("frequency", "contribution"):
        assert eight[name].to_pylist() == pytest.approx(one[name].to_pylist())
    assert eight["n_targets"].to_pylist() == [
        8 * n for n in one["n_targets"].to_pylist()
    ]


@pytest.mark.parametrize(
    ("text", "said", "expected"),
    [
        (
            "A b, a!",
            '"template": "{x} b, {x}!", "x": "a"',
            [("{x}", 0, 1), ("{x} 2", 5, 6)],
        ),
        (
            "So he ran",
            '"template": "{o}he {v}", "o": "so ", "v": "ran"',
            [("{o}", 0, 2), ("{v}", 6, 9)],
        ),
        (
            "He ran",
            '"template": "{o}he {v}", "o": "", "v": "ran"',
            [("{o}", 0, 0), ("{v}", 3, 6)],
        ),
        (
            "Zoë\U0001f600 ran",
            '"template": "{n} {v}", "n": "Zoë\U0001f600", "v": "ran"',
            [("{n}", 0, 4), ("{v}", 5, 8)],
        ),
        ("He left", '"template": "{o}he {v}", "o": "", "v": "ran"', []),
        ("He ran", '"template": "he {v}"', []),
        ("He ran", '"v": "ran"', []),
    ],
    ids=[
        "twice",
        "white space",
        "empty",
        "unicode",
        "other text",
        "no filling",
        "none",
    ],
)
def test_slots_are_found_in_the_text(
    text: str, said: str, expected: list[tuple[str, int, int]]
) -> None:
    """What a template was filled with, by character; nothing if it does not fit."""
    connection = duckdb.connect()
    connection.execute(
        "CREATE TABLE cohort AS SELECT 0 AS prompt_id, 'd' AS dataset, ? AS text, "
        "? AS metadata",
        [text, f"{{{said}}}"],
    )
    found = connection.execute(
        f"WITH {SLOTS} SELECT slot, char_start, char_end FROM slots ORDER BY char_start"
    )
    assert found.fetchall() == expected


def test_what_is_not_there_is_said(long: Store) -> None:
    """A category without prompts: no edge. A tau below the cutoff: one line."""
    nothing = aggregate_routes(long, route_sample(long, "tiny", category="none"))
    assert (nothing.n_targets, nothing.edges.num_rows, nothing.roles.num_rows) == (
        0,
        0,
        0,
    )
    with pytest.raises(StoreError, match=r"nothing below its cutoff 0[.]01"):
        aggregate_routes(long, route_sample(long, "tiny"), tau=0.005)
    with pytest.raises(StoreError, match="no run 'tny': did you mean tiny"):
        route_sample(long, "tny")


@pytest.mark.parametrize("task", sorted(set(BUILTIN) - {"sentences"}))
def test_built_in_prompts_name_their_slots(task: str) -> None:
    """Every prompt of every task with an answer is its template, filled."""
    prompts = load(task).prompts
    said = [json.dumps(dict(prompt.metadata)) for prompt in prompts]
    connection = duckdb.connect()
    connection.execute(
        "CREATE TABLE cohort AS SELECT unnest(range(len($1))) AS prompt_id, "
        "'d' AS dataset, unnest($1) AS text, unnest($2) AS metadata",
        [[prompt.text for prompt in prompts], said],
    )
    found = connection.execute(
        f"WITH {SLOTS} SELECT count(DISTINCT prompt_id) FROM slots"
    )
    assert found.fetchone() == (len(prompts),)
