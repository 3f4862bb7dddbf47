"""Alerts as people see and change them: list, show, acknowledge, close (R-61)."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

import orjson

from alerts.database import Database
from alerts.priority import priority
from samlog.clock import iso_ms
from samlog.errors import ConfigError

STATUSES = ("new", "acknowledged", "in_progress", "contained", "restored", "closed")


class Register:
    """Reads alerts for people and notes what they decide."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def change(
        self, alert: str, status: str, actor: str, now: datetime, *, cause: str = "", note: str = ""
    ) -> None:
        """Moves an alert on in its life cycle (R-61) and makes a revision of it.

        ``alert`` may be the beginning of an id. Raises `ConfigError` for an unknown or ambiguous
        id, and for closing a kritisk or høj alert without a cause.
        """
        full = self.resolve(alert)
        with self._database.transaction() as db:
            level = db.execute(
                "SELECT priority FROM revisions WHERE alert = ? ORDER BY number DESC LIMIT 1",
                (full,),
            ).fetchone()
            if status == "closed" and not cause and (level is None or level[0] <= 2):
                raise ConfigError(
                    f"alert {full} is kritisk or høj: closing it needs a cause;"
                    f' samlog alerts close {full} --cause "…"'
                )
            db.execute(
                "UPDATE alerts SET status = ?, changed_at = ?, actor = ?, dirty = 1,"
                " revised_at = 0, cause = CASE WHEN ? <> '' THEN ? ELSE cause END WHERE id = ?",
                (status, iso_ms(now), actor, cause, cause, full),
            )
            db.execute(
                "INSERT INTO history VALUES (?,?,?,?,?)",
                (full, iso_ms(now), actor, status, note or cause),
            )

    def resolve(self, beginning: str) -> str:
        """Returns the whole id that starts or ends so; raises `ConfigError` if not just one."""
        safe = beginning.replace("%", "").replace("_", "")
        rows = self._database.sql.execute(
            "SELECT id FROM alerts WHERE id LIKE ? OR id LIKE ? LIMIT 2", (safe + "%", "%" + safe)
        ).fetchall()
        if len(rows) != 1:
            how = "no alert has" if not rows else "several alerts have"
            raise ConfigError(f"{how} the id {beginning}; see: samlog alerts ls")
        return str(rows[0][0])

    def rows(
        self, *, units: Sequence[str] = (), status: str = "", limit: int = 1_000
    ) -> Iterator[dict[str, Any]]:
        """Yields alerts, newest first, as `samlog alerts ls` shows them."""
        where, values = ["1"], list[Any]()
        if units:
            where.append(f"unit IN ({','.join('?' * len(units))})")
            values += units
        if status:
            where.append("status = ?")
            values.append(status)
        found = self._database.sql.execute(
            "SELECT id, unit, facts, count, first_seen, last_seen, status, key, cause FROM alerts"
            f" WHERE {' AND '.join(where)} ORDER BY last_seen DESC, id LIMIT ?",
            (*values, limit),
        )
        for alert, unit, packed, count, first_seen, last_seen, state, key, cause in found:
            facts = orjson.loads(packed)
            level = priority(str(facts["rule"].get("level")), facts["subject"])
            yield {
                "id": alert,
                "unit": unit,
                "priority": level.label,
                "rule": facts["rule"].get("id"),
                "title": facts["rule"].get("title"),
                "author": facts["rule"].get("author"),
                "entity": facts["entity"],
                "count": count,
                "first_seen": first_seen,
                "last_seen": last_seen,
                "status": state,
                "cause": cause,
                "dedup_key": key,
            }

    def latest(self, alert: str) -> bytes:
        """Returns the newest revision of an alert as soc-alert/1 JSON."""
        row = self._database.sql.execute(
            "SELECT body FROM revisions WHERE alert = ? ORDER BY number DESC LIMIT 1",
            (self.resolve(alert),),
        ).fetchone()
        if row is None:
            raise ConfigError(f"alert {alert} has no revision yet; try again in a second")
        return bytes(row[0])

    def history(self, alert: str) -> list[dict[str, str]]:
        """Returns who changed an alert when, oldest first."""
        rows = self._database.sql.execute(
            "SELECT at, actor, status, note FROM history WHERE alert = ? ORDER BY at",
            (self.resolve(alert),),
        )
        return [dict(zip(("at", "actor", "status", "note"), row, strict=True)) for row in rows]
