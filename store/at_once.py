"""Several questions at the same time.

One that waits for a file, or plans its query, leaves a processor to the others; DuckDB
lets go of Python's lock.
"""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

Jobs = Mapping[str, Callable[[], Any]]
"""By name; they share nothing that they change."""

MOST = 4
"""At the same time: DuckDB itself uses every processor for a large question."""


def at_once(jobs: Jobs) -> dict[str, Any]:
    """The answer to each of some jobs.

    Raises what the first of them raises, once all that have begun are over.

    >>> at_once({"one": lambda: 1, "two": lambda: 2})
    {'one': 1, 'two': 2}
    """
    with ThreadPoolExecutor(min(MOST, len(jobs) or 1)) as threads:
        asked = {name: threads.submit(job) for name, job in jobs.items()}
        try:
            return {name: future.result() for name, future in asked.items()}
        finally:
            threads.shutdown(cancel_futures=True)
