"""What was found in a model: who writes into its residual stream, and through what.

The rest of the pipeline asks no model for names. How it is found: find_anatomy.py.
"""

from dataclasses import dataclass
from typing import Literal

from jaxtyping import Float
from torch import Tensor, nn

from .linear_norm import LinearNorm


@dataclass(frozen=True, eq=False)
class AttentionAnatomy:
    """One layer's attention."""

    name: str
    """Within the layer, like every name below."""
    module: nn.Module
    out_proj: nn.Module
    n_heads: int
    n_kv_heads: int
    d_head: int
    """Of a value."""
    scaled: bool
    """Heads' outputs are scaled beside the pattern, by a number a head and query."""
    gated: bool
    """Heads' outputs are multiplied, coordinate by coordinate, before W_O."""
    inner_norm: LinearNorm | None
    """Between the heads' outputs and W_O."""
    b_v: Float[Tensor, "head d_head"]
    """Value bias, repeated to query heads; 0 where the value path is not affine."""


@dataclass(frozen=True, eq=False)
class Writer:
    """A module whose output enters the residual stream; the attention's comes first."""

    name: str
    module: nn.Module
    kind: Literal["attention", "linear", "experts", "opaque"]
    """opaque: an FFN that does not open up into neurons."""
    coefficient: float | None
    """What it is multiplied by behind its norms; None: another number at each token."""


@dataclass(frozen=True, eq=False)
class PostNorm:
    """A norm between writers and the stream."""

    name: str
    module: nn.Module
    norm: LinearNorm
    writers: tuple[int, ...]
    """Places in `LayerAnatomy.writers`: it norms the sum of their outputs."""
    coefficients: tuple[float | None, ...]
    """What each is multiplied by in that sum."""


@dataclass(frozen=True, eq=False)
class LayerAnatomy:
    """One decoder layer."""

    name: str
    block: nn.Module
    attention: AttentionAnatomy
    writers: tuple[Writer, ...]
    norms: tuple[PostNorm, ...]
    """In the order in which they run."""
    mid_reader: nn.Module | None
    """A module that reads `resid_mid`; None in a parallel block, which has none."""
    keep_mid: float
    """What `resid_pre` is multiplied by in `resid_mid`."""
    keep_post: float
    """What `resid_mid` is multiplied by in `resid_post`; 1 in a parallel block."""

    def norms_of(self, writer: int) -> tuple[LinearNorm, ...]:
        """The norms behind a writer, the first one first."""
        return tuple(norm.norm for norm in self.norms if writer in norm.writers)


@dataclass(frozen=True, eq=False)
class Anatomy:
    """A decoder."""

    layers: tuple[LayerAnatomy, ...]
    by_interface: bool
    """Attention was seen through transformers' interface, else through its softmax."""
    reads_tokens: bool
    """Some layer reads the tokens themselves, beside the stream."""
    final_norm: nn.Module | None
    """None: the unembedding reads the last state as it is."""
    n_heads: int
    n_kv_heads: int
    d_model: int
    d_ffn: int
    vocab_size: int
    context: int | None
    """The most tokens a prompt may have; None where positions are unlimited."""

    @property
    def parallel(self) -> bool:
        return self.layers[0].mid_reader is None

    @property
    def block_kind(self) -> str:
        return "parallel" if self.parallel else "sequential"

    @property
    def opaque(self) -> bool:
        """Whether some FFN does not open up into neurons."""
        return any(w.kind == "opaque" for layer in self.layers for w in layer.writers)
