"""Prompts as the model reads them: token ids, targets, and the answer's tokens.

`tokenise` makes all of a prompt, `count_tokens` only its length. What both decide,
which tokens are kept and whether the prompt can be run at all, is in `_lay_out`.
"""

from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass
from itertools import compress, repeat
from typing import Literal

from transformers import PreTrainedTokenizerBase

from flowglass.datasets.prompt import Prompt, continuation

from .errors import PlanError
from .settings import Settings
from .text import (
    Encoded,
    TokenText,
    encode,
    encode_ids,
    is_delimiter,
    special_ids,
    words_of,
)

Reason = Literal["last", "answer", "chosen"]


@dataclass(frozen=True)
class Target:
    """A position whose route is stored, and the tokens that are at stake there."""

    position: int
    reason: Reason
    answer_id: int | None = None
    """The due token of the answer, where this position predicts one."""
    distractor_id: int | None = None


@dataclass(frozen=True)
class TokenisedPrompt:
    """One prompt, ready to be run; the lists have one entry a position."""

    prompt_id: int
    dataset: str
    prompt: Prompt
    ids: list[int]
    special: list[bool]
    spans: list[tuple[int, int] | None]
    tokens: list[str]
    words: list[int | None]
    delimiters: list[bool]
    targets: list[Target]

    def __len__(self) -> int:
        return len(self.ids)


def choose_targets(
    spec: str, n_text: int, answer: Sequence[int], distractor: Sequence[int]
) -> list[Target]:
    """The targets of a prompt whose text has n_text tokens.

    With `answer`, one per answer token (teacher-forced), or the last position where
    the prompt names none. Raises PlanError for a position outside the prompt.
    """
    last = n_text - 1

    def target(position: int, reason: Reason) -> Target:
        nth = position - last
        if not 0 <= nth < len(answer):
            return Target(position, reason)
        rival = nth < len(distractor) and distractor[:nth] == answer[:nth]
        return Target(position, reason, answer[nth], distractor[nth] if rival else None)

    reason: Reason = "chosen"
    if spec in ("last", "answer"):
        reason = "answer" if spec == "answer" and answer else "last"
    positions = target_positions(spec, n_text, len(answer))
    return [target(position, reason) for position in positions]


def target_positions(spec: str, n_text: int, n_answer: int) -> range:
    """Where the targets are; raises PlanError for a position outside the prompt."""
    last = n_text - 1
    if spec in ("last", "answer"):
        return range(last, last + (n_answer if spec == "answer" and n_answer else 1))
    if spec == "all":
        return range(n_text)
    position = int(spec) if int(spec) >= 0 else n_text + int(spec)
    if not 0 <= position < n_text:
        raise PlanError(f"target {spec} lies outside a prompt of {n_text} tokens")
    return range(position, position + 1)


def tokenise(
    prompts: Sequence[tuple[int, str, Prompt]],
    tokenizer: PreTrainedTokenizerBase,
    token_text: TokenText,
    settings: Settings,
    *,
    context: int | None,
) -> list[TokenisedPrompt]:
    """Every (prompt_id, dataset, prompt) as token ids with targets.

    Raises PlanError, naming the prompt, for one that has no tokens, is longer than
    the context (without `truncate`), or lacks the chosen target.
    """
    texts = encode(tokenizer, [p.text for _, _, p in prompts], settings.bos)
    ids = [text.ids for text in texts]
    answers = _continuations(prompts, tokenizer, ids, "answer", settings)
    distractors = _continuations(prompts, tokenizer, ids, "distractor", settings)
    specials = special_ids(tokenizer, settings.bos)
    found = []
    for (prompt_id, dataset, prompt), text, answer, distractor in zip(
        prompts, texts, answers, distractors, strict=True
    ):
        where = _name(prompt_id, dataset, prompt)
        left_out, forced = _lay_out(
            text.ids, answer, settings, specials=specials, context=context, where=where
        )
        text = _without(text, left_out)
        targets = choose_targets(settings.targets, len(text.ids), answer, distractor)
        found.append(
            _assemble(prompt_id, dataset, prompt, text, forced, targets, token_text)
        )
    return found


def count_tokens(
    prompts: Sequence[tuple[int, str, Prompt]],
    tokenizer: PreTrainedTokenizerBase,
    settings: Settings,
    *,
    context: int | None,
) -> list[int]:
    """The length of every prompt that `tokenise` would make; raises what it would.

    Five times as fast, as nothing but the token ids is looked at.
    """
    texts = encode_ids(tokenizer, [p.text for _, _, p in prompts], settings.bos)
    # The tokens of an answer that is not forced change neither length nor error.
    answers: Iterable[list[int]] = repeat([], len(prompts))
    if settings.targets == "answer":
        answers = _continuations(prompts, tokenizer, texts, "answer", settings)
    specials = special_ids(tokenizer, settings.bos)
    found = []
    for (prompt_id, dataset, prompt), ids, answer in zip(
        prompts, texts, answers, strict=True
    ):
        where = _name(prompt_id, dataset, prompt)
        left_out, forced = _lay_out(
            ids, answer, settings, specials=specials, context=context, where=where
        )
        found.append(len(ids) - len(left_out) + len(forced))
    return found


