r"""The kinds of source that a head may read from, in SQL: the columns of `heads`.

A kind is a question about a query and a key at or before it (DESIGN 3, `heads`). Here
is when a stored edge is of a kind, and at how many keys a query finds it, so that what
a head does can be held against what chance would do. A key may be of several kinds.
"""

from dataclasses import dataclass

WHITE = r"[\s\v\x1c-\x1f\x{85}\pZ]*"

IS_DELIMITER = rf"regexp_full_match(token, '{WHITE}(\pP+|\n){WHITE}')"
"""Whether a token is only punctuation, or a newline, as in the sweep."""

PLACES = f"""
    SELECT prompt_id, position, token_id, word, {IS_DELIMITER} AS is_delimiter,
           lag(token_id) OVER (PARTITION BY prompt_id ORDER BY position) AS before_id
    FROM tokens
    WHERE run_id = $run_id AND prompt_id IN (SELECT unnest($prompt_ids))
"""
"""The positions of some prompts, with what makes them a source of some kind."""


@dataclass(frozen=True)
class Role:
    """What a head does if it brings most from one kind of source."""

    name: str
    column: str
    """Of `heads`: what it brings from there."""
    doc: str
    holds: str
    """Whether an edge `e` is of the kind; q and k are the PLACES of its ends."""
    available: str
    """How many such keys a query has at or before it, from COUNTED."""


ROLES = (
    Role("previous", "on_previous", "the token before", "e.key = e.query - 1",
         "least(position, 1)"),
    Role("first", "on_first", "the first position: a sink", "e.key = 0", "1"),
    Role("self", "on_self", "the position itself", "e.key = e.query", "1"),
    Role("duplicate", "on_same_token", "an earlier occurrence of the same token",
         "k.token_id = q.token_id AND e.key < e.query", "n_same"),
    # Each earlier occurrence has a token behind it, at the latest the query itself.
    Role("induction", "on_after_same", "the token behind an earlier occurrence",
         "k.before_id = q.token_id", "n_same"),
    Role("subword", "on_same_word", "an earlier piece of the same word",
         "k.word = q.word AND e.key < e.query", "n_pieces"),
    Role("delimiter", "on_delimiter", "only punctuation, or a newline",
         "k.is_delimiter", "n_delimiters"),
)  # fmt: skip
"""Every role, in the order they are shown in."""

COUNTED = f"""
    SELECT prompt_id, position,
           row_number() OVER (PARTITION BY prompt_id, token_id ORDER BY position) - 1
               AS n_same,
           CASE WHEN word IS NULL THEN 0 ELSE
               row_number() OVER (PARTITION BY prompt_id, word ORDER BY position) - 1
           END AS n_pieces,
           sum(is_delimiter::BIGINT) OVER (PARTITION BY prompt_id ORDER BY position)
               AS n_delimiters
    FROM ({PLACES})
"""
"""A query's earlier occurrences, earlier pieces, and delimiters so far."""


def role_named(name: str) -> Role:
    """The role of this name; ValueError if there is none."""
    for role in ROLES:
        if role.name == name:
            return role
    known = ", ".join(role.name for role in ROLES)
    raise ValueError(f"no role {name!r}: choose of {known}")
