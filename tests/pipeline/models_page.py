"""docs/models.md, from the families that tests/pipeline/test_any_decoder.py measures.

`make docs` writes it anew; a test holds that it says what is measured now.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import transformers

from flowglass.pipeline.check import Report, check
from flowglass.pipeline.errors import ModelError
from flowglass.pipeline.model import prepare

from .families import FAMILIES, REFUSED, UNBUILT, build

PAGE = Path(__file__).parents[2] / "docs" / "models.md"

HEAD = """\
# Models

flowglass finds a model's anatomy by watching one forward pass of it: who writes into
the residual stream, through which norms, multipliers and gates. Then it proves on that
very model that the parts add up to the model's own states, and refuses what it cannot
prove. `flowglass check MODEL` does so for yours, and needs no tokenizer.

{n_decomposed} families of transformers {version} and variants of them are decomposed
below, each as a tiny model of random weights with every bias and gain drawn (a
forgotten term shows), {n_refused} are refused with the reason. *Closure* is the largest
relative distance between the sum of a step's parts and the model's own state, in
float32; at most 2e-05 is allowed, and 0 is equal to the last bit. Of a decoder that can
also read an encoder (whisper, mbart, pegasus) it is the decoder alone. Made by `make
docs`, held by `make test`.

What runs but is not in the list is checked in the same way when it is loaded: your own
fine-tune, an adapter (`--adapter`), a model with remote code (`--trust-remote-code`).

## Decomposed

| family | block | what is special | closure | status |
|---|---|---|---|---|
"""

REFUSED_HEAD = """
## Refused

| what it is | families | what flowglass says of the first |
|---|---|---|
"""

UNBUILT_HEAD = """
## Not tried

Registered in transformers as causal language models, but not built here:

"""


def row(family: str, report: Report) -> str:
    """A decomposed family's line but for its closure."""
    special = ", ".join(report.special) or "-"
    status = "exact" if not report.anatomy.opaque else "exact, without neurons"
    closure = f"{report.closure:.0e}"
    kind = report.anatomy.block_kind
    return f"| {family} | {kind} | {special} | {closure} | {status} |"


def refusal(family: str) -> str:
    """What flowglass says of a refused family, without its lists of parts."""
    try:
        prepare(build(family), name=family)
    except ModelError as error:
        return str(error).partition("; its parts")[0].replace("|", "/")
    raise AssertionError(f"{family} is decomposed")


def page() -> Iterator[str]:
    """The page, piece by piece."""
    yield HEAD.format(
        n_decomposed=len(FAMILIES),
        n_refused=len(REFUSED),
        version=transformers.__version__.rpartition(".")[0],
    )
    for family in FAMILIES:
        yield row(family, check(prepare(build(family), name=family))) + "\n"
    yield REFUSED_HEAD
    for why in dict.fromkeys(REFUSED.values()):
        alike = [name for name, reason in REFUSED.items() if reason == why]
        yield f"| {why} | {', '.join(alike)} | {refusal(alike[0])} |\n"
    yield UNBUILT_HEAD
    for why in dict.fromkeys(UNBUILT.values()):
        names = ", ".join(name for name, reason in UNBUILT.items() if reason == why)
        yield f"- {why}: {names}\n"


if __name__ == "__main__":
    transformers.logging.set_verbosity_error()
    PAGE.write_text("".join(page()))
