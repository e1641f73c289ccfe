"""A disk in memory whose power can be cut after any operation.

What was not synced may be there after the cut or not: the name of a new, linked or
removed file as its folder's content, the bytes of a written file as nothing, half or
all of them. Every combination is a state that a real disk could be in.
"""

import itertools
import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from os.path import dirname

FOLDER = -1


@dataclass
class Content:
    """A file's bytes, as programs see them and as they are on the platter."""

    seen: bytes
    durable: bytes
    synced: bool


@dataclass
class SimulatedDisk:
    """`flowglass.store.files.Files`, in memory."""

    contents: dict[int, Content] = field(default_factory=dict)
    names: dict[str, int] = field(default_factory=dict)
    durable_names: dict[str, int] = field(default_factory=dict)
    pending: dict[str, list[tuple[str, int | None]]] = field(default_factory=dict)
    """Per folder: names that point elsewhere, or nowhere, since its last sync."""
    after_operation: Callable[["SimulatedDisk"], None] | None = None

    def make_dirs(self, path: str) -> None:
        if path and path not in self.names:
            self.make_dirs(dirname(path))
            self._name(path, FOLDER)
            self._done()

    def create(self, path: str, data: bytes) -> None:
        assert self.names[dirname(path)] == FOLDER
        assert path not in self.names
        number = len(self.contents)
        self.contents[number] = Content(data, b"", synced=not data)
        self._name(path, number)
        self._done()

    def fill(self, path: str, data: bytes) -> None:
        content = self.contents[self.names[path]]
        content.seen, content.synced = data, False
        self._done()

    def fsync(self, path: str) -> None:
        content = self.contents[self.names[path]]
        content.durable, content.synced = content.seen, True
        self._done()

    def fsync_dir(self, path: str) -> None:
        for name, number in self.pending.pop(path, []):
            _point(self.durable_names, name, number)
        self._done()

    def link(self, source: str, target: str) -> bool:
        if target in self.names:
            return False
        self._name(target, self.names[source])
        self._done()
        return True

    def unlink(self, path: str) -> None:
        if path in self.names:
            self._name(path, None)
            self._done()

    def listdir(self, path: str) -> list[str]:
        inside = f"{path}/"
        return sorted(
            name.removeprefix(inside)
            for name in self.names
            if name.startswith(inside) and "/" not in name.removeprefix(inside)
        )

    def below(self, path: str) -> list[str]:
        return sorted(
            name
            for name, number in self.names.items()
            if name.startswith(f"{path}/") and number != FOLDER
        )

    def unlink_all(self, paths: Iterable[str]) -> None:
        for path in paths:
            self.unlink(path)

    def make_root(self) -> None:
        pass

    def remove_dir(self, path: str) -> None:
        if path in self.names and not self.listdir(path):
            self._name(path, None)
            self._done()

    def replace(self, path: str, data: bytes) -> None:
        number = len(self.contents)
        self.contents[number] = Content(data, data, synced=True)
        self._name(path, number)
        self.fsync_dir(dirname(path))

    def read_all(self, paths: Iterable[str]) -> dict[str, bytes]:
        return {path: self.read(path) for path in paths if self.exists(path)}

    def exists(self, path: str) -> bool:
        return path in self.names

    def size(self, path: str) -> int | None:
        return len(self.read(path)) if self.exists(path) else None

    def where(self, path: str) -> str:
        return path

    def read(self, path: str) -> bytes:
        if path not in self.names:
            raise FileNotFoundError(path)
        return self.contents[self.names[path]].seen

    def age(self, path: str) -> float:
        return float("inf")

    def power_cuts(
        self, chance: random.Random, *, most: int
    ) -> Iterator["SimulatedDisk"]:
        """Disks as a cut now could leave them: all of them, or `most` at random."""
        names = list(itertools.chain.from_iterable(self.pending.values()))
        unsynced = [n for n, content in self.contents.items() if not content.synced]
        options = [2] * len(names) + [3] * len(unsynced)
        n_states = 2 ** len(names) * 3 ** len(unsynced)
        choices: Iterator[tuple[int, ...]] = (
            itertools.product(*map(range, options))
            if n_states <= most
            else (tuple(map(chance.randrange, options)) for _ in range(most))
        )
        for choice in choices:
            kept = itertools.compress(names, choice)
            sizes = dict(zip(unsynced, choice[len(names) :], strict=True))
            yield self._after_cut(list(kept), sizes)

    def _after_cut(
        self, kept: list[tuple[str, int | None]], sizes: dict[int, int]
    ) -> "SimulatedDisk":
        names = dict(self.durable_names)
        for name, number in kept:
            _point(names, name, number)
        reachable = {
            name: number
            for name, number in names.items()
            if all(above in names for above in _above(name))
        }
        contents = {}
        for number, content in self.contents.items():
            left = content.durable
            if number in sizes:
                left = content.seen[: len(content.seen) * sizes[number] // 2]
            contents[number] = Content(left, left, synced=True)
        return SimulatedDisk(contents, dict(reachable), dict(reachable))

    def _name(self, path: str, number: int | None) -> None:
        _point(self.names, path, number)
        self.pending.setdefault(dirname(path), []).append((path, number))

    def _done(self) -> None:
        if self.after_operation is not None:
            self.after_operation(self)


def _point(names: dict[str, int], name: str, number: int | None) -> None:
    if number is None:
        names.pop(name, None)
    else:
        names[name] = number


def _above(path: str) -> Iterator[str]:
    while path := dirname(path):
        yield path
