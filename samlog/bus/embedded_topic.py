"""One topic of the embedded bus: a SQLite file that is appended at one end and cut at the other.

Offsets run from 0 without holes. `first` rises when retention cuts; `end` never falls, also when
nothing is left. A row holds a block of records (`embedded_block`); `first` may lie within one. A
record that is missing between the two is either in the table ``holes`` (known lost, a `Gap` for
whoever reads there) or it is damage, which is never read over.
"""

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import structlog

from samlog.bus.base import Gap, Message, TopicPartition
from samlog.bus.embedded_block import Packer, Row, checksum, split
from samlog.bus.embedded_errors import (
    DamagedTopic,
    damaged,
    disk_errors,
    disk_full,
    explained,
    free_bytes,
    note_damage,
)
from samlog.bus.embedded_format import (
    PAGE_BYTES,
    TopicPaths,
    write_mark,
)
from samlog.errors import BusError

_log = structlog.get_logger()

_DELETE_AT_ONCE = 64
_VACUUM_PAGES = 64
_CHECKPOINT_WAIT_S = 0.1
_MIN_FREE_PAGES = 64

_CLOCK_ERROR_MS = 86_400_000
_ENDS = (
    "SELECT appended_ms FROM blocks ORDER BY offset LIMIT 1",
    "SELECT appended_ms FROM blocks ORDER BY offset DESC LIMIT 1",
)
_BOUNDS = (
    "SELECT first, max(next, ifnull("
    "(SELECT offset + records FROM blocks ORDER BY offset DESC LIMIT 1), 0)) FROM bounds"
)
_READ = (
    "SELECT offset, records, appended_ms, crc, data FROM blocks WHERE offset >= "
    "ifnull((SELECT max(offset) FROM blocks WHERE offset <= :at), :at) ORDER BY offset"
)
_LEFT = (
    "SELECT ifnull(sum(min(offset + records, :upto) - max(offset, :first)), 0) FROM blocks "
    "WHERE offset < :upto AND offset + records > :first"
)
_FURTHER = f"SELECT offset FROM blocks ORDER BY offset LIMIT 1 OFFSET {_DELETE_AT_ONCE}"


class Batch(NamedTuple):
    """What one read gave; the next read goes on at ``position``."""

    messages: list[Message]
    gaps: list[Gap]
    position: int


