"""Text to token ids and back to readable tokens.

A token's text keeps its leading space whatever the tokenizer, and bytes that are no
UTF-8 by themselves appear as <0xE2>: what the tables show is what the model read.
"""

import json
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

Bos = Literal["add", "tokenizer", "none"]
"""add: prepend the start token if the tokenizer has one and did not; tokenizer: as the
tokenizer does; none: no special tokens at all."""

BYTE_TOKEN = re.compile(r"<0x([0-9A-F]{2})>")


@dataclass(frozen=True)
class Encoded:
    """One text as token ids; the lists are of equal length."""

    ids: list[int]
    special: list[bool]
    """Tokens that stand for no text, like a start token."""
    spans: list[tuple[int, int] | None]
    """Characters [start, end) of each token; None for a special token."""


def encode(
    tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], bos: Bos
) -> list[Encoded]:
    """Token ids of every text; a tokenizer without offsets gives no spans."""
    batch = _call(tokenizer, texts, bos, return_offsets_mapping=tokenizer.is_fast)
    start, specials = start_to_add(tokenizer, bos), special_ids(tokenizer, bos)
    offsets = batch["offset_mapping"] if tokenizer.is_fast else None
    found = []
    for row, ids in enumerate(batch["input_ids"]):
        special = [i in specials for i in ids]
        spans: list[tuple[int, int] | None] = [
            None if is_special or offsets is None else offsets[row][i]
            for i, is_special in enumerate(special)
        ]
        if ids[: len(start)] != start:
            ids, special, spans = [*start, *ids], [True, *special], [None, *spans]
        found.append(Encoded(list(ids), special, spans))
    return found


def encode_ids(
    tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], bos: Bos
) -> list[list[int]]:
    """The token ids that `encode` gives, in a third of its time."""
    if not texts:
        return []  # which a call refuses
    if _is_its_backend(tokenizer):
        backend: Any = tokenizer.backend_tokenizer
        backend.no_truncation()
        backend.no_padding()
        backend.encode_special_tokens = tokenizer.split_special_tokens
        batch = backend.encode_batch_fast(list(texts), add_special_tokens=bos != "none")
        found = [encoding.ids for encoding in batch]
    else:
        found = _call(tokenizer, texts, bos)["input_ids"]
    start = start_to_add(tokenizer, bos)
    return [ids if ids[: len(start)] == start else [*start, *ids] for ids in found]


def start_to_add(tokenizer: PreTrainedTokenizerBase, bos: Bos) -> list[int]:
    """The start token that every text must begin with; none but for `add`."""
    start = tokenizer.bos_token_id
    return [start] if bos == "add" and start is not None else []


def special_ids(tokenizer: PreTrainedTokenizerBase, bos: Bos) -> set[int]:
    """The tokens that stand for no text; without any `bos` all are taken as text."""
    return set(tokenizer.all_special_ids) if bos != "none" else set()


def _call(
    tokenizer: PreTrainedTokenizerBase,
    texts: Sequence[str],
    bos: Bos,
    *,
    return_offsets_mapping: bool = False,
) -> Any:
    return tokenizer(
        list(texts),
        add_special_tokens=bos != "none",
        return_offsets_mapping=return_offsets_mapping,
        return_attention_mask=False,
        return_token_type_ids=False,
        verbose=False,
    )


def _is_its_backend(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Whether a call does no more than the Rust tokenizer behind it.

    Some families' classes change the text, or the backend, before it gets there.
    """
    hooks = ("__call__", "_encode_plus", "_switch_to_input_mode")
    return isinstance(tokenizer, PreTrainedTokenizerFast) and all(
        getattr(type(tokenizer), hook, None)
        is getattr(PreTrainedTokenizerFast, hook, None)
        for hook in hooks
    )


@cache
def _byte_of_character() -> dict[str, int]:
    """GPT-2's alphabet for byte-level BPE: printable bytes stand for themselves, the
    others are moved past 255 in order."""
    printable = {*range(33, 127), *range(161, 173), *range(174, 256)}
    moved = (b for b in range(256) if b not in printable)
    return {chr(b): b for b in printable} | {
        chr(256 + n): b for n, b in enumerate(moved)
    }


def spell_bytes(data: bytes) -> str:
    """UTF-8 where it is, <0xE2> for every byte that is not.

    >>> spell_bytes(b" caf\\xc3\\xa9"), spell_bytes(b"\\xe2\\x80")
    (' café', '<0xE2><0x80>')
    """
    text = data.decode("utf-8", errors="surrogateescape")
    return "".join(
        f"<0x{ord(c) - 0xDC00:02X}>" if 0xDC80 <= ord(c) <= 0xDCFF else c for c in text
    )


class TokenText:
    """The readable text of token ids, in one tokenizer."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase | None) -> None:
        self._tokenizer = tokenizer
        backend = getattr(tokenizer, "backend_tokenizer", None)
        kinds = json.loads(backend.to_str()) if backend is not None else {}
        described = json.dumps([kinds.get("decoder"), kinds.get("pre_tokenizer")])
        self._byte_level = '"ByteLevel"' in described
        self._special = set(tokenizer.all_special_ids) if tokenizer else set()
        self._seen: dict[int, str] = {}
        self.known = tokenizer is not None
        """Whether tokens have texts at all: without a tokenizer they have not."""

    def __call__(self, token_id: int) -> str:
        """The token's text; `[17]` where there is no tokenizer."""
        if token_id not in self._seen:
            self._seen[token_id] = self._spell(token_id)
        return self._seen[token_id]

    def _spell(self, token_id: int) -> str:
        if self._tokenizer is None:
            return f"[{token_id}]"
        raw = self._tokenizer.convert_ids_to_tokens(token_id)
        if (
            raw is None
        ):  # the embedding may have more rows than the tokenizer has tokens
            return f"[{token_id}]"
        assert isinstance(raw, str)
        if token_id in self._special:
            return raw
        if self._byte_level:
            table = _byte_of_character()
            if all(c in table for c in raw):
                return spell_bytes(bytes(table[c] for c in raw))
            return raw
        if byte := BYTE_TOKEN.fullmatch(raw):
            return spell_bytes(bytes([int(byte[1], 16)]))
        return raw.replace("▁", " ")


def words_of(tokens: Sequence[str], special: Sequence[bool]) -> list[int | None]:
    """The index of the word each token belongs to; None for special tokens.

    It goes up where a token starts with white space or follows one that ends with it.

    >>> words_of(["<s>", "The", " cap", "ital", "\\n", "Is"], [True] + [False] * 5)
    [None, 0, 1, 1, 2, 3]
    """
    found: list[int | None] = []
    word, before = -1, " "
    for token, is_special in zip(tokens, special, strict=True):
        if is_special:
            found.append(None)
            before = " "
            continue
        if word < 0 or token[:1].isspace() or before[-1:].isspace():
            word += 1
        found.append(word)
        before = token
    return found


def is_delimiter(token: str) -> bool:
    """Whether the token is only punctuation, or a newline.

    >>> [is_delimiter(t) for t in [".", " ,", "\\n", " a.", " "]]
    [True, True, True, False, False]
    """
    bare = token.strip()
    if not bare:
        return "\n" in token
    return all(unicodedata.category(c).startswith("P") for c in bare)
