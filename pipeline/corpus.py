"""The prompts of a sweep, and how they fall into shards.

A shard is tokenised again when its turn comes: planning a million prompts counts their
tokens and keeps none.
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerBase

from flowglass.datasets.catalog import Dataset, load
from flowglass.datasets.prompt import Prompt

from .fair_order import fair_order
from .prompts import TokenisedPrompt, count_tokens, tokenise
from .settings import SHARD_PROMPTS, SHARD_TOKENS, Settings
from .text import TokenText

Order = Literal["given", "fair"]
"""given: shards are neighbours, in the order of the sources. fair: every prefix of the
shards is a fair sample of all categories of all sources, see fair_order.py."""

AT_ONCE = 512
"""Prompts tokenised in one call while planning; more at once take longer."""


@dataclass(frozen=True)
class Shard:
    """Some of the prompts, and their number of tokens."""

    index: int
    prompt_ids: Sequence[int]
    """Ascending."""
    n_tokens: int

    @property
    def n_prompts(self) -> int:
        return len(self.prompt_ids)


@dataclass(frozen=True, eq=False)
class Corpus:
    """The sources in command order; prompt_id is the place in their concatenation."""

    datasets: tuple[Dataset, ...]

    def __len__(self) -> int:
        return sum(len(dataset.prompts) for dataset in self.datasets)

    def of(self, prompt_ids: Sequence[int]) -> list[tuple[int, str, Prompt]]:
        """(prompt_id, dataset, prompt) of these prompts."""
        ends = list(accumulate(len(dataset.prompts) for dataset in self.datasets))
        found: list[tuple[int, str, Prompt]] = []
        for prompt_id in map(int, prompt_ids):
            nth = bisect_right(ends, prompt_id)
            dataset = self.datasets[nth]
            place = prompt_id - ends[nth]  # from the end
            found.append((prompt_id, dataset.name, dataset.prompts[place]))
        return found


def load_corpus(data: Sequence[str], *, limit: int | None) -> Corpus:
    """Every source, at most `limit` prompts of each; raises DatasetError."""
    return Corpus(tuple(load(source, limit=limit) for source in data))


@dataclass(frozen=True, eq=False)
class Tokeniser:
    """Turns prompts into token ids by one run's settings."""

    tokenizer: PreTrainedTokenizerBase
    token_text: TokenText
    settings: Settings
    context: int | None

    def __call__(
        self, prompts: Sequence[tuple[int, str, Prompt]]
    ) -> list[TokenisedPrompt]:
        return tokenise(
            prompts,
            self.tokenizer,
            self.token_text,
            self.settings,
            context=self.context,
        )

    def count(self, prompts: Sequence[tuple[int, str, Prompt]]) -> list[int]:
        """The number of tokens of every prompt."""
        return count_tokens(
            prompts, self.tokenizer, self.settings, context=self.context
        )


def plan_shards(
    corpus: Corpus, tokeniser: Tokeniser, *, order: Order = "given"
) -> list[Shard]:
    """Shards of at most SHARD_PROMPTS prompts, closed once they hold SHARD_TOKENS.

    Every prompt's tokens are counted, so that PlanError names one that is too long
    before anything runs.
    """
    counts = _counted(corpus, tokeniser)
    if order == "given":
        return [
            Shard(index, range(start, stop), n_tokens)
            for index, (start, stop, n_tokens) in enumerate(_cut(counts))
        ]
    prompt_ids = fair_order(_strata(corpus))
    return [
        Shard(index, tuple(np.sort(prompt_ids[start:stop]).tolist()), n_tokens)
        for index, (start, stop, n_tokens) in enumerate(_cut(counts[prompt_ids]))
    ]


def _counted(corpus: Corpus, tokeniser: Tokeniser) -> NDArray[np.int64]:
    """The number of tokens of every prompt, by prompt_id."""
    counts = np.empty(len(corpus), dtype=np.int64)
    for start in range(0, len(corpus), AT_ONCE):
        some = range(start, min(start + AT_ONCE, len(corpus)))
        counts[some.start : some.stop] = tokeniser.count(corpus.of(some))
    return counts


def _strata(corpus: Corpus) -> NDArray[np.int64]:
    """A number for the dataset and the category of every prompt, by prompt_id."""
    numbers: dict[tuple[str, str | None], int] = {}
    return np.array(
        [
            numbers.setdefault((dataset.name, prompt.category), len(numbers))
            for dataset in corpus.datasets
            for prompt in dataset.prompts
        ],
        dtype=np.int64,
    )


def _cut(counts: NDArray[np.int64]) -> Iterator[tuple[int, int, int]]:
    """(start, stop, tokens) of every shard of prompts that have so many tokens."""
    ends = np.cumsum(counts)
    start = before = 0
    while start < len(counts):
        full = int(np.searchsorted(ends, before + SHARD_TOKENS)) + 1
        stop = min(start + SHARD_PROMPTS, full, len(counts))
        end = int(ends[stop - 1])
        yield start, stop, end - before
        start, before = stop, end
