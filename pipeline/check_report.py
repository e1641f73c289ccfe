"""What `flowglass check` prints."""

from collections.abc import Iterator

import torch
from rich.console import Console
from rich.table import Table

from .check import Report
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
    worst = max(report.closures, key=lambda found: found.closure)
    return (
        f"{name} cannot be decomposed: step {worst.step} of layer {worst.layer} has "
        f"closure {closure}, at most {report.bound:.0e} is allowed"
    )
