"""How many rows and bytes a token has, by model, table and cutoff.

    python benchmarks/density.py --peaked --store .bench/corpus8 --markdown

The bundled models read windows of 64 tokens from all built-in prompts, joined, and so
does any `--model` besides (deeper.py trains one). `--peaked` adds the random weights of
GPT-2 small's shape that shapes.py makes peaked, `--store` a store that corpus.py has
written. Bytes are those of one shard's files.
"""

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from flowglass.pipeline.analyse import analyse, roll_up  # before torch
from flowglass.pipeline.batch import make_batches
from flowglass.pipeline.loading import load_tokenizer
from flowglass.pipeline.model import LoadedModel, load_model
from flowglass.pipeline.prompts import TokenisedPrompt, from_ids
from flowglass.pipeline.settings import Settings
from flowglass.pipeline.text import TokenText
from flowglass.store import open_store
from flowglass.store.parquet import to_parquet
from flowglass.store.schema import TABLES

# isort: split
import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console
from rich.table import Table
from shapes import gpt2_small, prompts_of
from transformers import PreTrainedTokenizerBase
from transformers.utils import logging

from flowglass.datasets.catalog import builtin_prompts
from flowglass.datasets.tasks import TASKS

BUNDLED = ("tiny-gpt2", "tiny-llama")
CUTOFFS = (0.001, 0.003, 0.01, 0.04)
LENGTH = 64
N_PROMPTS = 256

ATTN = "FROM edges WHERE kind = 'attn'"
AWAY = "avg((query - key BETWEEN {} AND {})::INT)"
OF_ATTENTION = "SELECT avg({}) FROM steps WHERE step = 'attn'"
DOWN = (1, 2, 3, 6, 11)
REACHED = """
    SELECT count(DISTINCT (prompt_id, query)) / (SELECT count(*) FROM prompts)
    FROM routes WHERE step = 'ffn' AND layer = (SELECT max(layer) FROM edges) - {}
"""
STATISTICS: Sequence[tuple[str, str]] = (
    ("layers", "SELECT count(DISTINCT layer) FROM edges"),
    ("heads", "SELECT count(DISTINCT head) FROM heads"),
    ("edges, a token and layer", "SELECT count(*) / $n FROM edges"),
    ("- from attention", f"SELECT count(*) / $n {ATTN}"),
    ("- from the residual", "SELECT count(*) / $n FROM edges WHERE kind = 'resid'"),
    ("- from the FFN", "SELECT count(*) / $n FROM edges WHERE kind = 'ffn'"),
    ("attention's: key is the first position", f"SELECT avg((key = 0)::INT) {ATTN}"),
    ("- the query itself", f"SELECT {AWAY.format(0, 0)} {ATTN}"),
    ("- the one before", f"SELECT {AWAY.format(1, 1)} {ATTN}"),
    ("- 2 to 4 before", f"SELECT {AWAY.format(2, 4)} {ATTN}"),
    ("- 5 to 16 before", f"SELECT {AWAY.format(5, 16)} {ATTN}"),
    ("- more", f"SELECT {AWAY.format(17, 9999)} {ATTN}"),
    ("attention's contributions, median", f"SELECT median(contribution) {ATTN}"),
    ("- 90%", f"SELECT quantile_cont(contribution, 0.9) {ATTN}"),
    ("- 99%", f"SELECT quantile_cont(contribution, 0.99) {ATTN}"),
    ("share of attention in its step", OF_ATTENTION.format("attn")),
    ("- below the cutoff", OF_ATTENTION.format("below_cutoff")),
    ("neurons, a token and layer", "SELECT count(*) / $n FROM neurons"),
    ("their contributions, median", "SELECT median(contribution) FROM neurons"),
    ("- 90%", "SELECT quantile_cont(contribution, 0.9) FROM neurons"),
    *(
        (f"positions in a route, layer {n} from the top", REACHED.format(n))
        for n in DOWN
    ),
    (
        "share of edges in a route",
        "SELECT (SELECT count(*) FROM routes) / count(*) FROM edges",
    ),
)
"""What of one shard is compared: a name, and SQL for a number."""


@dataclass(frozen=True, eq=False)
class Shard:
    """One shard's tables, and the bytes of its files."""

    tables: Mapping[str, pa.Table]
    n_bytes: Mapping[str, int]

    @property
    def n_tokens(self) -> int:
        return int(self.tables["tokens"].num_rows)

    def per_token(self, table: str) -> tuple[float, float]:
        """Rows and bytes a token of a table."""
        rows = self.tables[table].num_rows if table in self.tables else 0
        return rows / self.n_tokens, self.n_bytes.get(table, 0) / self.n_tokens

    @property
    def total(self) -> float:
        """Bytes a token of all tables."""
        return sum(self.n_bytes.values()) / self.n_tokens


def swept(
    loaded: LoadedModel,
    prompts: Sequence[TokenisedPrompt],
    settings: Settings,
    token_text: TokenText,
) -> Shard:
    """What a sweep would store of these prompts as one shard."""
    parts: dict[str, list[pa.Table]] = {}
    for batch in make_batches(prompts, 1024):
        for name, rows in analyse(loaded, batch, settings, token_text).items():
            parts.setdefault(name, []).append(rows)
    tables = {name: pa.concat_tables(some) for name, some in parts.items()}
    tables["component_stats"] = roll_up(tables, loaded, settings.cutoff)
    n_bytes = {
        name: len(to_parquet(TABLES[name], rows))
        for name, rows in tables.items()
        if rows.num_rows
    }
    return Shard(tables, n_bytes)


