"""Which revision went to which sink: leased, in order, noted when accepted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from alerts.database import Database
from samlog.event import ALERTS

LEASE_S = 60.0
LATE_S = 5.0
"""So much later than ours may the time be with which another process took a lease before us."""
TOPIC = f"topic {ALERTS}"
"""The name under which the topic is a sink like any other."""


@dataclass(frozen=True)
class Revision:
    """One message about an alert: ``body`` is soc-alert/1 JSON, ``number`` orders all of them."""

    number: int
    alert: str
    unit: str
    priority: int
    body: bytes


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
            noted = db.execute(
                "UPDATE cursors SET last = max(last, ?), problem = ? WHERE sink = ? AND holder = ?",
                (upto, refused, sink, holder),
            )
            if noted.rowcount and refused:
                db.execute("INSERT OR REPLACE INTO refusals VALUES (?,?,?)", (sink, upto, refused))
        return bool(noted.rowcount)

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
