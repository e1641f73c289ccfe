"""What attempts at a shard were working on when their process died.

A prompt that kills its process, by a crash of a library or for want of memory, leaves
no exception behind. So an attempt puts an empty file here when it begins, and takes it
away when it ends, well or badly. One that finds files of others knows that they died,
or are at work elsewhere, and is careful: it notes in its file what it does next. The
attempt after that knows which prompts to try one by one, and the one after that which
prompt it was.

    suspects/000003-<attempt>.json      {"prompt_ids": [812]}, or nothing
"""

import json
from collections.abc import Iterable

from .commit import new_attempt
from .files import Files


class Trail:
    """One attempt at a shard."""

    earlier: tuple[frozenset[int], ...]
    """What the attempts that did not end were working on, as far as they noted it."""
    careful: bool
    """Whether there were any."""

    def __init__(self, files: Files, folder: str, shard: int) -> None:
        self._files = files
        self._folder = f"{folder}/suspects"
        self._shard = shard
        files.make_dirs(self._folder)
        others = [p for p in self._of_shard() if p.endswith(".json")]
        noted = map(_prompt_ids, files.read_all(others).values())
        self.earlier = tuple(ids for ids in noted if ids)
        self.careful = bool(others)
        self._own = f"{self._folder}/{shard:06d}-{new_attempt()}.json"
        files.create(self._own, b"")

    def note(self, prompt_ids: Iterable[int]) -> None:
        """Say what is done next, if that may be of use."""
        if self.careful:
            content = json.dumps({"prompt_ids": sorted(prompt_ids)})
            self._files.replace(self._own, content.encode())

    def end(self) -> None:
        """This attempt ended, though it may not have been able to do its shard."""
        self._files.unlink(self._own)

    def forget(self) -> None:
        """The shard is committed: no attempt at it says anything any more."""
        self._files.unlink_all(self._of_shard())

    def _of_shard(self) -> list[str]:
        """Files of this shard, with drafts of notes that a death left half written."""
        names = self._files.listdir(self._folder)
        own = f"{self._shard:06d}-"
        return [f"{self._folder}/{name}" for name in names if name.startswith(own)]


def _prompt_ids(content: bytes) -> frozenset[int]:
    """What a file notes; one that is damaged says as little as an empty one."""
    try:
        return frozenset(map(int, json.loads(content)["prompt_ids"]))
    except (ValueError, KeyError, TypeError):
        return frozenset()