def windows(
    tokenizer: PreTrainedTokenizerBase, settings: Settings, n_prompts: int
) -> list[TokenisedPrompt]:
    """Prompts of 64 tokens, a start token first: built-in prompts, one of each task
    after the other."""
    by_task = zip(*(builtin_prompts(task) for task in TASKS), strict=False)
    text = " ".join(prompt.completed() for some in by_task for prompt in some)
    ids: Any = tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
    start, n = tokenizer.bos_token_id, LENGTH - 1
    rows = ([start, *ids[i * n : (i + 1) * n]] for i in range(n_prompts))
    return numbered([from_ids(row, settings, context=None) for row in rows])


def numbered(prompts: Sequence[TokenisedPrompt]) -> list[TokenisedPrompt]:
    """The prompts with ids of their own."""
    return [replace(prompt, prompt_id=i) for i, prompt in enumerate(prompts)]


def of_model(name: str, *, cutoff: float = 0.01, n_prompts: int = N_PROMPTS) -> Shard:
    """A model, by the name that a sweep takes, on the windows."""
    settings = Settings(project="none", cutoff=cutoff)
    tokenizer = load_tokenizer(name)
    prompts = windows(tokenizer, settings, n_prompts)
    return swept(load_model(name), prompts, settings, TokenText(tokenizer))


def of_peaked(*, length: int, n_prompts: int = N_PROMPTS) -> Shard:
    """Random, peaked weights of GPT-2 small's shape on random tokens."""
    settings, loaded = Settings(project="none"), gpt2_small()
    _, prompts = prompts_of(
        loaded, tokens=length * n_prompts, length=length, settings=settings
    )
    return swept(loaded, numbered(prompts), settings, TokenText(None))


def of_store(path: Path) -> Shard:
    """The first shard of a store's first run."""
    with open_store(path) as store:
        run_id = next(iter(store.snapshot.runs))
        files = {name: store.files(run_id, name, prompt_id=0) for name in TABLES}
    found = {name: Path(some[0]) for name, some in files.items() if some}
    return Shard(
        {name: pq.ParquetFile(file).read() for name, file in found.items()},
        {name: file.stat().st_size for name, file in found.items()},
    )


def statistic(shard: Shard, query: str) -> float:
    """A number that describes a shard; `$n` is its tokens times its layers."""
    n = shard.n_tokens * len(shard.tables["edges"]["layer"].unique())
    with duckdb.connect() as connection:
        for name in ("edges", "steps", "heads", "routes", "neurons", "prompts"):
            connection.register(name, shard.tables[name])
        found = connection.sql(query.replace("$n", str(n))).fetchall()[0][0]
    return float("nan") if found is None else float(found)


def compared(shards: Mapping[str, Shard]) -> list[list[str]]:
    """Statistics of shards side by side."""
    return [
        [name, *(f"{statistic(shard, query):.3g}" for shard in shards.values())]
        for name, query in STATISTICS
    ]


def by_table(shards: Mapping[str, Shard]) -> list[list[str]]:
    """Rows and bytes a token of each table."""
    lines = []
    for name in TABLES:
        cells = [shard.per_token(name) for shard in shards.values()]
        if any(rows for rows, _ in cells):
            lines.append([name, *(f"{r:.2f}, {b:.1f}" for r, b in cells)])
    lines.append(["all", *(f"{shard.total:.0f}" for shard in shards.values())])
    return lines


def by_cutoff(
    names: Sequence[str], make: Callable[[str, float], Shard]
) -> list[list[str]]:
    """Rows, bytes and the mass kept, for each model and cutoff."""
    lines = []
    for name in names:
        for cutoff in CUTOFFS:
            shard = make(name, cutoff)
            rows, n_bytes = shard.per_token("edges")
            n_layers = len(shard.tables["edges"]["layer"].unique())
            lost = statistic(shard, OF_ATTENTION.format("below_cutoff"))
            attn = statistic(shard, OF_ATTENTION.format("attn"))
            lines.append(
                [
                    Path(name).name,
                    f"{cutoff:g}",
                    f"{rows:.1f}",
                    f"{rows / n_layers:.1f}",
                    f"{1 - lost:.1%}",
                    f"{1 - lost / attn:.1%}",
                    f"{shard.per_token('neurons')[0]:.1f}",
                    f"{n_bytes:.0f}",
                    f"{shard.total:.0f}",
                ]
            )
    return lines


def show(title: str, header: Sequence[str], lines: Any, *, markdown: bool) -> None:
    """Print one table."""
    if markdown:
        print(f"\n{title}\n")
        for line in (header, ["---"] * len(header), *lines):
            print(f"| {' | '.join(line)} |")
        return
    table = Table(*header, title=title)
    for line in lines:
        table.add_row(*line)
    Console(width=140).print(table)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--model", action="append", default=[])
    options.add_argument("--peaked", action="store_true", help="takes two minutes")
    options.add_argument("--store", type=Path)
    options.add_argument("--markdown", action="store_true")
    asked = options.parse_args()
    logging.set_verbosity_error()
    models = [*BUNDLED, *asked.model]
    shards = {Path(name).name: of_model(name) for name in models}
    if asked.peaked:
        shards |= {f"peaked, T {n}": of_peaked(length=n) for n in (64, 128)}
    if asked.store:
        shards[f"{asked.store.name}"] = of_store(asked.store)
    header = ["", *shards]
    how = {"markdown": asked.markdown}
    show("What is compared, at cutoff 0.01", header, compared(shards), **how)
    show("Rows and bytes a token, at cutoff 0.01", header, by_table(shards), **how)
    show(
        "By cutoff",
        (
            "model",
            "cutoff",
            "edges a token",
            "and layer",
            "kept of attention steps",
            "of attention's share",
            "neurons a token",
            "bytes of edges",
            "all bytes",
        ),
        by_cutoff(models, lambda name, cutoff: of_model(name, cutoff=cutoff)),
        **how,
    )


if __name__ == "__main__":
    main()
