"""A block stays what it is where its attention is faint, constant or silenced."""

import pytest
import torch

from flowglass.pipeline.model import prepare

from .checks import closure
from .families import build


@pytest.mark.parametrize("factor", [1e-12, 1e-5])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_faint_output_projection(factor: float, dtype: torch.dtype) -> None:
    """Rounding of the stream swallows the write in one layer of a sequential model."""
    model = build("llama", dtype=dtype)
    with torch.no_grad():
        model.model.layers[1].self_attn.o_proj.weight.mul_(factor)
    assert prepare(model, name="faint").anatomy.block_kind == "sequential"


@pytest.mark.parametrize("family", ["gpt2", "opt", "phi"])
def test_an_attention_that_writes_a_constant(family: str) -> None:
    """Its weights are zero and its bias is kept, as where a layer is mean-ablated."""
    model = build(family, dtype=torch.float64)
    name = {"gpt2": "attn.c_proj", "opt": "out_proj", "phi": "self_attn.dense"}[family]
    kind = prepare(model, name="whole").anatomy.block_kind
    found = [m for n, m in model.named_modules() if n.endswith(f"1.{name}")]
    found += [m for n, m in model.named_modules() if n.endswith(f"1.self_attn.{name}")]
    with torch.no_grad():
        found[0].weight.zero_()
    loaded = prepare(model, name="ablated")
    assert loaded.anatomy.block_kind == kind
    assert closure(loaded) < 1e-9


def test_a_stream_that_drowns_every_write() -> None:
    """Embeddings a million million times as large as all that is added to them."""
    model = build("llama")
    with torch.no_grad():
        model.model.embed_tokens.weight.mul_(1e12)
    assert prepare(model, name="drowned").anatomy.block_kind == "sequential"


@pytest.mark.parametrize(
    ("dtype", "factor"),
    [(torch.float32, 1e-5), (torch.float16, 1 / 300), (torch.bfloat16, 1 / 300)],
)
@pytest.mark.parametrize("family", ["gpt_neox", "gpt_neox-seq"])
def test_a_faint_attention_changes_no_kind(
    family: str, dtype: torch.dtype, factor: float
) -> None:
    """A block stays what it is where its attention's write is small beside the rest."""
    model = build(family, dtype=dtype)
    dense = model.gpt_neox.layers[1].attention.dense
    with torch.no_grad():
        dense.weight.mul_(factor)
        dense.bias.mul_(factor)
    kind = "parallel" if family == "gpt_neox" else "sequential"
    assert prepare(model, name="faint").anatomy.block_kind == kind
