"""GPT-2 models with weights set by hand, whose contributions are known on paper.

Built of mirrored one-hot codes (mirrored.py): LayerNorm is the identity where a head
reads, and parts in different coordinates contribute in proportion to their lengths.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from transformers import GPT2LMHeadModel

from .mirrored import (
    blank_gpt2,
    codes,
    fields,
    make_identity,
    reader,
    set_copy,
    set_head,
)
from .reference_routes import Edge
from .tiny_models import in_eval_mode


@dataclass(frozen=True)
class Known:
    """A model, a prompt, and what must come out, exact but for rounding."""

    model: GPT2LMHeadModel
    token_ids: tuple[int, ...]
    contributions: dict[Edge, float]  # all edges that are not 0 (up to 1e-25)
    bias: dict[tuple[int, str, int], float] = field(default_factory=dict)
    neurons: dict[tuple[int, int, int], float] = field(default_factory=dict)
    idle_heads: tuple[tuple[int, int], ...] = ()  # (layer, head) that write nothing
    survives_at: dict[Edge, float] = field(default_factory=dict)  # the last position's
    predicted: int | None = None  # at the last position


def induction(*, dtype: torch.dtype = torch.float64) -> Known:
    """`x A B y A` -> `B`: a previous-token head below an induction head.

    Fields: TOKEN and POSITION (embedded), PREVIOUS (written by head 0 of layer 0:
    which token stands before), INDUCED (written by head 1 of layer 1, read by the
    unembedding). Head 1 of layer 1 looks from a token for the position whose PREVIOUS
    is that token, and copies that position's TOKEN. Head 1 of layer 0 and head 0 of
    layer 1 attend uniformly and write nothing; the FFNs are zero.

    From the last position (4) the route at tau 0.04 is exactly the nine edges of
    `survives_at`: through layer 1 back to B at 2, and in layer 0 from 4 and 2 back to
    the tokens before them. A state above layer 0 has 3 codes (TOKEN, POSITION,
    PREVIOUS), so there `resid` is 2/3 and head 0 is 1/3; the induction head adds a
    fourth: 3/4 and 1/4.
    """
    n_tokens = 6
    x, a, b, y = 1, 2, 3, 4
    token, position, previous, induced = fields(n_tokens, 8, n_tokens, n_tokens)
    blank = blank_gpt2(width=2 * induced.stop, vocab=n_tokens, layers=2, heads=2)
    blank.set("transformer.wte.weight", codes(blank, token))
    blank.set("transformer.wpe.weight", codes(blank, position))

    make_identity(blank, "transformer.h.0.ln_1", n_codes=2)
    # Position i asks for the key "i - 1"; position 0 can only see itself.
    asked = reader(blank, position, shift=-1)
    set_head(blank, 0, 0, query=asked, key=reader(blank, position))
    set_copy(blank, 0, 0, value=reader(blank, token), output=codes(blank, previous))

    make_identity(blank, "transformer.h.1.ln_1", n_codes=3)
    set_head(blank, 1, 1, query=reader(blank, token), key=reader(blank, previous))
    set_copy(blank, 1, 1, value=reader(blank, token), output=codes(blank, induced))

    make_identity(blank, "transformer.ln_f", n_codes=4)
    blank.set("lm_head.weight", 20 * codes(blank, induced))

    token_ids = (x, a, b, y, a)
    top, back = 4, 2
    survives_at = {
        Edge(1, "ffn", "resid", None, top, top): 1.0,
        Edge(1, "attn", "resid", None, top, top): 3 / 4,
        Edge(1, "attn", "attn", 1, top, back): 1 / 4,
        Edge(0, "ffn", "resid", None, top, top): 3 / 4,
        Edge(0, "attn", "resid", None, top, top): 2 / 3,
        Edge(0, "attn", "attn", 0, top, top - 1): 1 / 3,
        Edge(0, "ffn", "resid", None, back, back): 1 / 4,
        Edge(0, "attn", "resid", None, back, back): 1 / 4,
        Edge(0, "attn", "attn", 0, back, back - 1): 1 / 4,
    }
    return Known(
        in_eval_mode(blank.model, dtype),
        token_ids,
        _induction_contributions(token_ids),
        idle_heads=((0, 1), (1, 0)),
        survives_at=survives_at,
        predicted=b,
    )


def _induction_contributions(token_ids: tuple[int, ...]) -> dict[Edge, float]:
    """At every position; without a match the induction head spreads evenly."""
    before = (token_ids[0], *token_ids[:-1])  # what PREVIOUS says at every position
    contributions = {}
    for i in range(len(token_ids)):
        contributions[Edge(0, "attn", "resid", None, i, i)] = 2 / 3
        contributions[Edge(0, "attn", "attn", 0, i, max(i - 1, 0))] = 1 / 3
        contributions[Edge(0, "ffn", "resid", None, i, i)] = 1.0
        contributions[Edge(1, "attn", "resid", None, i, i)] = 3 / 4
        contributions[Edge(1, "ffn", "resid", None, i, i)] = 1.0
        matches = [j for j in range(i + 1) if before[j] == token_ids[i]]
        looked_at = matches or range(i + 1)
        for j in looked_at:  # split over several keys, the write still has length 1
            contributions[Edge(1, "attn", "attn", 1, i, j)] = 1 / 4 / len(looked_at)
    return contributions


def copying(*, dtype: torch.dtype = torch.float64) -> Known:
    """One layer, one head: uniform attention copies every token seen so far.

    Lengths, in codes: the token 1; the copies 0.5 together, 0.5 / (i + 1) from each
    key; the value bias 0.25 and the attention's output bias 0.125, both constant, so
    both in `bias`; two neurons, which are constant and write 0.4 and 0.2; the FFN's
    output bias 0.1. No two of them share a coordinate. Hence

        attn step:    resid 1 / 1.5, each key 0.5 / (i + 1) / 1.5, bias 0.375 / 1.5
        ffn step:     resid 1.875 / 2.575, ffn 0.7 / 2.575
        neuron step:  resid 1.875 / 2.475, neurons 0.4 and 0.2 / 2.475, bias 0.1 / 2.475
    """
    n_tokens = 5
    token, copied, constant = fields(n_tokens, n_tokens, 5)
    blank = blank_gpt2(width=2 * constant.stop, vocab=n_tokens, layers=1, heads=1)
    blank.set("transformer.wte.weight", codes(blank, token))
    # The copies are read out; the final norm is left at gain 1.
    blank.set("lm_head.weight", codes(blank, copied))

    make_identity(blank, "transformer.h.0.ln_1", n_codes=1)
    set_copy(blank, 0, 0, value=reader(blank, token), output=0.5 * codes(blank, copied))
    from_value, from_output, *from_neurons, from_ffn = codes(blank, constant)
    attention = "transformer.h.0.attn."
    blank.state[attention + "c_attn.bias"][2 * blank.width + n_tokens] = 1.0
    blank.state[attention + "c_proj.weight"][n_tokens] = 0.25 * from_value
    blank.state[attention + "c_proj.bias"][:] = 0.125 * from_output

    drives, lengths = (2.0, 1.0), (0.4, 0.2)  # a drive is what goes into the activation
    ffn = "transformer.h.0.mlp."
    for n, write in enumerate(from_neurons):
        blank.state[ffn + "c_fc.bias"][n] = drives[n]
        length = lengths[n] / _gelu_new(drives[n])
        blank.state[ffn + "c_proj.weight"][n] = length * write
    blank.state[ffn + "c_proj.bias"][:] = 0.1 * from_ffn

    token_ids = (3, 1, 3, 0)
    contributions: dict[Edge, float] = {}
    bias: dict[tuple[int, str, int], float] = {}
    neurons: dict[tuple[int, int, int], float] = {}
    for i in range(len(token_ids)):
        contributions[Edge(0, "attn", "resid", None, i, i)] = 1 / 1.5
        for j in range(i + 1):
            contributions[Edge(0, "attn", "attn", 0, i, j)] = 0.5 / (i + 1) / 1.5
        contributions[Edge(0, "ffn", "resid", None, i, i)] = 1.875 / 2.575
        contributions[Edge(0, "ffn", "ffn", None, i, i)] = 0.7 / 2.575
        bias[0, "attn", i] = 0.375 / 1.5
        bias[0, "neuron", i] = 0.1 / 2.475
        for n, length in enumerate(lengths):
            neurons[0, i, n] = length / 2.475
    return Known(
        in_eval_mode(blank.model, dtype),
        token_ids,
        contributions,
        bias,
        neurons,
        predicted=3,  # seen twice
    )


def cancelling(share: float, *, dtype: torch.dtype = torch.float64) -> Known:
    """One layer, one head, prompt `a a b`: attention takes `share` of each token away.

    Uniform attention writes minus `share` times the mean of the tokens seen. Positions
    0 and 1 both see only `a`, and resid_mid = (1 - share) a:

    - share 1: the whole is exactly 0 (also in float32), so every proximity is 0;
    - share 0.75: the whole is a / 4, but resid = a overshoots it and every head part
      points away from it, so again every proximity is 0.

    In both cases `resid` has the whole contribution. (The FFN writes 0: at share 1 its
    step is 0 = 0 + 0, and again all goes to `resid`.) Position 2 sees `a a b`: of its
    whole, (1 - share / 3) b - (2 share / 3) a, resid makes 1 - 2 share / 3, each `a`
    share / 3, and the part of `b` itself points away: 0. The norm is the identity to
    the last bit, because var + eps = 1.
    """
    assert share in (0.75, 1.0)
    n_tokens, width, size = 8, 16, 2.0  # var = 2 * size**2 / width = 0.5
    (token,) = fields(n_tokens)
    blank = blank_gpt2(width=width, vocab=n_tokens, layers=1, heads=1, eps=0.5)
    blank.set("transformer.wte.weight", size * codes(blank, token))
    blank.set("lm_head.weight", codes(blank, token))
    identity = torch.eye(width, dtype=torch.float64)
    set_copy(blank, 0, 0, value=identity, output=-share * identity)

    contributions = {
        Edge(0, step, "resid", None, i, i): 1.0
        for step in ("attn", "ffn")
        for i in range(3)
    }
    contributions[Edge(0, "attn", "resid", None, 2, 2)] = 1 - 2 * share / 3
    for j in (0, 1):
        contributions[Edge(0, "attn", "attn", 0, 2, j)] = share / 3
    a, b = 3, 5
    return Known(
        in_eval_mode(blank.model, dtype), (a, a, b), contributions, predicted=b
    )


def _gelu_new(x: float) -> float:
    return 0.5 * x * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
