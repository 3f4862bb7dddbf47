"""Which revision went to which sink: leased, in order, noted when accepted."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from alerts.database import Database
from samlog.event import ALERTS

LEASE_S = 60.0
LATE_S = 5.0
"""So much later than ours may the time be with which another process took a lease before us."""
TOPIC = f"topic {ALERTS}"
"""The name under which the topic is a sink like any other."""
RESEND = "samlog alerts resend --from-sink '{}' --to NEW"
"""What to type where alerts wait for a sink that is not in the configuration any more."""


@dataclass(frozen=True)
class Revision:
    """One message about an alert: ``body`` is soc-alert/1 JSON, ``number`` orders all of them."""

    number: int
    alert: str
    unit: str
    priority: int
    body: bytes


@dataclass(frozen=True)
class Refusal:
    """A revision that a sink refused for good; ``made_at`` (Unix time) is when it was made."""

    sink: str
    alert: str
    made_at: float
    reason: str


class Outbox:
    """The deliveries still to make. A sink gets every revision, in the order they were made."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def join(self, sink: str) -> None:
        """Makes ``sink`` known; a new one starts with the revisions made from now on."""
        with self._database.transaction() as db:
            db.execute(
                "INSERT OR IGNORE INTO cursors (sink, last)"
                " SELECT ?, coalesce(max(number), 0) FROM revisions",
                (sink,),
            )

    def take(
        self, sink: str, holder: str, now: datetime, *, limit: int = 100
    ) -> Sequence[Revision]:
        """Leases the next revisions for ``sink`` to ``holder``; [] if none, or leased to another.

        A holder that dies loses the lease after `LEASE_S`; then they are sent again, same ids. So
        does one whose lease is longer than any: it was taken by a clock that was ahead.
        """
        moment = now.timestamp()
        with self._database.transaction() as db:
            got = db.execute(
                "UPDATE cursors SET lease_until = ?, holder = ? WHERE sink = ?"
                " AND (lease_until NOT BETWEEN ? AND ? OR holder = ?) RETURNING last",
                (moment + LEASE_S, holder, sink, moment, moment + LEASE_S + LATE_S, holder),
            ).fetchone()
            if got is None:
                return []
            rows = db.execute(
                "SELECT number, alert, unit, priority, body FROM revisions WHERE number > ?"
                " ORDER BY number LIMIT ?",
                (got[0], limit),
            ).fetchall()
            return [Revision(*row) for row in rows]

    def sent(self, sink: str, holder: str, upto: int, *, refused: str = "") -> bool:
        """Notes that ``sink`` has everything up to ``upto``; ``refused`` tells why not the last.

        Returns False, and notes nothing, where ``holder`` has lost its lease: somebody else sends
        these now.
        """
        with self._database.transaction() as db:
            before = db.execute(
                "SELECT last FROM cursors WHERE sink = ? AND holder = ?", (sink, holder)
            ).fetchone()
            if before is None:
                return False
            db.execute(
                "UPDATE cursors SET last = max(last, ?), problem = ? WHERE sink = ?",
                (upto, refused, sink),
            )
            # What was refused once and is here again was sent anew, and accepted this time.
            db.execute(
                "DELETE FROM refusals WHERE sink = ? AND number > ? AND number <= ?",
                (sink, before[0], upto),
            )
            if refused:
                db.execute("INSERT INTO refusals VALUES (?,?,?)", (sink, upto, refused[:500]))
        return True

    def troubled(self, sink: str, problem: str) -> None:
        """Notes why ``sink`` is behind, for `doctor` and `alerts show`."""
        with self._database.transaction() as db:
            db.execute("UPDATE cursors SET problem = ? WHERE sink = ?", (problem[:500], sink))

    def waiting(self) -> Mapping[str, tuple[int, str]]:
        """Returns per sink how many revisions it has not got yet, and its last problem."""
        rows = self._database.sql.execute(
            "SELECT sink, (SELECT count(*) FROM revisions WHERE number > last), problem"
            " FROM cursors ORDER BY sink"
        )
        return {sink: (count, problem) for sink, count, problem in rows}

    def refusals(self, *, alert: str = "", since: float = 0) -> Sequence[Refusal]:
        """Returns what sinks refused for good, the newest first; all, or that of one alert."""
        rows = self._database.sql.execute(
            "SELECT sink, alert, made_at, reason FROM refusals JOIN revisions USING (number)"
            " WHERE ? IN ('', alert) AND made_at >= ? ORDER BY number DESC, sink",
            (alert, since),
        )
        return [Refusal(*row) for row in rows]

    def orphans(self, sinks: Collection[str]) -> Mapping[str, int]:
        """Returns how many revisions wait for names that are none of ``sinks`` any more."""
        known = {TOPIC, *sinks}
        waiting = self.waiting().items()
        return {sink: count for sink, (count, _) in waiting if count and sink not in known}

    def place(self, sink: str) -> int | None:
        """Returns the number of the last revision that ``sink`` has; None for an unknown one."""
        row = self._database.sql.execute(
            "SELECT last FROM cursors WHERE sink = ?", (sink,)
        ).fetchone()
        return None if row is None else int(row[0])

    def place_before(self, moment: datetime) -> int:
        """Returns the number behind which are all revisions made since ``moment``."""
        (number,) = self._database.sql.execute(
            "SELECT coalesce(min(number) - 1, (SELECT max(number) FROM revisions), 0)"
            " FROM revisions WHERE made_at >= ?",
            (moment.timestamp(),),
        ).fetchone()
        return int(number)

    def rewind(self, sink: str, place: int) -> int:
        """Lets ``sink`` get all revisions behind ``place`` once more; returns how many wait now.

        Whoever is sending to it loses the lease, so that its progress does not undo this.
        """
        self.join(sink)
        with self._database.transaction() as db:
            db.execute(
                "UPDATE cursors SET last = min(last, ?), holder = '', lease_until = 0"
                " WHERE sink = ?",
                (place, sink),
            )
        return self.waiting()[sink][0]

    def forget(self, sink: str) -> None:
        """Drops what waits for a sink, and what it refused."""
        with self._database.transaction() as db:
            db.execute("DELETE FROM cursors WHERE sink = ?", (sink,))
            db.execute("DELETE FROM refusals WHERE sink = ?", (sink,))
