"""Each refusal of the disk becomes the right kind of failure and a sentence that helps."""

import errno
import sqlite3
from pathlib import Path

import pytest

from samlog.bus.embedded_errors import DamagedTopic, explained
from samlog.errors import BusError, SamlogError, Unavailable


def sqlite_error(code: int) -> sqlite3.Error:
    error = sqlite3.OperationalError("the words of SQLite")
    error.sqlite_errorcode = code
    error.sqlite_errorname = f"CODE_{code}"
    return error


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (sqlite_error(sqlite3.SQLITE_FULL), Unavailable, "the disk is full"),
        (sqlite_error(sqlite3.SQLITE_IOERR_FSYNC), Unavailable, "I/O error"),
        (sqlite_error(sqlite3.SQLITE_READONLY_DBMOVED), Unavailable, "not writable"),
        (sqlite_error(sqlite3.SQLITE_BUSY_SNAPSHOT), Unavailable, "locked for too long"),
        (sqlite_error(sqlite3.SQLITE_CANTOPEN), Unavailable, "cannot be opened"),
        (sqlite_error(sqlite3.SQLITE_CORRUPT_INDEX), DamagedTopic, "is damaged"),
        (sqlite_error(sqlite3.SQLITE_NOTADB), DamagedTopic, "is damaged"),
        (sqlite_error(sqlite3.SQLITE_ERROR), BusError, "the words of SQLite"),
        (OSError(errno.ENOSPC, "no space"), Unavailable, "the disk is full"),
        (OSError(errno.EDQUOT, "quota"), Unavailable, "the disk is full"),
        (OSError(errno.EROFS, "read-only"), Unavailable, "not writable"),
        (OSError(errno.EACCES, "denied"), Unavailable, "not writable"),
        (OSError(errno.EMFILE, "too many open files"), Unavailable, "too many open files"),
        (OSError(errno.EIO, "input/output error"), Unavailable, "input/output error"),
    ],
)
def test_a_refusal_is_told_with_the_place(
    tmp_path: Path, error: sqlite3.Error | OSError, kind: type[SamlogError], words: str
) -> None:
    path = tmp_path / "samlog.test.sqlite"

    told = explained(error, path, "appending topic samlog.test")

    assert isinstance(told, kind)
    assert words in str(told)
    assert str(path) in str(told)
    if kind is Unavailable:
        assert "tries again" in str(told)
        assert "appending topic samlog.test" in str(told)
