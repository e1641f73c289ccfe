"""Roles of heads: planted ones by hand, real ones against counting."""

import unicodedata
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from flowglass.store import Store, StoreError, open_store, roles
from flowglass.store.sources import ROLES, role_named

from .builders import make_plan, prompt
from .hand_made import Rows, write
from .kinds_of_source import even_share, n_possible

# --- by hand --------------------------------------------------------------------------

TEXT = ["<s>", "A", " b", "c", ".", "\n", "A", " b", " , ", " d"]
WORDS = [None, 0, 1, 1, 1, 1, 2, 3, 4, 5]
N_PROMPTS = 12


def tokens_of(prompt_id: int) -> Rows:
    """The first 10 - prompt_id % 3 tokens: prompts of three lengths."""
    texts = TEXT[: len(TEXT) - prompt_id % 3]
    return [
        {
            "prompt_id": prompt_id,
            "position": i,
            "token_id": TEXT.index(text),
            "token": text,
            "word": WORDS[i],
            "is_special": i == 0,
            "entropy": 0.0,
            "top_token_id": 0,
            "top_token": "",
            "top_prob": 0.0,
        }
        for i, text in enumerate(texts)
    ]


def planted(prompt_id: int) -> Rows:
    """Layer 0: a head that only plays the first role, one that only plays the second,
    one that brings nothing. Layer 1: one that spreads all evenly."""
    tokens = tokens_of(prompt_id)
    brought = 0.1 + 0.01 * prompt_id
    common = {"prompt_id": prompt_id, "contribution": brought}
    none = {role.column: 0.0 for role in ROLES}
    even = {role.column: brought * even_share(tokens, role.name) for role in ROLES}
    only = [{**none, role.column: brought} for role in ROLES[:2]]
    return [
        {**common, **only[0], "layer": 0, "head": 0},
        {**common, **only[1], "layer": 0, "head": 1},
        {**common, **none, "contribution": 0.0, "layer": 0, "head": 2},
        {**common, **even, "layer": 1, "head": 0},
    ]


