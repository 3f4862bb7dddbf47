"""Values of a query in the type of their field. Each raises ValueError with what was expected."""

import re
from calendar import monthrange
from datetime import UTC, datetime, timedelta, timezone
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from samlog.ecs_types import LONG_MAX, LONG_MIN, to_boolean, to_float

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)
_V4_IN_V6 = 0xFFFF << 32
_WHOLE = re.compile(r"-?[0-9]{1,20}(\.0+)?")
_DATE = re.compile(
    r"(?P<year>\d{4})(-(?P<month>\d\d)(-(?P<day>\d\d)"
    r"([T ](?P<hour>\d\d)(:(?P<minute>\d\d)(:(?P<second>\d\d)([.,](?P<fraction>\d{1,9}))?)?)?"
    r"(?P<zone>Z|[+-]\d\d:?\d\d)?)?)?)?",
    re.ASCII,
)
_FIRST = (1, 1, 1, 0, 0, 0)


def long_value(text: str) -> int:
    """Returns a whole number of 64 bits."""
    if not _WHOLE.fullmatch(text):
        raise ValueError("a whole number")
    value = int(text.partition(".")[0])
    if not LONG_MIN <= value <= LONG_MAX:
        raise ValueError("a whole number of 64 bits")
    return value


def double_value(text: str) -> float:
    """Returns a finite number."""
    try:
        return float(to_float(text))
    except ValueError as error:
        raise ValueError("a number") from error


def boolean_value(text: str) -> bool:
    """Returns a boolean."""
    try:
        return to_boolean(text)
    except ValueError as error:
        raise ValueError("true or false") from error


def date_span(text: str) -> tuple[int, int]:
    """Returns the first millisecond of the moment that ``text`` names, and the last.

    ``2026-01-10`` is a day, ``2026-01-10T13`` an hour, ``2026-01-10T13:37:01`` a second; without a
    zone it is UTC.
    """
    found = _DATE.fullmatch(text)
    if found is None:
        raise ValueError("a time like 2026-01-10 or 2026-01-10T13:37:01Z")
    parts = found.group("year", "month", "day", "hour", "minute", "second")
    year, month, day, hour, minute, second = (
        int(part or default) for part, default in zip(parts, _FIRST, strict=True)
    )
    try:
        start = datetime(year, month, day, hour, minute, second, tzinfo=_zone(found["zone"]))
    except ValueError as error:
        raise ValueError("a day and time of the calendar") from error
    first = (start - _EPOCH) // _MS
    if found["fraction"]:
        first += int(found["fraction"][:3].ljust(3, "0"))
        return first, first
    return first, first + _seconds(found) * 1000 - 1


def _seconds(found: re.Match[str]) -> int:
    """Returns how long the moment lasts that was named this exactly."""
    if found["second"]:
        return 1
    if found["minute"]:
        return 60
    if found["hour"]:
        return 3600
    year = int(found["year"])
    if found["day"]:
        days = 1
    elif found["month"]:
        days = monthrange(year, int(found["month"]))[1]
    else:
        days = 337 + monthrange(year, 2)[1]
    return days * 86_400


def _zone(text: str | None) -> timezone:
    if text is None or text == "Z":
        return UTC
    minutes = int(text[1:3]) * 60 + int(text[-2:])
    return timezone(timedelta(minutes=-minutes if text[0] == "-" else minutes))


def address_span(text: str) -> tuple[int, int]:
    """Returns the first and last address of one address or a network (``10.0.0.0/8``)."""
    try:
        if "/" not in text:
            number = address_number(ip_address(text))
            return number, number
        network = ip_network(text, strict=False)
    except ValueError as error:
        raise ValueError("an address like 10.0.0.1 or a network like 10.0.0.0/8") from error
    return address_number(network[0]), address_number(network[-1])


def address_number(address: IPv4Address | IPv6Address) -> int:
    """Returns the address as a number; IPv4 as it stands in IPv6 (``::ffff:0:0/96``)."""
    return int(address) | _V4_IN_V6 if address.version == 4 else int(address)


def address_text(number: int) -> str:
    """Returns the usual text of an address, the reverse of `address_number`."""
    if number >> 32 == 0xFFFF:
        return str(IPv4Address(number & 0xFFFFFFFF))
    return str(IPv6Address(number))
