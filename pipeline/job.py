"""A sweep that can start: everything found and checked, and the run's plan made.

What cannot be done is said here, before anything runs.
"""

import platform
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from flowglass.store.plan import Plan, run_id_of
from flowglass.store.record import utc_now
from flowglass.store.schema import ROWS_VERSION

from .corpus import Corpus, Order, Shard, Tokeniser, load_corpus, plan_shards
from .errors import PlanError
from .hub import Origin
from .model_facts import ModelFacts
from .settings import Settings
from .shard_worker import ModelRequest, tokeniser_of

PACKAGES = ("flowglass", "torch", "transformers", "pyarrow", "duckdb", "numpy", "numba")


@dataclass(frozen=True, eq=False)
class Job:
    """Everything that a sweep needs, but a store and somewhere to run."""

    request: ModelRequest
    facts: ModelFacts
    corpus: Corpus
    tokeniser: Tokeniser
    shards: Sequence[Shard]
    plan: Plan

    @property
    def settings(self) -> Settings:
        return self.tokeniser.settings

    def shards_left(self, committed: Collection[int]) -> list[Shard]:
        """Those that are still to be done, in their order."""
        return [shard for shard in self.shards if shard.index not in committed]


def plan_job(
    options: Mapping[str, Any],
    facts_of: Callable[[ModelRequest], ModelFacts],
    *,
    order: Order = "given",
) -> Job:
    """The job that the options of `sweep` ask for, by their names.

    `facts_of` loads the model, here or elsewhere. What cannot be done is said here; see
    `sweep` for what is raised.
    """
    own = {field.name: options[field.name] for field in fields(Settings)}
    settings = Settings(**own | {"targets": str(options["targets"])})
    data = options["data"]
    sources = [data] if isinstance(data, str) else list(data)
    if not sources:
        raise PlanError("no data: name a built-in dataset or a file")
    corpus = load_corpus(sources, limit=settings.limit)
    origin = Origin(**{field.name: options[field.name] for field in fields(Origin)})
    request = ModelRequest(
        model=options["model"],
        dtype=settings.dtype,
        device=options["device"],
        origin=origin,
        tokenizer=options["tokenizer"],
    )
    request.load_tokenizer()  # what is wrong with it is said before the model is loaded
    facts = facts_of(request)
    tokeniser = tokeniser_of(request, settings, facts.context)
    shards = plan_shards(corpus, tokeniser, order=order)
    plan = make_plan(
        facts,
        corpus,
        sources,
        settings,
        n_shards=len(shards),
        order=order,
        name=options["run"],
        origin=origin,
    )
    return Job(request, facts, corpus, tokeniser, shards, plan)


def in_order_of(job: Job, plan: Plan) -> Job:
    """The job with the shards that the run was begun with, by another sweep perhaps."""
    order: Order = plan.config.get("order", "given")
    if order != job.plan.config["order"]:
        shards = plan_shards(job.corpus, job.tokeniser, order=order)
        job = replace(job, shards=shards, plan=plan)
    if len(job.shards) != plan.n_shards:
        raise PlanError(
            f"run {plan.run_id!r} was begun with {plan.n_shards} shards, and its "
            f"prompts make {len(job.shards)} now, by another flowglass or tokenizer: "
            f"give another --run name"
        )
    return job


def make_plan(
    facts: ModelFacts,
    corpus: Corpus,
    sources: Sequence[str],
    settings: Settings,
    *,
    n_shards: int,
    order: Order,
    name: str | None,
    origin: Origin,
) -> Plan:
    """The run's identity, its configuration, and what is known before it starts."""
    identity = {
        "model_hash": facts.model_hash,
        "data": [[d.name, d.digest] for d in corpus.datasets],
        "settings": settings.as_json() | {"dtype": facts.dtype},
        "schema_version": ROWS_VERSION,
    }
    config = {
        "model": facts.name,
        "revision": origin.revision,
        "adapter": origin.adapter,
        "data": list(sources),
        **settings.as_json(),
        "kernel": facts.kernel,
        "order": order,
        "n_prompts": len(corpus),
        "identity": identity,
    }
    more = f"+{len(corpus.datasets) - 1}" if len(corpus.datasets) > 1 else ""
    slug = f"{Path(facts.name).name}-{corpus.datasets[0].name}{more}"
    slug = re.sub(r"[^A-Za-z0-9.+_-]+", "-", slug)
    kept = asdict(facts)
    for unused in ("name", "context", "kernel"):
        del kept[unused]
    return Plan(
        **kept | {"dtype": facts.dtype.removeprefix("torch.")},
        run_id=name or run_id_of(slug, identity),
        model=facts.name,
        datasets=[d.name for d in corpus.datasets],
        cutoff=settings.cutoff,
        config=config,
        versions={p: version(p) for p in PACKAGES}
        | {"python": platform.python_version()},
        started_at=utc_now(),
        n_shards=n_shards,
    )
