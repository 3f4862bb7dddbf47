"""Dead letters: what could not be processed, kept whole with the reason, counted per source."""

from collections import Counter
from collections.abc import Iterable
from datetime import datetime

from samlog import __version__
from samlog.bus.base import Message, Record
from samlog.clock import iso_ms
from samlog.event import DLQ, H_SOURCE, RAW_PREFIX

ORIGINAL_PREFIX = "orig-"
MAX_DETAIL = 2_000


def unit_of(message: Message) -> str:
    """Returns the unit that a message belongs to: from its raw topic, else its key, else ``-``.

    Never from the event. Keys of later topics begin with the unit (``unit`` or ``unit|host``).
    """
    if message.topic.startswith(RAW_PREFIX):
        return message.topic[len(RAW_PREFIX) :]
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
        "topic": message.topic.encode(),
        "partition": str(message.partition).encode(),
        "offset": str(message.offset).encode(),
        "appended": str(message.appended_ms).encode(),
        "version": __version__.encode(),
        "rejected": iso_ms(rejected).encode(),
    }
    return Record(DLQ, message.value, message.key, headers)


def original(message: Message) -> Record:
    """Returns the record that a dead letter was made of, for replay to where it came from."""
    headers = {
        name[len(ORIGINAL_PREFIX) :]: value
        for name, value in message.headers.items()
        if name.startswith(ORIGINAL_PREFIX)
    }
    return Record(message.headers["topic"].decode(), message.value, message.key, headers)


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
