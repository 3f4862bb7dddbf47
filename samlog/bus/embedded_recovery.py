"""Rebuilds a damaged topic file from every record that can still be proved.

SQLite refuses a file as a whole when one page on the way to a record is wrong. So the pages are
read as bytes (https://www.sqlite.org/fileformat2.html, sections 1.6, 2 and 4): every cell of every
table leaf page that has five columns and the right checksum is a block of records. Blocks are
immutable and offsets never reused, so an old copy of a page holds the same blocks, and order does
not matter.

What a logged value holds cannot pose as a page: a page of a block's bytes begins with the number of
the next one, whose first byte is 13 (the mark of a leaf) only in a file beyond 7 TB.
"""

import os
import shutil
import sqlite3
import struct
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import BinaryIO

import structlog

from samlog.bus.embedded_block import checksum
from samlog.bus.embedded_format import (
    PAGE_BYTES,
    SCHEMA,
    TopicPaths,
    read_mark,
    sync_folder,
    write_mark,
)

_log = structlog.get_logger()

_LEAF = 13
_FILE_HEADER = 100
_WAL_HEADER = 32
_FRAME_HEADER = 24
_MAX_LOCAL = PAGE_BYTES - 35
_MIN_LOCAL = (PAGE_BYTES - 12) * 32 // 255 - 23
_INT_SIZES = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8}
_COLUMNS = 5

Found = tuple[int, int, int, int, bytes]
"""A row of the table ``blocks``: offset, number of records, append time, checksum, data."""


def rebuild(paths: TopicPaths, mark: int) -> None:
    """Replaces the topic's file by one with all readable records; keeps the damaged one beside it.

    The caller has the topic for itself. Missing records become holes, which readers meet as a
    `Gap`. May be interrupted anywhere and called again. Raises OSError or sqlite3.Error when the
    disk has no room for the second copy; nothing has changed then.
    """
    if not paths.rebuilt.exists():
        first, end = read_mark(mark)
        kept, missing, end = _write_rebuilt(paths, first, end)
        write_mark(mark, first, end)
        _log.warning("bus_topic_rebuilt", topic=paths.topic, missing=missing, kept=kept.name)
    # A log of the old file must never meet the new one, so it goes first; a crash in between
    # leaves ``rebuilt``, and the next start goes on here.
    paths.wal.unlink(missing_ok=True)
    paths.shm.unlink(missing_ok=True)
    paths.rebuilt.replace(paths.db)
    paths.damage.unlink(missing_ok=True)
    sync_folder(paths.folder)


def _write_rebuilt(paths: TopicPaths, first: int, end: int) -> tuple[Path, int, int]:
    new = paths.folder / f"{paths.topic}.rebuilding"
    for leftover in (new, Path(f"{new}-wal"), Path(f"{new}-shm")):
        leftover.unlink(missing_ok=True)
    with closing(sqlite3.connect(new, isolation_level=None)) as db:
        db.executescript(SCHEMA)
        # No log: an unfinished copy is thrown away, and the disk may have little room.
        db.execute("PRAGMA journal_mode=OFF")
        db.execute("BEGIN")
        db.executemany(
            "INSERT OR IGNORE INTO blocks VALUES(?, ?, ?, ?, ?)",
            (row for row in salvaged(paths.db, paths.wal) if row[0] + row[1] > first),
        )
        missing, end = _write_bounds(db, first, end)
        db.execute("COMMIT")
        db.execute("PRAGMA journal_mode=WAL")
    kept = _keep_damaged(paths)
    new.replace(paths.rebuilt)
    sync_folder(paths.folder)
    return kept, missing, end


def _write_bounds(db: sqlite3.Connection, first: int, end: int) -> tuple[int, int]:
    """Stores bounds and holes; returns how many records are missing, and the end."""
    blocks = db.execute("SELECT offset, records FROM blocks ORDER BY offset").fetchall()
    if end == 0 and blocks:
        first = blocks[0][0]  # there is no mark to say so
    end = max(end, first, sum(blocks[-1]) if blocks else 0)
    db.execute("UPDATE bounds SET first = ?, next = ?", (first, end))
    expected, missing = first, 0
    for offset, count in (*blocks, (end, 0)):
        if offset > expected:
            db.execute("INSERT INTO holes VALUES(?, ?)", (expected, offset - expected))
            missing += offset - expected
        expected = offset + count
    return missing, end


def _keep_damaged(paths: TopicPaths) -> Path:
    stamp = datetime.fromtimestamp(paths.damage.stat().st_mtime, UTC).strftime("%Y%m%dT%H%M%S")
    kept = paths.folder / f"{paths.db.name}.damaged-{stamp}"
    if paths.db.exists() and not kept.exists():
        try:
            os.link(paths.db, kept)
        except OSError:
            shutil.copyfile(paths.db, kept)  # a file system without links
    if paths.wal.exists():
        shutil.copyfile(paths.wal, f"{kept}-wal")
    return kept


