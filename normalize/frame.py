"""The frame around every parser: bytes in, finished ECS events out.

Decode → split batches → take off the agent's envelope → take off the syslog header → choose a
parser → parse → ids, times, types, ``related.*``. What comes out is a function of the record, its
headers, its position and the settings; never of what was normalised before.
"""

from collections.abc import Mapping
from datetime import datetime, tzinfo
from typing import Any

from normalize.bounded import Bounded
from normalize.complete import set_related, set_time, shape_of, strip_reserved
from normalize.context import Context, HeaderReader, Sender, position_origin
from normalize.decode import Decoded, decode
from normalize.envelope import Envelope, unwrap
from normalize.header import read_header
from normalize.jsontext import load
from normalize.parser import Parser
from normalize.records import Part, cut, split
from normalize.registry import Registry
from normalize.times import plausible, written_time, zone
from samlog.clock import iso_ms
from samlog.ecs_types import coerce_checked
from samlog.errors import BadEvent
from samlog.event import ECS_VERSION, Event, RawEvent, event_id, sha256_hex

MAX_EVENT_BYTES = 1 << 20
_DEFAULTS = (
    ("municipality", "organization.id"),
    ("zone", "samlog.zone"),
    ("environment", "samlog.environment"),
    ("system", "samlog.system"),
)

_MAX_KINDS = 2_048
_MAX_NAME = 512

KindKey = tuple[Sender, Parser, str, str]
"""Sender, parser, dataset, and the log class that the parser told."""
Position = tuple[str, int, int]
"""Topic, partition, offset."""


