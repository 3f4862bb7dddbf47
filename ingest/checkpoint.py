"""Where reading goes on: positions in files and sequence numbers, in one SQLite file.

A file is known by its content, not by its name: the hash of its first bytes (up to 1024, as many
as were read) and the hash of the bytes in front of the position. Two files that only begin alike
differ in the second; where both agree the part before the position is taken as read. Device and
inode only choose which of several equal ones is meant.

A file's name may be any bytes; SQLite's text is UTF-8. Names and streams that are none are kept as
BLOB in the same columns.
"""

import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

from samlog.errors import ConfigError, Unavailable

_SCHEMA = """
CREATE TABLE IF NOT EXISTS file (
  id INTEGER PRIMARY KEY, scope TEXT NOT NULL, path TEXT NOT NULL, device INTEGER, inode INTEGER,
  size INTEGER, head_length INTEGER, head BLOB, position INTEGER, before_length INTEGER,
  before BLOB, "end" BLOB, closed INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS file_scope ON file (scope);
CREATE TABLE IF NOT EXISTS seq (
  collector TEXT, stream TEXT, next INTEGER NOT NULL, PRIMARY KEY (collector, stream)
) WITHOUT ROWID;
"""


def digest(data: bytes) -> bytes:
    """Returns the 16 bytes by which a checkpoint remembers content."""
    return blake2b(data, digest_size=16).digest()


def _stored(name: str) -> str | bytes:
    try:
        name.encode()
    except UnicodeEncodeError:
        return os.fsencode(name)
    return name


Key = tuple[int, int]
"""Device and inode."""


@dataclass(frozen=True, slots=True)
class FilePosition:
    """How far one file was acknowledged. ``id`` is None until it was saved.

    ``end`` is the hash of the content's last bytes where it was read to its end with the unfinished
    last line, ``size`` then the file's size (compressed, if it is). ``closed``: it was rotated away
    or deleted and read to its end, nobody has to look for it again.
    """

    path: str
    device: int
    inode: int
    size: int = 0
    head_length: int = 0
    head: bytes = b""
    position: int = 0
    before_length: int = 0
    before: bytes = b""
    end: bytes = b""
    closed: bool = False
    id: int | None = None

    @property
    def key(self) -> Key:
        return self.device, self.inode


class Checkpoints:
    """One process at a time; a second one that opens the same file is refused with a sentence.

    It is refused after ``wait_s``: the process before may just be ending.
    """

    def __init__(self, path: Path, *, wait_s: float = 5.0) -> None:
        self._path = path
        self._depth = 0
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(
                path, timeout=wait_s, isolation_level=None, check_same_thread=False
            )
            # Locked for as long as it is open; the lock ends with the process, however it ends.
            self._db.execute("PRAGMA locking_mode=EXCLUSIVE")
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            self._db.executescript(f"BEGIN EXCLUSIVE; {_SCHEMA} COMMIT;")
        except sqlite3.DatabaseError as error:
            raise _opening(path, error) from error
        except OSError as error:
            raise ConfigError(
                f"cannot keep positions in {path}: {error.strerror}; "
                f"check that the folder exists and may be written: ls -ld {path.parent}"
            ) from error

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Everything saved inside is durable when it ends, or nothing is.

        Raises `Unavailable` when the disk is full or gone.
        """
        if self._depth:
            yield
            return
        self._depth += 1
        try:
            self._db.execute("BEGIN")
            yield
            self._db.execute("COMMIT")
        except sqlite3.DatabaseError as error:
            raise Unavailable(f"cannot save positions in {self._path}: {error}") from error
        finally:
            self._depth -= 1
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")

    def files(self, scope: str) -> list[FilePosition]:
        """Returns the known files of ``scope``, oldest first."""
        rows = self._db.execute(
            "SELECT path, device, inode, size, head_length, head, position, before_length, before,"
            ' "end", closed, id FROM file WHERE scope = ? ORDER BY id',
            (scope,),
        )
        return [FilePosition(os.fsdecode(path), *rest) for path, *rest in rows]

    def save_file(self, scope: str, file: FilePosition) -> int:
        """Writes one position; returns its id, which the caller notes once it is durable."""
        cursor = self._db.execute(
            "INSERT OR REPLACE INTO file VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (file.id, scope, _stored(file.path), file.device, file.inode, file.size)
            + (
                file.head_length,
                file.head,
                file.position,
                file.before_length,
                file.before,
                file.end,
            )
            + (int(file.closed),),
        )
        assert cursor.lastrowid is not None
        return cursor.lastrowid

    def forget_file(self, file: FilePosition) -> None:
        """Deletes one position."""
        self._db.execute("DELETE FROM file WHERE id = ?", (file.id,))

    def seqs(self) -> dict[tuple[str, str], int]:
        """Returns the next sequence number per (collector, stream)."""
        rows = self._db.execute("SELECT collector, stream, next FROM seq")
        return {(collector, os.fsdecode(stream)): number for collector, stream, number in rows}

    def save_seqs(self, seqs: Mapping[tuple[str, str], int]) -> None:
        """Writes the next sequence numbers of these streams."""
        rows = [(where, _stored(stream), number) for (where, stream), number in seqs.items()]
        self._db.executemany("INSERT OR REPLACE INTO seq VALUES (?, ?, ?)", rows)

    def close(self) -> None:
        """Releases the file; safe to call twice."""
        self._db.close()


def _opening(path: Path, error: sqlite3.DatabaseError) -> ConfigError | Unavailable:
    if "locked" in str(error):
        return Unavailable(
            f"another collector holds {path}: stop it, or give this one a folder of its own"
        )
    if "full" in str(error):
        return Unavailable(f"cannot write {path}: {error}; free some space: df -h {path.parent}")
    return ConfigError(
        f"cannot keep positions in {path}: {error}; check that it may be written: ls -l {path} "
        "(moving it away makes samlog read all files again, which adds no event twice)"
    )