def salvaged(db: Path, wal: Path) -> Iterator[Found]:
    """Yields every provable block of a topic's file and its write-ahead log; repeats happen."""
    if not db.exists():
        return
    with db.open("rb") as file:
        newer = _wal_pages(wal)
        count = -(-db.stat().st_size // PAGE_BYTES)
        view = _Pages(file, newer, count)
        for number in chain(range(1, count + 1), sorted(n for n in newer if n > count)):
            yield from _blocks(view, number)


class _Pages:
    """The pages of a database as its last commit left them; absent ones are empty."""

    def __init__(self, file: BinaryIO, newer: Mapping[int, bytes], count: int) -> None:
        self._count = count
        self._file = file
        self._newer = newer

    def __getitem__(self, number: int) -> bytes:
        if number in self._newer:
            return self._newer[number]
        if not 0 < number <= self._count:
            return b""  # a damaged page may point anywhere
        self._file.seek((number - 1) * PAGE_BYTES)
        return self._file.read(PAGE_BYTES)


def _wal_pages(wal: Path) -> dict[int, bytes]:
    """Returns the newest committed image of each page in the log (some 16 MB at most)."""
    if not wal.exists():
        return {}
    data = wal.read_bytes()
    salts = data[16:24]
    pages: dict[int, bytes] = {}
    uncommitted: dict[int, bytes] = {}
    for start in range(_WAL_HEADER, len(data), _FRAME_HEADER + PAGE_BYTES):
        header = data[start : start + _FRAME_HEADER]
        page = data[start + _FRAME_HEADER : start + _FRAME_HEADER + PAGE_BYTES]
        if header[8:16] != salts or len(page) < PAGE_BYTES:
            break  # a frame of an earlier round of the log
        number, size_after_commit = struct.unpack_from(">II", header)
        uncommitted[number] = page
        if size_after_commit:
            pages |= uncommitted
            uncommitted.clear()
    return pages


def _blocks(view: _Pages, number: int) -> Iterable[Found]:
    page = view[number]
    start = _FILE_HEADER if number == 1 else 0
    if len(page) < PAGE_BYTES or page[start] != _LEAF:
        return
    (count,) = struct.unpack_from(">H", page, start + 3)
    for index in range(min(count, (PAGE_BYTES - start - 8) // 2)):
        (cell,) = struct.unpack_from(">H", page, start + 8 + 2 * index)
        try:
            yield _block(view, page, cell)
        except (IndexError, struct.error, ValueError):
            continue  # not a block, or no longer one: its records show as a hole


def _block(view: _Pages, page: bytes, cell: int) -> Found:
    length, at = _varint(page, cell)
    offset, at = _varint(page, at)
    payload = _payload(view, page, at, length)
    header_size, at = _varint(payload, 0)
    kinds = []
    while at < header_size:
        kind, at = _varint(payload, at)
        kinds.append(kind)
    if len(kinds) != _COLUMNS:
        raise ValueError("not a block")
    count, at = _integer(payload, header_size, kinds[1])
    ms, at = _integer(payload, at, kinds[2])
    crc, at = _integer(payload, at, kinds[3])
    data, at = _blob(payload, at, kinds[4])
    if count < 1 or checksum(offset, count, ms, data) != crc:
        raise ValueError("the checksum is wrong")
    return offset, count, ms, crc, data


def _payload(view: _Pages, page: bytes, at: int, length: int) -> bytes:
    if length <= _MAX_LOCAL:
        return page[at : at + length]
    local = _MIN_LOCAL + (length - _MIN_LOCAL) % (PAGE_BYTES - 4)
    if local > _MAX_LOCAL:
        local = _MIN_LOCAL
    parts = [page[at : at + local]]
    (following,) = struct.unpack_from(">I", page, at + local)
    left = length - local
    while left > 0:
        overflow = view[following]
        (following,) = struct.unpack_from(">I", overflow)
        part = overflow[4 : 4 + left]
        parts.append(part)
        left -= len(part)
        if not part:
            raise ValueError("the chain of pages ends too early")
    return b"".join(parts)


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for _ in range(8):
        byte = data[at]
        at += 1
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, at
    return value << 8 | data[at], at + 1


def _integer(data: bytes, at: int, kind: int) -> tuple[int, int]:
    if kind in (8, 9):
        return kind - 8, at
    size = _INT_SIZES.get(kind)
    if size is None:
        raise ValueError("not an integer")
    return int.from_bytes(data[at : at + size], "big", signed=True), at + size


def _blob(data: bytes, at: int, kind: int) -> tuple[bytes, int]:
    if kind < 12 or kind % 2:
        raise ValueError("not bytes")
    size = (kind - 12) // 2
    if at + size > len(data):
        raise ValueError("the block is cut")
    return data[at : at + size], at + size