class Normalizer:
    """Turns raw records into events. Holds settings only; one may serve all units."""

    def __init__(
        self,
        units: Mapping[str, Mapping[str, Any]],
        registry: Registry,
        *,
        hints: bool = True,
        tz: str = "UTC",
        max_event_bytes: int = MAX_EVENT_BYTES,
    ) -> None:
        """Takes unit → its ``defaults:`` of the configuration (`samlog.config.UnitDefaults`).

        ``hints=False`` ignores the header ``source``. ``tz`` is the zone of sources that name none.
        """
        self._registry = registry
        self._hints = hints
        self._tz = tz
        self._max = max_event_bytes
        self._bases = {unit: _base(unit, defaults) for unit, defaults in units.items()}
        self._headers = HeaderReader(self._base_of, hints=hints)
        self._constants = Bounded(_constant, _MAX_KINDS, _constant_fits)

    def _base_of(self, unit: str) -> Event:
        return self._bases.get(unit) or _base(unit, {})

    def normalize(
        self,
        value: bytes,
        headers: Mapping[str, bytes],
        *,
        unit: str,
        key: bytes | None,
        position: Position,
        appended_at: datetime,
    ) -> list[Event]:
        """Returns the events in one raw record, in their order; at least one.

        Raises `BadEvent` (``wrong_unit``, ``empty``, ``binary``), `ConfigError` for a format
        version from the future, and nothing else. Lists within an event may be shared with other
        events: replace them, never append.
        """
        context = self._headers.read(headers, unit, appended_at)
        if not context.origin:
            context.fallback = position_origin(headers, key, position)
        if len(value) > self._max:
            value, whole = cut(value, self._max)
            if not context.sender.truncated:
                # Who cut it before has told what the whole was.
                context.whole = whole
        decoded = decode(value, context.sender.encoding)
        events: list[Event] = []
        for part in split(value, decoded):
            events.append(self._event(part, len(events), decoded, context))
        return events

    def _event(self, part: Part, number: int, decoded: Decoded, context: Context) -> Event:
        raw, envelope = self._raw(part, decoded, context)
        event, parser = self._parse(raw)
        if envelope is None:
            original, digest = part.text, sha256_hex(part.data)
        else:
            original = envelope.text
            digest = sha256_hex(original.encode())
        own = event.pop("samlog.origin", "") or (envelope.origin if envelope else "")
        origin = context.origin or own or context.fallback
        told = event.pop("samlog.log_class", "")
        self._complete(event, raw, context)
        sender = context.sender
        if "event.kind" not in event:
            event["event.kind"] = "event"
        if context.whole is not None:
            event.update(context.whole)
        event.update(self._constants[sender, parser, event.get("event.dataset", ""), told])
        event["event.id"] = event_id(sender.unit, origin, number, digest)
        event["event.original"] = original
        event["event.hash"] = digest
        event["samlog.received"] = context.received_text
        if "event.created" not in event:
            event["event.created"] = context.received_text
        if envelope is not None:
            _from_envelope(event, envelope)
        elif decoded.encoding != "utf-8":
            event["samlog.encoding"] = decoded.encoding
        if part.rest is not None:
            _keep_rest(event, part.rest)
        if raw.tags:
            event["tags"] = list(dict.fromkeys([*event.get("tags", ()), *raw.tags]))
        return event

    def _complete(self, event: Event, raw: RawEvent, context: Context) -> None:
        """Brings time, types and ``related.*`` into order, and takes out what is only ours to say.

        An agent's clock may be wrong: what happened before we got it is possible.
        """
        shape = strip_reserved(event, raw.settled)
        latest = raw.received_at
        if latest is not context.received:
            latest = max(latest, context.received)
        set_time(event, raw.timestamp, latest, raw.tags)
        changed = coerce_checked(event, shape.checks)
        if changed:
            raw.tags.append("field_invalid")
        host = context.sender.host
        if host and "host.name" not in event:
            event["host.name"] = host
            changed.append("host.name")
        set_related(event, shape_of(event).related if changed else shape.related)

    def _raw(
        self, part: Part, decoded: Decoded, context: Context
    ) -> tuple[RawEvent, Envelope | None]:
        """Builds what parsers see, without the agent's envelope and the syslog header."""
        text = part.text.rstrip("\r\n\0").removeprefix("\ufeff")
        if not text:
            raise BadEvent("empty", f"{len(part.data)} bytes without a character")
        sender = context.sender
        raw = RawEvent(sender.unit, part.data, text, context.received, part.json, text)
        raw.source, raw.encoding = sender.source, decoded.encoding
        if decoded.tags or part.tags:
            raw.tags += (*decoded.tags, *part.tags)
        if sender.truncated or context.whole is not None:
            raw.tags.append("truncated")
        raw.tz = sender.tz or self._tz
        envelope = None
        if part.json is not None:
            envelope = self._unwrap(raw, part.json)
            if envelope is not None and envelope.tz:
                raw.tz = envelope.tz
        if raw.json is None:
            self._take_header(raw, envelope)
        return raw, envelope

    def _unwrap(self, raw: RawEvent, record: Mapping[str, Any]) -> Envelope | None:
        envelope = unwrap(record)
        if envelope is None and raw.source and not self._registry.hinted(raw):
            envelope = unwrap(record, trusting=True)
        if envelope is None:
            return None
        if not envelope.text.strip():
            raise BadEvent("empty", "the agent's record holds an empty line")
        raw.text = raw.body = envelope.text.rstrip("\r\n\0")
        raw.json = None
        raw.fields = envelope.fields
        raw.tags += envelope.tags
        if envelope.created is not None and plausible(envelope.created, raw.received_at):
            raw.received_at = raw.timestamp = envelope.created
        if envelope.moment is not None and plausible(envelope.moment, raw.received_at):
            raw.timestamp = envelope.moment
        return envelope

    def _take_header(self, raw: RawEvent, envelope: Envelope | None) -> None:
        """Takes off the syslog header and looks for JSON in what is left."""
        tz = zone(raw.tz)
        if tz is None:
            raw.tags.append("tz_unknown")
            raw.tz, tz = "UTC", zone("UTC")
            assert tz is not None
        text = raw.text
        if envelope is not None and not envelope.header:
            raw.program = str(raw.fields.get("process.name", ""))
            raw.host = str(raw.fields.get("host.hostname", ""))
            if raw.host:
                raw.fields["host.name"] = raw.host
            if envelope.stamp:
                self._take_stamp(raw, envelope.stamp, tz)
        elif text[0] not in "{[":
            header = read_header(text, tz, raw.received_at)
            if header is not None:
                raw.body, raw.host, raw.program = header.body, header.host, header.program
                raw.pid = header.pid
                raw.timestamp = header.timestamp or raw.timestamp
                raw.fields = {**raw.fields, **header.fields} if raw.fields else header.fields
                if header.timestamp is not None and not header.zoned:
                    raw.fields["event.timezone"] = raw.tz
                if header.host and not (envelope and envelope.names_host):
                    raw.fields["host.name"] = header.host
        _find_json(raw)

    def _take_stamp(self, raw: RawEvent, stamp: str, tz: tzinfo) -> None:
        """Takes the time of a header that an agent has taken apart."""
        moment, zoned = written_time(stamp, tz, raw.received_at)
        if moment is not None and plausible(moment, raw.received_at):
            raw.timestamp = moment
            if not zoned:
                raw.fields["event.timezone"] = raw.tz

    def _parse(self, raw: RawEvent) -> tuple[Event, Parser]:
        """Parses; what the chosen parser calls bad is stored by a generic one, tagged."""
        parser = self._registry.choose(raw)
        try:
            parsed = parser.parse(raw)
        except BadEvent as bad:
            raw.tags += ("unparsed_body", bad.reason)
            raw.settled = 0
            parser = self._registry.generic(raw)
            parsed = parser.parse(raw)
        if raw.fields:
            raw.settled = 0
            return {**raw.fields, **parsed}, parser
        return parsed, parser


