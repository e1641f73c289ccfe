"""Top tokens and ranks are those of a full stable sort, however many are equal."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from flowglass.pipeline.ranking import (
    leading,
    leading_in_torch,
    ranks,
    ranks_in_torch,
)


@st.composite
def tied_scores(draw: st.DrawFn) -> Tensor:
    """A few rows of up to 40 scores, of which most are equal to another one."""
    n_rows, vocab = draw(st.integers(1, 4)), draw(st.integers(1, 40))
    highest = draw(st.integers(0, 6))
    row = st.lists(st.integers(-highest, highest), min_size=vocab, max_size=vocab)
    rows = draw(st.lists(row, min_size=n_rows, max_size=n_rows))
    return torch.tensor(rows, dtype=torch.float32)


def sorted_ids(scores: Tensor) -> list[list[int]]:
    """Every row's token ids, the highest score first, the lowest id among equals."""
    return [
        sorted(range(len(row)), key=lambda token: (-row[token], token))
        for row in scores.tolist()
    ]


@given(tied_scores(), st.integers(0, 50), st.sampled_from([1, -1]))
@settings(deadline=None)  # the first call compiles
def test_leading_is_the_beginning_of_a_full_sort(
    scores: Tensor, k: int, sign: int
) -> None:
    """The k first of the sort, or all where there are fewer, with their scores."""
    values, ids = leading(scores, k, sign=sign)

    assert ids.tolist() == [row[:k] for row in sorted_ids(scores * sign)]
    assert torch.equal(values, scores.gather(-1, ids))
    plain = leading_in_torch(scores, min(k, scores.shape[1]), sign=sign)
    assert torch.equal(plain[0], values)
    assert torch.equal(plain[1], ids)


@given(tied_scores(), st.integers(0, 9), st.integers(-3, 3), st.sampled_from([1, -1]))
@settings(deadline=None)
def test_what_is_below_the_floor_is_left_out(
    scores: Tensor, k: int, floor: int, sign: int
) -> None:
    """Those at or above it lead as ever; the rest of a row is 0."""
    values, ids = leading(scores, k, sign=sign, floor=floor)

    for row, own_values, own_ids in zip(scores, values, ids, strict=True):
        above = [t for t in sorted_ids(row[None] * sign)[0] if row[t] * sign >= floor]
        n = min(k, len(above))
        assert own_ids.tolist()[:n] == above[:k]
        assert own_values.tolist()[:n] == row[above[:k]].tolist()
        assert not own_values[n:].any()
        assert not own_ids[n:].any()
    k = min(k, scores.shape[1])
    plain = leading_in_torch(scores, k, sign=sign, floor=floor)
    assert torch.equal(plain[0], values)
    assert torch.equal(plain[1], ids)


@given(tied_scores(), st.data())
@settings(deadline=None)
def test_ranks_are_places_in_a_full_sort(scores: Tensor, data: st.DataObject) -> None:
    """Any tokens, also the same one twice, are where the sort puts them."""
    token = st.integers(0, scores.shape[1] - 1)
    n_asked = data.draw(st.integers(1, 5))
    asked = [
        data.draw(st.lists(token, min_size=n_asked, max_size=n_asked)) for _ in scores
    ]

    found = ranks(scores, torch.tensor(asked))

    assert found.tolist() == [
        [order.index(one) for one in row]
        for order, row in zip(sorted_ids(scores), asked, strict=True)
    ]
    assert torch.equal(ranks_in_torch(scores, torch.tensor(asked)), found)


def test_no_rows_have_no_leaders() -> None:
    """An empty batch is fine: nothing was selected."""
    none = torch.zeros(0, 7)

    values, ids = leading(none, 3)

    assert values.shape == ids.shape == (0, 3)
    assert ranks(none, ids).shape == (0, 3)


def test_scores_are_left_as_they_were() -> None:
    """The scores that are given are not changed in place."""
    scores = torch.tensor([[2.0, 2.0, 1.0, 2.0]])

    _, ids = leading(scores, 2)
    ranks(scores, ids)

    assert scores.tolist() == [[2.0, 2.0, 1.0, 2.0]]
