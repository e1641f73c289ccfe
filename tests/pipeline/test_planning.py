"""A sweep is planned from counts: those of the tokenised prompts, and their errors."""

import json
import tracemalloc
from collections import Counter
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tokenizers.processors import TemplateProcessing
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from flowglass.datasets.catalog import Dataset, load
from flowglass.datasets.prompt import Prompt
from flowglass.pipeline import corpus
from flowglass.pipeline.corpus import Corpus, Shard, Tokeniser, load_corpus, plan_shards
from flowglass.pipeline.errors import PlanError
from flowglass.pipeline.loading import load_tokenizer
from flowglass.pipeline.prompts import count_tokens, tokenise
from flowglass.pipeline.settings import Settings
from flowglass.pipeline.text import Bos, TokenText, encode, encode_ids

GPT2, LLAMA = load_tokenizer("tiny-gpt2"), load_tokenizer("tiny-llama")


def ending() -> PreTrainedTokenizerBase:
    """tiny-gpt2's, but with a special token before and behind every text."""
    tokenizer = load_tokenizer("tiny-gpt2")
    mark = tokenizer.bos_token
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single=f"{mark} $A {mark}", special_tokens=[(mark, tokenizer.bos_token_id)]
    )
    return tokenizer


class Shouting(PreTrainedTokenizerFast):
    """One that changes the text before its backend sees it, as some families' do."""

    def _encode_plus(self, text: Any, *given: Any, **options: Any) -> Any:
        return super()._encode_plus([t.upper() for t in text], *given, **options)


TOKENIZERS = {
    "gpt2": GPT2,
    "llama": LLAMA,
    "ending": ending(),
    "shouting": Shouting(  # type: ignore[no-untyped-call]
        tokenizer_object=GPT2.backend_tokenizer,
        bos_token=GPT2.bos_token,
    ),
}

WORDS = st.sampled_from(
    ["The", " capital", " of", " ", "\n", "Mogadishu", "é", "東", "😀", ".", "12"]
)
TEXTS = st.one_of(
    st.lists(WORDS, max_size=8).map("".join),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=12),
    st.just("<|endoftext|> a"),
)
LABELS = st.one_of(st.none(), TEXTS)
PROMPTS = st.builds(Prompt, TEXTS, answer=LABELS, distractor=LABELS)
TARGETS = st.one_of(
    st.sampled_from(["last", "answer", "all"]), st.integers(-9, 9).map(str)
)
BOS = st.sampled_from(["add", "tokenizer", "none"])


def numbered(prompts: Sequence[Prompt]) -> list[tuple[int, str, Prompt]]:
    return [(7 + n, "mine", prompt) for n, prompt in enumerate(prompts)]


def said(work: Any) -> Any:
    """What the work returns, or the message of its PlanError."""
    try:
        return work()
    except PlanError as error:
        return str(error)


@given(
    prompts=st.lists(PROMPTS, max_size=4),
    name=st.sampled_from(list(TOKENIZERS)),
    targets=TARGETS,
    bos=BOS,
    truncate=st.booleans(),
    context=st.one_of(st.none(), st.integers(1, 12)),
)
@example(  # the answer alone is longer than the context
    prompts=[Prompt("The capital of", answer="Mogadishu Mogadishu")],
    name="gpt2",
    targets="answer",
    bos="add",
    truncate=True,
    context=2,
)
def test_counts_are_those_of_the_tokenised_prompts(
    prompts: list[Prompt],
    name: str,
    targets: str,
    bos: Bos,
    truncate: bool,
    context: int | None,
) -> None:
    """Or the error is the same, for the same prompt, word by word."""
    tokenizer, some = TOKENIZERS[name], numbered(prompts)
    settings = Settings(targets=targets, bos=bos, truncate=truncate)

    def whole() -> list[int]:
        spell = TokenText(tokenizer)
        made = tokenise(some, tokenizer, spell, settings, context=context)
        return [len(prompt) for prompt in made]

    counted = said(lambda: count_tokens(some, tokenizer, settings, context=context))
    assert counted == said(whole if some else list)


