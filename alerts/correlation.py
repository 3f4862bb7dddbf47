"""Detections of correlations: provisional, then final or withdrawn, always under one alert.

A firing keeps its detection id whatever becomes of it, so the last word on an id replaces the one
before. The envelope shows states and numbers; whose they are is in its observables, as tokens.
"""

import sqlite3
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import orjson

from alerts.dedup import uuid7
from alerts.envelope import MAX_EVIDENCE, Evidence
from alerts.firings import PROVISIONAL, WITHDRAWN

MAX_SHOWN = 20
FORGOTTEN_AT_ONCE = 1_000
"""Rows deleted in one transaction: some 10 ms, in which no detection can be counted."""


def correct(db: sqlite3.Connection, detection: str, said: Mapping[str, Any], stamp: str) -> bool:
    """Takes a further word on a firing; False where its alert does not know the firing yet.

    The same told again, after a restart, changes nothing: what is final stays final. Neither does
    a word that comes late: that of the later record counts (``word``: partition and offset).
    """
    row = db.execute(
        "SELECT alert, state, body FROM correlations WHERE detection = ?", (detection,)
    ).fetchone()
    if row is None:
        return bool(said["state"] == WITHDRAWN)
    alert, state, body = row
    known = orjson.loads(body)
    if _is_older(said, known):
        return True
    anew = {"state": "", "word": None}
    same = {**known, **anew} == {**said, **anew}
    if said["state"] == state and same or (same and said["state"] == PROVISIONAL):
        return True
    db.execute(
        "UPDATE correlations SET state = ?, body = ?, timestamp = ? WHERE detection = ?",
        (said["state"], orjson.dumps(said), stamp, detection),
    )
    db.execute("UPDATE alerts SET dirty = 1 WHERE id = ?", (alert,))
    return True


def _is_older(said: Mapping[str, Any], known: Mapping[str, Any]) -> bool:
    """Tells whether a word was said before the one that is known: whoever begins anew repeats."""
    match said.get("word"), known.get("word"):
        case [int(place), int(offset)], [int(known_place), int(known_offset)]:
            return place == known_place and offset < known_offset
    return False


def note(
    db: sqlite3.Connection, detection: str, alert: str, said: Mapping[str, Any], stamp: str
) -> None:
    """Notes the first word on a firing."""
    row = (detection, alert, stamp, said["state"], orjson.dumps(said))
    db.execute("INSERT OR IGNORE INTO correlations VALUES (?,?,?,?,?)", row)


def forget(db: sqlite3.Connection, opened_before: datetime) -> int:
    """Deletes the oldest firings of alerts opened before then; returns how many, at most 1,000.

    The alert stays, with its last revision and its count: a firing that is told once more is
    counted already. When an alert was opened is in its id, by our own clock and not the sender's.
    """
    gone = db.execute(
        "DELETE FROM correlations WHERE detection IN (SELECT detection FROM correlations"
        " WHERE alert < ? ORDER BY alert LIMIT ?)",
        (uuid7(opened_before)[:13], FORGOTTEN_AT_ONCE),
    )
    return gone.rowcount


def of_alert(db: sqlite3.Connection, alert: str) -> list[dict[str, Any]]:
    """Returns the last words on the firings of an alert, the oldest first, at most 20."""
    rows = db.execute(
        "SELECT body FROM correlations WHERE alert = ? ORDER BY timestamp, detection LIMIT ?",
        (alert, MAX_SHOWN),
    )
    return [orjson.loads(body) for (body,) in rows]


def evidence(firings: Sequence[Mapping[str, Any]]) -> list[Evidence]:
    """Returns the events of firings that stand, each once, at most 50."""
    found: dict[str, Evidence] = {}
    for firing in firings:
        if firing["state"] == WITHDRAWN:
            continue
        for one in firing.get("evidence", ()):
            made = Evidence(one["index"], one["event_id"], one["sha256"], one["log_class"])
            found.setdefault(made.event_id, made)
    return list(found.values())[:MAX_EVIDENCE]
