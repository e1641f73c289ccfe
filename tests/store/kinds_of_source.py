"""Kinds of source, written out once more in Python: what SQL is checked against."""

import unicodedata
from collections.abc import Callable, Mapping
from typing import Any

Token = Mapping[str, Any]

IS_OF_KIND: Mapping[str, Callable[[list[Token], int, int], bool]] = {
    "previous": lambda tokens, i, j: j == i - 1,
    "first": lambda tokens, i, j: j == 0,
    "self": lambda tokens, i, j: j == i,
    "duplicate": lambda tokens, i, j: (
        j < i and tokens[j]["token_id"] == tokens[i]["token_id"]
    ),
    "induction": lambda tokens, i, j: (
        j > 0 and tokens[j - 1]["token_id"] == tokens[i]["token_id"]
    ),
    "subword": lambda tokens, i, j: (
        j < i
        and tokens[j]["word"] is not None
        and tokens[j]["word"] == tokens[i]["word"]
    ),
    "delimiter": lambda tokens, i, j: is_delimiter(tokens[j]["token"]),
}
"""Whether key j is of a kind for query i >= j: DESIGN 3, written out once more."""


def is_delimiter(token: str) -> bool:
    bare = token.strip()
    if not bare:
        return "\n" in token
    return {unicodedata.category(letter)[0] for letter in bare} == {"P"}


def even_share(tokens: list[Token], role: str) -> float:
    """The mean over queries of the share of keys that are of a kind."""
    of_kind = IS_OF_KIND[role]
    shares = [
        sum(of_kind(tokens, i, j) for j in range(i + 1)) / (i + 1)
        for i in range(len(tokens))
    ]
    return sum(shares) / len(shares)


def n_possible(tokens: list[Token], role: str) -> int:
    of_kind = IS_OF_KIND[role]
    return sum(
        any(of_kind(tokens, i, j) for j in range(i + 1)) for i in range(len(tokens))
    )