class TopicFile:
    """An open topic. One thread at a time; any number of processes."""

    def __init__(
        self, paths: TopicPaths, mark: int, connection: sqlite3.Connection, *, busy_s: float
    ) -> None:
        self.paths = paths
        self.tp = TopicPartition(paths.topic, 0)
        self._mark = mark
        self._db = connection
        self._packer = Packer()
        self._ahead: list[Message] = []
        self._busy_s = busy_s
        self._closed = False

    def bounds(self) -> tuple[int, int]:
        """Returns (first, end): the oldest offset that is left, and the next to be given."""
        with self._errors("reading"):
            return self._bounds()

    def _bounds(self) -> tuple[int, int]:
        row: tuple[int, int] | None = self._db.execute(_BOUNDS).fetchone()
        if row is None:
            raise damaged(self.paths.db, "the table bounds is empty")
        return row

    def append(
        self, rows: Sequence[Row], now_ms: int, *, reserve_bytes: int = 0, busy_s: float = 30.0
    ) -> None:
        """Appends all rows in one durable transaction, or none and raises.

        Raises `Unavailable` also when less than ``reserve_bytes`` would stay free: readers need a
        little room to commit, and retention to cut, or a full disk could never empty itself.
        """
        packed = [(len(part), self._packer.pack(part)) for part in split(rows)]
        with self._errors("appending"):
            self._set_busy(busy_s)
            self._check_room(reserve_bytes + sum(len(data) for _, data in packed))
            with self._transaction():
                first, end = self._bounds()
                ms = self._stamp(now_ms)
                for count, data in packed:
                    block = (end, count, ms, checksum(end, count, ms, data), data)
                    self._db.execute("INSERT INTO blocks VALUES(?, ?, ?, ?, ?)", block)
                    end += count
        self._write_mark(first, end)

    def _stamp(self, now_ms: int) -> int:
        """Returns the append time: not before that of the last record, so that retention by age can
        stop at the first young one; unless that one is of a clock that was far ahead."""
        oldest, last = (
            int(row[0]) if row else 0 for row in (self._db.execute(s).fetchone() for s in _ENDS)
        )
        was_ahead = last > now_ms + _CLOCK_ERROR_MS and oldest <= now_ms
        return now_ms if was_ahead else max(now_ms, last)

    def _check_room(self, needed: int) -> None:
        if free_bytes(self.paths.folder) >= needed:
            return
        self._checkpoint()
        _, reusable = self._pages()
        if free_bytes(self.paths.folder) + reusable * PAGE_BYTES < needed:
            raise disk_full(self.paths.db, "appending")

    def _checkpoint(self) -> None:
        """Empties the write-ahead log and gives its space back, unless somebody is busy with it."""
        busy_s = self._busy_s
        self._set_busy(_CHECKPOINT_WAIT_S)
        self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        self._set_busy(busy_s)

    def read(self, position: int, *, max_messages: int, max_bytes: int) -> Batch:
        """Returns messages from ``position`` on; an empty batch whose position moved is a gap.

        Gives at least one message where there is one, however large. Raises `DamagedTopic` when
        the record at ``position`` should be there and is missing or fails its checksum.
        """
        with self._errors("reading"), self._snapshot():
            # Read to the end within one short transaction: a parked reader pins the WAL.
            first, end = self._bounds()
            gaps = []
            if position < first:
                gaps.append(Gap(self.tp, position, first - position))
                position = first
            if position >= end:
                return Batch([], gaps, position)
            messages = self._intact(position, max_messages, max_bytes)
            if not messages:
                missing = self._hole(position)
                gaps.append(Gap(self.tp, position, missing))
                position += missing
            return Batch(messages, gaps, position + len(messages))

    def _intact(self, position: int, max_messages: int, max_bytes: int) -> list[Message]:
        """Returns the messages before the first that is missing or wrong."""
        goes_on = bool(self._ahead) and self._ahead[0].offset == position
        messages = self._ahead if goes_on else []
        size = 0
        rows = self._db.execute(_READ, {"at": position + len(messages)})
        try:
            while len(messages) < max_messages and size < max_bytes:
                block = self._next_block(rows, position + len(messages))
                if not block:
                    break
                size += sum(len(message.value) for message in block)
                messages += block
        except (sqlite3.DatabaseError, TypeError, ValueError) as error:
            # Damaged cells may come back with other types. What was read before them is sound.
            if not messages:
                raise self._as_damage(error, position) from error
        finally:
            rows.close()
        self._ahead = messages[max_messages:]
        return messages[:max_messages]

    def _next_block(self, rows: sqlite3.Cursor, position: int) -> list[Message]:
        """Returns what the next row holds from ``position`` on; nothing if that is not there."""
        row = rows.fetchone()
        if row is None:
            return []
        offset, count, ms, crc, data = row
        if not offset <= position < offset + count or checksum(offset, count, ms, data) != crc:
            return []
        messages = self._packer.unpack(data, count, self.paths.topic, offset, ms)
        return messages[position - offset :] if position > offset else messages

    def _as_damage(self, error: Exception, position: int) -> Exception:
        if isinstance(error, sqlite3.DatabaseError):
            return error
        return damaged(self.paths.db, f"record {position} is not what was written")

    def _hole(self, position: int) -> int:
        row = self._db.execute(
            "SELECT first + missing - ? FROM holes WHERE first <= ? ORDER BY first DESC LIMIT 1",
            (position, position),
        ).fetchone()
        if row is None or row[0] <= 0:
            raise damaged(self.paths.db, f"record {position} is missing or fails its checksum")
        return int(row[0])

    def declare_lost(self, upto: int) -> None:
        """Makes ``upto`` the end where it is more, so that no offset is given twice.

        Called when something proves that records before ``upto`` once existed. Readers that have
        not passed them meet a gap.
        """
        if upto <= self.bounds()[1]:
            return
        with self._errors("repairing"), self._transaction():
            _, end = self._bounds()
            if upto <= end:
                return
            self._db.execute("INSERT INTO holes VALUES(?, ?)", (end, upto - end))
            self._db.execute("UPDATE bounds SET next = ?", (upto,))
        _log.warning("bus_records_lost", topic=self.paths.topic, first=end, missing=upto - end)

    def delete_before(self, offset: int) -> int:
        """Deletes every record before ``offset`` (at most `end`) and returns how many.

        In transactions of 64 blocks, so that producers wait some ms at most, and the log, which
        takes each emptied page once more, stays small on a disk that is nearly full.
        """
        deleted = 0
        with self._errors("deleting"):
            while (count := self._delete_some(offset)) is not None:
                deleted += count
            if deleted:
                self._checkpoint()
                self._give_back()
        return deleted

    def _delete_some(self, offset: int) -> int | None:
        with self._transaction():
            first, end = self._bounds()
            further = self._db.execute(_FURTHER).fetchone()
            upto = min(offset, end, further[0] if further else end)
            if upto <= first:
                return None
            (count,) = self._db.execute(_LEFT, {"first": first, "upto": upto}).fetchone()
            self._db.execute("DELETE FROM blocks WHERE offset + records <= ?", (upto,))
            self._db.execute("DELETE FROM holes WHERE first + missing <= ?", (upto,))
            self._db.execute("UPDATE bounds SET first = ?, next = ?", (upto, end))
        self._write_mark(upto, end)
        return int(count)

    def _give_back(self) -> None:
        # Free pages are taken by the next records. Only after a backlog, when they are more than
        # half of the file, moving the rest together is worth its writes.
        pages, free = self._pages()
        while free > _MIN_FREE_PAGES and free > pages // 2:
            # executescript, because execute stops after one page (it sees no result columns).
            self._db.executescript(f"PRAGMA incremental_vacuum({_VACUUM_PAGES})")
            before, (pages, free) = free, self._pages()
            if free >= before:
                return
            self._checkpoint()

    def _pages(self) -> tuple[int, int]:
        (pages,) = self._db.execute("PRAGMA page_count").fetchone()
        (free,) = self._db.execute("PRAGMA freelist_count").fetchone()
        return pages, free

    def first_after(self, ms: int) -> int:
        """Returns the offset of the oldest record appended at or after ``ms``; else the end."""
        with self._errors("reading"), self._snapshot():
            low, high = self._bounds()
            while low < high:
                middle = (low + high) // 2
                row = self._db.execute(
                    "SELECT offset, records, appended_ms FROM blocks WHERE offset <= ? "
                    "ORDER BY offset DESC LIMIT 1",
                    (middle,),
                ).fetchone()
                if row is not None and row[2] >= ms:
                    high = max(low, row[0])
                else:
                    low = max(middle + 1, sum(row[:2]) if row else 0)
            return low

    def stored_bytes(self) -> int:
        """Returns the bytes that records take on disk now, without pages that are free again."""
        with self._errors("reading"):
            pages, free = self._pages()
            return (pages - free) * PAGE_BYTES

    def close(self) -> None:
        """Releases file and locks; safe to call twice."""
        if self._closed:
            return
        self._closed = True
        try:
            with disk_errors(self.paths.db, "closing"):
                self._db.close()
        finally:
            os.close(self._mark)

    def _set_busy(self, busy_s: float) -> None:
        if busy_s != self._busy_s:
            self._db.execute(f"PRAGMA busy_timeout={max(1, int(busy_s * 1000))}")
            self._busy_s = busy_s

    def _write_mark(self, first: int, end: int) -> None:
        try:
            write_mark(self._mark, first, end)
        except OSError as error:
            # The transaction is durable; only the extra safety of the mark is missing.
            _log.warning("bus_mark_not_written", topic=self.paths.topic, error=str(error))

    @contextmanager
    def _snapshot(self) -> Iterator[None]:
        self._db.execute("BEGIN")
        try:
            yield
        finally:
            # After a damaged page COMMIT fails with the same error, though nothing was written.
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise

    @contextmanager
    def _errors(self, doing: str) -> Iterator[None]:
        if self._closed:
            raise BusError(f"topic {self.paths.topic} is closed: open it again before {doing}")
        try:
            yield
        except DamagedTopic as error:
            note_damage(self.paths.damage, str(error))
            raise
        except (sqlite3.Error, OSError) as error:
            told = explained(error, self.paths.db, f"{doing} topic {self.paths.topic}")
            if isinstance(told, DamagedTopic):
                note_damage(self.paths.damage, str(told))
            raise told from error
