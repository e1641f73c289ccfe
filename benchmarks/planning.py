"""How long a sweep of many short prompts is planned, and what memory that takes.

    python benchmarks/planning.py --prompts 1000000

Planning is all that comes before the model: imports, the tokenizer (tiny-gpt2's), the
prompts of a file, and their shards. Each line is a process of its own, for its peak of
memory, imports included. Beside it are floors: what the JSON parser, the digest and
the Rust tokenizer alone need for the same file (`answer` tokenises it twice).
"""

import argparse
import json
import resource
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any, Literal

MODEL, CONTEXT = "tiny-gpt2", 128
AT_ONCE = 512
"""Texts that the tokenizer alone gets in one call."""
GLUE = ["the", "of", "and", "a", "to", "in", "is", "was", "it", "for", "on", "with"]
MB = 2**20

STEPS = ("imports", "prompts", "shards")
FLOORS = ("JSON", "digest", "tokenizer")
COLUMNS = ("file, targets, order", *STEPS, "all", "CPU", "peak, MB", *FLOORS)

CASES: tuple[tuple[str, str, Literal["given", "fair"]], ...] = (
    ("prompts.txt", "last", "given"),
    ("prompts.jsonl", "last", "given"),
    ("prompts.jsonl", "last", "fair"),
    ("prompts.jsonl", "answer", "given"),
)


class Stopwatch:
    """Seconds of named steps."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def timing(self, name: str) -> Iterator[None]:
        started = time.perf_counter()
        yield
        self.seconds[name] = time.perf_counter() - started


def write_prompts(folder: Path, *, n: int, seed: int = 0) -> None:
    """The same n lines of about 12 words as .txt, and as .jsonl with labels."""
    from flowglass.datasets.words import COLOURS, NAMES, PLACES, THINGS, WORDS

    rng = Random(seed)
    words = [*WORDS, *THINGS, *COLOURS, *PLACES, *NAMES, *GLUE * 3]
    with (
        (folder / "prompts.txt").open("w") as txt,
        (folder / "prompts.jsonl").open("w") as jsonl,
    ):
        for _ in range(n):
            text = " ".join(rng.choices(words, k=rng.randint(8, 16)))
            labels = {"category": rng.choice(PLACES), "answer": rng.choice(NAMES)}
            txt.write(f"{text}\n")
            jsonl.write(json.dumps({"text": text, **labels}) + "\n")


def plan(file: Path, targets: str, order: Literal["given", "fair"]) -> dict[str, float]:
    """Seconds of each step of planning the file, of all cores together, and the peak
    in MB."""
    watch = Stopwatch()
    with watch.timing("imports"):
        from flowglass.pipeline.corpus import Tokeniser, load_corpus, plan_shards
        from flowglass.pipeline.loading import load_tokenizer
        from flowglass.pipeline.settings import Settings
        from flowglass.pipeline.text import TokenText

        tokenizer = load_tokenizer(MODEL)
        tokeniser = Tokeniser(
            tokenizer, TokenText(tokenizer), Settings(targets=targets), CONTEXT
        )
    with watch.timing("prompts"):
        corpus = load_corpus([str(file)], limit=None)
    with watch.timing("shards"):
        shards = plan_shards(corpus, tokeniser, order=order)
    assert sum(shard.n_prompts for shard in shards) == len(corpus)
    return watch.seconds | {"CPU": time.process_time(), "peak, MB": peak()}


def floor(file: Path) -> dict[str, float]:
    """Seconds that cannot be saved: parsing, the digest, the tokenizer alone."""
    from flowglass.datasets.catalog import digest_of, load
    from flowglass.pipeline.loading import load_tokenizer

    watch = Stopwatch()
    if file.suffix == ".jsonl":
        with watch.timing("JSON"), file.open("rb") as lines:
            for line in lines:
                json.loads(line)
    prompts = load(file).prompts
    with watch.timing("digest"):
        digest_of(prompts)
    backend: Any = load_tokenizer(MODEL).backend_tokenizer
    with watch.timing("tokenizer"):
        for start in range(0, len(prompts), AT_ONCE):
            some = prompts[start : start + AT_ONCE]
            backend.encode_batch_fast([prompt.text for prompt in some])
    return watch.seconds


def peak() -> float:
    """The most memory that this process has held so far, in MB."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / MB


def alone(work: Callable[..., dict[str, float]], *given: Any) -> dict[str, float]:
    """What the work finds in a fresh process."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(work, *given).result()


def row(name: str, found: dict[str, float]) -> list[str]:
    """The cells under COLUMNS; an empty one for what does not apply."""
    found = found | {"all": sum(found[step] for step in STEPS)}
    _, *columns = COLUMNS
    return [name, *(f"{found[c]:,.1f}" if c in found else "" for c in columns)]


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--prompts", type=int, default=1_000_000)
    asked = options.parse_args()
    with TemporaryDirectory() as folder:
        write_prompts(Path(folder), n=asked.prompts)
        print(f"{asked.prompts:,} prompts; seconds, and the floors of them")
        print(" | ".join(COLUMNS))
        floors = {name: alone(floor, Path(folder) / name) for name, *_ in CASES}
        for name, targets, order in CASES:
            found = alone(plan, Path(folder) / name, targets, order) | floors[name]
            print(" | ".join(row(f"{name}, {targets}, {order}", found)), flush=True)


if __name__ == "__main__":
    main()
