"""Where the time of a batch goes, by stage."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any
from unittest.mock import patch

from flowglass.pipeline import analyse, layer_rows

STAGES = {
    "attention_parts": "contributions",
    "steps": "contributions",
    "stored_edges": "contributions",
    "edge_rows": "contributions",
    "step_rows": "contributions",
    "head_rows": "contributions",
    "tensor_rows": "contributions",
    "neuron_step": "neurons",
    "top_neurons": "neurons",
    "neuron_rows": "neurons",
    "route_rows": "routes",
    "predict_next": "predictions",
    "token_rows": "predictions",
    "target_rows": "predictions",
    "meanings": "projections",
    "as_table": "writing",
}
"""The functions that a batch goes through, and the stages they belong to."""

CAPTURE = "forward, capture"
"""The stage of all the rest: the model's own forward pass, and reading it."""


class Clock(ExitStack):
    """Adds up the seconds of the stages while it is open."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: Counter[str] = Counter()
        for name, stage in STAGES.items():
            self._wrap(name, stage)

    def _wrap(self, name: str, stage: str) -> None:
        owner = analyse if hasattr(analyse, name) else layer_rows
        work: Callable[..., Any] = getattr(owner, name)

        def timed(*args: Any, **kwargs: Any) -> Any:
            with self.counting(stage):
                result = work(*args, **kwargs)
                return list(result) if isinstance(result, Iterator) else result

        self.enter_context(patch.object(owner, name, timed))

    def counting(self, stage: str) -> ExitStack:
        """A context whose time belongs to a stage."""
        started = time.perf_counter()

        def stop() -> None:
            self.seconds[stage] += time.perf_counter() - started

        stack = ExitStack()
        stack.callback(stop)
        return stack
