"""Prompts as the model reads them: token ids, targets, and the answer's tokens."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from transformers import PreTrainedTokenizerBase

from flowglass.datasets.prompt import Prompt, continuation

from .errors import PlanError
from .settings import Settings
from .text import Encoded, TokenText, encode, is_delimiter, words_of

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

    if spec == "answer" and answer:
        return [target(last + nth, "answer") for nth in range(len(answer))]
    if spec in ("last", "answer"):
        return [target(last, "last")]
    if spec == "all":
        return [target(position, "chosen") for position in range(n_text)]
    position = int(spec) if int(spec) >= 0 else n_text + int(spec)
    if not 0 <= position < n_text:
        raise PlanError(f"target {spec} lies outside a prompt of {n_text} tokens")
    return [target(position, "chosen")]


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
    answers = _continuations(prompts, tokenizer, texts, "answer", settings)
    distractors = _continuations(prompts, tokenizer, texts, "distractor", settings)
    found = []
    for (prompt_id, dataset, prompt), text, answer, distractor in zip(
        prompts, texts, answers, distractors, strict=True
    ):
        where = f"prompt {prompt_id} of {dataset} ({shorten(prompt.text)})"
        forced = answer[:-1] if settings.targets == "answer" else []
        text = _fit(text, len(forced), context, settings, where)
        try:
            targets = choose_targets(
                settings.targets, len(text.ids), answer, distractor
            )
        except PlanError as error:
            raise PlanError(f"{where}: {error}") from error
        found.append(
            _assemble(prompt_id, dataset, prompt, text, forced, targets, token_text)
        )
    return found


def from_ids(
    ids: Sequence[int], settings: Settings, *, context: int | None
) -> TokenisedPrompt:
    """A prompt given as token ids, as it is; no tokenizer is needed."""
    text = Encoded(list(ids), [False] * len(ids), [None] * len(ids))
    text = _fit(text, 0, context, settings, "the prompt")
    targets = choose_targets(settings.targets, len(text.ids), [], [])
    label = " ".join(map(str, text.ids))
    return _assemble(0, "trace", Prompt(label), text, [], targets, TokenText(None))


def shorten(text: str, width: int = 40) -> str:
    """The text's beginning in quotes, for messages."""
    return repr(text if len(text) <= width else text[: width - 1] + "…")


def _continuations(
    prompts: Sequence[tuple[int, str, Prompt]],
    tokenizer: PreTrainedTokenizerBase,
    texts: Sequence[Encoded],
    field: Literal["answer", "distractor"],
    settings: Settings,
) -> list[list[int]]:
    """The tokens of each prompt's answer or distractor as they follow its text."""
    if not any(getattr(p, field) for _, _, p in prompts):
        return [[] for _ in prompts]
    due = [continuation(p.text, getattr(p, field) or "") for _, _, p in prompts]
    joint = encode(
        tokenizer,
        [p.text + d for (_, _, p), d in zip(prompts, due, strict=True)],
        settings.bos,
    )
    alone = encode(tokenizer, due, "none")
    found = []
    for text, both, by_itself in zip(texts, joint, alone, strict=True):
        n = len(text.ids)
        # Where the text's last token and the answer's first would merge, the answer is
        # tokenised by itself: the text's own tokens are what the prompt is.
        found.append(both.ids[n:] if both.ids[:n] == text.ids else by_itself.ids)
    return found


def _fit(
    text: Encoded, n_forced: int, context: int | None, settings: Settings, where: str
) -> Encoded:
    if not text.ids:
        raise PlanError(f"{where} has no tokens")
    room = (context or len(text.ids) + n_forced) - n_forced
    over = len(text.ids) - room
    if over <= 0:
        return text
    if not settings.truncate:
        raise PlanError(
            f"{where} has {len(text.ids) + n_forced} tokens, the model's context "
            f"{context}: shorten it, or pass --truncate to keep its end"
        )
    kept = 1 if text.special[0] else 0
    return Encoded(
        ids=text.ids[:kept] + text.ids[kept + over :],
        special=text.special[:kept] + text.special[kept + over :],
        spans=text.spans[:kept] + text.spans[kept + over :],
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
