"""Creates and opens topic files, and has damaged ones rebuilt first.

Whoever has a topic open holds a shared lock on its mark. Rebuilding takes that lock for itself
alone, because a process that had the old file open would go on appending to it.
"""

import fcntl
import os
import sqlite3
from pathlib import Path

from samlog.bus.embedded_errors import DamagedTopic, damaged, disk_errors, note_damage
from samlog.bus.embedded_format import (
    FORMAT,
    PAGE_BYTES,
    SCHEMA,
    TopicPaths,
    connect,
    create_file,
    read_mark,
)
from samlog.bus.embedded_recovery import rebuild
from samlog.bus.embedded_topic import TopicFile
from samlog.errors import BusError

_BUSY_S = 30.0
WAL_BYTES = 16 * 1024 * 1024
"""How much a topic's write-ahead log takes before it is written back."""


def create_topic(paths: TopicPaths, *, start: int = 0) -> None:
    """Creates the topic's file unless it exists; several processes may try at the same time.

    The first record gets the offset ``start``: where a topic was deleted by hand, no offset that
    some group has passed is given again.
    """

    def fill(connection: sqlite3.Connection) -> None:
        connection.executescript(SCHEMA)
        connection.execute("UPDATE bounds SET first = ?, next = ?", (start, start))

    with disk_errors(paths.db, f"creating topic {paths.topic}"):
        create_file(paths.db, paths.exist, fill)


def open_topic(paths: TopicPaths, *, wal_bytes: int = WAL_BYTES) -> TopicFile:
    """Opens an existing topic, and rebuilds it first where it is damaged.

    Raises `BusError` when there is no such topic, or when it is damaged and another process has it
    open; `Unavailable` when the disk does not let us.
    """
    if not paths.exist():
        raise BusError(
            f"topic {paths.topic} does not exist below {paths.folder}: create it first "
            "(samlog setup, or Bus.create_topics)"
        )
    with disk_errors(paths.db, f"opening topic {paths.topic}"):
        mark = _open_mark(paths.mark)
        try:
            fcntl.flock(mark, fcntl.LOCK_SH)
            return _open_sound(paths, mark, wal_bytes)
        except BaseException:
            os.close(mark)
            raise


def _open_mark(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _open_sound(paths: TopicPaths, mark: int, wal_bytes: int) -> TopicFile:
    if not paths.damage.exists():
        try:
            return _open_marked(paths, mark, wal_bytes)
        except DamagedTopic as error:
            note_damage(paths.damage, str(error))
    _rebuild_alone(paths, mark)
    return _open_marked(paths, mark, wal_bytes)


def _open_marked(paths: TopicPaths, mark: int, wal_bytes: int) -> TopicFile:
    # The mark is read first: what it says was committed before, so the file must say no less.
    _, marked_end = read_mark(mark)
    connection = _connect(paths, wal_bytes)
    try:
        topic = TopicFile(paths, mark, connection, busy_s=_BUSY_S)
        topic.declare_lost(marked_end)
    except BaseException:
        connection.close()
        raise
    return topic


def _connect(paths: TopicPaths, wal_bytes: int) -> sqlite3.Connection:
    with disk_errors(paths.db, f"opening topic {paths.topic}"):
        connection = connect(paths.db, busy_s=_BUSY_S)
        try:
            connection.execute(f"PRAGMA wal_autocheckpoint={wal_bytes // PAGE_BYTES}")
            connection.execute(f"PRAGMA journal_size_limit={4 * wal_bytes}")
            connection.execute("PRAGMA cell_size_check=ON")
            # Debian's SQLite overwrites what is deleted: each page once more through the log.
            connection.execute("PRAGMA secure_delete=OFF")
            # Damaged cells come back as text; bytes compare with the checksum all the same.
            connection.text_factory = bytes
            _check_format(paths, connection)
        except BaseException:
            connection.close()
            raise
    return connection


def _check_format(paths: TopicPaths, connection: sqlite3.Connection) -> None:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version != FORMAT:
        raise BusError(
            f"{paths.db} has format {version}, this samlog reads {FORMAT}: it was written by "
            "another version of samlog; use that one, or let it drain the topic first"
        )


def _rebuild_alone(paths: TopicPaths, mark: int) -> None:
    try:
        fcntl.flock(mark, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise damaged(paths.db, "and another process still has it open") from error
    if paths.damage.exists():
        rebuild(paths, mark)
    fcntl.flock(mark, fcntl.LOCK_SH)
