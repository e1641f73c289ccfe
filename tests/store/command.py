"""Calling the program in this process."""

from collections.abc import Callable

Run = Callable[..., tuple[int, str, str]]
"""Calls it with arguments; gives its exit code, output and errors."""