def _base(unit: str, defaults: Mapping[str, Any]) -> Event:
    """Returns what every event of a unit says."""
    base: Event = {
        "ecs.version": ECS_VERSION,
        "samlog.unit": unit,
        "data_stream.type": "logs",
        "data_stream.namespace": unit,
    }
    for key, field in _DEFAULTS:
        value = defaults.get(key)
        if value and value != "unknown":
            base[field] = value
    return base


def _constant_fits(key: KindKey) -> bool:
    return len(key[2]) + len(key[3]) <= _MAX_NAME


def _constant(key: KindKey) -> Event:
    """Returns what all events of one sender, parser, dataset and told log class say."""
    sender, parser, dataset, told = key
    dataset = dataset or f"samlog.{parser.NAME}"
    known: Event = {
        "event.dataset": dataset,
        **sender.base,
        "data_stream.dataset": dataset,
        "event.module": dataset.partition(".")[0],
        "samlog.parser": f"{parser.NAME}/{parser.VERSION}",
    }
    log_class = parser.LOG_CLASSES[0] if len(parser.LOG_CLASSES) == 1 else ""
    if told in parser.LOG_CLASSES:
        log_class = told
    if log_class:
        known.setdefault("samlog.log_class", log_class)
    return known


def _from_envelope(event: Event, envelope: Envelope) -> None:
    if envelope.created is not None:
        event["event.created"] = iso_ms(envelope.created)
    if envelope.rest:
        _keep_rest(event, envelope.rest)


def _keep_rest(event: Event, rest: Mapping[str, Any]) -> None:
    """Keeps what stood around the event and has no ECS field, in the field for unknown JSON."""
    event["samlog.json"] = {**event.get("samlog.json", {}), "envelope": rest}


def _find_json(raw: RawEvent) -> None:
    """Parses a body that is one JSON object (also behind CEE's cookie) into ``raw.json``."""
    if raw.body[:1].isalnum():
        return
    body = raw.body.removeprefix("@cee:").lstrip()
    if not body.startswith("{") or "invalid_json" in raw.tags:
        return
    try:
        raw.json, lenient = load(body)
    except ValueError:
        raw.tags.append("invalid_json")
        return
    if lenient:
        raw.tags.append("lenient_json")
