"""Detections and stores that the alert tests share."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from alerts.database import Database
from alerts.dedup import dedup_key, entity
from alerts.envelope import Evidence, subject
from alerts.store import AlertStore, Sighting
from samlog.config import UnitDefaults
from samlog.testing import FakeClock

RULE = {
    "id": "0f6e5c0a-3b1d-4a52-9d0e-1a2b3c4d5e6f",
    "title": "Log Cleared",
    "author": "A. Author, B. Author",
    "level": "high",
    "tags": ["attack.t1070.001"],
    "attack": ["T1070.001"],
    "sha256": "ab" * 32,
    "log_class": "LC-04",
}


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database(tmp_path)
    yield opened
    opened.close()


@pytest.fixture
def store(database: Database) -> AlertStore:
    return AlertStore(database, {})


@pytest.fixture
def sighting() -> Callable[..., Sighting]:
    return make_sighting


def make_sighting(number: int, **given: Any) -> Sighting:
    """Returns detection ``number`` of one rule, unit and user within one hour."""
    rule = RULE | given.pop("rule", {})
    context = {"user.name": "anna", "host.name": "srv1"} | given.pop("context", {})
    timestamp = given.pop("timestamp", f"2026-01-10T12:{number % 60:02d}:00.000Z")
    unit = given.pop("unit", "enheda")
    _, who = entity(rule, context)
    from datetime import datetime

    return Sighting(
        id=f"{number:032x}",
        key=dedup_key(rule["id"], unit, who, datetime.fromisoformat(timestamp)),
        unit=unit,
        timestamp=timestamp,
        detected="2026-01-10T13:00:00.000Z",
        rule=rule,
        subject=subject(context, given.pop("defaults", UnitDefaults(municipality="kommune-x"))),
        evidence=Evidence(f"logs-system.security-{unit}", f"{number:032x}", "cd" * 32, "LC-04"),
        context=context,
    )
