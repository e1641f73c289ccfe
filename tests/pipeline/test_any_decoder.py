"""Every family that transformers can build tiny: decomposed and proven, or refused."""

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pytest
import torch

from flowglass.pipeline import trace
from flowglass.pipeline.analyse import analyse
from flowglass.pipeline.check import Report, check
from flowglass.pipeline.errors import ModelError
from flowglass.pipeline.model import LoadedModel, prepare
from flowglass.pipeline.prompts import TokenisedPrompt, from_ids
from flowglass.pipeline.settings import Settings
from flowglass.pipeline.text import TokenText

from . import models_page
from .families import FAMILIES, NO_FLOAT64, REFUSED, build
from .tiny_models import random_tokens

EVERYTHING: dict[str, Any] = {"cutoff": 0, "precision": "full", "targets": "all"}

# Zero for many keys, the scores of their index are tied: which keys it drops depends on
# the shape of the batch, in the model itself.
TIED = frozenset({"axk2-sparse", "deepseek_v32-sparse", "glm_moe_dsa-sparse"})

# Its mixture is added up in float32, whatever the model's dtype.
ADDS_IN_FLOAT32 = frozenset({"hy_v3"})

KEYS = ("layer", "step", "kind", "head", "query", "key", "position", "expert", "neuron")
MEASURES = {
    "edges": ("contribution", "attention"),
    "steps": ("resid", "attn", "ffn", "bias"),
    "heads": ("contribution",),
    "tokens": ("logprob", "entropy", "top_prob"),
}


@cache
def loaded(family: str) -> LoadedModel:
    """The family's tiny model in float32, its anatomy found."""
    return prepare(build(family), name=family)


@cache
def report(family: str) -> Report:
    """What `flowglass check` finds of it."""
    return check(loaded(family))


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_closes(family: str) -> None:
    """In float32 the parts sum to the whole, and the logits are the model's own."""
    found = report(family)
    assert found.closure <= 2e-5
    assert found.logits_error <= 1e-5
    assert found.lens_error <= 1e-4
    assert found.batch_error <= 1e-5 or family in TIED


@pytest.mark.parametrize("family", sorted(set(FAMILIES) - NO_FLOAT64))
def test_a_family_closes_in_float64(family: str) -> None:
    """To rounding, or to float32's where a norm behind a sublayer computes in it."""
    found = check(prepare(build(family, dtype=torch.float64), name=family))
    layers = found.anatomy.layers
    normed = any(layer.norms or layer.attention.inner_norm for layer in layers)
    exact = not normed and family not in ADDS_IN_FLOAT32
    assert found.closure <= (1e-12 if exact else 1e-6)


@pytest.mark.parametrize("family", FAMILIES)
def test_logit_attribution_adds_up(family: str) -> None:
    """All rows but the neurons' sum to the logit before the softcap."""
    ids = random_tokens(9, vocab=60)
    model = loaded(family)
    found = trace(model.module, ids, project="none", **EVERYTHING)
    rows = found.logit_attribution
    rows = rows.filter(pc.not_equal(rows["component"], "neuron"))
    sums = np.zeros(len(ids))
    np.add.at(sums, rows["target"].to_numpy(), rows["value"].to_numpy())
    with torch.inference_mode():
        own = model.module(torch.tensor([ids]), use_cache=False).logits[0].double()
    if (cap := model.readout.softcap) is not None:
        own = torch.atanh(own / cap) * cap
    due = own.max(-1).values.numpy()
    size = np.abs(rows["value"].to_numpy()).max()
    np.testing.assert_allclose(sums, due, rtol=1e-4, atol=1e-4 * max(1, size))


@pytest.mark.parametrize("family", sorted(set(FAMILIES) - TIED))
def test_batch_equals_single(family: str) -> None:
    """What shares a batch with a prompt, and padding, change none of its rows."""
    model = loaded(family)
    settings = Settings(project="none", **EVERYTHING)
    prompts = [prompt(number, n, settings) for number, n in enumerate((9, 6, 4))]
    together = analyse(model, prompts, settings, TokenText(None))
    for one in prompts:
        alone = analyse(model, [one], settings, TokenText(None))
        for table, measures in MEASURES.items():
            some = together[table]
            mine = some.filter(pc.equal(some["prompt_id"], one.prompt_id))
            keys = [name for name in KEYS if name in mine.schema.names]
            order = [(name, "ascending") for name in keys]
            mine, other = mine.sort_by(order), alone[table].sort_by(order)
            assert mine.select(keys).equals(other.select(keys))
            for name in measures:
                a, b = (t[name].to_numpy(zero_copy_only=False) for t in (mine, other))
                np.testing.assert_allclose(a, b, rtol=0, atol=1e-5)


def prompt(number: int, n: int, settings: Settings) -> TokenisedPrompt:
    """A prompt of n random tokens."""
    made = from_ids(random_tokens(n, seed=n, vocab=60), settings, context=None)
    return replace(made, prompt_id=number)


@pytest.mark.parametrize("family", REFUSED)
def test_a_model_of_another_kind_is_refused(family: str) -> None:
    """With the reason, and before anything is run with it."""
    with pytest.raises(ModelError) as refused:
        prepare(build(family), name=family)
    assert len(str(refused.value)) > 40
    assert refused.value.exit_code == 2


@pytest.mark.parametrize("family", FAMILIES)
def test_the_page_says_what_is_measured(family: str) -> None:
    """docs/models.md has this family's line; of closures only that they are small."""
    lines = models_page.PAGE.read_text().splitlines()
    (line,) = (line for line in lines if line.startswith(f"| {family} |"))
    *said, closure, status = line.split(" | ")
    *due, _, due_status = models_page.row(family, report(family)).split(" | ")
    assert (said, status) == (due, due_status), "run `make docs`"
    assert float(closure) <= 2e-5


def test_the_page_has_every_family() -> None:
    """No line is left of a family that is gone, and none lacks."""
    text = models_page.PAGE.read_text()
    accepted, refused = text.split("## Refused")
    lines = [line for line in accepted.splitlines() if line[:2] == "| "]
    named = [line.split(" | ")[0].strip("| ") for line in lines]
    assert named == ["family", *FAMILIES], "run `make docs`"
    rows = [line.split(" | ") for line in refused.splitlines() if line[:2] == "| "]
    families = {name for row in rows[1:] for name in row[1].split(", ")}
    assert families == set(REFUSED), "run `make docs`"
