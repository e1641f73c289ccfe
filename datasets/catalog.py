"""What can be traced without writing anything: `load(source)` gives a dataset.

A source is a built-in dataset's name, a file, or `hf:name[:split[:column]]`.
"""

import json
import os.path
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from hashlib import sha256
from pathlib import Path

from . import hub, readers
from .errors import DatasetError
from .prompt import Prompt
from .tasks import TASKS

FOLDER = Path(__file__).parent

BUILTIN = tuple(TASKS)
"""The built-in datasets, one for each task."""

MODELS = {name: FOLDER / "models" / name for name in ("tiny-gpt2", "tiny-llama")}
"""The bundled models' folders by name."""


@dataclass(frozen=True)
class Dataset:
    """Prompts under a name.

    >>> dataset = load("ioi", limit=2)
    >>> dataset.name, len(dataset.prompts), dataset.prompts[0].category
    ('ioi', 2, 'ABB')
    """

    name: str
    """The built-in name, the file's name without its extension, or the hub's name."""
    prompts: Sequence[Prompt]
    digest: str
    """sha256 of the prompts' canonical JSON, see `digest_of`."""


def load(source: str | os.PathLike[str], *, limit: int | None = None) -> Dataset:
    """The first `limit` prompts of a source, or all; raises DatasetError."""
    source = os.fspath(source)
    if limit is not None and limit < 1:
        raise DatasetError(f"the limit must be 1 or more, not {limit}")
    name, prompts = named_prompts(source, limit)
    return Dataset(name, prompts, digest_of(prompts))


def named_prompts(source: str, limit: int | None) -> tuple[str, list[Prompt]]:
    """The name and the prompts of a source, by what kind of source it is."""
    if source in BUILTIN:
        return source, builtin_prompts(source)[:limit]
    if source.startswith(hub.PREFIX):
        address = hub.parse(source)
        return address.name, hub.read(address, limit=limit)
    path = Path(source)
    if path.suffix or os.path.exists(path):
        return path.stem, readers.read(path, limit=limit)
    raise unknown(source)


def builtin_prompts(task: str) -> list[Prompt]:
    """The 500 held-out prompts of a built-in task."""
    return readers.read(FOLDER / "builtin" / f"{task}.jsonl")


def digest_of(prompts: Sequence[Prompt], *, at_once: int = 1000) -> str:
    """sha256 of [[text, category, answer, distractor, metadata], ...] as JSON.

    Keys are sorted, nothing is escaped that need not be, and there are no spaces; the
    JSON of a million prompts never exists as a whole.
    """
    encoder = json.JSONEncoder(
        ensure_ascii=False, sort_keys=True, separators=(",", ":")
    )
    digest = sha256(b"[")
    for start in range(0, len(prompts), at_once):
        fields = [
            [p.text, p.category, p.answer, p.distractor, dict(p.metadata)]
            for p in prompts[start : start + at_once]
        ]
        comma = "," if start else ""
        digest.update((comma + encoder.encode(fields)[1:-1]).encode())
    digest.update(b"]")
    return digest.hexdigest()


def unknown(source: str) -> DatasetError:
    """The error for a source that is nothing."""
    near = get_close_matches(source, BUILTIN)
    hint = f"did you mean {' or '.join(near)}? " if near else ""
    kinds = ", ".join(readers.READERS)
    return DatasetError(
        f'no dataset "{source}"; {hint}A source is a built-in name '
        f"({', '.join(BUILTIN)}), a file ({kinds}), or hf:name[:split[:column]]"
    )
