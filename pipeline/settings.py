"""The options of a sweep and of a trace that change the rows, in one frozen value."""

import re
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from .errors import PlanError
from .text import Bos

Precision = Literal["rounded", "full"]
Project = Literal["routes", "all", "none"]
Tensors = Literal["sparse", "dense"]

SHARD_PROMPTS = 256
SHARD_TOKENS = 32_768


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How prompts become rows; the same settings give the same rows.

    Raises PlanError for a value that makes no sense, naming the ones that do.
    """

    targets: str = "last"
    """last, answer, all, or a position (negative from the end)."""
    cutoff: float = 0.01
    """Parts at or above this contribution are stored; 0 stores everything."""
    precision: Precision = "rounded"
    """rounded: contributions to 7 mantissa bits; full: float32."""
    neurons: int = 16
    """Most neurons stored of a layer and position."""
    project: Project = "routes"
    """Which states and writes are read through the unembedding."""
    top_tokens: int = 10
    """Tokens stored of each."""
    tensors: Tensors = "sparse"
    """dense: every head's whole attention and contributions are stored as well."""
    bos: Bos = "add"
    dtype: str = "auto"
    batch_tokens: int = 4096
    """Most tokens of one forward pass, padding included."""
    limit: int | None = None
    """Most prompts of each source."""
    truncate: bool = False
    """Keep the end of a prompt that is longer than the model's context."""

    def __post_init__(self) -> None:
        if self.targets not in ("last", "answer", "all") and not re.fullmatch(
            r"-?\d+", self.targets
        ):
            raise PlanError(
                f"targets {self.targets!r}: expected last, answer, all or a position"
            )
        if not 0 <= self.cutoff < 1:
            raise PlanError(f"cutoff {self.cutoff}: expected at least 0 and below 1")
        for name, allowed in (
            ("precision", Precision),
            ("project", Project),
            ("tensors", Tensors),
            ("bos", Bos),
        ):
            if getattr(self, name) not in get_args(allowed):
                raise PlanError(
                    f"{name} {getattr(self, name)!r}: "
                    f"expected {', '.join(get_args(allowed))}"
                )
        if self.neurons < 0:
            raise PlanError(f"neurons {self.neurons}: expected at least 0")
        for name in ("batch_tokens", "limit", "top_tokens"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise PlanError(f"{name} {value}: expected at least 1")

    def as_json(self) -> dict[str, Any]:
        """The settings as JSON values, for the run's configuration."""
        return asdict(self)
