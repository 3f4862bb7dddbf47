"""Dead letters: what could not be processed, kept whole with the reason, counted per source."""

from collections import Counter
from collections.abc import Iterable
from datetime import datetime

from samlog import __version__
from samlog.bus.base import Message, Producer, Record
from samlog.clock import iso_ms
from samlog.errors import BadEvent
from samlog.event import (
    DLQ,
    H_FULL_LENGTH,
    H_FULL_SHA256,
    H_SOURCE,
    H_TOPIC,
    REPLAY,
    sha256_hex,
    unit_of_raw,
)
from samlog.step import Rejection

ORIGINAL_PREFIX = "orig-"
MAX_DETAIL = 2_000
CUT = "cut"
"""Header of a letter that holds a part of its record, because the bus takes no more."""
MAX_ORIGINAL = 1_024
MAX_ORIGINALS = 64
MAX_CUT = 32 * 1024
"""Half of the smallest ``bus.max_record_bytes`` that can be configured."""


def unit_of(message: Message) -> str:
    """Returns the unit that a message belongs to: from its raw topic, else its key, else ``-``.

    Of a replayed record from the raw topic where it first was. Never from the event. Keys of later
    topics begin with the unit (``unit`` or ``unit|host``).
    """
    unit = unit_of_raw(message.topic)
    if unit is not None:
        return unit
    if message.topic == REPLAY:
        return unit_of_raw(message.headers.get(H_TOPIC, b"").decode("utf-8", "replace")) or "-"
    if message.topic == DLQ:
        return message.headers.get("unit", b"-").decode("utf-8", "replace")
    if message.key:
        return message.key.split(b"|", 1)[0].decode("utf-8", "replace")
    return "-"


def dead_letter(
    message: Message, *, stage: str, reason: str, detail: str, rejected: datetime
) -> Record:
    """Returns the record for samlog.dlq: original bytes and key, the reason in headers.

    Headers: ``reason`` (snake_case word), ``detail``, ``stage``, ``unit``, ``topic``,
    ``partition``, ``offset``, ``appended`` (the broker's append time, ms), ``version``,
    ``rejected`` (RFC 3339), and the original headers with the prefix ``orig-``.
    """
    headers = {ORIGINAL_PREFIX + name: value for name, value in message.headers.items()}
    headers |= {
        "samlog-v": b"1",
        "reason": reason.encode(),
        "detail": detail[:MAX_DETAIL].encode("utf-8", "backslashreplace"),
        "stage": stage.encode(),
        "unit": unit_of(message).encode("utf-8", "replace"),
        H_TOPIC: message.topic.encode(),
        "partition": str(message.partition).encode(),
        "offset": str(message.offset).encode(),
        "appended": str(message.appended_ms).encode(),
        "version": __version__.encode(),
        "rejected": iso_ms(rejected).encode(),
    }
    return Record(DLQ, message.value, message.key, headers)


def shortened(letter: Record, most: int) -> Record:
    """Returns what the bus takes of a dead letter that it refused as too large, marked with `CUT`.

    Left out are original headers over a kilobyte and of the value what is beyond ``most`` bytes;
    of that the whole length and SHA-256 are told. The record itself is where it was, as long as
    its topic keeps it.
    """
    headers = {CUT: b"1"}
    originals = 0
    for name, value in letter.headers.items():
        if name.startswith(ORIGINAL_PREFIX):
            originals += 1
            if originals > MAX_ORIGINALS or len(name) + len(value) > MAX_ORIGINAL:
                continue
        headers[name] = value
    if len(letter.value) > most:
        headers[H_FULL_LENGTH] = b"%d" % len(letter.value)
        headers[H_FULL_SHA256] = sha256_hex(letter.value).encode()
    key = letter.key[:MAX_ORIGINAL] if letter.key else letter.key
    return Record(DLQ, letter.value[:most], key, headers)


def put_aside(
    producer: Producer, rejections: Iterable[Rejection], stage: str, rejected: datetime
) -> None:
    """Makes a dead letter of each rejection, durable on return."""
    for one in rejections:
        letter = dead_letter(
            one.message, stage=stage, reason=one.reason, detail=one.detail, rejected=rejected
        )
        send(producer, letter)
    producer.flush()


def send(producer: Producer, letter: Record) -> None:
    """Sends a dead letter, shortened where the bus refuses it as too large: it may not fail."""
    try:
        producer.send(letter)
        return
    except BadEvent:
        without_headers = shortened(letter, len(letter.value))
    try:
        producer.send(without_headers)
    except BadEvent:
        producer.send(shortened(letter, MAX_CUT))


def original(letter: Message) -> Record:
    """Returns the record that a dead letter was made of, for replay to where it came from.

    Raises `ValueError` for a letter that holds a part of it, and for what is no letter.
    """
    if H_TOPIC not in letter.headers:
        raise ValueError("they do not say which topic they are of")
    if CUT in letter.headers:
        raise ValueError("the bus took a part of them; read raw ones again: dlq replay --raw")
    headers = {
        name[len(ORIGINAL_PREFIX) :]: value
        for name, value in letter.headers.items()
        if name.startswith(ORIGINAL_PREFIX)
    }
    return Record(letter.headers[H_TOPIC].decode(), letter.value, letter.key, headers)


class Quota:
    """Marks a (unit, source) that sends more dead letters a minute than allowed.

    A marked source is alarmed and still dead-lettered; it is unmarked after a minute below.
    """

    def __init__(self, per_minute: int) -> None:
        self._per_minute = per_minute
        self._minute = 0
        self._counts: Counter[tuple[str, str]] = Counter()
        self._marked: set[tuple[str, str]] = set()

    def add(self, message: Message, now: datetime) -> tuple[str, str] | None:
        """Counts one; returns (unit, source) at the moment it becomes marked, else None."""
        self._turn(now)
        who = (unit_of(message), message.headers.get(H_SOURCE, b"-").decode("utf-8", "replace"))
        self._counts[who] += 1
        if self._counts[who] > self._per_minute and who not in self._marked:
            self._marked.add(who)
            return who
        return None

    def _turn(self, now: datetime) -> None:
        minute = int(now.timestamp() // 60)
        if minute != self._minute:
            self._marked &= {w for w, n in self._counts.items() if n > self._per_minute}
            self._counts.clear()
            self._minute = minute

    def marked(self) -> Iterable[tuple[str, str]]:
        """Returns the sources that are marked now."""
        return sorted(self._marked)
