"""What rules did, on disk: ``<state>/rules/detect.db``, one file a detect process, SQLite.

Correlate processes have ``correlate.db``, for what units have disabled.

`samlog rules stats`, `suppressed` and `coverage` read it, also while the stage runs. Counts are by
day of processing (UTC); a batch that is repeated after a failure counts again, but a suppressed
match is listed and counted once. A suppressed match is written before the position of its event is
committed: where that cannot be done, the batch is repeated.
"""

import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from detect.counters import Counters, Suppressed
from detect.logsource import Source
from samlog.errors import Unavailable

KEPT_DAYS = 400
MAX_SUPPRESSED = 20_000
"""Suppressed matches listed per process; the oldest go first. Their counts stay."""
MAX_SEEN = 100_000
"""Fields remembered as written; a few more writes do no harm."""

SCHEMA = """
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS matches (
  day TEXT NOT NULL, unit TEXT NOT NULL, rule TEXT NOT NULL, n INTEGER NOT NULL,
  PRIMARY KEY (day, unit, rule)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS times (
  day TEXT NOT NULL, rule TEXT NOT NULL, calls INTEGER NOT NULL, ns INTEGER NOT NULL,
  PRIMARY KEY (day, rule)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS suppressions (
  day TEXT NOT NULL, unit TEXT NOT NULL, rule TEXT NOT NULL, kind TEXT NOT NULL,
  entry TEXT NOT NULL, n INTEGER NOT NULL,
  PRIMARY KEY (day, unit, rule, kind, entry)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS suppressed (
  number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, unit TEXT NOT NULL,
  rule TEXT NOT NULL, title TEXT NOT NULL, kind TEXT NOT NULL, entry TEXT NOT NULL,
  owner TEXT NOT NULL, reason TEXT NOT NULL, event_id TEXT NOT NULL, stream TEXT NOT NULL,
  timestamp TEXT NOT NULL, detected TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS aside (
  rule TEXT PRIMARY KEY, title TEXT NOT NULL, why TEXT NOT NULL, at TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS seen (
  unit TEXT NOT NULL, product TEXT NOT NULL, category TEXT NOT NULL, service TEXT NOT NULL,
  first TEXT NOT NULL, last TEXT NOT NULL, n INTEGER NOT NULL,
  PRIMARY KEY (unit, product, category, service)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS fields (
  unit TEXT NOT NULL, product TEXT NOT NULL, category TEXT NOT NULL, service TEXT NOT NULL,
  field TEXT NOT NULL, PRIMARY KEY (unit, product, category, service, field)) WITHOUT ROWID;
"""
_ADD = "ON CONFLICT DO UPDATE SET n = n + excluded.n"


def folder(state: Path) -> Path:
    """Returns where the files are, below the state folder."""
    return state / "rules"


