"""What two probes saw of one layer: in the second the heads' outputs are changed."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .anatomy import AttentionAnatomy
from .fit import identical
from .probe import Call, LayerTrail


@dataclass(frozen=True, eq=False)
class Trails:
    """A layer of which nothing is known yet."""

    name: str
    block: nn.Module
    trail: LayerTrail
    changed: LayerTrail
    factors: Tensor | None
    """What the heads' outputs [batch query head d_head] were multiplied by in it."""
    resid_pre: Tensor
    resid_post: Tensor
    tolerance: float

    @property
    def where(self) -> str:
        return f"{self.name} ({type(self.block).__name__})"


@dataclass(frozen=True, eq=False)
class Layer(Trails):
    """A layer whose attention is known."""

    attention: AttentionAnatomy
    """But for its b_V."""
    o_proj: Call

    @property
    def silent(self) -> bool:
        """Whether what the heads give does not reach the stream: it is zeroed on the
        way, or too faint beside the stream to be seen."""
        gave = self.o_proj.gave
        if gave is None:
            return True
        calls = (c.gave for c in self.changed.calls if c.name == self.o_proj.name)
        faint = torch.finfo(gave.dtype).eps * self.resid_pre.abs().max()
        return identical(gave, next(calls, None)) or bool(gave.abs().max() <= faint)

    def reads_stream(self, call: Call) -> Tensor | None:
        """What a call outside the attention read, if it is as large as the stream."""
        read = call.read
        if read is None or read.numel() != self.resid_pre.numel():
            return None
        if read.shape[-1] != self.resid_pre.shape[-1] or self.in_attention(call):
            return None
        return read.reshape(self.resid_pre.shape)

    def in_attention(self, call: Call) -> bool:
        own = {*self.attention.module.modules(), self.attention.out_proj}
        return call.module in own
