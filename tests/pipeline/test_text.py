"""Token texts, words and continuations, as the tables show them."""

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from flowglass.datasets.prompt import Prompt
from flowglass.pipeline.errors import PlanError
from flowglass.pipeline.loading import load_tokenizer
from flowglass.pipeline.prompts import Target, TokenisedPrompt, choose_targets, tokenise
from flowglass.pipeline.settings import Settings
from flowglass.pipeline.text import TokenText, encode

GPT2, LLAMA = load_tokenizer("tiny-gpt2"), load_tokenizer("tiny-llama")


def tokens(
    prompt: Prompt, context: int | None = 128, **options: object
) -> TokenisedPrompt:
    settings = Settings(**options)  # type: ignore[arg-type]
    found = tokenise(
        [(7, "mine", prompt)], GPT2, TokenText(GPT2), settings, context=context
    )
    return found[0]


@pytest.mark.parametrize("tokenizer", [GPT2, LLAMA])
@pytest.mark.parametrize("text", ["The capital of France is", " naïve — 東京 😀\n\tx "])
def test_token_texts_spell_the_text(
    tokenizer: PreTrainedTokenizerFast, text: str
) -> None:
    """Joined, the tokens are the text, with <0x..> where bytes stand alone."""
    spell = TokenText(tokenizer)
    (encoded,) = encode(tokenizer, [text], "none")
    joined = "".join(spell(i) for i in encoded.ids)
    raw = bytearray()
    while joined:
        if joined.startswith("<0x"):
            raw.append(int(joined[3:5], 16))
            joined = joined[6:]
        else:
            raw += joined[0].encode()
            joined = joined[1:]
    assert raw.decode() == text


def test_sentencepiece_tokens_keep_their_space() -> None:
    """A metaspace is shown as the space it stands for, a byte token as its byte."""
    vocabulary = {"<unk>": 0, "▁cat": 1, "s": 2, "<0x0A>": 3, "<0xE2>": 4}
    backend = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.Metaspace()
    backend.decoder = decoders.Metaspace()
    spell = TokenText(PreTrainedTokenizerFast(tokenizer_object=backend))
    assert [spell(i) for i in range(1, 5)] == [" cat", "s", "\n", "<0xE2>"]
    assert spell(99) == "[99]"


@pytest.mark.parametrize(
    ("bos", "starts"), [("add", [1, 1]), ("tokenizer", [0, 1]), ("none", [0, 0])]
)
def test_start_token_is_there_once_or_not_at_all(bos: str, starts: list[int]) -> None:
    """tiny-llama's tokenizer adds its start token by itself, tiny-gpt2's does not."""
    for tokenizer, n in zip((GPT2, LLAMA), starts, strict=True):
        (encoded,) = encode(tokenizer, ["The cat"], bos)  # type: ignore[arg-type]
        assert encoded.special.count(True) == n
        assert encoded.ids.count(tokenizer.bos_token_id) == n
        if n:
            assert encoded.spans[0] is None


def test_positions_have_words_and_characters() -> None:
    """Pieces of one word share its index; spans cut the text; the start has none."""
    prompt = tokens(Prompt("Beatrice left. Why"))
    assert prompt.words[0] is None
    assert prompt.spans[0] is None
    pieces = [t for t, w in zip(prompt.tokens, prompt.words, strict=True) if w == 0]
    assert len(pieces) > 1
    assert "".join(pieces) == "Beatrice"
    spelled = [prompt.prompt.text[s[0] : s[1]] for s in prompt.spans if s]
    assert spelled == prompt.tokens[1:]
    assert [t for t, d in zip(prompt.tokens, prompt.delimiters, strict=True) if d] == [
        "."
    ]


def test_answer_targets_are_teacher_forced() -> None:
    """One target per answer token, at the position that predicts it."""
    plain = tokens(Prompt("The seat is in", answer="Mogadishu"))
    forced = tokens(
        Prompt("The seat is in", answer="Mogadishu", distractor="Mongolia"),
        targets="answer",
    )
    answer = [t.answer_id for t in forced.targets]
    assert len(answer) > 1
    assert forced.ids == plain.ids + answer[:-1]
    assert [t.position for t in forced.targets] == list(
        range(len(plain) - 1, len(plain) - 1 + len(answer))
    )
    assert plain.targets == [Target(len(plain) - 1, "last", answer[0], None)]
    spell = TokenText(GPT2)
    assert "".join(spell(i) for i in answer if i is not None) == " Mogadishu"


def test_distractor_counts_only_on_the_same_prefix() -> None:
    """The second tokens of answer and distractor compete only if the first agree."""
    found = choose_targets("answer", 3, [5, 6, 7], [5, 8, 9])
    assert [t.distractor_id for t in found] == [5, 8, None]


def test_chosen_targets() -> None:
    """all is every position; a number is absolute, negative from the end."""
    assert [t.position for t in choose_targets("all", 3, [], [])] == [0, 1, 2]
    assert choose_targets("-2", 3, [4], []) == [Target(1, "chosen")]
    assert choose_targets("2", 3, [4], []) == [Target(2, "chosen", 4)]
    assert choose_targets("answer", 3, [], []) == [Target(2, "last")]
    with pytest.raises(PlanError, match=r"target 3 .* 3 tokens"):
        choose_targets("3", 3, [], [])


def test_too_long_prompt_is_named() -> None:
    """The message has the prompt, both lengths and the way out."""
    with pytest.raises(PlanError, match=r"prompt 7 of mine .*context 4.*--truncate"):
        tokens(Prompt("The capital city of France"), context=4)


def test_truncation_keeps_the_start_token_and_the_end() -> None:
    """What the last position predicts is what was asked."""
    whole = tokens(Prompt("The capital city of France"))
    cut = tokens(Prompt("The capital city of France"), context=4, truncate=True)
    assert cut.ids == [whole.ids[0], *whole.ids[-3:]]
    assert cut.targets[0].position == 3


@pytest.mark.parametrize(
    ("option", "value"),
    [("targets", "first"), ("cutoff", 1.0), ("bos", "yes"), ("limit", 0)],
)
def test_impossible_settings_are_refused(option: str, value: object) -> None:
    """The message names the option and what is expected."""
    with pytest.raises(PlanError, match=rf"{option} .*expected"):
        Settings(**{option: value})  # type: ignore[arg-type]