@pytest.mark.parametrize(
    ("bos", "kept"), [("add", [0, -2, -1]), ("none", [-3, -2, -1])]
)
def test_a_truncated_prompt_keeps_its_end(bos: Bos, kept: list[int]) -> None:
    """And its start token, if it has one; the count is of what is kept."""
    text = "The capital city of France"
    (whole,) = encode_ids(GPT2, [text], bos)
    some, settings = numbered([Prompt(text)]), Settings(bos=bos, truncate=True)
    (cut,) = tokenise(some, GPT2, TokenText(GPT2), settings, context=3)
    assert cut.ids == [whole[place] for place in kept]
    assert count_tokens(some, GPT2, settings, context=3) == [3]


@given(
    texts=st.lists(TEXTS, min_size=1), name=st.sampled_from(list(TOKENIZERS)), bos=BOS
)
def test_ids_alone_are_those_with_spans(texts: list[str], name: str, bos: Bos) -> None:
    """Whether the backend is asked or the tokenizer that changes texts before."""
    tokenizer = TOKENIZERS[name]
    full = [encoded.ids for encoded in encode(tokenizer, texts, bos)]
    assert encode_ids(tokenizer, texts, bos) == full


def test_a_tokenizer_that_pads_and_truncates_counts_all() -> None:
    """What its file says about batches for training is not about prompts."""
    tokenizer = load_tokenizer("tiny-gpt2")
    backend: Any = tokenizer.backend_tokenizer
    backend.enable_truncation(2)
    backend.enable_padding()
    texts = ["The capital of France is", "a"]
    assert encode_ids(tokenizer, texts, "none") == encode_ids(GPT2, texts, "none")


def made_up(sizes: dict[str, list[int]]) -> Corpus:
    """Prompts of so many words; a category for each length."""
    return Corpus(
        tuple(
            Dataset(name, [Prompt("a" + " a" * (n - 1), f"{n}") for n in lengths], "")
            for name, lengths in sizes.items()
        )
    )


def tokeniser(context: int | None = None) -> Tokeniser:
    """tiny-gpt2's, without a start token: a prompt has as many tokens as words."""
    return Tokeniser(GPT2, TokenText(GPT2), Settings(bos="none"), context)


def closed_one_by_one(
    counts: Sequence[int], *, most_prompts: int, most_tokens: int
) -> list[Shard]:
    """The shards of prompts in the given order, by adding one prompt after another."""
    shards: list[Shard] = []
    start = tokens = 0
    for prompt_id, n in enumerate(counts):
        tokens += n
        if prompt_id + 1 - start == most_prompts or tokens >= most_tokens:
            shards.append(Shard(len(shards), range(start, prompt_id + 1), tokens))
            start, tokens = prompt_id + 1, 0
    rest = range(start, len(counts))
    return [*shards, Shard(len(shards), rest, tokens)] if rest else shards


@given(st.lists(st.integers(1, 30), min_size=1, max_size=60), st.integers(1, 80))
def test_shards_are_closed_by_prompts_or_tokens(sizes: list[int], most: int) -> None:
    """At the prompt that fills one, whichever limit is reached first."""
    with patch.multiple(corpus, SHARD_TOKENS=most, SHARD_PROMPTS=7, AT_ONCE=5):
        found = plan_shards(made_up({"one": sizes}), tokeniser())
    assert found == closed_one_by_one(sizes, most_prompts=7, most_tokens=most)


def test_fair_shards_hold_every_prompt_once() -> None:
    """Ascending within a shard, with the tokens of just these prompts."""
    lengths = [1 + n % 5 for n in range(700)]
    shards = plan_shards(
        made_up({"one": lengths[:300], "two": lengths[300:]}), tokeniser(), order="fair"
    )
    assert sorted(i for shard in shards for i in shard.prompt_ids) == list(range(700))
    assert [shard.index for shard in shards] == [0, 1, 2]
    for shard in shards:
        assert list(shard.prompt_ids) == sorted(shard.prompt_ids)
        assert shard.n_tokens == sum(lengths[i] for i in shard.prompt_ids)


