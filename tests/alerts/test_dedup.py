"""Which detections are one alert."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from alerts.dedup import dedup_key, entity, uuid7

NOON = datetime(2026, 1, 10, 12, tzinfo=UTC)


def test_one_hour_of_one_rule_unit_and_entity_is_one_alert() -> None:
    first = dedup_key("rule", "enheda", "anna", NOON)

    assert dedup_key("rule", "enheda", "ANNA", NOON + timedelta(minutes=59)) == first
    assert dedup_key("rule", "enheda", "anna", NOON + timedelta(minutes=60)) != first
    assert dedup_key("rule", "enhedb", "anna", NOON) != first
    assert dedup_key("other", "enheda", "anna", NOON) != first
    assert dedup_key("rule", "enheda", "bo", NOON) != first


def test_parts_cannot_be_shifted_into_each_other() -> None:
    assert dedup_key("ab", "c", "d", NOON) != dedup_key("a", "bc", "d", NOON)


def test_the_entity_is_what_the_rule_names() -> None:
    context = {"user.name": "anna", "destination.ip": "192.0.2.1"}

    assert entity({"entity": "destination.ip"}, context) == ("destination.ip", "192.0.2.1")


def test_without_that_it_is_user_then_source_then_host() -> None:
    whole = {"user.name": "anna", "source.ip": "192.0.2.7", "host.name": "srv1"}

    assert entity({}, whole) == ("user.name", "anna")
    assert entity({}, whole | {"user.name": None}) == ("source.ip", "192.0.2.7")
    assert entity({}, {"host.name": ["srv1", "srv2"]}) == ("host.name", "srv1")
    assert entity({"entity": "dns.question.name"}, {}) == ("", "")


def test_a_uuid7_has_its_version_and_sorts_by_time() -> None:
    one, two = uuid7(NOON), uuid7(NOON + timedelta(milliseconds=1))

    assert UUID(one).version == 7
    assert one < two
