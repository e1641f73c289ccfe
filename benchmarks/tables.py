"""What each table costs: seconds and bytes a token, by stage (`make bench`).

GPT-2-small-size random weights, prompts of 128 tokens, last-token targets, `--project
routes` and `--tensors dense`. Random weights spread their attention thinly; with
`--sharp S` queries and keys are scaled so that patterns are peaked as trained ones are,
which changes how many edges pass the cutoff, and so how much there is to write.
"""

import argparse
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any
from unittest.mock import patch

import torch
from rich.console import Console
from rich.table import Table
from transformers import GPT2Config, GPT2LMHeadModel

from flowglass.pipeline import analyse as stages
from flowglass.pipeline.model import LoadedModel, prepare
from flowglass.pipeline.projections import Projector
from flowglass.pipeline.prompts import from_ids
from flowglass.pipeline.settings import Settings
from flowglass.pipeline.text import TokenText
from flowglass.store.parquet import to_parquet
from flowglass.store.schema import TABLES

LENGTH = 128

MADE_BY = {
    "steps": "edges, steps, heads",
    "stored_edges": "edges, steps, heads",
    "edge_rows": "edges, steps, heads",
    "step_rows": "edges, steps, heads",
    "head_rows": "edges, steps, heads",
    "neuron_step": "neurons",
    "top_neurons": "neurons",
    "neuron_rows": "neurons",
    "tensor_rows": "tensors",
    "route_rows": "routes, importance",
    "predict_next": "tokens, targets",
    "token_rows": "tokens, targets",
    "target_rows": "tokens, targets",
    "attribution_rows": "logit_attribution",
    "as_table": "rows to Arrow",
}
"""The stages of `analyse` by name, and the tables they make."""

PROJECTIONS = {
    "states_and_blocks": "lens, writes of blocks",
    "heads": "writes of heads",
    "neurons": "writes of neurons",
}


class Clock(ExitStack):
    """Adds up the seconds of functions that it wraps, while it is open."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: Counter[str] = Counter()

    def wrap(self, owner: Any, name: str, what: str) -> None:
        """From now on, calls of `owner.name` are counted under `what`."""
        work: Callable[..., Any] = getattr(owner, name)

        def timed(*args: Any, **kwargs: Any) -> Any:
            started = time.perf_counter()
            result = work(*args, **kwargs)
            if isinstance(result, Iterator):
                result = list(result)
            self.seconds[what] += time.perf_counter() - started
            return result

        self.enter_context(patch.object(owner, name, timed))


def small(sharp: float) -> LoadedModel:
    """A random GPT-2 small with `sharp` times larger queries and keys."""
    torch.manual_seed(0)
    module = GPT2LMHeadModel(GPT2Config()).eval()
    with torch.no_grad():
        for block in module.transformer.h:
            block.attn.c_attn.weight[:, : 2 * 768] *= sharp
    return prepare(module, name=f"GPT-2 small, random, queries and keys x{sharp:g}")


def costs(loaded: LoadedModel, *, n_prompts: int, length: int) -> tuple[Table, Table]:
    """Seconds by stage, and bytes by table, of one batch."""
    settings, spell = Settings(tensors="dense"), TokenText(None)
    generator = torch.Generator().manual_seed(0)
    shape = (n_prompts, length)
    ids = torch.randint(loaded.anatomy.vocab_size, shape, generator=generator)
    prompts = [from_ids(row.tolist(), settings, context=None) for row in ids]
    stages.analyse(loaded, prompts, settings, spell)
    with torch.inference_mode():
        started = time.perf_counter()
        loaded.module(input_ids=ids, use_cache=False)
        plain = time.perf_counter() - started
    with Clock() as clock:
        for name, what in MADE_BY.items():
            clock.wrap(stages, name, what)
        for name, what in PROJECTIONS.items():
            clock.wrap(Projector, name, what)
        started = time.perf_counter()
        tables = stages.analyse(loaded, prompts, settings, spell)
        total = time.perf_counter() - started

    tokens = ids.numel()
    report = Table("stage", "ms a token", "plain forwards", title=loaded.name)
    for what, seconds in [*clock.seconds.most_common(), ("all", total)]:
        report.add_row(what, f"{1e3 * seconds / tokens:.2f}", f"{seconds / plain:.2f}")
    sizes = Table("table", "rows a token", "bytes a token", "ms a token to write")
    for name, rows in tables.items():
        started = time.perf_counter()
        data = to_parquet(TABLES[name], rows)
        seconds = time.perf_counter() - started
        sizes.add_row(
            name,
            f"{rows.num_rows / tokens:.1f}",
            f"{len(data) / tokens:.0f}",
            f"{1e3 * seconds / tokens:.3f}",
        )
    return report, sizes


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--sharp", type=float, default=1.0)
    options.add_argument("--prompts", type=int, default=4)
    asked = options.parse_args()
    loaded = small(asked.sharp)
    for table in costs(loaded, n_prompts=asked.prompts, length=LENGTH):
        Console().print(table)


if __name__ == "__main__":
    main()