class Ledger:
    """One process's file. Raises `Unavailable` when it cannot be written."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fields: set[tuple[str, str, str, str, str]] = set()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._sql = sqlite3.connect(path, timeout=30, isolation_level=None)
            self._sql.execute("PRAGMA journal_mode=WAL")
            self._sql.execute("PRAGMA synchronous=NORMAL")
            self._sql.executescript(SCHEMA)
        except (sqlite3.Error, OSError) as error:
            raise self._unavailable(error) from error

    def _unavailable(self, error: Exception) -> Unavailable:
        return Unavailable(
            f"rule ledger {self._path}: {error}; is the disk full or the folder read-only?",
            retry_after_s=2,
        )

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        try:
            self._sql.execute("BEGIN IMMEDIATE")
            try:
                yield self._sql
            except BaseException:
                self._sql.execute("ROLLBACK")
                raise
            self._sql.execute("COMMIT")
        except sqlite3.Error as error:
            raise self._unavailable(error) from error

    def add(self, counters: Counters, sources: Sequence[Source], now: datetime) -> None:
        """Adds what was counted; the caller clears it then."""
        day = now.date().isoformat()
        with self._transaction() as db:
            db.executemany(
                f"INSERT INTO matches VALUES (?, ?, ?, ?) {_ADD}",
                [(day, unit, rule, n) for (unit, rule), n in counters.matches.items()],
            )
            db.executemany(
                "INSERT INTO times VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
                " calls = calls + excluded.calls, ns = ns + excluded.ns",
                [(day, rule, calls, ns) for rule, (calls, ns) in counters.times.items()],
            )
            self._add_seen(db, counters, sources, day)
            self._add_suppressed(db, counters.suppressed, day)

    def _add_seen(
        self, db: sqlite3.Connection, counters: Counters, sources: Sequence[Source], day: str
    ) -> None:
        seen: Counter[tuple[str, str, str, str]] = Counter()
        fields: set[tuple[str, str, str, str, str]] = set()
        for (unit, numbers), n in counters.seen.items():
            for i in numbers:
                source = sources[i]
                key = (unit, source.product, source.category, source.service)
                seen[key] += n
                fields.update((*key, name) for name in counters.fields.get((unit, numbers), ()))
        db.executemany(
            "INSERT INTO seen VALUES (?, ?, ?, ?, ?, ?, ?)"
            " ON CONFLICT DO UPDATE SET n = n + excluded.n, last = excluded.last",
            [(*key, day, day, n) for key, n in seen.items()],
        )
        fresh = fields - self._fields
        db.executemany("INSERT OR IGNORE INTO fields VALUES (?, ?, ?, ?, ?)", list(fresh))
        self._fields = fields | self._fields if len(self._fields) < MAX_SEEN else fields

    def _add_suppressed(
        self, db: sqlite3.Connection, suppressed: Sequence[Suppressed], day: str
    ) -> None:
        columns = ", ".join("kind" if n == "by" else n for n in Suppressed._fields)
        marks = ", ".join("?" * len(Suppressed._fields))
        for found in suppressed:
            done = db.execute(
                f"INSERT OR IGNORE INTO suppressed ({columns}) VALUES ({marks})",  # noqa: S608 our own names
                found,
            )
            if done.rowcount:
                db.execute(
                    f"INSERT INTO suppressions VALUES (?, ?, ?, ?, ?, 1) {_ADD}",
                    (day, found.unit, found.rule, found.by, found.entry),
                )
        if suppressed:
            db.execute(
                "DELETE FROM suppressed WHERE number <= (SELECT MAX(number) FROM suppressed) - ?",
                (MAX_SUPPRESSED,),
            )

    def aside(self, rule: str, title: str, why: str, now: datetime) -> None:
        """Notes a rule that is not asked any more."""
        with self._transaction() as db:
            row = (rule, title, why, now.isoformat())
            db.execute("INSERT OR REPLACE INTO aside VALUES (?, ?, ?, ?)", row)

    def tell(self, facts: Mapping[str, str], now: datetime, *, fresh: bool = False) -> None:
        """Replaces facts of the process. ``fresh``: a new rule set, in which no rule is aside."""
        oldest = (now - timedelta(days=KEPT_DAYS)).date().isoformat()
        with self._transaction() as db:
            db.executemany("INSERT OR REPLACE INTO facts VALUES (?, ?)", list(facts.items()))
            if fresh:
                db.execute("DELETE FROM aside")
                for table in ("matches", "times", "suppressions"):
                    db.execute(f"DELETE FROM {table} WHERE day < ?", (oldest,))  # noqa: S608
                db.execute("DELETE FROM seen WHERE last < ?", (oldest,))

    def close(self) -> None:
        """Releases the file; safe to call twice."""
        self._sql.close()


class Books:
    """All ledgers below a state folder, for reading; a damaged one is left out and named."""

    def __init__(self, state: Path) -> None:
        self.problems: list[str] = []
        self._files = sorted(folder(state).glob("*.db"), key=lambda path: path.stem)

    @property
    def names(self) -> list[str]:
        """Returns the processes that have a ledger: ``correlate``, ``detect``, ``detect-1`` .."""
        return [path.stem for path in self._files]

    def rows(self, query: str, arguments: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Returns the rows of every ledger, one after another."""
        return [row for name in self.names for row in self.of(name, query, arguments)]

    def of(self, name: str, query: str, arguments: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Returns the rows of one ledger; [] where it cannot be read."""
        path = next(path for path in self._files if path.stem == name)
        try:
            connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=5)
            try:
                return connection.execute(query, arguments).fetchall()
            finally:
                connection.close()
        except sqlite3.Error as error:
            problem = f"{path}: {error}"
            if problem not in self.problems:
                self.problems.append(problem)
            return []
