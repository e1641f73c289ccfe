"""Sweep time over plain-forward time, in one process and one run (`make bench`).

For random weights at GPT-2-small size and for a bundled model: the median over pairs
of (all rows of a batch) / (one plain `model(ids)` of the same batch). Ratios, because
absolute seconds say more about the machine than about the code.
"""

import resource
import statistics
import time
from collections.abc import Callable

import torch
from rich.console import Console
from rich.table import Table
from transformers import AutoModelForCausalLM, GPT2Config, PreTrainedModel
from transformers.utils import logging

from flowglass.pipeline.analyse import analyse
from flowglass.pipeline.model import LoadedModel, load_model, prepare
from flowglass.pipeline.prompts import from_ids
from flowglass.pipeline.settings import Settings
from flowglass.pipeline.text import TokenText

PAIRS = 5
LENGTHS = (32, 128)
BATCH_TOKENS = 256


def seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def plain(module: PreTrainedModel, ids: torch.Tensor) -> None:
    with torch.inference_mode():
        module(input_ids=ids, use_cache=False)


def measure(loaded: LoadedModel, length: int) -> tuple[float, float]:
    """(median ratio, tokens per second of the sweep)."""
    n = max(1, BATCH_TOKENS // length)
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(loaded.anatomy.vocab_size, (n, length), generator=generator)
    settings, spell = Settings(), TokenText(None)
    prompts = [from_ids(row.tolist(), settings, context=None) for row in ids]

    def work() -> None:
        analyse(loaded, prompts, settings, spell)

    work()
    plain(loaded.module, ids)
    pairs = [
        (seconds(work), seconds(lambda: plain(loaded.module, ids)))
        for _ in range(PAIRS)
    ]
    ratio = statistics.median(ours / theirs for ours, theirs in pairs)
    return ratio, n * length / statistics.median(ours for ours, _ in pairs)


def main() -> None:
    logging.set_verbosity_error()
    torch.manual_seed(0)
    small = AutoModelForCausalLM.from_config(GPT2Config()).eval()
    models = [load_model("tiny-gpt2"), prepare(small, name="GPT-2 small, random")]
    table = Table("model", "tokens a prompt", "sweep / plain forward", "tokens/s")
    for loaded in models:
        for length in LENGTHS:
            ratio, rate = measure(loaded, length)
            table.add_row(loaded.name, str(length), f"{ratio:.1f}", f"{rate:,.0f}")
    console = Console()
    console.print(table)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    console.print(f"{torch.get_num_threads()} threads, peak memory {peak:.1f} GB")


if __name__ == "__main__":
    main()
