"""The alert store: which detections are which alert, and how an alert's revisions are made.

A detection is counted once by its id; a revision is made once and keeps its bytes and its
sequence number however often it is sent.
"""

import math
import secrets
import sqlite3
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import orjson

from alerts import correlation, envelope
from alerts.database import Database
from alerts.dedup import uuid7
from alerts.envelope import Evidence, Observable, State
from alerts.priority import priority
from samlog.clock import iso_ms
from samlog.config import UnitDefaults

UPDATE_INTERVAL_S = 10.0


class Sighting(NamedTuple):
    """One detection as the store needs it; ``key`` says which alert it belongs to."""

    id: str
    key: str
    unit: str
    timestamp: str
    detected: str
    rule: Mapping[str, Any]
    subject: Mapping[str, Any]
    evidence: Evidence
    context: Mapping[str, Any]
    correlation: Mapping[str, Any] | None = None
    """What a detection of a correlation says: its state, count, evidence."""


class AlertStore:
    """Turns detections into alerts and alerts into revisions."""

    def __init__(self, database: Database, defaults: Mapping[str, UnitDefaults]) -> None:
        self._database = database
        self._defaults = defaults
        self._keys: dict[str, bytes] = {}

    def add(self, sightings: Sequence[Sighting], now: datetime) -> list[tuple[str, str]]:
        """Counts detections that are new; returns (unit, priority label) of the alerts opened."""
        opened = []
        with self._database.transaction() as db:
            for sighting in sightings:
                told = sighting.correlation
                if told and correlation.correct(db, sighting.id, told, sighting.timestamp):
                    continue
                row = db.execute("SELECT id FROM alerts WHERE key = ?", (sighting.key,)).fetchone()
                alert = row[0] if row else uuid7(now)
                if not self._count_once(db, alert, sighting):
                    continue
                if row is None:
                    self._open(db, alert, sighting, now)
                    level = priority(str(sighting.rule.get("level")), sighting.subject)
                    opened.append((sighting.unit, level.label))
                else:
                    self._grow(db, alert, sighting, now)
                self._note_observables(db, alert, sighting)
                if told:
                    correlation.note(db, sighting.id, alert, told, sighting.timestamp)
        return opened

    def _count_once(self, db: sqlite3.Connection, alert: str, sighting: Sighting) -> bool:
        evidence = sighting.evidence
        row = (
            sighting.id,
            alert,
            sighting.timestamp,
            evidence.event_id,
            evidence.index,
            evidence.sha256,
            evidence.log_class,
        )
        added = db.execute("INSERT OR IGNORE INTO detections VALUES (?,?,?,?,?,?,?)", row)
        return added.rowcount == 1

    def _open(self, db: sqlite3.Connection, alert: str, s: Sighting, now: datetime) -> None:
        db.execute(
            "INSERT INTO alerts (id, key, unit, rule_id, first_order, facts, count, first_seen,"
            " last_seen, detected, status, changed_at, actor) VALUES (?,?,?,?,?,?,1,?,?,?,?,?,?)",
            (
                alert,
                s.key,
                s.unit,
                str(s.rule.get("id", "")),
                _order(s),
                _facts(s),
                s.timestamp,
                s.timestamp,
                s.detected,
                envelope.OPEN,
                iso_ms(now),
                "system",
            ),
        )

    def _grow(self, db: sqlite3.Connection, alert: str, s: Sighting, now: datetime) -> None:
        """Facts come from the alert's first event in (time, id), whatever order they arrive in."""
        (status,) = db.execute(
            "UPDATE alerts SET count = count + 1, dirty = 1, first_seen = min(first_seen, ?),"
            " last_seen = max(last_seen, ?) WHERE id = ? RETURNING status",
            (s.timestamp, s.timestamp, alert),
        ).fetchone()
        db.execute(
            "UPDATE alerts SET facts = ?, first_order = ? WHERE id = ? AND first_order > ?",
            (_facts(s), _order(s), alert, _order(s)),
        )
        if status == envelope.CLOSED:
            self._reopen(db, alert, iso_ms(now))

    def _reopen(self, db: sqlite3.Connection, alert: str, stamp: str) -> None:
        """Makes a closed alert new, which is told at once: nobody has looked at what came since."""
        db.execute(
            "UPDATE alerts SET status = ?, changed_at = ?, actor = 'system', revised_at = 0"
            " WHERE id = ?",
            (envelope.OPEN, stamp, alert),
        )
        row = (alert, stamp, "system", envelope.OPEN, "detected again after it was closed")
        db.execute("INSERT INTO history VALUES (?,?,?,?,?)", row)

    def _note_observables(self, db: sqlite3.Connection, alert: str, s: Sighting) -> None:
        key = self._token_key(db, str(s.subject["municipality"]))
        for seen in envelope.observables(s.context, key):
            db.execute("INSERT OR IGNORE INTO observables VALUES (?,?,?,?)", (alert, *seen))

    def _token_key(self, db: sqlite3.Connection, municipality: str) -> bytes:
        if municipality not in self._keys:
            fresh = secrets.token_bytes(32)
            db.execute("INSERT OR IGNORE INTO token_keys VALUES (?,?)", (municipality, fresh))
            found = db.execute(
                "SELECT key FROM token_keys WHERE municipality = ?", (municipality,)
            ).fetchone()
            self._keys[municipality] = found[0]
        return self._keys[municipality]

    def revise(self, now: datetime, *, everything: bool = False, limit: int = 1_000) -> int:
        """Makes a revision of every alert that changed: new ones at once, updates every 10 s.

        ``everything`` makes all due now (drain). So is what a clock revised that was ahead and has
        been corrected. Returns how many were made.
        """
        moment = now.timestamp()
        due = math.inf if everything else moment - UPDATE_INTERVAL_S
        with self._database.transaction() as db:
            rows = db.execute(
                "SELECT id FROM alerts WHERE dirty"
                " AND (revision = 0 OR revised_at <= ? OR revised_at > ?)"
                " ORDER BY first_seen, key LIMIT ?",
                (due, moment + UPDATE_INTERVAL_S, limit),
            ).fetchall()
            for (alert,) in rows:
                self._revise(db, alert, now)
        return len(rows)

    def _revise(self, db: sqlite3.Connection, alert: str, now: datetime) -> None:
        row = db.execute(
            "SELECT key, unit, facts, count, first_seen, last_seen, detected, revision, revised_at,"
            " status, changed_at, actor FROM alerts WHERE id = ?",
            (alert,),
        ).fetchone()
        key, unit, packed, count, first_seen, last_seen, detected, revision, told_at, *rest = row
        state = State(*rest)
        facts = orjson.loads(packed)
        firings = correlation.of_alert(db, alert)
        body = envelope.build(
            alert_id=alert,
            seq=self._next_seq(db, unit),
            revision=revision + 1,
            key=key,
            unit=unit,
            rule=facts["rule"],
            subject_=facts["subject"],
            defaults=self._defaults.get(unit, UnitDefaults()),
            times={
                "first_seen": first_seen,
                "last_seen": last_seen,
                "detected": detected,
                "sent": iso_ms(now),
            },
            count=count,
            evidence=correlation.evidence(firings) or self._evidence(db, alert),
            firings=firings,
            seen=self._observables(db, alert),
            state=state,
            # A change of state is due at once (revised_at 0): the first revision after it tells it.
            closes=state.status == envelope.CLOSED and not told_at,
        )
        level = orjson.loads(body)["priority"]["code"]
        db.execute(
            "INSERT INTO revisions (alert, unit, priority, body, made_at) VALUES (?,?,?,?,?)",
            (alert, unit, level, body, now.timestamp()),
        )
        db.execute(
            "UPDATE alerts SET dirty = 0, revision = ?, revised_at = ? WHERE id = ?",
            (revision + 1, now.timestamp(), alert),
        )

    def _next_seq(self, db: sqlite3.Connection, unit: str) -> int:
        (last,) = db.execute(
            "INSERT INTO sequences VALUES (?, 1) ON CONFLICT (unit) DO UPDATE SET last = last + 1"
            " RETURNING last",
            (unit,),
        ).fetchone()
        return int(last)

    def _evidence(self, db: sqlite3.Connection, alert: str) -> list[Evidence]:
        rows = db.execute(
            "SELECT stream, event_id, sha256, log_class FROM detections WHERE alert = ?"
            " ORDER BY timestamp, event_id LIMIT ?",
            (alert, envelope.MAX_EVIDENCE),
        )
        return [Evidence(*row) for row in rows]

    def _observables(self, db: sqlite3.Connection, alert: str) -> list[Observable]:
        rows = db.execute(
            "SELECT role, type, value FROM observables WHERE alert = ? ORDER BY 1, 2, 3 LIMIT ?",
            (alert, envelope.MAX_OBSERVABLES),
        )
        return [Observable(*row) for row in rows]

    def forget(self, opened_before: datetime) -> int:
        """Deletes what old alerts keep of correlations, a step; see `alerts.correlation.forget`."""
        with self._database.transaction() as db:
            return correlation.forget(db, opened_before)


def _order(sighting: Sighting) -> str:
    return f"{sighting.timestamp}\x1f{sighting.evidence.event_id}"


def _facts(sighting: Sighting) -> bytes:
    keep = sighting.context.get
    who = [str(keep(n)) for n in ("user.name", "source.ip", "host.name") if keep(n)]
    facts = {"rule": sighting.rule, "subject": sighting.subject, "entity": " ".join(who)}
    return orjson.dumps(facts)
