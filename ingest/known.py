"""Which files were read how far: matches a file with what is remembered of its content."""

import os
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from pathlib import Path

from ingest.checkpoint import Checkpoints, FilePosition, Key
from ingest.tail import Tail, key_of

MAX_TRIED = 8
"""Rows of equal beginning that are tried on one file; beyond it the file is read again."""
MAX_ROWS = 20_000
"""Beyond it the oldest are forgotten, if their files are gone."""


class KnownFiles:
    """The positions of one unit, and those that wait to be acknowledged."""

    def __init__(self, checkpoints: Checkpoints, scope: str) -> None:
        self._checkpoints = checkpoints
        self._scope = scope
        self._rows: dict[int, FilePosition] = {}
        self._by_head: dict[int, dict[bytes, set[int]]] = defaultdict(lambda: defaultdict(set))
        self._pending: dict[Key, tuple[Tail, FilePosition]] = {}
        self._saved: list[tuple[Tail, FilePosition]] = []
        self._retired: list[FilePosition] = []
        self._claimed: set[int] = set()
        rows = checkpoints.files(scope)
        old = [row for row in rows[: max(0, len(rows) - MAX_ROWS)] if not Path(row.path).exists()]
        if old:
            with checkpoints.transaction():
                for row in old:
                    checkpoints.forget_file(row)
        for row in rows:
            self._note(row)

    def match(self, tail: Tail) -> FilePosition | None:
        """Makes ``tail`` go on where its content was left; returns what was known of it."""
        found = {
            number
            for length, heads in self._by_head.items()
            if (head := tail.head_digest(length)) is not None
            for number in heads.get(head, ())
        }
        rows = [self._rows[number] for number in found]
        rows.sort(key=lambda row: (row.key != tail.key, -row.position))
        for row in rows[:MAX_TRIED]:
            if tail.continues(row):
                self.claim(row)
                return row
        return None

    def claim(self, row: FilePosition) -> None:
        """A file was found for ``row``: nobody has to look for one."""
        if row.id is not None:
            self._claimed.add(row.id)

    def release(self, row: FilePosition) -> None:
        """Reading ``row``'s file failed: it has to be found again."""
        if row.id is not None:
            self._claimed.discard(row.id)

    def unclaimed(self) -> list[FilePosition]:
        """Returns what was still being read when it was last seen, and was not matched since."""
        rows = self._rows.items()
        return [row for number, row in rows if not row.closed and number not in self._claimed]

    def moved(self, tail: Tail, position: FilePosition) -> None:
        """Remembers, until it is acknowledged, how far ``tail`` was read."""
        self._pending[tail.key] = (tail, position)

    def retire(self, row: FilePosition) -> None:
        """Keeps ``row`` for its content only: no file has to be found for it any more."""
        if row.id is not None and row.id in self._rows:
            row = replace(self._rows[row.id], device=0, inode=0, closed=True)
            self._retired.append(row)
            self._note(row)

    def save(self) -> None:
        """Writes what moved. What was written is settled by the next `settle`, not before."""
        for row in self._retired:
            self._checkpoints.save_file(self._scope, row)
        self._saved.clear()
        for tail, position in self._pending.values():
            number = self._checkpoints.save_file(self._scope, position)
            self._saved.append((tail, replace(position, id=number)))

    def settle(self) -> None:
        """The transaction of the last `save` is durable."""
        for tail, row in self._saved:
            tail.row = row
            self._note(row)
            assert row.id is not None
            self._claimed.add(row.id)
            if self._pending.get(tail.key, (None, None))[0] is tail:
                del self._pending[tail.key]
            self._retired.clear()
        self._saved.clear()

    def _note(self, row: FilePosition) -> None:
        assert row.id is not None
        old = self._rows.get(row.id)
        if old:
            self._by_head[old.head_length][old.head].discard(row.id)
        self._rows[row.id] = row
        if row.head_length:
            self._by_head[row.head_length][row.head].add(row.id)


def find_rotated(
    row: FilePosition, taken: Collection[Key], open_tail: Callable[[Path], Tail]
) -> Tail | None:
    """Returns the file into which ``row``'s was renamed, copied or compressed; None if not found.

    Looks in the same folder at the names that begin with the old one, newest first. Raises
    `OSError` where it is not among those that could be read, and one could not.
    """
    failed: OSError | None = None
    for path in _siblings(Path(row.path)):
        try:
            tail = None if _key_at(path) in taken else open_tail(path)
        except OSError as error:
            failed = error
            continue
        if tail is None:
            continue
        try:
            if tail.continues(row):
                return tail
        except OSError as error:
            failed = error
        tail.close()
    if failed:
        raise failed
    return None


def _siblings(path: Path) -> Iterator[Path]:
    try:
        entries = os.scandir(path.parent)
    except FileNotFoundError:
        return
    with entries:
        found = [
            (entry.stat().st_mtime_ns, entry.path)
            for entry in entries
            if entry.name.startswith(path.name) and entry.is_file() and entry.stat().st_size
        ]
    yield from (Path(name) for _, name in sorted(found, reverse=True))


def _key_at(path: Path) -> Key | None:
    try:
        return key_of(path.stat())
    except OSError:
        return None
