"""What the embedded bus writes: file names, tables, headers, checksums and the mark.

A topic ``T`` is four files below ``<path>/bus/``: ``T.sqlite`` with SQLite's ``-wal`` and ``-shm``,
and ``T.mark``, 20 bytes that say how far the topic once went. SQLite silently forgets the end of a
write-ahead log that is damaged or was left behind when files were copied; the mark makes it loud.

Records are immutable and an offset is never reused, so the checksum of a block of them
(`embedded_block`) proves it wherever in the file it is found.
"""

import fcntl
import json
import os
import re
import sqlite3
import struct
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from crc32c import crc32c

from samlog.bus.base import Headers
from samlog.errors import BadEvent, BusError

FORMAT = 2

# Most blocks take 5 to 40 kB. auto_vacuum costs nothing measurable; it gives space back after a
# backlog.
PAGE_BYTES = 32768

SCHEMA = f"""
PRAGMA page_size={PAGE_BYTES};
PRAGMA auto_vacuum=INCREMENTAL;
PRAGMA journal_mode=WAL;
PRAGMA user_version={FORMAT};
CREATE TABLE blocks(
  offset INTEGER PRIMARY KEY, records INTEGER NOT NULL, appended_ms INTEGER NOT NULL,
  crc INTEGER NOT NULL, data BLOB NOT NULL);
CREATE TABLE bounds(first INTEGER NOT NULL, next INTEGER NOT NULL);
CREATE TABLE holes(first INTEGER PRIMARY KEY, missing INTEGER NOT NULL);
INSERT INTO bounds VALUES(0, 0);
"""

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9._-]{0,199}")
_MARK = struct.Struct(">QQI")


def check_name(kind: str, name: str) -> str:
    """Returns ``name``; raises `BusError` when it can't be a topic, group or file name."""
    if not _NAME.fullmatch(name):
        raise BusError(
            f"{name!r} cannot name a {kind}: letters, digits, '.', '_' and '-' only, at most 200, "
            "and a letter or digit first"
        )
    return name


@dataclass(frozen=True, slots=True)
class TopicPaths:
    """Where the files of one topic are."""

    folder: Path
    topic: str

    @property
    def db(self) -> Path:
        return self.folder / f"{self.topic}.sqlite"

    @property
    def wal(self) -> Path:
        return self.folder / f"{self.topic}.sqlite-wal"

    @property
    def shm(self) -> Path:
        return self.folder / f"{self.topic}.sqlite-shm"

    @property
    def mark(self) -> Path:
        return self.folder / f"{self.topic}.mark"

    @property
    def damage(self) -> Path:
        """A note that a process met damage; present until the topic was rebuilt."""
        return self.folder / f"{self.topic}.damage"

    @property
    def rebuilt(self) -> Path:
        return self.folder / f"{self.topic}.rebuilt"

    def exist(self) -> bool:
        """Tells whether the topic was created, be it damaged now."""
        return self.db.exists() or self.damage.exists()


def connect(path: Path, *, busy_s: float) -> sqlite3.Connection:
    """Opens an existing SQLite file; autocommit, any one thread at a time."""
    uri = f"{path.absolute().as_uri()}?mode=rw"
    connection = sqlite3.connect(
        uri, uri=True, timeout=busy_s, isolation_level=None, check_same_thread=False
    )
    connection.execute("PRAGMA synchronous=FULL")
    return connection


def create_file(
    path: Path, exists: Callable[[], bool], fill: Callable[[sqlite3.Connection], object]
) -> None:
    """Creates a SQLite file unless it exists; several processes may try at the same time.

    It is renamed into place when ``fill`` has made it complete: nobody sees half a schema. The lock
    is nothing that a file's users hold: who has made one opens it at once, and keeps it open.
    """
    if exists():
        return
    guard = os.open(path.parent / "create.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(guard, fcntl.LOCK_EX)
        if exists():
            return
        new = path.with_suffix(".new")
        new.unlink(missing_ok=True)
        with closing(sqlite3.connect(new, isolation_level=None)) as db:
            fill(db)
        new.replace(path)
        sync_folder(path.parent)
    finally:
        os.close(guard)


def sync_folder(folder: Path) -> None:
    """Makes names created or renamed in ``folder`` durable."""
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def encode_headers(headers: Headers) -> bytes:
    """Returns the headers as names and sizes (JSON), then the values one after the other.

    Raises `BadEvent` (``record_too_large``) when names and sizes alone exceed 64 KiB.
    """
    if not headers:
        return b""
    values = list(headers.values())
    return _prefix(tuple(headers), tuple(map(len, values))) + b"".join(values)


def decode_headers(blob: bytes) -> dict[str, bytes]:
    """Returns what `encode_headers` was given; ``blob`` must have passed its checksum."""
    if not blob:
        return {}
    # One unpack for all values is half the time of slicing them one by one. Names and sizes repeat
    # from record to record; a combination never seen before costs ten times as much.
    start = (blob[0] << 8 | blob[1]) + 2
    names, values = _plan(blob[2:start])
    return dict(zip(names, values(blob, start)))  # noqa: B905 - both come from one prefix


@lru_cache(maxsize=1024)
def _prefix(names: tuple[str, ...], sizes: tuple[int, ...]) -> bytes:
    prefix = json.dumps([names, sizes], separators=(",", ":")).encode("ascii")
    if len(prefix) > 0xFFFF:
        raise BadEvent("record_too_large", f"{len(names)} headers; their names exceed 64 KiB")
    return len(prefix).to_bytes(2, "big") + prefix


@lru_cache(maxsize=1024)
def _plan(prefix: bytes) -> tuple[tuple[str, ...], Callable[[bytes, int], tuple[bytes, ...]]]:
    names, sizes = json.loads(prefix)
    return tuple(names), struct.Struct("".join(f"{size}s" for size in sizes)).unpack_from


def write_mark(fd: int, first: int, end: int) -> None:
    """Notes that the topic reached from ``first`` to before ``end``. Not synced: a hint, no log."""
    body = struct.pack(">QQ", first, end)
    os.pwrite(fd, body + crc32c(body).to_bytes(4, "big"), 0)


def read_mark(fd: int) -> tuple[int, int]:
    """Returns (first, end) of the mark; (0, 0) when there is none or it is torn."""
    data = os.pread(fd, _MARK.size, 0)
    if len(data) != _MARK.size or crc32c(data[:16]) != int.from_bytes(data[16:], "big"):
        return 0, 0
    first, end, _ = _MARK.unpack(data)
    return first, end
