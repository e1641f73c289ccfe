"""The product against the independent float64 reference: every number, every route."""

import math
from collections.abc import Iterator
from typing import NamedTuple

import pyarrow as pa
import pytest
from transformers import PreTrainedModel

from flowglass.pipeline import Trace, trace

from . import hand_built, reference, reference_readout, reference_tables
from .hand_built import Known
from .reference_forward import Forward, forward
from .reference_routes import Edge, importance, route, survives_at
from .tiny_models import TINY_MODELS, random_tokens

TAUS = (0.01, 0.02, 0.04, 0.08)
TOLERANCE = 1e-5


class Traced(NamedTuple):
    """What the product and the reference say of one prompt."""

    trace: Trace
    forward: Forward
    contributions: reference.Contributions


@pytest.fixture(scope="module", params=sorted(TINY_MODELS))
def traced(request: pytest.FixtureRequest) -> Traced:
    """A tiny model with random biases and gains: everything kept, in full precision."""
    model = TINY_MODELS[request.param]()
    ids = random_tokens(14, seed=len(request.param))
    run = forward(model, ids)
    return Traced(
        trace(model, ids, cutoff=0, precision="full", targets="all"),
        run,
        reference.contributions(run),
    )


@pytest.fixture(scope="module")
def survivors(traced: Traced) -> list[dict[Edge, float]]:
    """The reference's `survives_at` of every edge, for every target."""
    edges = reference_tables.edges(traced.contributions)
    n_layers = len(traced.forward.layers)
    return [
        survives_at(edges, target, n_layers=n_layers)
        for target in range(len(traced.forward.token_ids))
    ]


def rows_by_edge(table: pa.Table, value: str) -> dict[Edge, float]:
    """A column of `edges` or of a route, by the edge's key."""
    keys = zip(*(table[name].to_pylist() for name in Edge._fields), strict=True)
    return dict(
        zip((Edge(*key) for key in keys), table[value].to_pylist(), strict=True)
    )


def test_every_contribution_agrees(traced: Traced) -> None:
    """With cutoff 0 the stored parts are all parts, each within 1e-5."""
    found = rows_by_edge(traced.trace.edges, "contribution")

    expected = reference_tables.edges(traced.contributions)

    assert found.keys() == expected.keys()
    assert found == pytest.approx(expected, abs=TOLERANCE)


def test_attention_is_the_raw_probability(traced: Traced) -> None:
    """`edges.attention` is the probability for heads and null for other kinds."""
    for edge, probability in rows_by_edge(traced.trace.edges, "attention").items():
        if edge.head is None:
            assert probability is None
        else:
            layer = traced.forward.layers[edge.layer]
            expected = layer.attention[edge.head, edge.query, edge.key]
            assert probability == pytest.approx(float(expected), abs=TOLERANCE)


def test_steps_agree(traced: Traced) -> None:
    """Totals by kind and the bias's own contribution agree at every step."""
    expected = reference_tables.steps(traced.contributions, cutoff=0)

    for row in traced.trace.steps.to_pylist():
        due = expected[row["layer"], row["step"], row["query"]]
        assert {k: row[k] for k in due} == pytest.approx(due, abs=TOLERANCE)


def test_heads_agree(traced: Traced) -> None:
    """A head's mean contribution, and its share on every kind of source."""
    expected = reference_tables.heads(traced.contributions, traced.forward.token_ids)

    rows = traced.trace.heads.to_pylist()

    assert len(rows) == len(expected)
    for row in rows:
        due = expected[row["layer"], row["head"]]
        assert {k: row[k] for k in due} == pytest.approx(due, abs=TOLERANCE)


def differing(
    found: set[Edge], due: set[Edge], margins: dict[Edge, float]
) -> set[Edge]:
    """Edges in one of the routes only, but for those within 1e-5 of the threshold."""
    return {edge for edge in found ^ due if margins[edge] > TOLERANCE}


@pytest.mark.parametrize("tau", TAUS)
def test_every_route_agrees(
    traced: Traced, survivors: list[dict[Edge, float]], tau: float
) -> None:
    """From every position the route has the reference's edges, by graph search."""
    edges = reference_tables.edges(traced.contributions)
    n_layers = len(traced.forward.layers)

    for target, survives in enumerate(survivors):
        due = route(edges, target, n_layers=n_layers, tau=tau)
        margins = {edge: abs(s - tau) for edge, s in survives.items()}
        found = rows_by_edge(traced.trace.route(target, tau), "survives_at")
        assert not differing(set(found), due, margins)
        for edge, s in found.items():
            assert s == pytest.approx(survives[edge], abs=TOLERANCE)


