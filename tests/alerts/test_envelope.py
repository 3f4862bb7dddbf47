"""soc-alert/1: valid, small, and without what must not leave."""

from collections.abc import Callable
from typing import Any

import orjson
import pytest

from alerts.database import Database
from alerts.envelope import problems
from alerts.fit import MAX_BYTES
from alerts.register import Register
from alerts.store import AlertStore, Sighting
from samlog.config import UnitDefaults
from samlog.testing import FakeClock

Make = Callable[..., Sighting]


def only_alert(store: AlertStore, database: Database, clock: FakeClock) -> dict[str, Any]:
    store.revise(clock.now(), everything=True)
    [row] = Register(database).rows()
    found: dict[str, Any] = orjson.loads(Register(database).latest(row["id"]))
    return found


def test_an_alert_is_valid_by_its_schema_and_names_the_rules_author(
    store: AlertStore, database: Database, clock: FakeClock, sighting: Make
) -> None:
    store.add([sighting(n) for n in range(3)], clock.now())

    alert = only_alert(store, database, clock)

    assert problems(alert) == []
    assert alert["rule"]["author"] == "A. Author, B. Author"
    assert alert["count"] == 3
    assert alert["time"]["first_seen"] == "2026-01-10T12:00:00.000Z"
    assert alert["time"]["last_seen"] == "2026-01-10T12:02:00.000Z"
    assert alert["subject"]["municipality"] == "kommune-x"


def test_what_nobody_said_is_unknown_and_never_invented(
    store: AlertStore, database: Database, clock: FakeClock, sighting: Make
) -> None:
    store.add([sighting(1, defaults=UnitDefaults(), context={"host.name": None})], clock.now())

    alert = only_alert(store, database, clock)

    assert problems(alert) == []
    assert alert["subject"]["municipality"] == alert["subject"]["system"] == "unknown"
    assert alert["routing"]["accountable"] == "unknown"


def test_no_clear_user_name_leaves(
    store: AlertStore, database: Database, clock: FakeClock, sighting: Make
) -> None:
    store.add([sighting(1, context={"user.name": "bjørn.ås"})], clock.now())

    alert = only_alert(store, database, clock)

    assert "bjørn.ås" not in orjson.dumps(alert).decode()
    [token] = [o["value"] for o in alert["observables"] if o["type"] == "user-token"]
    assert token.startswith("hmac:")


def test_one_person_has_another_token_in_another_municipality(
    store: AlertStore, database: Database, clock: FakeClock, sighting: Make
) -> None:
    store.add(
        [
            sighting(1, defaults=UnitDefaults(municipality="x")),
            sighting(2, unit="enhedb", defaults=UnitDefaults(municipality="y")),
        ],
        clock.now(),
    )

    tokens = database.sql.execute("SELECT value FROM observables WHERE type = 'user-token'")

    assert len({token for (token,) in tokens}) == 2


def test_an_alert_never_exceeds_its_size_and_still_tells_the_count(
    store: AlertStore, database: Database, clock: FakeClock, sighting: Make
) -> None:
    huge = {"title": "t" * 5000, "author": "a" * 5000, "attack": ["T" * 3000] * 100}
    many = [
        sighting(n, rule=huge, context={"source.ip": f"192.0.2.{n % 250}", "host.ip": "x" * 900})
        for n in range(300)
    ]
    store.add(many, clock.now())

    alert = only_alert(store, database, clock)

    assert len(orjson.dumps(alert)) <= MAX_BYTES
    assert problems(alert) == []
    assert sum(1 for _ in alert["evidence"]) <= 50


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"schema": "soc-alert/2"}, "schema"),
        ({"sharing": {}}, "tlp"),
        ({"count": 0}, "count"),
        ({"priority": {"code": 5, "label": "x", "raised_because": []}}, "priority"),
        ({"reporter": {"kind": "human", "name": "Eva"}}, "phone"),
    ],
)
def test_the_schema_refuses_what_is_wrong(
    store: AlertStore,
    database: Database,
    clock: FakeClock,
    sighting: Make,
    change: dict[str, Any],
    expected: str,
) -> None:
    store.add([sighting(1)], clock.now())

    said = problems(only_alert(store, database, clock) | change)

    assert any(expected in sentence for sentence in said)


def test_the_schema_keeps_fields_that_it_does_not_know(
    store: AlertStore, database: Database, clock: FakeClock, sighting: Make
) -> None:
    store.add([sighting(1)], clock.now())

    assert problems(only_alert(store, database, clock) | {"new_field": 1}) == []