def test_every_beginning_of_fair_shards_has_its_share_of_all_categories() -> None:
    """Of both datasets, the second of which comes last in the given order; categories
    of one name in two datasets are two."""
    lengths = {"one": [1] * 500 + [2] * 100, "two": [1] * 130 + [3] * 7}
    planned = made_up(lengths)
    shards = plan_shards(planned, tokeniser(), order="fair")
    total = Counter((name, n) for name, some in lengths.items() for n in some)
    had: Counter[tuple[str, int]] = Counter()
    for end, shard in zip(
        accumulate(shard.n_prompts for shard in shards), shards, strict=True
    ):
        had.update(
            (name, int(prompt.category or 0))
            for _, name, prompt in planned.of(shard.prompt_ids)
        )
        for stratum, n in total.items():
            assert abs(had[stratum] - end * n / len(planned)) < 1


@pytest.mark.parametrize("order", ["given", "fair"])
def test_the_first_prompt_that_does_not_fit_is_named(order: Any) -> None:
    """The first one of the file, in whatever order the prompts would run."""
    lengths = [1] * 600 + [9, 1, 12]
    with pytest.raises(PlanError, match=r"^prompt 600 of one .* has 9 tokens"):
        plan_shards(made_up({"one": lengths}), tokeniser(context=8), order=order)


def test_a_shard_can_be_looked_up_again() -> None:
    """The prompts of a fair shard are those of the corpus at its ids."""
    lengths = [1 + n % 3 for n in range(400)]
    planned = made_up({"one": lengths})
    shard = plan_shards(planned, tokeniser(), order="fair")[0]
    found = planned.of(shard.prompt_ids)
    assert [prompt_id for prompt_id, _, _ in found] == list(shard.prompt_ids)
    assert sum(len(p.text.split()) for _, _, p in found) == shard.n_tokens


def test_prompts_of_a_file_share_what_is_equal(tmp_path: Path) -> None:
    """A million prompts of three categories do not hold a million names of them."""
    path = tmp_path / "some.jsonl"
    line = json.dumps({"text": "a", "category": "some category"})
    path.write_text(f"{line}\n{line}\n")
    one, two = load(path).prompts
    assert one.category is two.category
    assert one.metadata is two.metadata
    assert not hasattr(one, "__dict__")


@pytest.mark.parametrize("suffix", ["txt", "jsonl"])
def test_short_prompts_take_little_memory(tmp_path: Path, suffix: str) -> None:
    """Beside their texts, 200 bytes each at most: a million of them fit in 1 GB."""
    path = tmp_path / f"some.{suffix}"
    texts = [f"{n} and the rest of a line of a dozen words or so" for n in range(5000)]
    lines = {
        "txt": texts,
        "jsonl": [
            json.dumps({"text": t, "category": "c", "answer": "x"}) for t in texts
        ],
    }
    path.write_text("\n".join(lines[suffix]))
    tracemalloc.start()
    planned = load_corpus([str(path)], limit=None)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(planned) == 5000
    assert held / 5000 < 200 + np.mean([len(text) for text in texts])


def test_an_answer_that_leaves_no_room_is_refused() -> None:
    """Though a text may be cut, something of it must be left."""
    prompts = numbered([Prompt("Then they went home.", answer="one two three four")])
    settings = Settings(targets="answer", truncate=True)
    with pytest.raises(PlanError, match="leaves no room for its text"):
        count_tokens(prompts, GPT2, settings, context=3)
    with pytest.raises(PlanError, match="leaves no room for its text"):
        tokenise(prompts, GPT2, TokenText(GPT2), settings, context=3)
