"""The prompts of a sweep, and how they fall into shards.

A shard is contiguous in prompt_id and is tokenised again when its turn comes, so that
planning a million prompts keeps none of their tokens.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Literal

from transformers import PreTrainedTokenizerBase

from flowglass.datasets.catalog import Dataset, load
from flowglass.datasets.prompt import Prompt

from .prompts import TokenisedPrompt, tokenise
from .settings import SHARD_PROMPTS, SHARD_TOKENS, Settings
from .text import TokenText

Order = Literal["given", "fair"]
"""given: shards are neighbours, in the order of the sources. fair: every prefix of the
shards is a fair sample of all categories."""

AT_ONCE = 2048
"""Prompts tokenised in one call while planning."""


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


def plan_shards(
    corpus: Corpus, tokeniser: Tokeniser, *, order: Order = "given"
) -> list[Shard]:
    """Shards of at most SHARD_PROMPTS prompts, closed once they hold SHARD_TOKENS.

    Every prompt is tokenised once, so that PlanError names one that is too long before
    anything runs.
    """
    shards: list[Shard] = []
    start = n_tokens = 0
    for first in range(0, len(corpus), AT_ONCE):
        some = range(first, min(first + AT_ONCE, len(corpus)))
        for prompt in tokeniser(corpus.of(some)):
            n_tokens += len(prompt)
            stop = prompt.prompt_id + 1
            if stop - start == SHARD_PROMPTS or n_tokens >= SHARD_TOKENS:
                shards.append(Shard(len(shards), range(start, stop), n_tokens))
                start, n_tokens = stop, 0
    if start < len(corpus):
        shards.append(Shard(len(shards), range(start, len(corpus)), n_tokens))
    return shards
