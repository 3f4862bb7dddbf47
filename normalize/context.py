"""What the headers of a raw record say (architecture section 3, wire contract)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from operator import itemgetter

from normalize.bounded import Bounded
from normalize.times import parse_iso
from samlog.clock import iso_ms
from samlog.errors import BadEvent
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

Headers = Mapping[str, bytes]

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
_MAX_HEADER = 1_024
"""A longer header is not one of ours and is left out."""

Senders = Bounded[tuple[tuple[bytes, ...], str], "Sender"]
"""Those whose records share headers of the same names, by the values and the unit."""
Share = tuple[Callable[[Headers], tuple[bytes, ...]], Senders]
"""Of a set of header names: what takes the values that records share, and who sends these."""


@dataclass(slots=True, eq=False)
class Sender:
    """What all records of one collector and source have in common; "" where nobody said.

    ``base`` are the fields that all events of theirs have.
    """

    unit: str
    base: Event
    source: str = ""
    host: str = ""
    tz: str = ""
    encoding: str = ""
    truncated: bool = False


@dataclass(slots=True)
class Context:
    """One record's surroundings. ``whole`` are fields about a record that was cut.

    ``origin`` is the header's, ``fallback`` the one of last resort (`position_origin`).
    """

    sender: Sender
    received: datetime
    received_text: str = ""
    origin: str = ""
    fallback: str = ""
    whole: Event | None = None


class HeaderReader:
    """Reads headers; what records share is read once and kept, within bounds.

    So headers cost 1.2 us a record, and 3.5 without.
    """

    def __init__(self, base_of: Callable[[str], Event], *, hints: bool) -> None:
        """Takes unit → fields of all its events."""
        self._base_of = base_of
        self._hints = hints
        self._shares: Bounded[tuple[str, ...], Share] = Bounded(self._share, 16, _names_fit)

    def read(self, headers: Headers, unit: str, received: datetime) -> Context:
        """Reads the headers; ``received`` is the append time, used where no header tells better.

        Raises `BadEvent` (``wrong_unit``) when the header ``unit`` contradicts the topic's unit,
        and `ConfigError` for a format version that this release does not know: the stage stops.
        """
        values_of, senders = self._shares[tuple(headers)]
        context = Context(senders[values_of(headers), unit], received)
        origin = headers.get(H_ORIGIN)
        if origin is not None and len(origin) <= _MAX_HEADER:
            context.origin = origin.decode("utf-8", "replace")
        stated = headers.get(H_RECEIVED)
        if stated is not None and len(stated) <= _MAX_HEADER:
            _set_received(context, stated.decode("utf-8", "replace"))
        if not context.received_text:
            context.received_text = iso_ms(received)
        return context

    def _share(self, names: tuple[str, ...]) -> Share:
        shared = tuple(name for name in names if name not in _OWN)
        senders: Senders = Bounded(partial(self._sender, shared), 512, _sender_fits)
        if len(shared) > 1:
            return itemgetter(*shared), senders
        return lambda headers: tuple(headers[name] for name in shared), senders

    def _sender(self, names: tuple[str, ...], key: tuple[tuple[bytes, ...], str]) -> Sender:
        values, unit = key
        headers = dict(zip(names, values, strict=True))
        _check(headers, unit)
        sender = Sender(unit, dict(self._base_of(unit)))
        _read(sender, headers, self._hints)
        return sender


def _names_fit(names: tuple[str, ...]) -> bool:
    return sum(map(len, names)) <= _MAX_HEADER


def _sender_fits(key: tuple[tuple[bytes, ...], str]) -> bool:
    return sum(map(len, key[0])) <= 4 * _MAX_HEADER


def _read(sender: Sender, headers: Headers, hints: bool) -> None:
    for name, value in headers.items():
        word = value.decode("utf-8", "replace") if len(value) <= _MAX_HEADER else ""
        if not word:
            continue
        if name == H_TZ:
            sender.tz = word
        elif name == H_SOURCE:
            sender.source = word if hints else ""
        elif name in _AS_FIELDS:
            sender.base[_AS_FIELDS[name]] = word
        elif name == H_HOST:
            sender.host = word
        elif name == H_ENCODING:
            sender.encoding = word
    sender.truncated = H_FULL_LENGTH in headers


def _set_received(context: Context, stated: str) -> None:
    """Takes the header's time; the text is cut out of it where it is in UTC already.

    What `parse_iso` has read and has these signs in these places is as collectors write it.
    """
    moment = parse_iso(stated)
    if moment is None:
        return
    context.received = moment
    usual = 24 <= len(stated) <= 30 and stated[7] == "-" and stated[19] == "." and stated[-1] == "Z"
    context.received_text = stated[:23] + "Z" if usual and stated[10] == "T" else iso_ms(moment)


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
        # A unit wrote it: stopping here would let one unit stop all others.
        raise BadEvent(
            "unknown_format",
            f"a raw record has format version {version!r} and this samlog reads "
            f"{FORMAT_VERSION!r}; upgrade samlog before its collectors, then replay",
        )
    stated = headers.get(H_UNIT)
    if stated is not None and stated != unit.encode():
        raise BadEvent("wrong_unit", f"header unit is {stated!r}, the topic belongs to {unit!r}")
