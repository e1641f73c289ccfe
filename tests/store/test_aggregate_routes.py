"""Routes in aggregate: by hand, and equal to counting one route at a time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from flowglass.store import open_store
from flowglass.store.aggregate_edge import RoleEdge, examples_of_edge, heads_of_edge
from flowglass.store.aggregate_routes import (
    EDGE_COLUMNS,
    ROLE_COLUMNS,
    aggregate_routes,
)
from flowglass.store.route_sample import route_sample
from flowglass.store.store import Store

from .builders import make_plan
from .hand_made import write
from .role_frames import EDGE, examples, graph_of, heads, measured
from .role_prompts import hand_made


@pytest.fixture(scope="module")
def real(real_store: Path) -> Iterator[Store]:
    """The two runs of bundled models."""
    with open_store(real_store) as store:
        yield store


@pytest.fixture(scope="module")
def hand(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """Two prompts, a name and a place in either order."""
    root = tmp_path_factory.mktemp("store")
    write(root, make_plan(n_shards=1), **hand_made())
    with open_store(root) as store:
        yield store


def test_roles_are_those_of_the_template(hand: Store) -> None:
    """Names line up wherever they stand; columns go from afar to the target."""
    roles = aggregate_routes(hand, route_sample(hand, "tiny")).roles

    assert roles.schema.names == list(ROLE_COLUMNS)
    assert [tuple(row.values()) for row in roles.to_pylist()] == [
        ("first token", 2, 3, 3, pytest.approx(17 / 3), "<s>", 1.0),
        ("other", 1, 1, 1, 5.0, " The", 1.0),
        ("{name}", 2, 3, 6, pytest.approx(19 / 6), "ry", 0.5),
        ("-3", 2, 2, 2, 3.0, " saw", 1.0),
        ("{place}", 2, 2, 2, 2.5, " park", 1.0),
        ("-2", 1, 2, 2, 2.0, " the", 0.5),
        ("-1", 1, 1, 1, 1.0, " the", 1.0),
        ("target", 2, 3, 3, 0.0, " .", pytest.approx(2 / 3)),
    ]


def test_an_edge_is_counted_where_it_could_be(hand: Store) -> None:
    """A name reads its start in one target of three, a place its name in the only one
    where the name comes first; what a state gets is the sum over heads and keys."""
    edges = hand.aggregate_routes("tiny").edges

    assert edges.schema.names == list(EDGE_COLUMNS)
    shown = ["kind", "query_role", "key_role", "n_prompts", "n_targets", "n_in_route"]
    found = [
        (*(row[name] for name in shown), row["frequency"], row["contribution"])
        for row in edges.to_pylist()
    ]
    near = pytest.approx
    assert found == [
        ("attn", "target", "{name}", 2, 3, 2, near(2 / 3), near(0.45)),
        ("attn", "{name}", "first token", 2, 3, 1, near(1 / 3), near(0.3)),
        ("attn", "{place}", "{name}", 1, 1, 1, 1.0, near(0.25)),
        ("resid", "target", "target", 2, 3, 3, 1.0, near(0.7)),
    ]


def test_intervals_hold_prompts_for_independent(hand: Store) -> None:
    """One prompt has the edge at 1 of its 2 targets, the other at its only one: that
    tells as much as so many targets of their own; always there, as the prompts."""
    edges = aggregate_routes(hand, route_sample(hand, "tiny")).edges.to_pylist()
    to_name, resid = edges[0], edges[-1]

    p = 2 / 3
    variance = ((1 - 2 * p) ** 2 + (1 - p) ** 2) / 3**2
    for row, share, n in (to_name, p, p * (1 - p) / variance), (resid, 1.0, 2):
        low, high = wilson(share, min(n, 3))
        assert row["frequency_low"] == pytest.approx(low)
        assert row["frequency_high"] == pytest.approx(high)
        assert row["contribution_low"] is row["contribution_high"] is None


def wilson(share: float, n: float) -> tuple[float, float]:
    """Where (share - p)^2 = z^2 p (1 - p) / n: the roots of Wilson's equation."""
    zz = 1.959963984540054**2
    low, high = sorted(np.roots([1 + zz / n, -(2 * share + zz / n), share**2]))
    return low, high