def from_ids(
    ids: Sequence[int], settings: Settings, *, context: int | None
) -> TokenisedPrompt:
    """A prompt given as token ids, as it is; no tokenizer is needed."""
    text = Encoded(list(ids), [False] * len(ids), [None] * len(ids))
    left_out = _left_out(
        text.ids, 0, settings, specials=set(), context=context, where="the prompt"
    )
    text = _without(text, left_out)
    targets = choose_targets(settings.targets, len(text.ids), [], [])
    label = " ".join(map(str, text.ids))
    return _assemble(0, "trace", Prompt(label), text, [], targets, TokenText(None))


def shorten(text: str, width: int = 40) -> str:
    """The text's beginning in quotes, for messages."""
    return repr(text if len(text) <= width else text[: width - 1] + "…")


def _name(prompt_id: int, dataset: str, prompt: Prompt) -> str:
    return f"prompt {prompt_id} of {dataset} ({shorten(prompt.text)})"


def _continuations(
    prompts: Sequence[tuple[int, str, Prompt]],
    tokenizer: PreTrainedTokenizerBase,
    texts: Sequence[list[int]],
    field: Literal["answer", "distractor"],
    settings: Settings,
) -> list[list[int]]:
    """The tokens of each prompt's answer or distractor as they follow its text, whose
    own are `texts`."""
    if not any(getattr(p, field) for _, _, p in prompts):
        return [[] for _ in prompts]
    due = [continuation(p.text, getattr(p, field) or "") for _, _, p in prompts]
    joint = encode_ids(
        tokenizer,
        [p.text + d for (_, _, p), d in zip(prompts, due, strict=True)],
        settings.bos,
    )
    # Where the text's last token and the answer's first would merge, the answer is
    # tokenised by itself: the text's own tokens are what the prompt is.
    merged = [
        both[: len(text)] != text for text, both in zip(texts, joint, strict=True)
    ]
    alone = iter(encode_ids(tokenizer, list(compress(due, merged)), "none"))
    return [
        next(alone) if is_merged else both[len(text) :]
        for text, both, is_merged in zip(texts, joint, merged, strict=True)
    ]


def _lay_out(
    text: Sequence[int],
    answer: list[int],
    settings: Settings,
    *,
    specials: Set[int],
    context: int | None,
    where: str,
) -> tuple[range, list[int]]:
    """The places of the text's tokens that are left out, and the answer's tokens that
    follow the others.

    Raises PlanError, naming the prompt, for one that cannot be run so.
    """
    forced = answer[:-1] if settings.targets == "answer" else []
    left_out = _left_out(
        text, len(forced), settings, specials=specials, context=context, where=where
    )
    try:
        target_positions(settings.targets, len(text) - len(left_out), len(answer))
    except PlanError as error:
        raise PlanError(f"{where}: {error}") from error
    return left_out, forced


def _left_out(
    text: Sequence[int],
    n_forced: int,
    settings: Settings,
    *,
    specials: Set[int],
    context: int | None,
    where: str,
) -> range:
    """What `truncate` leaves out: the beginning, but for a start token."""
    if not text:
        raise PlanError(f"{where} has no tokens")
    room = (context or len(text) + n_forced) - n_forced
    over = len(text) - room
    if over <= 0:
        return range(0)
    if not settings.truncate:
        raise PlanError(
            f"{where} has {len(text) + n_forced} tokens, the model's context "
            f"{context}: shorten it, or pass --truncate to keep its end"
        )
    kept = 1 if text[0] in specials else 0
    if room <= kept:
        raise PlanError(
            f"{where} leaves no room for its text: {n_forced} tokens of its answer "
            f"are read too, and the model's context is {context}: shorten the answer"
        )
    return range(kept, kept + over)


def _without(text: Encoded, left_out: range) -> Encoded:
    start, stop = left_out.start, left_out.stop
    return Encoded(
        ids=text.ids[:start] + text.ids[stop:],
        special=text.special[:start] + text.special[stop:],
        spans=text.spans[:start] + text.spans[stop:],
    )


def _assemble(
    prompt_id: int,
    dataset: str,
    prompt: Prompt,
    text: Encoded,
    forced: list[int],
    targets: list[Target],
    token_text: TokenText,
) -> TokenisedPrompt:
    ids = [*text.ids, *forced]
    special = [*text.special, *[False] * len(forced)]
    tokens = [token_text(i) for i in ids]
    return TokenisedPrompt(
        prompt_id=prompt_id,
        dataset=dataset,
        prompt=prompt,
        ids=ids,
        special=special,
        spans=[*text.spans, *[None] * len(forced)],
        tokens=tokens,
        words=words_of(tokens, special) if token_text.known else [None] * len(ids),
        delimiters=[is_delimiter(token) for token in tokens],
        targets=targets,
    )
