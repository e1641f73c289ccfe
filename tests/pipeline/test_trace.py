"""One prompt in memory, through the public surface."""

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from flowglass.datasets.catalog import MODELS
from flowglass.pipeline import Trace, trace
from flowglass.pipeline.errors import ModelError, PlanError
from flowglass.pipeline.loading import load_tokenizer
from flowglass.store.schema import TABLES

from .tiny_models import random_tokens, tiny_gpt2

TEXT = "When Mary and John went to the store, John gave a drink to"


@pytest.fixture(scope="module")
def traced() -> Trace:
    return trace("tiny-gpt2", TEXT, answer="Mary", distractor="John")


def test_every_table_has_its_schema(traced: Trace) -> None:
    """A trace has every table of a store, in the same columns and types."""
    for name, table in TABLES.items():
        assert getattr(traced, name).schema.equals(table.schema), name
    assert traced.prompts["text"].to_pylist() == [TEXT]
    assert set(traced.edges["prompt_id"].to_pylist()) == {0}
    with pytest.raises(AttributeError, match="no table 'edge'"):
        _ = traced.edge


def test_prediction_and_answer(traced: Trace) -> None:
    """The bundled model knows who gets the drink, and `targets` says so."""
    (target,) = traced.targets.to_pylist()
    assert target["predicted_token_id"] == target["answer_token_id"]
    assert target["correct"]
    assert target["answer_rank"] == 0
    assert target["answer_prob"] > 0.5 > target["distractor_prob"]


def test_route_of_a_stored_target_is_in_routes(traced: Trace) -> None:
    """route() of the default target is `routes` above the threshold."""
    routes = traced.routes.filter(
        np.asarray(traced.routes["survives_at"].to_numpy(), np.float64) > 0.04
    )
    route = traced.route()
    key = ["layer", "step", "kind", "head", "query", "key", "survives_at"]
    order = [(name, "ascending") for name in key]
    assert route.select(key).sort_by(order) == routes.select(key).sort_by(order)
    assert route.num_rows == traced.targets["n_edges"][0].as_py()


def test_dense_maps_are_the_edges(traced: Trace) -> None:
    """contributions() and attention() hold what `edges` holds, and zeros above."""
    for edge in traced.edges.to_pylist():
        if edge["kind"] == "attn":
            at = edge["query"], edge["key"]
            maps = edge["layer"], edge["head"]
            assert traced.contributions(*maps)[at] == edge["contribution"]
            assert traced.attention(*maps)[at] == pytest.approx(
                edge["attention"], rel=2**-7
            )
    assert np.triu(traced.contributions(1, 1), 1).max() == 0


def test_thresholds_below_the_cutoff_are_refused(traced: Trace) -> None:
    """What was not kept cannot be shown: ValueError, with the remedy."""
    with pytest.raises(ValueError, match=r"0\.005 is below the cutoff 0\.01"):
        traced.route(threshold=0.005)
    with pytest.raises(ValueError, match="target 99 lies outside"):
        traced.route(target=99)


@pytest.mark.parametrize("name", sorted(MODELS))
def test_full_precision_sums_to_one(name: str) -> None:
    """edges + below_cutoff and resid + attn + ffn are 1 within 1e-5."""
    t = trace(name, TEXT, precision="full", cutoff=0.02)
    stored: dict[tuple[object, ...], float] = {}
    for edge in t.edges.to_pylist():
        at = edge["layer"], edge["step"], edge["query"]
        stored[at] = stored.get(at, 0) + edge["contribution"]
    for row in t.steps.to_pylist():
        at = row["layer"], row["step"], row["query"]
        assert row["resid"] + row["attn"] + row["ffn"] == pytest.approx(1, abs=1e-5)
        assert stored.get(at, 0) + row["below_cutoff"] == pytest.approx(1, abs=1e-5)
    assert t.prompts["closure"][0].as_py() < 2e-6


def test_loaded_module_and_token_ids() -> None:
    """A module works with a tokenizer, and with token ids without one."""
    module = AutoModelForCausalLM.from_pretrained(MODELS["tiny-llama"], dtype="float32")
    by_name = trace("tiny-llama", TEXT)
    given = trace(module, TEXT, tokenizer=load_tokenizer("tiny-llama"))
    ids = trace(module, by_name.tokens["token_id"].to_pylist())
    assert given.edges == by_name.edges == ids.edges
    assert ids.tokens["token"][1].as_py().startswith("[")
    with pytest.raises(PlanError, match="tokenizer="):
        trace(module, TEXT)


def test_a_model_that_does_not_close_is_refused() -> None:
    """Something that shows on this prompt only is noticed, with its place."""
    model = tiny_gpt2()
    # Not on the seven tokens that the anatomy is found with.
    model.transformer.h[1].register_forward_hook(
        lambda _, __, out: out + 0.01 * (out.shape[1] == 6)
    )
    with pytest.raises(ModelError, match=r"do not sum .*step ffn of layer 1"):
        trace(model, random_tokens(6))


def test_nan_weights_are_refused() -> None:
    """The message names the weight."""
    model = tiny_gpt2()
    with torch.no_grad():
        model.transformer.h[1].mlp.c_fc.weight[0, 0] = torch.nan
    with pytest.raises(ModelError, match=r"NaN .*transformer\.h\.1\.mlp\.c_fc\.weight"):
        trace(model, random_tokens(6))


def test_unknown_names_are_answered_with_near_ones() -> None:
    """A typing error in a bundled model's name is one clear line."""
    with pytest.raises(ModelError, match="did you mean tiny-gpt2"):
        trace("tiny-gtp2", TEXT)


@pytest.mark.parametrize("model", ["tiny-llama", "tiny-gpt2"])
def test_a_cutoff_that_no_route_survives_leaves_nothing_to_read(model: str) -> None:
    """No state of an empty route is projected, and that is no error."""
    traced = trace(model, "The capital of France is", cutoff=0.99)
    assert (traced.routes.num_rows, traced.lens.num_rows) == (0, 0)
