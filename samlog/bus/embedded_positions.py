"""Who has read what: one SQLite file a group, and a lock a group and topic.

A group is known to a topic from its first `join` on, with or without a commit; `needed_from` is
what retention must keep for the known groups.
"""

import fcntl
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from samlog.bus.embedded_errors import DamagedTopic, disk_errors
from samlog.bus.embedded_format import check_name, connect, create_file
from samlog.errors import BusError

_BUSY_S = 30.0
_FOLDER = "groups"
_SCHEMA = """
PRAGMA journal_mode=WAL;
CREATE TABLE positions(topic TEXT PRIMARY KEY, next INTEGER) WITHOUT ROWID;
"""


class Positions:
    """The durable positions of one group. One thread at a time; any number of processes."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self._path = path
        self._db = connection

    @classmethod
    def open(cls, folder: Path, group: str) -> "Positions":
        """Opens the group's file below ``folder``, and creates it at first."""
        path = folder / _FOLDER / f"{check_name('group', group)}.sqlite"
        with _errors(path, f"opening the positions of group {group}"):
            path.parent.mkdir(mode=0o700, exist_ok=True)
            create_file(path, path.exists, lambda db: db.executescript(_SCHEMA))
            return cls(path, connect(path, busy_s=_BUSY_S))

    def join(self, topics: Iterable[str]) -> None:
        """Makes the group known to ``topics``: retention keeps what it has not read."""
        with _errors(self._path, "joining"):
            rows = [(topic,) for topic in topics]
            self._put("INSERT OR IGNORE INTO positions VALUES(?, NULL)", rows)

    def get(self) -> dict[str, int]:
        """Returns the committed position of every topic that has one."""
        with _errors(self._path, "reading positions"):
            return dict(
                self._db.execute("SELECT topic, next FROM positions WHERE next IS NOT NULL")
            )

    def known(self) -> dict[str, int]:
        """Returns per topic the oldest offset that the group still needs."""
        with _errors(self._path, "reading positions"):
            return dict(self._db.execute("SELECT topic, ifnull(next, 0) FROM positions"))

    def put(self, positions: Mapping[str, int]) -> None:
        """Stores the positions durably, all or none."""
        with _errors(self._path, "committing positions"):
            self._put(
                "INSERT INTO positions VALUES(?, ?) "
                "ON CONFLICT(topic) DO UPDATE SET next = excluded.next",
                list(positions.items()),
            )

    def forget(self) -> None:
        """Removes the group from every topic."""
        with _errors(self._path, "forgetting positions"):
            self._db.execute("DELETE FROM positions")

    def close(self) -> None:
        """Releases the file; safe to call twice."""
        self._db.close()

    def _put(self, statement: str, rows: Sequence[tuple[object, ...]]) -> None:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            self._db.executemany(statement, rows)
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise


def needed_from(folder: Path) -> dict[str, int]:
    """Returns per topic the oldest offset that some known group has not committed."""
    return {topic: min(offsets) for topic, offsets in _all_known(folder).items()}


def passed(folder: Path) -> dict[str, int]:
    """Returns per topic the position of the group that has come farthest."""
    return {topic: max(offsets) for topic, offsets in _all_known(folder).items()}


def _all_known(folder: Path) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for path in sorted((folder / _FOLDER).glob("*.sqlite")):
        with closing(Positions.open(folder, path.stem)) as positions:
            for topic, offset in positions.known().items():
                found.setdefault(topic, []).append(offset)
    return found


def committed(folder: Path, group: str) -> dict[str, int]:
    """Returns the group's committed positions; {} for a group that never was."""
    if not (folder / _FOLDER / f"{check_name('group', group)}.sqlite").exists():
        return {}
    with closing(Positions.open(folder, group)) as positions:
        return positions.get()


def lock(folder: Path, group: str, topic: str, member: str) -> int:
    """Takes the group's one place at ``topic``; closing the returned file gives it back.

    The kernel frees it when the process ends in whatever way, kill -9 included. Raises `BusError`
    that names the holder.
    """
    path = folder / _FOLDER / f"{group}@{topic}.lock"
    with disk_errors(path, f"joining group {group}"):
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(fd, 0)
            os.pwrite(fd, f"process {os.getpid()} {member}".strip().encode(), 0)
        except BlockingIOError as error:
            holder = os.pread(fd, 200, 0).decode("utf-8", "replace") or "another process"
            os.close(fd)
            raise BusError(
                f"group {group} already reads {topic}: {holder} holds {path}. The embedded bus "
                "has one consumer per group and topic: stop that process first, or use "
                "bus type kafka to share the work"
            ) from error
        except BaseException:
            os.close(fd)
            raise
    return fd


@contextmanager
def _errors(path: Path, doing: str) -> Iterator[None]:
    try:
        with disk_errors(path, doing):
            yield
    except DamagedTopic as error:
        raise BusError(
            f"{path} is damaged ({error.__cause__}). It holds only how far group {path.stem} has "
            "read: stop that group's process and delete the file with its -wal and -shm; the group "
            "then reads again from the oldest records, and ids make the repeats harmless"
        ) from error
