"""What is known of one token, against counting over a real sweep."""

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from flowglass.store import Store, StoreError, open_store, token_queries
from flowglass.store import token_queries as ask

from .counted import Row, around, rows, tokens_by_prompt

RUN = "gpt2"


@pytest.fixture(scope="module")
def store(real_store: Path) -> Iterator[Store]:
    """18 prompts of three tasks, with one target an answer token."""
    with open_store(real_store) as opened:
        yield opened


@pytest.fixture(scope="module")
def comma(store: Store) -> int:
    """The token that is only a comma."""
    return int(ask.find_tokens(store, RUN, ",")["token_id"][0].as_py())


def test_tokens_are_found_by_their_text(store: Store) -> None:
    """The very one first, then those that hold it; also one that was only predicted."""
    found = ask.find_tokens(store, RUN, "AND", limit=500).to_pylist()
    tokens = rows(store, RUN, "tokens")
    n: dict[str, int] = defaultdict(int)
    for row in tokens:
        n[row["token"]] += 1
        n[row["top_token"]] += 0
    assert {row["token"]: row["n_positions"] for row in found} == {
        text: count for text, count in n.items() if "and" in text.lower()
    }
    assert found[0]["token"].strip() == "and"
    only_predicted = next(text for text, count in n.items() if not count)
    (row,) = [
        row
        for row in ask.find_tokens(store, RUN, only_predicted).to_pylist()
        if row["token"] == only_predicted
    ]
    assert row["n_positions"] == 0
    assert ask.find_tokens(store, RUN, "%").to_pylist() == []


def test_a_summary_counts_places_and_predictions(store: Store, comma: int) -> None:
    """Where it stands, where it is the likeliest next token, where it is the answer."""
    tokens, targets = rows(store, RUN, "tokens"), rows(store, RUN, "targets")
    mine = [row for row in tokens if row["token_id"] == comma]
    (row,) = ask.summary(store, RUN, comma).to_pylist()
    assert row == {
        "n_positions": len(mine),
        "n_prompts": len({r["prompt_id"] for r in mine}),
        "n_tokens": len(tokens),
        "mean_logprob": pytest.approx(np.mean([r["logprob"] for r in mine])),
        "n_top": sum(r["top_token_id"] == comma for r in tokens),
        "n_targets_top": sum(r["predicted_token_id"] == comma for r in targets),
        "n_targets": len(targets),
        "n_answers": sum(r["answer_token_id"] == comma for r in targets),
    }
    assert row["n_positions"] > 0


def test_occurrences_begin_where_it_was_least_expected(
    store: Store, comma: int
) -> None:
    """One of each prompt, with what stands around."""
    tokens = tokens_by_prompt(store, RUN)
    best: dict[int, Row] = {}
    for id, own in tokens.items():
        mine = [row for row in own if row["token_id"] == comma]
        if mine:
            best[id] = min(mine, key=lambda row: (row["logprob"], row["position"]))
    order = sorted(best, key=lambda id: (best[id]["logprob"], id))
    found = ask.occurrences(store, RUN, comma, n=5, around=2).to_pylist()
    assert [row["prompt_id"] for row in found] == order[:5]
    for row in found:
        assert row["position"] == best[row["prompt_id"]]["position"]
        near = around(tokens[row["prompt_id"]], [row["position"]], 2)
        assert row["tokens"] == [token["token"] for token in near]


def test_predictions_are_the_targets_where_it_is_likeliest(store: Store) -> None:
    """The surest first."""
    targets = rows(store, RUN, "targets")
    token_id = targets[0]["predicted_token_id"]
    mine = [row for row in targets if row["predicted_token_id"] == token_id]
    mine.sort(key=lambda r: (-r["predicted_prob"], r["prompt_id"], r["target"]))
    found = ask.predictions(store, RUN, token_id).to_pylist()
    assert [(row["prompt_id"], row["target"], row["prob"]) for row in found] == [
        (row["prompt_id"], row["target"], row["predicted_prob"]) for row in mine
    ]
    assert all(row["target"] in row["positions"] for row in found)


