"""The independent reference, checked against Hugging Face's models and by hand."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch

from . import reference
from . import reference_tables as tables
from .reference import At, Part
from .reference_forward import Forward, forward
from .reference_routes import Edge, destination, importance, origin, route, survives_at
from .tiny_models import TINY_MODELS, WIDTH, tiny_gpt2

DOUBLE = torch.float64
TOKENS = (7, 3, 7, 9, 3, 7)
LAST = len(TOKENS) - 1


@pytest.fixture(scope="module", params=TINY_MODELS)
def tiny(request: pytest.FixtureRequest) -> Forward:
    """The forward pass of each tiny random model, in float64."""
    return forward(TINY_MODELS[request.param](dtype=DOUBLE), TOKENS)


@pytest.fixture(scope="module")
def contribs(tiny: Forward) -> reference.Contributions:
    """The contributions of that forward pass."""
    return reference.contributions(tiny)


# --- the forward pass -----------------------------------------------------------------


@pytest.mark.parametrize("name", TINY_MODELS)
def test_forward_gives_the_states_attention_and_logits_of_hugging_face(
    name: str,
) -> None:
    """Every residual state, attention pattern and logit equals the model's own."""
    model = TINY_MODELS[name](dtype=DOUBLE)
    with torch.no_grad():
        own = model(
            torch.tensor([TOKENS]), output_hidden_states=True, output_attentions=True
        )

    ours = forward(model, TOKENS)

    assert (own.logits[0] - ours.logits).abs().max() < 1e-10
    for n, layer in enumerate(ours.layers):
        assert (own.hidden_states[n][0] - layer.resid_pre).abs().max() < 1e-10
        assert (own.attentions[n][0] - layer.attention).abs().max() < 1e-10
        assert layer.attention.triu(1).abs().max() == 0


@pytest.mark.parametrize("name", TINY_MODELS)
def test_float32_and_float64_models_are_the_same_model(name: str) -> None:
    """A seed gives the same parameters in both, so one reference serves both."""
    single = forward(TINY_MODELS[name](dtype=torch.float32), TOKENS)
    double = forward(TINY_MODELS[name](dtype=DOUBLE), TOKENS)

    assert torch.equal(single.logits, double.logits)


def test_forward_refuses_a_model_that_does_something_else() -> None:
    """A model whose code differs from its parameters' plain meaning is noticed."""
    model = tiny_gpt2(dtype=DOUBLE)
    model.get_submodule("transformer.h.1.attn").register_forward_hook(
        lambda module, inputs, output: (output[0] * (1 + 1e-6), *output[1:])
    )

    with pytest.raises(AssertionError, match="off by"):
        forward(model, TOKENS)


@pytest.mark.parametrize("name", TINY_MODELS)
def test_every_parameter_of_a_tiny_model_is_random(name: str) -> None:
    """No bias is left at zero and no gain at one, where a lost term would not show."""
    for parameter in TINY_MODELS[name]().parameters():
        assert parameter.abs().min() > 0
        assert parameter.std() > 0.05


# --- parts and contributions ----------------------------------------------------------


def test_parts_sum_to_the_whole(tiny: Forward) -> None:
    """The parts of every step add up to the state which the forward pass computed."""
    steps = reference.decompose(tiny)

    assert len(steps) == 3 * len(tiny.layers) * len(TOKENS)
    assert reference.closure(steps) < 1e-12


def test_closure_sees_a_missing_part(tiny: Forward) -> None:
    """Closure is no tautology: without one head's part it is far from zero."""
    step = reference.attn_step(tiny.layers[0], LAST)
    del step.parts[Part("attn", 1, 2)]

    assert reference.closure_of(step) > 1e-3


def test_contributions_of_a_step_sum_to_one(contribs: reference.Contributions) -> None:
    """All parts but the bias share 1, and none is negative."""
    for of_part in contribs.values():
        total = sum(v for part, v in of_part.items() if part.kind != "bias")
        assert total == pytest.approx(1, abs=1e-12)
        assert min(of_part.values()) >= 0


def test_value_bias_counts_as_bias() -> None:
    """Folding b_V @ W_O into the output bias changes no part at all."""
    plain, folded = tiny_gpt2(dtype=DOUBLE), tiny_gpt2(dtype=DOUBLE)
    state = folded.state_dict()
    for n in range(folded.config.n_layer):
        attention = f"transformer.h.{n}.attn."
        b_v = state[attention + "c_attn.bias"][-WIDTH:]
        state[attention + "c_proj.bias"] += b_v @ state[attention + "c_proj.weight"]
        b_v.zero_()

    before = reference.decompose(forward(plain, TOKENS))
    after = reference.decompose(forward(folded, TOKENS))

    for at, step in before.items():
        for part, vector in step.parts.items():
            assert (vector - after[at].parts[part]).abs().max() < 1e-12


# --- tables ---------------------------------------------------------------------------


def test_rounding_is_that_of_bfloat16() -> None:
    """Seven mantissa bits, ties to even: PyTorch's bfloat16 says the same."""
    values = torch.rand(500, generator=torch.Generator().manual_seed(0)) ** 4
    ties = 1 + torch.arange(256) / 256
    for x in torch.cat([values, ties]):
        assert tables.rounded(float(x)) == float(x.bfloat16())


