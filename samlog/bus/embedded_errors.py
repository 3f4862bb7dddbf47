"""Says in one sentence what the disk under the embedded bus refused, and what to do.

The type decides what the caller does: `Unavailable` (full, read-only, locked, I/O error) is tried
again and nothing is lost; `DamagedTopic` stops the process, and the next start repairs the file.
"""

import errno
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import structlog

from samlog.errors import BusError, SamlogError, Unavailable

_log = structlog.get_logger()

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_READ_ONLY = {errno.EROFS, errno.EACCES, errno.EPERM}
_RETRY_DISK_S = 5.0
_SMALLEST_WRITE = 256 * 1024


class DamagedTopic(BusError):
    """The file of a topic holds bytes that samlog did not write, or lacks bytes that it did."""


@contextmanager
def disk_errors(path: Path, doing: str) -> Iterator[None]:
    """Turns errors of SQLite and of the operating system into samlog's, naming ``path``."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise explained(error, path, doing) from error


def explained(error: sqlite3.Error | OSError, path: Path, doing: str) -> SamlogError:
    """Returns the samlog error that says what failed, where, and what to do about it."""
    if isinstance(error, OSError):
        return _from_os(error, path, doing)
    return _from_sqlite(error, path, doing)


def free_bytes(path: Path) -> int:
    """Returns how many bytes an unprivileged process may still write where ``path`` is."""
    folder = path if path.is_dir() else path.parent
    stat = os.statvfs(folder)
    return stat.f_bavail * stat.f_frsize


def disk_full(path: Path, doing: str) -> Unavailable:
    """Returns the error for a full disk, with the free bytes in it."""
    try:
        free = f"{free_bytes(path):,} bytes free"
    except OSError:
        free = "free bytes unknown"
    return Unavailable(
        f"{doing} failed because the disk is full: {path} ({free}). Free space there or shorten "
        "the retention; samlog keeps its positions and tries again",
        retry_after_s=_RETRY_DISK_S,
    )


def _nothing_free(path: Path) -> bool:
    try:
        return free_bytes(path) < _SMALLEST_WRITE
    except OSError:
        return False


def damaged(path: Path, what: str) -> DamagedTopic:
    """Returns the error for a damaged topic file, with the way to repair it."""
    return DamagedTopic(
        f"{path} is damaged: {what}. Stop every samlog process that uses this folder and start "
        "samlog again: it rebuilds the file from all readable records, counts the missing ones as "
        f"a gap and keeps the damaged file as {path.name}.damaged-<time>"
    )


def note_damage(note: Path, what: str) -> None:
    """Leaves a note for the next process that opens the topic: rebuild it first."""
    try:
        with note.open("x", encoding="utf-8") as file:
            file.write(what + "\n")
    except FileExistsError:
        return
    except OSError as error:
        # Without the note the next process finds the damage where it reads it.
        _log.warning("bus_damage_not_noted", path=str(note), error=str(error))


def _read_only(path: Path, doing: str) -> Unavailable:
    return Unavailable(
        f"{doing} failed because {path} is not writable for user {os.geteuid()}: check the mount "
        f"(mount -o remount,rw) and the owner (ls -ld {path.parent}); samlog tries again",
        retry_after_s=_RETRY_DISK_S,
    )


def _from_os(error: OSError, path: Path, doing: str) -> SamlogError:
    if error.errno in _FULL:
        return disk_full(path, doing)
    if error.errno in _READ_ONLY:
        return _read_only(path, doing)
    return Unavailable(
        f"{doing} failed for {path}: {error.strerror or error}; samlog tries again",
        retry_after_s=_RETRY_DISK_S,
    )


def _from_sqlite(error: sqlite3.Error, path: Path, doing: str) -> SamlogError:
    extended = getattr(error, "sqlite_errorcode", 0)
    name = getattr(error, "sqlite_errorname", type(error).__name__)
    match extended & 0xFF:
        case sqlite3.SQLITE_FULL:
            return disk_full(path, doing)
        case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_PERM:
            return _read_only(path, doing)
        case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB:
            return damaged(path, f"{error} ({name})")
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return Unavailable(
                f"{doing} failed because another process holds {path} locked for too long "
                f"(fuser {path} names it); samlog tries again"
            )
        case sqlite3.SQLITE_CANTOPEN:
            return _not_openable(path, doing)
        case sqlite3.SQLITE_IOERR:
            if _nothing_free(path):  # SQLite says so of its shared memory file
                return disk_full(path, doing)
            return Unavailable(
                f"{doing} failed with an I/O error ({name}) on {path}: look for the disk in the "
                "kernel log (dmesg); samlog tries again",
                retry_after_s=_RETRY_DISK_S,
            )
    return BusError(f"{doing} failed for {path}: {error} ({name})")


def _not_openable(path: Path, doing: str) -> Unavailable:
    if path.parent.is_dir() and not os.access(path.parent, os.W_OK):
        return _read_only(path, doing)
    return Unavailable(
        f"{doing} failed because {path} cannot be opened: check that the folder exists, who owns "
        "it, and the limit of open files (ulimit -n); samlog tries again",
        retry_after_s=_RETRY_DISK_S,
    )
