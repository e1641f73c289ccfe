"""Tables of DESIGN 3 that are made of contributions, and what a store keeps (2.8).

Each is a dictionary from a row's key to its measures, as floats. `stored` is what the
precision does to a number before it is kept: `full` or `rounded`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from .reference import At, Contributions, Part
from .reference_forward import Forward
from .reference_routes import Edge


def full(value: float) -> float:
    """`--precision full`, but for float32 itself."""
    return value


def rounded(value: float) -> float:
    """`--precision rounded`: float32, then 7 mantissa bits, ties to even.

    >>> rounded(0.7), rounded(0.0), rounded(1 + 2**-8), rounded(1 + 3 * 2**-8)
    (0.69921875, 0.0, 1.0, 1.015625)
    """
    mantissa, exponent = math.frexp(float(np.float32(value)))  # 0.5 <= |mantissa| < 1
    return math.ldexp(round(mantissa * 2**8), exponent - 8)


def edges(
    contribs: Contributions,
    *,
    cutoff: float = 0.0,
    stored: Callable[[float], float] = full,
) -> dict[Edge, float]:
    """Parts whose stored contribution is at least the cutoff; 0 keeps every part."""
    rows: dict[Edge, float] = {}
    for at, of_part in contribs.items():
        if at.step == "neuron":
            continue
        for part, value in of_part.items():
            if part.kind != "bias" and stored(value) >= cutoff:
                edge = Edge(*at[:2], part.kind, part.unit, at.query, part.key)
                rows[edge] = stored(value)
    return rows


def steps(
    contribs: Contributions,
    *,
    cutoff: float = 0.01,
    stored: Callable[[float], float] = full,
) -> dict[At, dict[str, float]]:
    """Totals per kind (resid, attn, ffn, bias), and below_cutoff: what `edges` lacks.

    Which parts are below is decided on the stored contributions, the sums are of the
    exact ones, and are then stored.
    """
    rows: dict[At, dict[str, float]] = {}
    for at, of_part in contribs.items():
        if at.step == "neuron":
            continue
        row = dict.fromkeys(("resid", "attn", "ffn", "bias", "below_cutoff"), 0.0)
        for part, value in of_part.items():
            row[part.kind] += value
            if part.kind != "bias" and stored(value) < cutoff:
                row["below_cutoff"] += value
        rows[at] = {name: stored(value) for name, value in row.items()}
    return rows


def head_matrix(contribs: Contributions, layer: int, head: int) -> NDArray[np.float64]:
    """The contributions of one head, [query, key], zero above the diagonal."""
    n = 1 + max(at.query for at in contribs)
    matrix = np.zeros((n, n))
    for i in range(n):
        for j in range(i + 1):
            matrix[i, j] = contribs[At(layer, "attn", i)][Part("attn", head, j)]
    return matrix


def heads(
    contribs: Contributions,
    token_ids: Sequence[int],
    *,
    word: Sequence[int | None] | None = None,
    is_delimiter: Sequence[bool] | None = None,
) -> dict[tuple[int, int], dict[str, float]]:
    """(layer, head) -> contribution and how much of it goes to each kind of source.

    Each is a mean over all queries. `word` and `is_delimiter` are per position (a
    start token has no word); left out, no two tokens share a word and none delimits.
    """
    n = len(token_ids)
    word = [None] * n if word is None else word
    is_delimiter = [False] * n if is_delimiter is None else is_delimiter
    sources: dict[str, Callable[[int, int], bool]] = {
        "contribution": lambda i, j: True,
        "on_first": lambda i, j: j == 0,
        "on_self": lambda i, j: j == i,
        "on_previous": lambda i, j: j == i - 1,
        "on_same_token": lambda i, j: j < i and token_ids[j] == token_ids[i],
        "on_after_same": lambda i, j: j > 0 and token_ids[j - 1] == token_ids[i],
        "on_same_word": lambda i, j: (
            j < i and word[i] is not None and word[j] == word[i]
        ),
        "on_delimiter": lambda i, j: is_delimiter[j],
    }
    rows: dict[tuple[int, int], dict[str, float]] = {}
    for at, of_part in contribs.items():
        for part, value in of_part.items():
            if part.kind != "attn":
                continue
            assert part.unit is not None
            row = rows.setdefault((at.layer, part.unit), dict.fromkeys(sources, 0.0))
            for name, counts in sources.items():
                if counts(at.query, part.key):
                    row[name] += value / n
    return rows


def neurons(
    forward: Forward,
    contribs: Contributions,
    *,
    k: int = 16,
    cutoff: float = 0.01,
    stored: Callable[[float], float] = full,
) -> dict[tuple[int, int, int], tuple[int, float, float]]:
    """(layer, position, rank) -> (neuron, contribution, activation), top k (2.5).

    Ranked by the exact contribution, the lower index first among equals.
    """
    rows: dict[tuple[int, int, int], tuple[int, float, float]] = {}
    for at, of_part in contribs.items():
        if at.step != "neuron":
            continue
        values = {p.unit: v for p, v in of_part.items() if p.kind == "neuron"}
        kept = [n for n, v in values.items() if n is not None and stored(v) >= cutoff]
        kept.sort(key=lambda n: (-values[n], n))
        activation = forward.layers[at.layer].activation[at.query]
        for rank, n in enumerate(kept[:k]):
            row = (n, stored(values[n]), stored(float(activation[n])))
            rows[at.layer, at.query, rank] = row
    return rows