@pytest.fixture(scope="module")
def by_hand(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """Twelve prompts, in two categories, with planted heads."""
    root = tmp_path_factory.mktemp("roles") / "runs"
    ids = range(N_PROMPTS)
    write(
        root,
        make_plan("planted", n_shards=1),
        prompts=[
            prompt(i, n_tokens=len(tokens_of(i)), category="ab"[i % 2]) for i in ids
        ],
        tokens=[row for i in ids for row in tokens_of(i)],
        heads=[row for i in ids for row in planted(i)],
    )
    with open_store(root) as store:
        yield store


def test_the_score_is_1_for_all_from_there_and_0_for_an_even_spread(
    by_hand: Store,
) -> None:
    """The planted heads come first in their role; the even one has 0 in all of them."""
    rows = by_hand.roles("planted").to_pylist()
    assert [row["role"] for row in rows[::4]] == [role.name for role in ROLES]
    for role, best in ((ROLES[0], 0), (ROLES[1], 1)):
        first = next(row for row in rows if row["role"] == role.name)
        assert (first["layer"], first["head"]) == (0, best)
        assert [first[c] for c in ("share", "score", "low", "high")] == pytest.approx(
            [1.0] * 4, abs=1e-6
        )
    for row in rows:
        if row["layer"] == 1:
            assert row["share"] == pytest.approx(row["chance"], abs=1e-6)
            assert [row[c] for c in ("score", "low", "high")] == pytest.approx(
                [0.0] * 3, abs=1e-6
            )


def test_a_head_that_brings_nothing_has_no_score(by_hand: Store) -> None:
    """And comes last in each role."""
    rows = [r for r in by_hand.roles("planted").to_pylist() if r["head"] == 2]
    assert len(rows) == len(ROLES)
    for row in rows:
        assert row["contribution"] == 0
        assert [row[c] for c in ("share", "chance", "score", "low")] == [None] * 4


def test_a_role_is_over_the_prompts_where_it_is_possible(by_hand: Store) -> None:
    """A prompt that ends before ` , ` still repeats `A`; the counts are as by hand."""
    found = {r["role"]: r for r in by_hand.roles("planted", layer=1).to_pylist()}
    for role in ROLES:
        counts = [n_possible(tokens_of(i), role.name) for i in range(N_PROMPTS)]
        assert found[role.name]["n_possible"] == sum(counts)
        assert found[role.name]["n_prompts"] == sum(n > 0 for n in counts)
        assert found[role.name]["n_queries"] == sum(
            len(tokens_of(i)) for i in range(N_PROMPTS) if counts[i]
        )


def test_only_what_is_asked_for(by_hand: Store) -> None:
    """A layer, a head, a dataset, a category; of six prompts there is no interval."""
    one = by_hand.roles("planted", layer=0, head=1)
    assert set(one["head"].to_pylist()) == {1}
    assert one.num_rows == len(ROLES)
    half = by_hand.roles("planted", category="a").to_pylist()
    assert {row["n_prompts"] for row in half} == {6}
    assert {row["low"] for row in half} == {None}
    assert by_hand.roles("planted", dataset="none such").num_rows == 0
    with pytest.raises(StoreError, match="did you mean planted"):
        by_hand.roles("plant")
    with pytest.raises(ValueError, match="choose of previous, first"):
        role_named("positional")


def test_of_many_prompts_some_are_drawn_and_it_says_so(
    by_hand: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Five of twelve: in the metadata, and in n_prompts."""
    assert by_hand.roles("planted").schema.metadata == {
        b"prompts": b"12",
        b"sampled": b"12",
    }
    monkeypatch.setattr(roles, "MOST_PROMPTS", 5)
    found = by_hand.roles("planted")
    assert found.schema.metadata == {b"prompts": b"12", b"sampled": b"5"}
    assert set(found["n_prompts"].to_pylist()) == {5}


# --- against counting -----------------------------------------------------------------


def test_share_and_chance_equal_counting(real_store: Path) -> None:
    """On a real sweep, query by query and key by key, for every role and head."""
    with open_store(real_store) as store:
        found = store.roles("llama").to_pylist()
        tokens = defaultdict(list)
        for row in store.table(
            "FROM tokens WHERE run_id = 'llama' ORDER BY prompt_id, position"
        ).to_pylist():
            tokens[row["prompt_id"]].append(row)
        heads = store.table("FROM heads WHERE run_id = 'llama'").to_pylist()
    even = {
        (role.name, id): even_share(some, role.name)
        for role in ROLES
        for id, some in tokens.items()
    }
    possible = {
        (role.name, id)
        for role in ROLES
        for id, some in tokens.items()
        if n_possible(some, role.name)
    }
    assert len(found) == 16 * len(ROLES)
    for row in found:
        role = row["role"]
        here = [
            (len(tokens[h["prompt_id"]]), even[role, h["prompt_id"]], h)
            for h in heads
            if (h["layer"], h["head"]) == (row["layer"], row["head"])
            and (role, h["prompt_id"]) in possible
        ]
        whole = sum(n * h["contribution"] for n, _, h in here)
        column = role_named(role).column
        share = sum(n * h[column] for n, _, h in here) / whole
        chance = sum(n * h["contribution"] * even for n, even, h in here) / whole
        assert row["n_prompts"] == len(here)
        assert row["share"] == pytest.approx(share, rel=1e-4, abs=1e-7)
        assert row["chance"] == pytest.approx(chance, rel=1e-4, abs=1e-7)
        assert row["score"] == pytest.approx(
            (share - chance) / (1 - chance), rel=1e-4, abs=1e-5
        )


def test_delimiters_are_those_of_the_sweep(tmp_path: Path) -> None:
    """Every letter of the first plane, alone and between white space of all kinds."""
    from flowglass.pipeline.text import is_delimiter as of_the_sweep
    from flowglass.store.sources import IS_DELIMITER

    letters = [chr(c) for c in range(1, 0x10000) if not 0xD800 <= c < 0xE000]
    white = [c for c in letters if c.isspace()]
    texts = [*letters, *(w + t + w for w in white for t in ("", ".", "a", "\n", ". ."))]
    write(tmp_path, make_plan("r", n_shards=1), prompts=[prompt(0)])
    with open_store(tmp_path) as store:
        found = store.table(
            f"SELECT token, {IS_DELIMITER} AS found FROM (SELECT unnest($texts) token)",
            {"texts": texts},
        ).to_pylist()
    assert len(found) == len(texts)
    wrong = {r["token"] for r in found if r["found"] != of_the_sweep(r["token"])}
    # Python's Unicode may be older than DuckDB's: what it does not know is no matter.
    assert {text for text in wrong if unicodedata.category(text[:1]) != "Cn"} == set()
