"""What `flowglass check` prints, for people and for machines."""

from collections.abc import Iterator, Mapping
from math import isfinite
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from .anatomy import LayerAnatomy
from .check import Report
from .closure import SAME
from .describe import tree


def print_report(report: Report) -> None:
    """Print the anatomy, the closure of every step, and what to know of this model."""
    console = Console(highlight=False)
    console.print(tree(report.loaded))
    table = Table("step", "closure", "worst in layer", box=None, pad_edge=False)
    for found in report.closures:
        table.add_row(found.step, f"{found.closure:.1e}", str(found.layer))
    console.print()
    console.print(table)
    console.print()
    for line in notes(report):
        console.print(f"- {line}", soft_wrap=True)
    console.print()
    console.print(verdict(report), soft_wrap=True)


def notes(report: Report) -> Iterator[str]:
    """What a person should know before trusting the numbers, a line each."""
    if report.special:
        yield f"special: {', '.join(report.special)}"
    yield f"logits while watched: within {report.logits_error:.1e} of the model's own"
    yield f"logit lens of the last state: within {report.lens_error:.1e} of the logits"
    if report.batch_error > 10 * report.bound:
        yield (
            f"padding changes the model's own logits by {report.batch_error:.1e}: keep "
            "a batch to one prompt with --batch-tokens 1"
        )
    attentions = [layer.attention for layer in report.anatomy.layers]
    if any(own.b_v.any() for own in attentions):
        yield "the value bias is counted as bias, not as information from a token"
    if report.anatomy.opaque:
        yield "the FFN is one node: tables about neurons stay empty for its layers"
    yield "taken as they are: attention probabilities, and the scale of every norm"
    if report.loaded.dtype in (torch.float16, torch.bfloat16):
        yield (
            f"in {str(report.loaded.dtype).removeprefix('torch.')} a write below "
            f"{report.bound:.0e} of the stream could be missed: check in float32 too"
        )


def verdict(report: Report) -> str:
    """The one line that counts."""
    name, closure = report.loaded.name, f"{report.closure:.1e}"
    if report.closes:
        return (
            f"{name} can be decomposed: closure {closure}, at most {report.bound:.0e} "
            "is allowed"
        )
    worst = next(f for f in report.closures if f.closure * SAME >= report.closure)
    return (
        f"{name} cannot be decomposed: step {worst.step} of layer {worst.layer} has "
        f"closure {closure}, at most {report.bound:.0e} is allowed"
    )


def as_json(report: Report) -> Mapping[str, Any]:
    """Everything as JSON values; a closure that is infinite is null."""
    anatomy, readout = report.anatomy, report.loaded.readout
    names = {m: name for name, m in report.loaded.module.named_modules()}
    norm = anatomy.final_norm
    return {
        "model": report.loaded.name,
        "model_hash": report.loaded.model_hash,
        "architecture": type(report.loaded.module).__name__,
        "dtype": str(report.loaded.dtype).removeprefix("torch."),
        "closes": report.closes,
        "reason": None if report.closes else verdict(report),
        "closure": _finite(report.closure),
        "bound": report.bound,
        "closures": {
            found.step: {"closure": _finite(found.closure), "layer": found.layer}
            for found in report.closures
        },
        "logits_error": _finite(report.logits_error),
        "lens_error": _finite(report.lens_error),
        "batch_error": _finite(report.batch_error),
        "special": report.special,
        "notes": list(notes(report)),
        "block_kind": anatomy.block_kind,
        "n_layers": len(anatomy.layers),
        "n_heads": anatomy.n_heads,
        "n_kv_heads": anatomy.n_kv_heads,
        "d_model": anatomy.d_model,
        "d_ffn": anatomy.d_ffn,
        "vocab_size": anatomy.vocab_size,
        "context": anatomy.context,
        "final_norm": None if norm is None else names[norm],
        "logit_scale": readout.logit_scale,
        "softcap": readout.softcap,
        "layers": [_layer_json(layer) for layer in anatomy.layers],
    }


def _finite(number: float) -> float | None:
    return number if isfinite(number) else None


def _layer_json(layer: LayerAnatomy) -> Mapping[str, Any]:
    attention = layer.attention
    return {
        "name": layer.name,
        "attention": {
            "name": attention.name,
            "n_heads": attention.n_heads,
            "n_kv_heads": attention.n_kv_heads,
            "d_head": attention.d_head,
            "scaled": attention.scaled,
            "gated": attention.gated,
            "inner_norm": attention.inner_norm is not None,
            "value_bias": bool(attention.b_v.any()),
        },
        "writers": [
            {"name": w.name, "kind": w.kind, "coefficient": w.coefficient}
            for w in layer.writers
        ],
        "norms": [
            {
                "name": norm.name,
                "writers": [layer.writers[i].name for i in norm.writers],
            }
            for norm in layer.norms
        ],
        "keep_mid": layer.keep_mid,
        "keep_post": layer.keep_post,
    }