@pytest.mark.parametrize("stored", [tables.full, tables.rounded])
def test_edges_and_the_mass_below_the_cutoff_make_one(
    contribs: reference.Contributions, stored: Callable[[float], float]
) -> None:
    """Per step: resid + attn + ffn = 1, and the rows of `edges` + below_cutoff = 1."""
    rows = tables.edges(contribs, cutoff=0.01, stored=stored)
    for at, step in tables.steps(contribs, cutoff=0.01, stored=stored).items():
        kept = sum(v for e, v in rows.items() if (e.layer, e.step, e.query) == at)
        tolerance = 1e-12 if stored is tables.full else 4e-3
        total = step["resid"] + step["attn"] + step["ffn"]
        assert total == pytest.approx(1, abs=tolerance)
        assert kept + step["below_cutoff"] == pytest.approx(1, abs=tolerance)


def test_heads_count_each_kind_of_source() -> None:
    """A head that spreads evenly over keys shows how many keys each kind has."""
    # query:      0   1     2     3
    token_ids = (5, 7, 5, 5)
    word = (None, 0, 1, 1)
    contribs = {
        At(0, "attn", i): {Part("attn", 0, j): 0.1 for j in range(i + 1)}
        for i in range(4)
    }

    row = tables.heads(
        contribs, token_ids, word=word, is_delimiter=(False, True, False, False)
    )[0, 0]

    assert {name: round(value * 4 / 0.1) for name, value in row.items()} == {
        "contribution": 10,
        "on_first": 4,
        "on_self": 4,
        "on_previous": 3,
        "on_same_token": 3,  # 2 <- 0; 3 <- 0, 2
        "on_after_same": 3,  # 2 <- 1; 3 <- 1, 3
        "on_same_word": 1,  # 3 <- 2
        "on_delimiter": 3,  # 1, 2, 3 <- 1
    }


def test_heads_and_resid_make_up_the_attention_step(
    contribs: reference.Contributions,
) -> None:
    """Summed over heads, the table `heads` is the mean of `steps.attn`."""
    rows = tables.heads(contribs, TOKENS)
    steps = tables.steps(contribs)
    for layer in {at.layer for at in contribs}:
        of_heads = sum(r["contribution"] for at, r in rows.items() if at[0] == layer)
        of_steps = [steps[At(layer, "attn", i)]["attn"] for i in range(len(TOKENS))]
        assert of_heads == pytest.approx(sum(of_steps) / len(TOKENS))


def test_neurons_are_the_largest_first(
    tiny: Forward, contribs: reference.Contributions
) -> None:
    """At most k neurons per position, at or above the cutoff, by contribution."""
    rows = tables.neurons(tiny, contribs, k=3, cutoff=0.01)

    of_part = contribs[At(1, "neuron", 2)]
    kept = [v for part, v in of_part.items() if part.kind == "neuron" and v >= 0.01]
    expected = sorted(kept, reverse=True)[:3]
    found = [rows[1, 2, rank] for rank in range(len(expected))]
    assert expected
    assert [contribution for _, contribution, _ in found] == expected
    for neuron, contribution, activation in found:
        assert of_part[Part("neuron", neuron, 2)] == contribution
        assert activation == tiny.layers[1].activation[2, neuron]
    assert (1, 2, len(expected)) not in rows


# --- routes ---------------------------------------------------------------------------


def test_route_of_a_small_graph() -> None:
    """Thresholding is strict and per head; what is not reached is not in the route."""
    stay_1, stay_0 = (Edge(0, "attn", "resid", None, i, i) for i in (1, 0))
    weak_a, weak_b = (Edge(0, "attn", "attn", h, 1, 0) for h in (0, 1))
    up_1, up_0 = (Edge(0, "ffn", "resid", None, i, i) for i in (1, 0))
    ffn = Edge(0, "ffn", "ffn", None, 1, 1)
    graph = {stay_1: 0.9, weak_a: 0.04, weak_b: 0.06, stay_0: 1.0}
    graph |= {up_1: 0.95, ffn: 0.05, up_0: 1.0}

    found = survives_at(graph, 1, n_layers=1)

    assert route(graph, 1, n_layers=1, tau=0.04) == {stay_1, weak_b, up_1, ffn}
    assert found == {
        up_1: 0.95,
        ffn: 0.05,
        stay_1: 0.9,
        weak_a: 0.04,
        weak_b: 0.06,
        stay_0: 0.0,
        up_0: 0.0,
    }
    assert importance(graph, found, tau=0.04) == {
        (0, "head", 1): (0.06, 0.06),
        (0, "ffn", 0): (0.05, 0.05),
    }


def test_survives_at_is_the_widest_path(contribs: reference.Contributions) -> None:
    """Brute force agrees with min(contribution, reach) as DESIGN 2.4 defines it."""
    edges = tables.edges(contribs)
    n_layers = 1 + max(edge.layer for edge in edges)
    reach = {("post", n_layers - 1, LAST): math.inf}
    expected = {}
    for edge in sorted(edges, key=lambda e: (-e.layer, e.step == "attn")):
        widest = min(edges[edge], reach.get(destination(edge), 0.0))
        expected[edge] = widest
        reach[origin(edge)] = max(widest, reach.get(origin(edge), 0.0))

    assert survives_at(edges, LAST, n_layers=n_layers) == expected


def test_route_is_what_survives(contribs: reference.Contributions) -> None:
    """At any tau, contributions themselves included, route = survives_at > tau."""
    edges = tables.edges(contribs, stored=tables.rounded)
    n_layers = 1 + max(edge.layer for edge in edges)
    survives = survives_at(edges, LAST, n_layers=n_layers)
    for tau in [0.01, 0.04, 0.3, *sorted(set(survives.values()))[::7]]:
        expected = {edge for edge, s in survives.items() if s > tau}
        assert route(edges, LAST, n_layers=n_layers, tau=tau) == expected
