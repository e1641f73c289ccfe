"""A run's plan: everything about a sweep that is known before it starts."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from .errors import StoreError
from .record import canonical


@dataclass(frozen=True)
class Plan:
    """Written once, exclusively, as the run's plan.json; never changed."""

    run_id: str
    model: str
    model_hash: str
    architecture: str
    block_kind: str
    n_layers: int
    n_heads: int
    n_kv_heads: int
    d_model: int
    d_ffn: int
    vocab_size: int
    dtype: str
    device: str
    datasets: Sequence[str]
    cutoff: float
    config: Mapping[str, Any]
    """Everything needed to repeat the sweep; JSON values. `config["identity"]` is what
    changes rows, `config["n_prompts"]` how many prompts there are."""
    versions: Mapping[str, str]
    started_at: str
    """ISO 8601, UTC."""
    n_shards: int

    @property
    def identity(self) -> Mapping[str, Any]:
        """Everything that changes rows: two sweeps that agree in it are one run."""
        identity: Mapping[str, Any] = self.config["identity"]
        return identity

    @property
    def rows_version(self) -> int:
        """The version of the rows' columns, as of the flowglass that made the run."""
        return int(self.identity.get("schema_version", 1))

    @property
    def n_prompts(self) -> int:
        """How many prompts the run will have read once it is complete."""
        return int(self.config["n_prompts"])

    @property
    def config_sha256(self) -> str:
        """The hash of the identity, in every commit record."""
        return hashlib.sha256(canonical(self.identity)).hexdigest()


def run_id_of(slug: str, identity: Mapping[str, Any]) -> str:
    """A name for the run with this identity: the slug, and 12 hex digits of its hash.

    >>> run_id_of("gpt2-ioi", {"cutoff": 0.01})
    'gpt2-ioi-52ae3764ff6d'
    """
    return f"{slug}-{hashlib.sha256(canonical(identity)).hexdigest()[:12]}"


def plan_to_bytes(plan: Plan) -> bytes:
    """The plan as it lies on disk, for people to read too."""
    return json.dumps(asdict(plan), indent=1, allow_nan=False).encode() + b"\n"


def plan_from_bytes(data: bytes, *, path: str) -> Plan:
    """The plan in a file's content; StoreError if it is not one."""
    try:
        return Plan(**json.loads(data))
    except (ValueError, TypeError) as error:
        raise StoreError(
            f"{path} is damaged ({error}): restore it, or move its run out of the store"
        ) from error


def differences(there: Mapping[str, Any], here: Mapping[str, Any]) -> list[str]:
    """What two identities disagree in, a phrase each.

    >>> differences({"settings": {"cutoff": 0.01}}, {"settings": {"cutoff": 0.02}})
    ['settings.cutoff (0.01 there, 0.02 here)']
    """
    old, new = dict(_leaves(there)), dict(_leaves(here))
    return [
        f"{name} ({_said(old, name)} there, {_said(new, name)} here)"
        for name in sorted(old.keys() | new.keys())
        if old.get(name) != new.get(name)
    ]


def _leaves(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _leaves(inner, f"{name}.{key}" if name else str(key))
    else:
        yield name, json.dumps(value)


def _said(leaves: Mapping[str, str], name: str) -> str:
    text = leaves.get(name, "nothing")
    return text if len(text) <= 60 else f"{text[:57]}..."
