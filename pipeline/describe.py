"""An anatomy in words: what is special about a model, and its parts as a tree."""

from collections.abc import Iterator
from itertools import groupby

from rich.tree import Tree
from torch import nn

from .anatomy import Anatomy, LayerAnatomy
from .model import LoadedModel
from .readout import Readout
from .weights import experts_map, linear_shape


def special(anatomy: Anatomy, readout: Readout) -> list[str]:
    """What is special about a model, a few words each."""
    layers = anatomy.layers
    attentions = [layer.attention for layer in layers]
    writers = [writer for layer in layers for writer in layer.writers]
    kinds = {writer.kind for writer in writers}
    factors = {w.coefficient for w in writers if w.coefficient not in (1, None)}
    keeps = {k for layer in layers for k in (layer.keep_mid, layer.keep_post)} - {1}
    gated = any(w.coefficient is None for w in writers if w.kind != "attention")
    mixed = any({w.kind for w in x.writers} >= {"experts", "linear"} for x in layers)
    found = [
        (not anatomy.by_interface, "attention seen through its softmax"),
        (
            anatomy.n_kv_heads < anatomy.n_heads,
            "grouped-query attention",
        ),
        (any(a.b_v.any() for a in attentions), "value bias"),
        (any(a.gated for a in attentions), "gated heads"),
        (any(a.scaled for a in attentions), "scaled heads"),
        (any(a.inner_norm for a in attentions), "norm before the output projection"),
        (any(layer.norms for layer in layers), "norms behind sublayers"),
        (bool(factors), "multiplied writes"),
        (bool(keeps), "multiplied stream"),
        ("experts" in kinds, "mixture of experts"),
        (mixed, "shared expert"),
        (gated, "shared expert gated by token"),
        (anatomy.reads_tokens, "layers read the token's own embedding too"),
        ("opaque" in kinds, "FFN does not open into neurons"),
        (anatomy.final_norm is None, "no final norm"),
        (readout.logit_scale != 1, "scaled logits"),
        (readout.softcap is not None, "softcap"),
    ]
    return [words for holds, words in found if holds]


def tree(loaded: LoadedModel) -> Tree:
    """The parts of a model; layers that are alike are shown once."""
    anatomy, module = loaded.anatomy, loaded.module
    root = Tree(
        f"{type(module).__name__}: {len(anatomy.layers)} layers, "
        f"{anatomy.block_kind}, d_model {anatomy.d_model}"
    )
    for _, group in groupby(anatomy.layers, key=_lines):
        alike = list(group)
        first, last = alike[0].name, alike[-1].name.rpartition(".")[2]
        many = f" to {last}" if len(alike) > 1 else ""
        branch = root.add(f"{first}{many} ({type(alike[0].block).__name__})")
        for line in _lines(alike[0]):
            branch.add(line)
    names = {m: name for name, m in module.named_modules()}
    norm, head = anatomy.final_norm, module.get_output_embeddings()
    root.add(f"final norm: {names[norm] if norm is not None else 'none'}")
    assert isinstance(head, nn.Module)
    root.add(f"unembedding: {names[head]}, {anatomy.vocab_size} tokens")
    return root


def _lines(layer: LayerAnatomy) -> tuple[str, ...]:
    return (_attention(layer), *_ffn(layer))


def _attention(layer: LayerAnatomy) -> str:
    own = layer.attention
    fewer = own.n_kv_heads < own.n_heads
    shared = f", on {own.n_kv_heads} of keys and values" if fewer else ""
    before = [
        words
        for holds, words in (
            (own.scaled, "scale"),
            (own.gated, "gate"),
            (own.inner_norm is not None, "norm"),
        )
        if holds
    ]
    way = " -> ".join([*before, *_way(layer, 0)])
    return (
        f"attention {own.name}: {own.n_heads} heads, {own.d_head} wide{shared} -> {way}"
    )


def _ffn(layer: LayerAnatomy) -> Iterator[str]:
    for place, writer in enumerate(layer.writers):
        if writer.kind == "attention":
            continue
        if writer.kind == "experts":
            experts, neurons, _ = experts_map(writer.module)[0].shape
            what = f"{experts} experts of {neurons} neurons"
        elif writer.kind == "linear":
            what = f"{(linear_shape(writer.module) or (0, 0))[0]} neurons"
        else:
            what = "one node, does not open into neurons"
        yield f"ffn: {what} -> {' -> '.join(_way(layer, place))}"


def _way(layer: LayerAnatomy, place: int) -> Iterator[str]:
    """What a writer's output passes on its way into the stream."""
    writer = layer.writers[place]
    yield writer.name
    for norm in layer.norms:
        if place in norm.writers:
            times = norm.coefficients[norm.writers.index(place)]
            yield norm.name if times == 1 else f"x {_number(times)} -> {norm.name}"
    if writer.coefficient != 1:
        yield f"x {_number(writer.coefficient)}"


def _number(value: float | None) -> str:
    return "a gate of each token" if value is None else f"{value:.4g}"
