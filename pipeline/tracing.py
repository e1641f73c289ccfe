"""One prompt in memory: the same rows as a sweep, without a store."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from flowglass.datasets.prompt import Prompt
from flowglass.store.schema import TABLES

from .analyse import analyse, roll_up
from .contributions import Step
from .errors import ModelError, PlanError
from .hub import Origin
from .loading import load_tokenizer
from .model import LoadedModel, load_model
from .neuron_vocab import neuron_vocab
from .prompts import TokenisedPrompt, from_ids, tokenise
from .route_rows import route_of
from .rows import rounding
from .settings import Precision, Project, Settings, Tensors
from .text import Bos, TokenText


@dataclass(frozen=True, eq=False)
class Trace:
    """Everything about one prompt.

    Every table of the store is an attribute (`edges`, `steps`, `tokens`, ...): a
    pyarrow.Table, with prompt_id 0 and without run_id.
    """

    tables: dict[str, pa.Table]
    prompt: TokenisedPrompt
    model: LoadedModel
    settings: Settings
    token_text: TokenText
    patterns: NDArray[np.float32]
    """[layer, head, query, key]"""
    head_contributions: NDArray[np.float32]
    """[layer, head, query, key]"""

    @cached_property
    def neuron_vocab(self) -> pa.Table:
        """What every neuron's weights promote and suppress: 2 * d_model * vocab flops a
        neuron, so computed when first asked for."""
        return pa.concat_tables(
            neuron_vocab(self.model, layer, self.token_text)
            for layer in range(len(self.model.weights))
        )

    def __getattr__(self, name: str) -> pa.Table:
        if name in TABLES:
            return self.tables.get(name, TABLES[name].schema.empty_table())
        raise AttributeError(f"a trace has no table {name!r}: {', '.join(TABLES)}")

    def route(self, target: int = -1, threshold: float = 0.04) -> pa.Table:
        """The rows of `routes` for a target position, survives_at above the threshold.

        Any position will do, also one that is no stored target; negative ones count
        from the end. Raises ValueError for a threshold below the cutoff (what would
        be in that route was not kept) and for a position outside the prompt.
        """
        if threshold < self.settings.cutoff:
            raise PlanError(
                f"threshold {threshold} is below the cutoff {self.settings.cutoff}: "
                "trace with a lower cutoff"
            )
        n = len(self.prompt)
        if not -n <= target < n:
            raise PlanError(f"target {target} lies outside a prompt of {n} tokens")
        return route_of(
            self.edges, target % n, threshold, n_layers=len(self.model.weights)
        )

    def attention(self, layer: int, head: int) -> NDArray[np.float32]:
        """The attention probabilities [query, key] of one head."""
        found: NDArray[np.float32] = self.patterns[layer, head]
        return found

    def contributions(self, layer: int, head: int) -> NDArray[np.float32]:
        """One head's contributions [query, key], zero above the diagonal."""
        found: NDArray[np.float32] = self.head_contributions[layer, head]
        return found


def trace(
    model: str | PreTrainedModel,
    text: str | Sequence[int],
    *,
    answer: str | None = None,
    distractor: str | None = None,
    tokenizer: PreTrainedTokenizerBase | None = None,
    targets: str | int = "last",
    cutoff: float = 0.01,
    precision: Precision = "rounded",
    neurons: int = 16,
    project: Project = "routes",
    top_tokens: int = 10,
    tensors: Tensors = "sparse",
    bos: Bos = "add",
    dtype: str = "auto",
    device: str = "auto",
    truncate: bool = False,
    revision: str | None = None,
    adapter: str | None = None,
    trust_remote_code: bool = False,
) -> Trace:
    """Decompose one prediction of one prompt.

    `model` is a bundled name, a folder, a hub id, or a loaded module (then with
    `tokenizer`; it is put into eval mode); `text` may be token ids, taken as they are.

    >>> t = trace("tiny-gpt2", "The capital of France is", answer="Paris")
    >>> t.targets["correct"].to_pylist()
    [True]
    """
    settings = Settings(
        targets=str(targets),
        cutoff=cutoff,
        precision=precision,
        neurons=neurons,
        project=project,
        top_tokens=top_tokens,
        tensors=tensors,
        bos=bos,
        dtype=dtype,
        truncate=truncate,
    )
    origin = Origin(
        revision=revision, adapter=adapter, trust_remote_code=trust_remote_code
    )
    loaded = load_model(model, dtype=dtype, device=device, origin=origin)
    context = loaded.anatomy.context
    if not isinstance(text, str):
        vocabulary = loaded.anatomy.vocab_size
        if outside := [i for i in text if not 0 <= i < vocabulary]:
            raise PlanError(
                f"token id {outside[0]} is outside the vocabulary of {vocabulary}"
            )
        prompt = from_ids(text, settings, context=context)
        return trace_prompt(loaded, prompt, settings, TokenText(tokenizer))
    if tokenizer is None and not isinstance(model, str):
        raise PlanError("a loaded module needs tokenizer=..., or token ids as the text")
    if tokenizer is None:
        assert isinstance(model, str)
        tokenizer = load_tokenizer(model, origin=origin)
    token_text = TokenText(tokenizer)
    asked = (0, "trace", Prompt(text, answer=answer, distractor=distractor))
    (prompt,) = tokenise([asked], tokenizer, token_text, settings, context=context)
    return trace_prompt(loaded, prompt, settings, token_text)


def trace_prompt(
    loaded: LoadedModel,
    prompt: TokenisedPrompt,
    settings: Settings,
    token_text: TokenText,
) -> Trace:
    """Decompose a prompt that is tokenised already; raises ModelError if it does not
    close."""
    dense = _Dense(settings)
    tables = analyse(loaded, [prompt], settings, token_text, on_step=dense.see)
    if failed := tables.pop("quarantine").to_pylist():
        at = failed[0]
        raise ModelError(f"{at['reason']} (step {at['step']} of layer {at['layer']})")
    tables["component_stats"] = roll_up(tables, loaded, settings.cutoff)
    return Trace(
        tables=tables,
        prompt=prompt,
        model=loaded,
        settings=settings,
        token_text=token_text,
        patterns=np.stack(dense.patterns),
        head_contributions=np.stack(dense.contributions),
    )


class _Dense:
    """Keeps every head's maps of one prompt."""

    def __init__(self, settings: Settings) -> None:
        self._round = rounding(settings.precision)
        self.patterns: list[NDArray[np.float32]] = []
        self.contributions: list[NDArray[np.float32]] = []

    def see(self, layer: int, step: str, parts: Step, pattern: Tensor) -> None:
        if parts.attn.shape[1]:
            self.patterns.append(_numpy(pattern[0]))
            self.contributions.append(self._round(_numpy(parts.attn[0])))


def _numpy(tensor: Tensor) -> NDArray[np.float32]:
    return tensor.to("cpu", torch.float32).numpy()
