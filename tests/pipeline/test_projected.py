"""Which states and writes are read in tokens, and how many tokens of each."""

import pyarrow as pa
import pytest
import torch

from flowglass.pipeline import Trace, projections, trace

from . import hand_built, reference, reference_tables
from .reference_forward import forward
from .reference_routes import Node, destination, origin, route, survives_at
from .tiny_models import TINY_MODELS, VOCAB, random_tokens, tiny_gpt2
from .top_lists import assert_leads, grid, where

TAU = 0.04


def keys(table: pa.Table, *columns: str) -> set[tuple[int | str, ...]]:
    """The different values of some columns."""
    return set(zip(*(table[name].to_pylist() for name in columns), strict=True))


def state_of(node: Node) -> tuple[int, str, int]:
    """(layer, state, position) as `lens` names a node of a route."""
    kind, layer, position = node
    return (layer, "embed" if layer == -1 else kind, position)


def by_key(t: Trace, table: str) -> dict[tuple[object, ...], dict[str, object]]:
    """The rows by everything in them but their measures."""
    return {
        tuple(value for value in row.values() if not isinstance(value, float)): row
        for row in getattr(t, table).to_pylist()
    }


@pytest.mark.parametrize("targets", ["last", "all"])
@pytest.mark.parametrize("name", sorted(TINY_MODELS))
def test_routes_choose_states_and_writes(name: str, targets: str) -> None:
    """By default: the nodes, the heads, the FFNs and the neurons of routes at 0.04."""
    model, ids = TINY_MODELS[name](), random_tokens(12, seed=len(name))
    contribs = reference.contributions(forward(model, ids))
    edges = reference_tables.edges(contribs)
    n_layers = model.config.num_hidden_layers
    ends = range(len(ids)) if targets == "all" else [len(ids) - 1]
    for end in ends:
        survives = survives_at(edges, end, n_layers=n_layers).values()
        assert min(abs(s - TAU) for s in survives) > 1e-6, "too close to call"
    shown = set().union(*(route(edges, t, n_layers=n_layers, tau=TAU) for t in ends))
    assert len(shown) < len(edges) / 2, "a route that leaves nothing out"

    t = trace(model, ids, targets=targets, precision="full", cutoff=0)

    states = {state_of(end(edge)) for edge in shown for end in (origin, destination)}
    heads = {(e.layer, "head", e.head, e.query) for e in shown if e.kind == "attn"}
    blocks = {(e.layer, e.kind, 0, e.query) for e in shown if e.kind in ("attn", "ffn")}
    neurons = {
        (at.layer, "neuron", part.unit, at.query)
        for at, parts in contribs.items()
        for part, value in parts.items()
        if part.kind == "neuron"
        and value > TAU
        and (at.layer, "ffn", 0, at.query) in blocks
    }
    assert heads
    assert neurons
    assert keys(t.lens, "layer", "state", "position") == states
    found = keys(t.writes, "layer", "component", "index", "position")
    assert found == heads | blocks | neurons


def test_chosen_rows_are_those_of_all() -> None:
    """What routes choose is stored as it is when everything is stored."""
    model, ids = tiny_gpt2(), random_tokens(12, seed=3)

    some, everything = (
        trace(model, ids, project=project) for project in ("routes", "all")
    )

    for table in ("lens", "writes"):
        rows, chosen = by_key(everything, table), by_key(some, table)
        assert 0 < len(chosen) < len(rows)
        for at, row in chosen.items():
            assert row == pytest.approx(rows[at], abs=1e-5)


def test_none_drops_lens_and_writes_only() -> None:
    """Without projections there still are neurons and logit attribution."""
    model, ids = tiny_gpt2(), random_tokens(12, seed=3)

    without, default = (
        trace(model, ids, project=project) for project in ("none", "routes")
    )

    assert without.lens.num_rows == without.writes.num_rows == 0
    assert without.neurons == default.neurons
    assert without.logit_attribution == default.logit_attribution
    assert without.neurons.num_rows > 0
    assert without.logit_attribution.num_rows > 0


def test_top_tokens_and_neurons_are_limits() -> None:
    """Three tokens of every list and two neurons of every position, if asked for; of
    `neuron_vocab`, which is the model's and no run's, always ten."""
    model, ids = tiny_gpt2(), random_tokens(8, seed=3)

    t = trace(model, ids, cutoff=0, project="all", top_tokens=3, neurons=2)

    for table in (t.lens, t.writes):
        assert set(table["rank"].to_pylist()) == {0, 1, 2}
    assert set(t.neuron_vocab["rank"].to_pylist()) == set(range(10))
    assert set(t.neurons["rank"].to_pylist()) == {0, 1}
    written, stored, attributed = (
        keys(rows, "layer", name, position)
        for rows, name, position in (
            (where(t.writes, component="neuron"), "index", "position"),
            (t.neurons, "neuron", "position"),
            (where(t.logit_attribution, component="neuron"), "index", "target"),
        )
    )
    assert written == stored
    assert attributed == {at for at in stored if at[2] == len(ids) - 1}


# --- all tokens -----------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(TINY_MODELS))
def test_the_last_states_lens_is_the_models_output(name: str) -> None:
    """Above the last layer every token has the logit that the model itself gives it."""
    model, ids = TINY_MODELS[name](), random_tokens(10, seed=5)
    with torch.inference_mode():
        own = model(torch.tensor([ids])).logits[0]

    t = trace(model, ids, project="all", top_tokens=VOCAB)
    rows = where(t.lens, layer=model.config.num_hidden_layers - 1, state="post")

    axes = ("position", "rank")
    token = torch.from_numpy(grid(rows, "token_id", *axes)).long()
    logit = torch.from_numpy(grid(rows, "logit", *axes))
    assert token.shape == own.shape
    assert (logit - own.gather(-1, token)).abs().max() <= 1e-4
    assert_leads(token.numpy(), own)


def test_equals_are_in_the_order_of_their_ids() -> None:
    """A head that writes nothing moves no token: the lowest ids are listed."""
    known = hand_built.induction()
    layer, head = known.idle_heads[0]

    t = trace(known.model, known.token_ids, project="all", top_tokens=4)
    rows = where(t.writes, layer=layer, component="head", index=head)

    assert rows.num_rows == 2 * 4 * len(known.token_ids)
    assert set(rows["score"].to_pylist()) == {0.0}
    assert rows["token_id"].to_pylist() == rows["rank"].to_pylist()


# --- memory ---------------------------------------------------------------------------


@pytest.mark.parametrize("at_once", [1, 3 * VOCAB])
def test_few_logits_at_once_change_nothing(
    monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    """One position, or three, in a GEMM: the same rows, but for float32 rounding."""
    model, ids = tiny_gpt2(), random_tokens(12, seed=3)
    for project in ("all", "routes"):
        whole = trace(model, ids, project=project)
        with monkeypatch.context() as patched:
            patched.setattr(projections, "logits_at_once", lambda _: at_once)
            in_chunks = trace(model, ids, project=project)
        for table in ("lens", "writes"):
            found, due = by_key(in_chunks, table), by_key(whole, table)
            assert found.keys() == due.keys()
            for at, row in found.items():
                assert row == pytest.approx(due[at], abs=1e-5)
