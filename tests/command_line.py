"""The program as tests call it: in this process, torch is imported only once."""

import os
import sys
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import NamedTuple
from unittest import mock

from flowglass.store.cli import main


class Done(NamedTuple):
    """How a command ended, and what it said."""

    returncode: int
    stdout: str
    stderr: str


def flowglass(*arguments: str | Path) -> Done:
    """Run the program in this process: torch is imported only once."""
    out, err = StringIO(), StringIO()
    argv = ["flowglass", *map(str, arguments)]
    code: object = 0
    with (
        mock.patch.object(sys, "argv", argv),
        mock.patch.dict(os.environ, {"COLUMNS": "200"}),
        redirect_stdout(out),
        redirect_stderr(err),
    ):
        try:
            main()
        except SystemExit as left:
            code = left.code
    return Done(int(str(code or 0)), out.getvalue(), err.getvalue())


def refused(*arguments: str | Path) -> str:
    """The one line that a refused command prints."""
    done = flowglass(*arguments)
    assert done.returncode == 2, done.stderr
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("error: ")
    return lines[0]