@pytest.mark.parametrize("run", ["gpt2", "llama"])
@pytest.mark.parametrize("dataset", ["ioi", "induction", None])
@pytest.mark.parametrize("tau", [0.01, 0.08])
def test_it_equals_counting_prompt_by_prompt(
    real: Store, run: str, dataset: str | None, tau: float
) -> None:
    """On real routes, in Python: the same edges, numbers and intervals."""
    sample = route_sample(real, run, dataset=dataset)

    found = aggregate_routes(real, sample, tau=tau)

    expected = graph_of(real, run, dataset, tau)
    assert found.n_targets == expected.n_targets
    assert found.n_prompts == expected.n_prompts == sample.n_cohort
    frame = found.edges.to_pandas().set_index(EDGE)
    assert len(frame) == len(expected.edges) > 20
    for key, row in expected.edges.items():
        for name, value in row.items():
            assert frame.loc[key, name] == pytest.approx(value, nan_ok=True), (
                key,
                name,
            )


@pytest.mark.parametrize("share", [0.15, 0.5, 0.9])
def test_intervals_cover_what_is_true(share: float) -> None:
    """Of 400 runs, 92 to 98 percent; a prompt's one to four targets are alike.

    By the formulas of `role_frames.measured`, which the store's are equal to.
    """
    chance = np.random.default_rng(int(100 * share))
    covered = np.zeros(2)
    for _ in range(400):
        possible, means = [], {}
        for prompt_id in range(80):
            often = chance.beta(4 * share, 4 * (1 - share))
            level = chance.normal(0.3, 0.05)
            for at in range(chance.integers(1, 5)):
                possible.append((prompt_id, at))
                if chance.random() < often:
                    means[prompt_id, at] = level + chance.normal(0, 0.03)
        row = measured(possible, means)
        for i, (name, true) in enumerate([("frequency", share), ("contribution", 0.3)]):
            covered[i] += row[f"{name}_low"] < true < row[f"{name}_high"]
    assert (covered / 400 >= 0.92).all(), covered
    assert (covered / 400 <= 0.98).all(), covered


def test_the_query_that_comes_with_it_gives_the_same(real: Store) -> None:
    """Over the views, to be pasted into a notebook or the SQL page."""
    sample = route_sample(real, "llama", dataset="ioi")
    found = aggregate_routes(real, sample)
    again = real.table(found.sql)
    for column in found.edges.schema.names:
        if found.edges[column].type == pa.float64():
            close = np.testing.assert_allclose
            close(again[column].to_numpy(), found.edges[column].to_numpy())
        else:
            assert again[column].equals(found.edges[column])


def test_an_edge_stands_for_heads_and_prompts(real: Store) -> None:
    """Each head with how often it is there, each prompt with its strongest instance."""
    sample = route_sample(real, "gpt2", dataset="ioi")
    graph = aggregate_routes(real, sample, tau=0.02)
    row = max(
        (row for row in graph.edges.to_pylist() if row["kind"] == "attn"),
        key=lambda row: row["n_in_route"],
    )
    key = RoleEdge(**{name: row[name] for name in EDGE})

    of_heads = heads_of_edge(
        real, sample, key, n_targets=row["n_targets"], tau=0.02
    ).table.to_pylist()
    in_prompts = examples_of_edge(real, sample, key, tau=0.02).table.to_pylist()

    expected = heads(real, "gpt2", "ioi", 0.02, key)
    assert {row["head"]: row["n_in_route"] for row in of_heads} == {
        head: n for head, (n, _) in expected.items()
    }
    for found in of_heads:
        assert found["contribution"] == pytest.approx(expected[found["head"]][1])
        assert found["frequency"] == found["n_in_route"] / row["n_targets"]
    assert [tuple(found.values()) for found in in_prompts] == examples(
        real, "gpt2", "ioi", 0.02, key
    )
    assert len(in_prompts) == 6
