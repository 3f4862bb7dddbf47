"""The alert store's file: SQLite in WAL mode, shared by any number of processes of one machine.

Every change is one ``BEGIN IMMEDIATE`` transaction; ``synchronous=FULL``, so that what was
answered survives a power cut.
"""

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from samlog.errors import Unavailable

SCHEMA = """
CREATE TABLE IF NOT EXISTS alerts (
  id TEXT PRIMARY KEY, key TEXT NOT NULL UNIQUE, unit TEXT NOT NULL, rule_id TEXT NOT NULL,
  first_order TEXT NOT NULL, facts BLOB NOT NULL, count INTEGER NOT NULL,
  first_seen TEXT NOT NULL, last_seen TEXT NOT NULL, detected TEXT NOT NULL,
  revision INTEGER NOT NULL DEFAULT 0, revised_at REAL NOT NULL DEFAULT 0,
  dirty INTEGER NOT NULL DEFAULT 1,
  status TEXT NOT NULL, changed_at TEXT NOT NULL, actor TEXT NOT NULL,
  cause TEXT NOT NULL DEFAULT '');
CREATE INDEX IF NOT EXISTS alerts_dirty ON alerts (dirty, revised_at) WHERE dirty;
CREATE TABLE IF NOT EXISTS detections (
  id TEXT PRIMARY KEY, alert TEXT NOT NULL, timestamp TEXT NOT NULL, event_id TEXT NOT NULL,
  stream TEXT NOT NULL, sha256 TEXT NOT NULL, log_class TEXT NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS detections_of ON detections (alert, timestamp, event_id);
CREATE TABLE IF NOT EXISTS observables (
  alert TEXT NOT NULL, role TEXT NOT NULL, type TEXT NOT NULL, value TEXT NOT NULL,
  PRIMARY KEY (alert, role, type, value)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS revisions (
  number INTEGER PRIMARY KEY AUTOINCREMENT, alert TEXT NOT NULL, unit TEXT NOT NULL,
  priority INTEGER NOT NULL, body BLOB NOT NULL, made_at REAL NOT NULL);
CREATE TABLE IF NOT EXISTS sequences (unit TEXT PRIMARY KEY, last INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS cursors (
  sink TEXT PRIMARY KEY, last INTEGER NOT NULL, lease_until REAL NOT NULL DEFAULT 0,
  holder TEXT NOT NULL DEFAULT '', problem TEXT NOT NULL DEFAULT '');
CREATE TABLE IF NOT EXISTS refusals (
  sink TEXT NOT NULL, number INTEGER NOT NULL, reason TEXT NOT NULL, PRIMARY KEY (sink, number));
CREATE TABLE IF NOT EXISTS history (
  alert TEXT NOT NULL, at TEXT NOT NULL, actor TEXT NOT NULL, status TEXT NOT NULL,
  note TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS correlations (
  detection TEXT PRIMARY KEY, alert TEXT NOT NULL, timestamp TEXT NOT NULL,
  state TEXT NOT NULL, body BLOB NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS correlations_of ON correlations (alert, timestamp);
CREATE TABLE IF NOT EXISTS token_keys (municipality TEXT PRIMARY KEY, key BLOB NOT NULL);
"""


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Waits until nobody else is here."""
    handle = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


class Database:
    """Opens ``<folder>/alerts.db``. One per thread."""

    def __init__(self, folder: Path, *, read_only: bool = False) -> None:
        self._path = folder / "alerts.db"
        try:
            if not read_only:
                folder.mkdir(parents=True, exist_ok=True)
            self.sql = sqlite3.connect(
                f"file:{self._path}?mode={'ro' if read_only else 'rwc'}",
                uri=True,
                timeout=30,
                isolation_level=None,
            )
            if not read_only:
                # SQLite does not wait for another process that switches to WAL at this moment.
                with _alone(folder):
                    self.sql.execute("PRAGMA journal_mode=WAL")
                    self.sql.execute("PRAGMA synchronous=FULL")
                    self.sql.executescript(SCHEMA)
        except (sqlite3.Error, OSError) as error:
            raise self._unavailable(error) from error

    def _unavailable(self, error: Exception) -> Unavailable:
        return Unavailable(
            f"alert store {self._path}: {error}; is the disk full or the folder read-only?",
            retry_after_s=2,
        )

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Gives the connection; commits at the end, rolls back on any exception.

        Raises `Unavailable` when the file is locked, full or gone.
        """
        try:
            self.sql.execute("BEGIN IMMEDIATE")
            try:
                yield self.sql
            except BaseException:
                self.sql.execute("ROLLBACK")
                raise
            self.sql.execute("COMMIT")
        except sqlite3.OperationalError as error:
            raise self._unavailable(error) from error

    def close(self) -> None:
        """Releases the file; safe to call twice."""
        self.sql.close()
