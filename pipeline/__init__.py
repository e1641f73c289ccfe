"""Run models over prompts and decompose every prediction: `sweep` and `trace`.

The names are loaded when they are first used: torch takes seconds to import.
"""

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .sweep_runs import Failed, sweep_file
    from .sweeping import Run, sweep
    from .tracing import Trace, trace

# OpenMP reads these once, when torch is imported. Threads that spin while they wait
# take the cores from our own, and from all else that runs: five times slower on a busy
# one. A short spin, a few microseconds, saves the sleep between two operations.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("GOMP_SPINCOUNT", "2000")

__all__ = ["Failed", "Run", "Trace", "sweep", "sweep_file", "trace"]

_HOMES = {
    "Failed": "sweep_runs",
    "sweep_file": "sweep_runs",
    "Run": "sweeping",
    "sweep": "sweeping",
    "Trace": "tracing",
    "trace": "tracing",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f".{_HOMES[name]}", __name__), name)