def readers_by_counting(
    store: Store, token_id: int, prompt_ids: set[int]
) -> dict[tuple[int, int], tuple[float, int]]:
    """By (layer, head): mean over all targets of these prompts; how many read it."""
    n = sum(row["prompt_id"] in prompt_ids for row in rows(store, RUN, "targets"))
    tokens = tokens_by_prompt(store, RUN)
    by_target: dict[tuple[int, int], dict[tuple[int, int], float]] = defaultdict(
        lambda: defaultdict(float)
    )
    for row in rows(store, RUN, "routes", kind="attn"):
        id = row["prompt_id"]
        is_from_it = tokens[id][row["key"]]["token_id"] == token_id
        if id in prompt_ids and is_from_it and row["survives_at"] > 0.04:
            at = (id, row["target"])
            by_target[row["layer"], row["head"]][at] += row["contribution"]
    return {
        head: (sum(values.values()) / n, len(values))
        for head, values in by_target.items()
    }


def holding(store: Store, token_id: int) -> set[int]:
    mine = rows(store, RUN, "tokens", token_id=token_id)
    return {row["prompt_id"] for row in mine}


def test_readers_are_heads_whose_edges_come_from_it(store: Store, comma: int) -> None:
    """Summed over the edges of a target's route, averaged over all such targets."""
    found = ask.readers(store, RUN, comma, n=100)
    ids = holding(store, comma)
    assert {
        (row["layer"], row["head"]): (row["contribution"], row["n_reading"])
        for row in found.to_pylist()
    } == {
        head: (pytest.approx(mean), n)
        for head, (mean, n) in readers_by_counting(store, comma, ids).items()
    }
    contributions = found["contribution"].to_pylist()
    assert len(contributions) > 1
    assert contributions == sorted(contributions, reverse=True)
    n = {b"prompts": b"%d" % len(ids), b"sampled": b"%d" % len(ids)}
    assert found.schema.metadata == n


def test_of_many_prompts_some_are_read_and_it_says_so(
    store: Store, comma: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two of those that hold the token."""
    monkeypatch.setattr(token_queries, "MOST_PROMPTS", 2)
    found = ask.readers(store, RUN, comma)
    assert found.schema.metadata is not None
    assert found.schema.metadata[b"sampled"] == b"2"
    assert int(found.schema.metadata[b"prompts"]) == len(holding(store, comma)) > 2


def test_promoters_are_writes_with_it_among_the_top(store: Store) -> None:
    """Those that promote it most often first, then those that suppress it."""
    token_id = rows(store, RUN, "targets")[0]["predicted_token_id"]
    by_write: dict[tuple[object, ...], list[Row]] = defaultdict(list)
    for row in rows(store, RUN, "writes", token_id=token_id):
        names = ("sign", "layer", "component", "expert", "index")
        by_write[tuple(row[name] for name in names)].append(row)
    found = ask.promoters(store, RUN, token_id, n=10**4).to_pylist()
    assert {
        (r["sign"], r["layer"], r["component"], r["expert"], r["index"]): (
            r["n_writes"],
            r["n_prompts"],
            r["mean_score"],
        )
        for r in found
    } == {
        write: (
            len(own),
            len({r["prompt_id"] for r in own}),
            pytest.approx(np.mean([r["score"] for r in own])),
        )
        for write, own in by_write.items()
    }
    order = [(-row["sign"], -row["n_writes"]) for row in found]
    assert order == sorted(order)
    assert len(ask.promoters(store, RUN, token_id, n=1)) == len({s for s, _ in order})


def test_a_token_that_is_nowhere_has_zeros_and_no_rows(store: Store) -> None:
    """And a run that is not there is named."""
    (row,) = ask.summary(store, RUN, 10**6).to_pylist()
    assert (row["n_positions"], row["n_top"], row["n_answers"]) == (0, 0, 0)
    for question in (ask.occurrences, ask.predictions, ask.readers, ask.promoters):
        assert question(store, RUN, 10**6).num_rows == 0
    with pytest.raises(StoreError, match="did you mean gpt2"):
        ask.summary(store, "gpt", 0)
