"""A sweep that can start: everything found and loaded, and the run's plan made.

What cannot be done is said here, before anything runs.
"""

import platform
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from importlib.metadata import version
from pathlib import Path
from typing import Any

from flowglass.store.record import utc_now
from flowglass.store.run import Plan, run_id_of
from flowglass.store.schema import ROWS_VERSION

from . import kernels
from .corpus import Corpus, Shard, Tokeniser, load_corpus, plan_shards
from .errors import PlanError
from .hub import Origin
from .loading import load_tokenizer
from .model import LoadedModel, load_model
from .settings import Settings
from .text import TokenText

PACKAGES = ("flowglass", "torch", "transformers", "pyarrow", "duckdb", "numpy", "numba")


@dataclass(frozen=True, eq=False)
class Job:
    """Everything that a sweep needs, but a store."""

    loaded: LoadedModel
    corpus: Corpus
    tokeniser: Tokeniser
    shards: Sequence[Shard]
    plan: Plan

    @property
    def settings(self) -> Settings:
        return self.tokeniser.settings


def plan_job(options: Mapping[str, Any]) -> Job:
    """The job that the options of `sweep` ask for, by their names.

    What cannot be done is said here; see `sweep` for what is raised.
    """
    own = {field.name: options[field.name] for field in fields(Settings)}
    settings = Settings(**own | {"targets": str(options["targets"])})
    data, model = options["data"], options["model"]
    sources = [data] if isinstance(data, str) else list(data)
    if not sources:
        raise PlanError("no data: name a built-in dataset or a file")
    corpus = load_corpus(sources, limit=settings.limit)
    origin = Origin(**{field.name: options[field.name] for field in fields(Origin)})
    tokenizer = options["tokenizer"]
    if tokenizer is None:
        if not isinstance(model, str):
            raise PlanError("a loaded module needs tokenizer=...")
        tokenizer = load_tokenizer(model, origin=origin)
    loaded = load_model(
        model, dtype=settings.dtype, device=options["device"], origin=origin
    )
    tokeniser = Tokeniser(
        tokenizer, TokenText(tokenizer), settings, loaded.anatomy.context
    )
    shards = plan_shards(corpus, tokeniser)
    plan = make_plan(
        loaded,
        corpus,
        sources,
        shards,
        settings,
        name=options["run"],
        origin=origin,
    )
    return Job(loaded, corpus, tokeniser, shards, plan)


def make_plan(
    loaded: LoadedModel,
    corpus: Corpus,
    sources: Sequence[str],
    shards: Sequence[Shard],
    settings: Settings,
    *,
    name: str | None,
    origin: Origin,
) -> Plan:
    """The run's identity, its configuration, and what is known before it starts."""
    anatomy = loaded.anatomy
    identity = {
        "model_hash": loaded.model_hash,
        "data": [[d.name, d.digest] for d in corpus.datasets],
        "settings": settings.as_json() | {"dtype": str(loaded.dtype)},
        "schema_version": ROWS_VERSION,
    }
    config = {
        "model": loaded.name,
        "revision": origin.revision,
        "adapter": origin.adapter,
        "data": list(sources),
        **settings.as_json(),
        "kernel": kernels.name_of(loaded.device),
        "n_prompts": len(corpus),
        "identity": identity,
    }
    more = f"+{len(corpus.datasets) - 1}" if len(corpus.datasets) > 1 else ""
    slug = f"{Path(loaded.name).name}-{corpus.datasets[0].name}{more}"
    slug = re.sub(r"[^A-Za-z0-9.+_-]+", "-", slug)
    return Plan(
        run_id=name or run_id_of(slug, identity),
        model=loaded.name,
        model_hash=loaded.model_hash,
        architecture=type(loaded.module).__name__,
        block_kind=anatomy.block_kind,
        n_layers=len(anatomy.layers),
        n_heads=anatomy.n_heads,
        n_kv_heads=anatomy.n_kv_heads,
        d_model=anatomy.d_model,
        d_ffn=anatomy.d_ffn,
        vocab_size=anatomy.vocab_size,
        dtype=str(loaded.dtype).removeprefix("torch."),
        device=str(loaded.device),
        datasets=[d.name for d in corpus.datasets],
        cutoff=settings.cutoff,
        config=config,
        versions={p: version(p) for p in PACKAGES}
        | {"python": platform.python_version()},
        started_at=utc_now(),
        n_shards=len(shards),
    )
