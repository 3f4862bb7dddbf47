"""What the headers of a raw record say (architecture section 3, wire contract)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from normalize.bounded import Bounded
from normalize.times import parse_iso
from samlog.clock import iso_ms
from samlog.errors import BadEvent, ConfigError
from samlog.event import (
    FORMAT_VERSION,
    H_COLLECTOR,
    H_ENCODING,
    H_ENVIRONMENT,
    H_FULL_LENGTH,
    H_FULL_SHA256,
    H_HOST,
    H_LOG_CLASS,
    H_ORIGIN,
    H_PEER,
    H_POSITION,
    H_RECEIVED,
    H_SEQ,
    H_SOURCE,
    H_TRACEPARENT,
    H_TZ,
    H_UNIT,
    H_VERSION,
    H_ZONE,
    Event,
)

_AS_FIELDS = {
    H_COLLECTOR: "samlog.collector",
    H_PEER: "samlog.peer",
    H_ZONE: "samlog.zone",
    H_ENVIRONMENT: "samlog.environment",
    H_LOG_CLASS: "samlog.log_class",
    H_FULL_LENGTH: "samlog.full_length",
    H_FULL_SHA256: "samlog.full_sha256",
}
_OWN = frozenset((H_ORIGIN, H_RECEIVED, H_SEQ, H_POSITION, H_TRACEPARENT))
"""Headers that differ from record to record; the others belong to a collector and its source."""
_NO_TIME = datetime(1970, 1, 1, tzinfo=UTC)
_MAX_HEADER = 1_024
"""A longer header is not one of ours and is left out."""
_CANONICAL = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3,9}Z", re.ASCII)


@dataclass(slots=True)
class Context:
    """One record's surroundings; "" where nobody said. ``fields`` go into the event as they are.

    ``origin`` is the header's, ``fallback`` the one of last resort (`position_origin`).
    """

    received: datetime
    received_text: str
    origin: str
    source: str
    host: str
    tz: str
    encoding: str
    fields: Event
    truncated: bool
    fallback: str = ""


def read_context(
    headers: Mapping[str, bytes], *, unit: str, received: datetime, hints: bool = True
) -> Context:
    """Reads the headers; ``received`` is the append time, used where no header tells better.

    Raises `BadEvent` (``wrong_unit``) when the header ``unit`` contradicts the topic's unit, and
    `ConfigError` for a format version that this release does not know: then the stage stops.
    """
    context = Context(received, "", "", "", "", "", "", {}, False)
    if headers:
        _read_known(context, headers, unit, hints)
    context.received_text = context.received_text or iso_ms(received)
    return context


def _read_known(context: Context, headers: Mapping[str, bytes], unit: str, hints: bool) -> None:
    """Reads what differs in every record; the rest once a collector: 2.5 us instead of 3.5."""
    rest = tuple([item for item in headers.items() if item[0] not in _OWN])
    known = _KNOWN[rest, unit, hints]
    context.source, context.host, context.tz = known.source, known.host, known.tz
    context.encoding, context.fields = known.encoding, known.fields
    context.truncated = known.truncated
    origin = headers.get(H_ORIGIN)
    if origin is not None and len(origin) <= _MAX_HEADER:
        context.origin = origin.decode("utf-8", "replace")
    stated = headers.get(H_RECEIVED)
    if stated is not None and len(stated) <= _MAX_HEADER:
        _set_received(context, stated.decode("utf-8", "replace"))


def _constant(key: tuple[tuple[tuple[str, bytes], ...], str, bool]) -> Context:
    """Reads the headers that all records of a collector share; raises as `read_context`."""
    items, unit, hints = key
    headers = dict(items)
    context = Context(_NO_TIME, "", "", "", "", "", "", {}, False)
    _check(headers, unit)
    _read(context, headers, hints)
    return context


def _fits(key: tuple[tuple[tuple[str, bytes], ...], str, bool]) -> bool:
    return sum(len(name) + len(value) for name, value in key[0]) <= 4 * _MAX_HEADER


_KNOWN = Bounded(_constant, 512, _fits)


def _read(context: Context, headers: Mapping[str, bytes], hints: bool) -> None:
    for name, value in headers.items():
        word = value.decode("utf-8", "replace") if len(value) <= _MAX_HEADER else ""
        if not word:
            continue
        if name == H_TZ:
            context.tz = word
        elif name == H_SOURCE:
            context.source = word if hints else ""
        elif name in _AS_FIELDS:
            context.fields[_AS_FIELDS[name]] = word
        elif name == H_HOST:
            context.host = word
        elif name == H_ENCODING:
            context.encoding = word
    context.truncated = H_FULL_LENGTH in headers


def _set_received(context: Context, stated: str) -> None:
    """Takes the header's time; the text is cut out of it where it is in UTC already."""
    if not stated:
        return
    moment = parse_iso(stated)
    if moment is not None:
        context.received = moment
        canonical = _CANONICAL.fullmatch(stated)
        context.received_text = stated[:23] + "Z" if canonical else iso_ms(moment)


def position_origin(
    headers: Mapping[str, bytes], key: bytes | None, position: tuple[str, int, int]
) -> str:
    """Returns the origin of last resort: collector + stream + seq, else topic + partition + offset.

    The stream is in the record's key (architecture section 2).
    """
    collector, seq = headers.get(H_COLLECTOR), headers.get(H_SEQ)
    if collector and seq:
        stream = (key or b"").decode("utf-8", "replace")
        return f"{collector.decode('utf-8', 'replace')}|{stream}|{seq.decode('utf-8', 'replace')}"
    topic, partition, offset = position
    return f"{topic}|{partition}|{offset}"


def _check(headers: Mapping[str, bytes], unit: str) -> None:
    version = headers.get(H_VERSION)
    if version is not None and version.partition(b".")[0] != FORMAT_VERSION:
        raise ConfigError(
            f"a raw record has format version {version!r} and this samlog reads "
            f"{FORMAT_VERSION!r}; upgrade samlog before its collectors"
        )
    stated = headers.get(H_UNIT)
    if stated is not None and stated != unit.encode():
        raise BadEvent("wrong_unit", f"header unit is {stated!r}, the topic belongs to {unit!r}")