def test_stored_routes_and_importance_agree(
    traced: Traced, survivors: list[dict[Edge, float]]
) -> None:
    """`routes` and `importance` are those of the stored targets."""
    edges = reference_tables.edges(traced.contributions)
    target, survives = len(survivors) - 1, survivors[-1]
    table = traced.trace.routes
    stored = rows_by_edge(
        table.filter(pa.compute.equal(table["target"], target)), "survives_at"
    )
    for edge in stored.keys() | survives.keys():
        due = survives.get(edge, 0)
        assert stored.get(edge, 0) == pytest.approx(due, abs=TOLERANCE)

    expected = importance(edges, survives, tau=0)
    rows = [r for r in traced.trace.importance.to_pylist() if r["target"] == target]
    assert len(rows) == len(expected)
    for row in rows:
        total, highest = expected[row["layer"], row["component"], row["index"]]
        assert row["contribution"] == pytest.approx(total, abs=TOLERANCE)
        assert row["survives_at"] == pytest.approx(highest, abs=TOLERANCE)


def test_tokens_and_targets_agree(traced: Traced) -> None:
    """Probabilities, ranks and entropies are those of the model's own output."""
    tokens = traced.trace.tokens.to_pylist()
    for row, due in zip(tokens, reference_readout.tokens(traced.forward), strict=True):
        for name, value in due._asdict().items():
            assert row[name] == (
                value if value is None else pytest.approx(value, abs=1e-4)
            )
    for row in traced.trace.targets.to_pylist():
        due_row = reference_readout.target(traced.forward, row["target"])
        assert row["predicted_token_id"] == due_row["predicted_token_id"]
        assert row["predicted_prob"] == pytest.approx(
            due_row["predicted_prob"], abs=1e-4
        )


def test_rounding_and_cutoff_agree() -> None:
    """Stored values are rounded once; the cutoff sees the rounded one."""
    model, ids = TINY_MODELS["gpt2"](), random_tokens(14, seed=4)
    contribs = reference.contributions(forward(model, ids))

    t = trace(model, ids, cutoff=0.01)
    found = rows_by_edge(t.edges, "contribution")

    due = reference_tables.edges(contribs, cutoff=0.01, stored=reference_tables.rounded)
    for edge in found.keys() | due.keys():
        # A value near a rounding boundary may fall to either side of it.
        assert found.get(edge, 0.01) == pytest.approx(due.get(edge, 0.01), rel=2**-7)
    exact = reference_tables.steps(
        contribs, cutoff=0.01, stored=reference_tables.rounded
    )
    for row in t.steps.to_pylist():
        below = exact[row["layer"], row["step"], row["query"]]["below_cutoff"]
        assert row["below_cutoff"] == pytest.approx(below, abs=1.1e-2)
        of_step = [
            value
            for edge, value in found.items()
            if (edge.layer, edge.step, edge.query)
            == (row["layer"], row["step"], row["query"])
        ]
        assert math.fsum(of_step) + row["below_cutoff"] == pytest.approx(1, abs=4e-3)
        assert row["resid"] + row["attn"] + row["ffn"] == pytest.approx(1, abs=4e-3)


# --- weights set by hand --------------------------------------------------------------


@pytest.fixture(params=["induction", "copying", "cancelling most", "cancelling all"])
def known(request: pytest.FixtureRequest) -> Iterator[Known]:
    """Models whose contributions are known on paper."""
    if request.param.startswith("cancelling"):
        yield hand_built.cancelling(1.0 if request.param.endswith("all") else 0.75)
    else:
        yield getattr(hand_built, request.param)()


def run_known(known: Known) -> Trace:
    model: PreTrainedModel = known.model
    return trace(model, known.token_ids, cutoff=0, precision="full")


def test_hand_built_contributions(known: Known) -> None:
    """Every edge has the contribution worked out on paper, every other edge none."""
    t = run_known(known)

    for edge, value in rows_by_edge(t.edges, "contribution").items():
        assert value == pytest.approx(known.contributions.get(edge, 0), abs=1e-6), edge
    for row in t.steps.to_pylist():
        at = (row["layer"], row["step"], row["query"])
        if at in known.bias:
            assert row["bias"] == pytest.approx(known.bias[at], abs=1e-6)


def test_induction_route() -> None:
    """The route of the induced token goes through the two heads, and no idle one."""
    known = hand_built.induction()
    t = run_known(known)

    found = rows_by_edge(t.route(threshold=0.04), "survives_at")

    assert found.keys() == known.survives_at.keys()
    assert found == pytest.approx(known.survives_at, abs=1e-6)
    assert t.targets["predicted_token_id"].to_pylist() == [known.predicted]
