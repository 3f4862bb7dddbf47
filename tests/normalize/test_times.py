"""Times without a year, without a zone, in the hour that happens twice, and no times at all."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from normalize.times import (
    clf_time,
    iso_utc,
    local_time,
    parse_epoch,
    parse_iso,
    plausible,
    syslog_time,
    zone,
)
from samlog.clock import iso_ms

COPENHAGEN = ZoneInfo("Europe/Copenhagen")


def at(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[misc, arg-type]  # date parts only


@pytest.mark.parametrize(
    ("stamp", "received", "expected"),
    [
        ("Dec 31 23:59", at(2026, 1, 1, 0, 5), at(2025, 12, 31, 23, 59)),
        ("Jan  1 00:00", at(2025, 12, 31, 23, 58), at(2026, 1, 1, 0, 0)),
        ("Aug 07 08:00", at(2026, 8, 8), at(2026, 8, 7, 8, 0)),
        ("Feb 29 12:00", at(2026, 3, 1), at(2024, 2, 29, 12, 0)),
        ("Jul  1 12:00", at(2026, 1, 10), at(2025, 7, 1, 12, 0)),
        ("Okt  7 08:00", at(2026, 10, 8), at(2026, 10, 7, 8, 0)),
    ],
)
def test_the_year_is_the_closest_that_is_not_ahead_of_the_receipt(
    stamp: str, received: datetime, expected: datetime
) -> None:
    assert syslog_time(stamp, 0, "", 0, UTC, received) == expected


def test_a_clock_that_is_days_fast_keeps_its_year() -> None:
    assert syslog_time("Jan 15 10:00", 0, "", 0, UTC, at(2026, 1, 10)) == at(2026, 1, 15, 10)


def test_the_zone_is_that_of_the_source() -> None:
    summer = syslog_time("Jul  1 12:00", 30, "5", 0, COPENHAGEN, at(2026, 7, 1, 12))
    assert summer == at(2026, 7, 1, 10, 0, 30) + timedelta(milliseconds=500)


def test_the_repeated_hour_is_the_instant_closer_to_the_receipt() -> None:
    naive = datetime(2026, 10, 25, 2, 30)
    assert local_time(naive, COPENHAGEN, at(2026, 10, 25, 0, 31)) == at(2026, 10, 25, 0, 30)
    assert local_time(naive, COPENHAGEN, at(2026, 10, 25, 1, 31)) == at(2026, 10, 25, 1, 30)


def test_a_leap_second_is_the_second_before() -> None:
    assert syslog_time("Jun 30 23:59", 60, "", 2026, UTC, at(2026, 7, 1)) == at(
        2026, 6, 30, 23, 59, 59
    )


@pytest.mark.parametrize("stamp", ["Feb 30 10:00", "Xyz 10 10:00", "Jan 10 25:00", "Jan 00 10:00"])
def test_no_such_day_or_hour_is_no_time(stamp: str) -> None:
    assert syslog_time(stamp, 0, "", 0, UTC, at(2026, 1, 10)) is None


@pytest.mark.parametrize(
    ("name", "hours"),
    [("+02:00", 2), ("-0200", -2), ("GMT+1", 1), ("UTC", 0), ("Z", 0), ("GMT-0200", -2)],
)
def test_zones_are_read_in_every_notation(name: str, hours: int) -> None:
    found = zone(name)
    assert found is not None
    assert found.utcoffset(datetime(2026, 1, 1)) == timedelta(hours=hours)


@pytest.mark.parametrize("name", ["Mars/Olympus", "../../etc/passwd", "+25:00", "a\0b", "Europe"])
def test_what_is_no_zone_is_none(name: str) -> None:
    assert zone(name) is None


@pytest.mark.parametrize("text", ["", "x", "2026-13-01", "9" * 100, "0001-01-01T00:00:00+14:00"])
def test_what_is_no_iso_time_is_none(text: str) -> None:
    assert parse_iso(text) is None


@pytest.mark.parametrize("value", [1e300, float("nan"), -1e20])
def test_an_epoch_beyond_the_calendar_is_none(value: float) -> None:
    assert parse_epoch(value) is None


def test_1601_and_9999_are_not_plausible() -> None:
    received = at(2026, 1, 10)
    assert not plausible(at(1601, 1, 1), received)
    assert not plausible(at(9999, 12, 31), received)
    assert plausible(at(2019, 1, 1), received)


def test_common_log_time_is_read_with_its_offset() -> None:
    assert clf_time("10/Oct/2000:13:55:36 -0700") == at(2000, 10, 10, 20, 55, 36)
    assert clf_time("32/Oct/2000:13:55:36 -0700") is None


@given(st.datetimes(min_value=datetime(1980, 1, 1), timezones=st.just(UTC)))
def test_the_fast_form_of_a_time_equals_the_slow_one(moment: datetime) -> None:
    assert iso_utc(moment) == iso_ms(moment)


@given(
    st.datetimes(datetime(2000, 1, 1), datetime(2037, 1, 1), timezones=st.just(UTC)),
    st.integers(-6 * 86400, 300 * 86400),
)
def test_a_line_of_the_last_months_gets_its_own_year_back(received: datetime, age_s: int) -> None:
    moment = (received - timedelta(seconds=age_s)).replace(microsecond=0)
    stamp = moment.strftime("%b %d %H:%M")
    assert syslog_time(stamp, moment.second, "", 0, UTC, received) == moment
