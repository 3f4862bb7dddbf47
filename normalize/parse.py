"""What ``samlog parse`` does with one line, raw or in an envelope with an id; needs no server."""

from collections.abc import Iterable
from datetime import datetime

import orjson

from normalize.frame import Normalizer
from normalize.step import encode_event
from samlog.bus.base import Message
from samlog.errors import BadEvent
from samlog.event import H_ORIGIN, H_SOURCE, Event, raw_topic

UNIT = "local"
"""Unit of events that no collector sent."""


def parse_record(
    record: bytes, normalizer: Normalizer, *, received: datetime, source: str = "", name: str = "-"
) -> list[Event]:
    """Returns the events of one raw record that was read at ``received``; raises `BadEvent`.

    ``source`` is a hint, ``name`` whatever names the record (it enters ``event.id``).
    """
    headers = {H_SOURCE: source.encode()} if source else {}
    return normalizer.normalize(
        record, headers, unit=UNIT, key=None, position=(name, 0, 0), appended_at=received
    )


def as_message(
    record: bytes, *, name: str, number: int, received: datetime, source: str
) -> Message:
    """Returns a raw record as the normalise step takes it; its ids are those of `parse_record`."""
    headers = {H_ORIGIN: f"{name}|0|0".encode()}
    if source:
        headers[H_SOURCE] = source.encode()
    stamp = int(received.timestamp() * 1000)
    return Message(raw_topic(UNIT), 0, number, None, record, headers, stamp)


def parse_envelope_line(
    line: bytes, normalizer: Normalizer, *, received: datetime
) -> Iterable[bytes]:
    """Returns NDJSON lines ``{"id", "doc"}`` for a line ``{"id", "source", "input"}``.

    ``input`` is an object whose ``message`` is the raw line, or a shipper's JSON itself. ``source``
    is a hint (the `Normalizer` decides whether hints count). ``doc`` is the flat event, null when
    there is nothing to store; a batch gives several lines with one id. Raises `BadEvent`
    (``invalid_envelope``) when the line is no such object.
    """
    try:
        envelope = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise BadEvent("invalid_envelope", f"not JSON: {error}") from error
    if not isinstance(envelope, dict) or not isinstance(envelope.get("input"), dict):
        raise BadEvent("invalid_envelope", 'expected {"id": .., "source": .., "input": {..}}')
    identity, source = envelope.get("id"), envelope.get("source")
    try:
        events = parse_record(
            orjson.dumps(envelope["input"]),
            normalizer,
            received=received,
            source=source if isinstance(source, str) else "",
            name=str(identity),
        )
    except BadEvent:
        return [orjson.dumps({"id": identity, "doc": None})]
    head = b'{"id":' + orjson.dumps(identity) + b',"doc":'
    return [head + encode_event(event) + b"}" for event in events]
