"""All rows of one shard, whatever its prompts do to the model, or to the process.

1. The prompts are tokenised and batched, by the settings alone: any two attempts in
   which nothing went wrong give the same rows.
2. A batch that does not fit into memory is halved, until it does. One that fails in
   another way is halved too, down to the prompt that is at fault.
3. Where attempts before this one died, what is done next is noted in the store, and the
   prompts that were in work then are tried one by one, without keeping their rows. A
   batch at which several died is run in parts.

A prompt that cannot be run goes to `quarantine`, with the reason. Rows of a batch that
was halved or run in parts are those of the whole batch up to rounding only.
"""

import gc
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa
import torch

from flowglass.datasets.prompt import Prompt
from flowglass.store.suspects import Trail

from .analyse import analyse, roll_up
from .batch import make_batches
from .corpus import Tokeniser
from .errors import PipelineError
from .hub import first_line
from .model import LoadedModel
from .progress import Reporter
from .prompts import TokenisedPrompt
from .rows import as_table

CONFIRMED = 2
"""Deaths while a prompt was run alone after which it counts as their cause."""

OUT_OF_MEMORY = ("allocate memory", "out of memory", "STATUS_ALLOC_FAILED")
"""What a CPU's allocator, a driver and CUDA's libraries say, in that order."""

Tables = dict[str, pa.Table]


class DeviceLost(PipelineError):
    """The accelerator does nothing more for this process."""


@dataclass(frozen=True, eq=False)
class ShardRows:
    """What `run_shard` gives."""

    tables: Tables
    n_splits: int
    """How often a batch was halved for want of memory."""


def run_shard(
    loaded: LoadedModel,
    tokeniser: Tokeniser,
    prompts: Sequence[tuple[int, str, Prompt]],
    trail: Trail,
    report: Reporter,
) -> ShardRows:
    """All rows of one shard. The same for the same prompts and settings where no batch
    is divided, else up to rounding. Raises DeviceLost where a new process has to go on.
    """
    work = _ShardWork(loaded, tokeniser, trail)
    parts: dict[str, list[pa.Table]] = {}
    batch_tokens = tokeniser.settings.batch_tokens
    for batch in make_batches(tokeniser(prompts), batch_tokens):
        n_quarantined = 0
        for tables in work.tables_of(batch):
            n_quarantined += tables["quarantine"].num_rows
            for name, table in tables.items():
                parts.setdefault(name, []).append(table)
        report.advance(
            len(batch), tokens=sum(map(len, batch)), quarantined=n_quarantined
        )
    trail.note([])  # what dies from here on, while this is written, dies of others
    merged = {
        name: pa.concat_tables([as_table(name, []), *some])
        for name, some in parts.items()
    }
    for name in ("prompts", "targets", "importance"):  # where no prompt could be run
        merged.setdefault(name, as_table(name, []))
    stats = roll_up(merged, loaded, tokeniser.settings.cutoff)
    return ShardRows(merged | {"component_stats": stats}, work.n_splits)


class _ShardWork:
    """One attempt at a shard."""

    def __init__(self, loaded: LoadedModel, tokeniser: Tokeniser, trail: Trail) -> None:
        self._loaded = loaded
        self._tokeniser = tokeniser
        self._trail = trail
        alone = Counter(ids for ids in trail.earlier if len(ids) == 1)
        self._alone = {min(ids): deaths for ids, deaths in alone.items()}
        self.n_splits = 0

    def tables_of(self, batch: Sequence[TokenisedPrompt]) -> Iterator[Tables]:
        """The rows of a batch, in one part or several."""
        killers = [p for p in batch if self._alone.get(p.prompt_id, 0) >= CONFIRMED]
        if killers:
            deaths = {p.prompt_id: self._alone[p.prompt_id] for p in killers}
            yield set_aside_whole(
                killers,
                [
                    f"killed its process: {deaths[p.prompt_id]} times when it was run "
                    f"alone"
                    for p in killers
                ],
            )
        rest = [p for p in batch if p not in killers]
        if self._trail.earlier and rest:
            yield from self._carefully(rest)
        elif rest:
            self._trail.note(p.prompt_id for p in rest)
            yield from self._halving(rest)

    def _carefully(self, batch: Sequence[TokenisedPrompt]) -> Iterator[Tables]:
        """A batch in which a prompt may kill this process, or all of it together."""
        ids = {p.prompt_id for p in batch}
        named = [e for e in self._trail.earlier if len(e) > 1 and e & ids]
        suspects = [p for p in batch if p.prompt_id in self._alone]
        if not suspects and len(named) == 1:
            suspects = list(batch)
        for prompt in suspects:
            self._trail.note([prompt.prompt_id])
            for _ in self._halving([prompt]):
                pass
        # Every prompt by itself went well, and still it died: it needs less at once.
        for part in in_parts(batch, 2 ** max(0, len(named) - 1)):
            self._trail.note(p.prompt_id for p in part)
            yield from self._halving(part)

    def _halving(self, batch: Sequence[TokenisedPrompt]) -> Iterator[Tables]:
        """A batch, or its halves where it fails."""
        settings, spell = self._tokeniser.settings, self._tokeniser.token_text
        try:
            yield analyse(self._loaded, batch, settings, spell)
            return
        except Exception as error:  # whatever a model's own code raises
            if is_device_lost(error):
                raise DeviceLost(
                    f"the device failed ({first_line(error)}): run the same command "
                    f"again"
                ) from error
            needs_memory = is_out_of_memory(error)
            reason = reason_of(error)
        # Outside of the `except`: the error holds on to the tensors of its frames.
        if needs_memory:
            free_memory()
        if len(batch) == 1:
            yield set_aside_whole(batch, [reason])
            return
        self.n_splits += needs_memory
        for half in in_parts(batch, 2):
            yield from self._halving(half)


def in_parts(
    batch: Sequence[TokenisedPrompt], n: int
) -> list[Sequence[TokenisedPrompt]]:
    """The batch cut into at most n parts of nearly equal size."""
    size = -(-len(batch) // n)
    return [batch[start : start + size] for start in range(0, len(batch), size)]


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a smaller batch may succeed.

    >>> is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory."))
    True
    """
    # PyTorch has a type of its own only for what its CUDA allocator is refused.
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or (
        isinstance(error, RuntimeError)
        and any(sign in str(error) for sign in OUT_OF_MEMORY)
    )


def is_device_lost(error: BaseException) -> bool:
    """Whether nothing more can be run on the device, by this process."""
    return (
        isinstance(error, RuntimeError)
        and "CUDA error" in str(error)
        and not is_out_of_memory(error)
    )


def reason_of(error: BaseException) -> str:
    """A failure as `quarantine` says it; what is before the colon counts them."""
    if is_out_of_memory(error):
        return f"out of memory: {first_line(error)}"
    return f"failed: {type(error).__name__}: {first_line(error)}"


def free_memory() -> None:
    """Give back what a failed batch has left behind."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def set_aside_whole(
    prompts: Collection[TokenisedPrompt], reasons: Sequence[str]
) -> Tables:
    """Rows of `quarantine` for prompts that have no other rows."""
    n = len(prompts)
    rows = {
        "prompt_id": [p.prompt_id for p in prompts],
        "dataset": [p.dataset for p in prompts],
        "text": [p.prompt.text for p in prompts],
        "reason": list(reasons),
        "step": [None] * n,
        "layer": [None] * n,
    }
    return {"quarantine": as_table("quarantine", [rows])}
