"""How many rows and bytes each table has, and what writing them costs.

GPT-2-small-size random weights, one batch of prompts of 128 tokens, last-token targets,
`--project routes` and `--tensors dense`. How many edges pass the cutoff, and so how
much there is to write, depends on how peaked the weights are (shapes.py): `--random`
leaves them as they are.
"""

import argparse
import time

from flowglass.pipeline.analyse import analyse  # before torch: how threads wait
from flowglass.pipeline.model import LoadedModel
from flowglass.pipeline.settings import Settings
from flowglass.pipeline.text import TokenText
from flowglass.store.parquet import to_parquet
from flowglass.store.schema import TABLES

# isort: split
from rich.console import Console
from rich.table import Table
from shapes import gpt2_small, prompts_of


def sizes(loaded: LoadedModel, *, tokens: int, length: int) -> Table:
    """Rows, bytes and milliseconds a token, by table."""
    settings = Settings(tensors="dense")
    _, prompts = prompts_of(loaded, tokens=tokens, length=length, settings=settings)
    tables = analyse(loaded, prompts, settings, TokenText(None))
    n = sum(map(len, prompts))
    report = Table("table", "rows a token", "bytes a token", "ms a token to write")
    for name, rows in tables.items():
        started = time.perf_counter()
        data = to_parquet(TABLES[name], rows)
        seconds = time.perf_counter() - started
        report.add_row(
            name,
            f"{rows.num_rows / n:.1f}",
            f"{len(data) / n:.0f}",
            f"{1e3 * seconds / n:.3f}",
        )
    return report


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--random", action="store_true")
    asked = options.parse_args()
    loaded = gpt2_small(peaked=not asked.random)
    Console().print(sizes(loaded, tokens=1024, length=128))


if __name__ == "__main__":
    main()
