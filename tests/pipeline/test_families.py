"""The tiny models of families.py are what the tests that use them take them for."""

from __future__ import annotations

import pytest
import torch
from transformers import PreTrainedModel

from .families import FAMILIES, NO_FLOAT64, REFUSED, UNBUILT, build
from .family_configs import VOCAB

BATCH = torch.randint(3, VOCAB, (2, 9), generator=torch.Generator().manual_seed(3))


@pytest.fixture(scope="module", params=FAMILIES)
def family(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def model(family: str) -> PreTrainedModel:
    return build(family)


def logits(model: PreTrainedModel, tokens: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return model(input_ids=tokens).logits


def with_another(position: int) -> torch.Tensor:
    tokens = BATCH.clone()
    tokens[:, position] = (tokens[:, position] + 7) % VOCAB
    return tokens


def test_logits_neither_vanish_nor_explode(model: PreTrainedModel) -> None:
    """A tiny model's logits are finite and of about the spread of a trained one's."""
    found = logits(model, BATCH)
    assert found.shape == (2, 9, VOCAB)
    assert found.isfinite().all()
    assert 0.1 < found.std() < 30


def test_no_token_hears_a_later_one(model: PreTrainedModel) -> None:
    """Another last token leaves what precedes it as it was."""
    before, after = logits(model, BATCH), logits(model, with_another(-1))
    assert torch.allclose(before[:, :-1], after[:, :-1], atol=1e-5)
    assert not torch.allclose(before[:, -1], after[:, -1], atol=0.01)


def test_later_tokens_hear_the_first(model: PreTrainedModel) -> None:
    """Another first token changes what follows: attention is felt."""
    before, after = logits(model, BATCH), logits(model, with_another(0))
    assert not torch.allclose(before[:, 1:], after[:, 1:], atol=0.01)


def test_every_parameter_is_random(model: PreTrainedModel) -> None:
    """No gain is left at 1 and no bias at 0."""
    constant = [
        name
        for name, values in model.named_parameters()
        if values.numel() > 1 and bool((values == values.flatten()[0]).all())
    ]
    assert constant == []


def test_a_seed_gives_the_same_values_in_both_dtypes(
    family: str, model: PreTrainedModel
) -> None:
    """A float64 model is a float32 one with more room."""
    wide = dict(build(family, dtype=torch.float64).named_parameters())
    for name, values in model.named_parameters():
        assert torch.equal(values.double(), wide[name].double()), name


def test_the_same_values_give_the_same_logits_in_float64(
    family: str, model: PreTrainedModel
) -> None:
    """Where the model's code takes float64 at all."""
    if family in NO_FLOAT64:
        pytest.skip("its code fixes another dtype")
    found = logits(build(family, dtype=torch.float64), BATCH).double()
    assert torch.allclose(found, logits(model, BATCH).double(), atol=1e-3)


@pytest.mark.parametrize("refused", REFUSED)
def test_what_is_to_be_refused_can_be_built(refused: str) -> None:
    """A refusal comes from what a model computes, not from a model that cannot run."""
    assert logits(build(refused), BATCH).isfinite().all()


def test_another_seed_gives_other_values() -> None:
    """Seeds are not ignored."""
    first, second = build("llama", seed=0), build("llama", seed=1)
    assert not torch.equal(first.lm_head.weight, second.lm_head.weight)


def test_each_family_is_in_one_list() -> None:
    """None is both accepted and refused."""
    everything = [*FAMILIES, *REFUSED, *UNBUILT]
    assert len(everything) == len(set(everything))
