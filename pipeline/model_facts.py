"""What a run's plan says of a model, wherever the model itself is loaded."""

from dataclasses import dataclass

from . import kernels
from .model import LoadedModel


@dataclass(frozen=True)
class ModelFacts:
    """Small enough to be sent from a worker that has the model."""

    name: str
    model_hash: str
    architecture: str
    block_kind: str
    n_layers: int
    n_heads: int
    n_kv_heads: int
    d_model: int
    d_ffn: int
    vocab_size: int
    context: int | None
    """Most tokens of a prompt; None where there is no limit."""
    dtype: str
    device: str
    kernel: str


def facts_of(loaded: LoadedModel) -> ModelFacts:
    """The facts about a model that is loaded here."""
    anatomy = loaded.anatomy
    return ModelFacts(
        name=loaded.name,
        model_hash=loaded.model_hash,
        architecture=type(loaded.module).__name__,
        block_kind=anatomy.block_kind,
        n_layers=len(anatomy.layers),
        n_heads=anatomy.n_heads,
        n_kv_heads=anatomy.n_kv_heads,
        d_model=anatomy.d_model,
        d_ffn=anatomy.d_ffn,
        vocab_size=anatomy.vocab_size,
        context=anatomy.context,
        dtype=str(loaded.dtype),
        device=str(loaded.device),
        kernel=kernels.name_of(loaded.device),
    )
