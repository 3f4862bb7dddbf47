"""Puts records back on the bus: dead letters after a fix, raw records after a parser was mended.

A replayed raw record goes to a topic of samlog's own (`REPLAY`) and says where it first was
(`H_TOPIC`, `H_POSITION`) and when it was received, so it gets the id that it had or would have had:
nothing doubles, however often it is replayed.
"""

import sqlite3
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from samlog.bus.base import Bus, Consumer, Message, Record, TopicPartition
from samlog.bus.embedded import EmbeddedBus
from samlog.clock import iso_ms
from samlog.deadletter import ORIGINAL_PREFIX, original
from samlog.errors import BusError, Unavailable
from samlog.event import (
    DLQ,
    H_POSITION,
    H_RECEIVED,
    H_REPLACE,
    H_TOPIC,
    REPLAY,
    unit_of_raw,
)

LOOKERS = 8
JOIN_S = 30.0
QUIET_S = 5.0
QUIET_POLLS = 6
"""Polls that may give nothing: a Kafka in a rebalance."""
NOBODY = "samlog.nobody"
"""A group that never reads: its lag is all that a topic holds."""


def raw_again(message: Message, *, replace: bool) -> Record:
    """Returns the record that has a raw record normalised once more."""
    record = Record(message.topic, message.value, message.key, message.headers)
    where = f"{message.partition}/{message.offset}"
    return _again(record, where, message.appended_ms, replace=replace)


def letter_again(letter: Message, *, replace: bool) -> Record:
    """Returns the record that has a dead letter worked on again; raises as `original` does."""
    headers = letter.headers
    record = original(letter)
    if record.topic == REPLAY:
        return Record(REPLAY, record.value, record.key, _replacing(record.headers, replace))
    if unit_of_raw(record.topic) is None:
        return record
    if not {"partition", "offset"} <= headers.keys():
        raise ValueError("they do not say where their record was")
    where = f"{headers['partition'].decode()}/{headers['offset'].decode()}"
    return _again(record, where, int(headers.get("appended", b"0")), replace=replace)


def _again(record: Record, where: str, appended_ms: int, *, replace: bool) -> Record:
    headers = {
        **record.headers,
        # Over what the unit itself may have said of it.
        H_TOPIC: record.topic.encode(),
        H_POSITION: where.encode(),
    }
    if appended_ms > 0 and H_RECEIVED not in headers:
        received = datetime.fromtimestamp(appended_ms / 1000, UTC)
        headers[H_RECEIVED] = iso_ms(received).encode()
    headers.pop(H_REPLACE, None)
    return Record(REPLAY, record.value, record.key, _replacing(headers, replace))


def _replacing(headers: Mapping[str, bytes], replace: bool) -> Mapping[str, bytes]:
    return {**headers, H_REPLACE: b"1"} if replace else headers


def read(
    bus: Bus, topics: Sequence[str], start: Mapping[TopicPartition, int] | None = None
) -> Iterator[Message]:
    """Yields what ``topics`` hold up to their present ends, as nobody: no position is left behind.

    ``start`` gives offsets to begin at; without one the oldest. Topics that do not exist are empty.
    """
    there = bus.topics()
    topics = [topic for topic in topics if topic in there]
    left = {tp: n for tp, n in bus.lag(NOBODY, topics).items() if n} if topics else {}
    ends = bus.end_offsets(topics) if left else {}
    begin = {tp: max(ends[tp] - n, (start or {}).get(tp, 0)) for tp, n in left.items()}
    if not begin:
        return
    with _looking(bus, topics) as consumer:
        _join(consumer, begin)
        waiting = {tp for tp, at in begin.items() if at < ends[tp]}
        while waiting:
            messages = _polled(consumer)
            for message in messages:
                tp = message.tp
                if message.offset < ends[tp]:
                    yield message
                if message.offset + 1 >= ends[tp]:
                    waiting.discard(tp)


def _polled(consumer: Consumer) -> Sequence[Message]:
    """Returns what comes next. Raises `Unavailable` when it does not: what was read is a part."""
    for _ in range(QUIET_POLLS):
        messages = consumer.poll(max_messages=1_000, timeout_s=QUIET_S)
        if messages:
            return messages
    raise Unavailable(
        f"the bus gave nothing for {QUIET_S * QUIET_POLLS:.0f} s with records left to read; "
        "what was done is right, the same command goes on with the rest"
    )


def _join(consumer: Consumer, begin: Mapping[TopicPartition, int]) -> None:
    for _ in range(int(JOIN_S)):
        if consumer.assigned() >= begin.keys():
            consumer.seek(begin)
            return
        consumer.poll(max_messages=1, timeout_s=1.0)
    raise Unavailable(f"the bus did not give us the partitions within {JOIN_S:.0f} s")


@contextmanager
def _looking(bus: Bus, topics: Sequence[str]) -> Iterator[Consumer]:
    if not isinstance(bus, EmbeddedBus):
        with closing(bus.consumer(f"samlog.look-{uuid.uuid4().hex}", topics)) as consumer:
            yield consumer
        return
    # A group that is known holds retention up: these few are forgotten again.
    for number in range(LOOKERS):
        group = f"samlog.look-{number}"
        try:
            consumer = bus.consumer(group, topics)
        except BusError:
            if number == LOOKERS - 1:
                raise
            continue
        try:
            yield consumer
        finally:
            consumer.close()
            bus.forget_group(group)
        return


class Place(NamedTuple):
    """A dead letter on the bus. The time tells it from one of a bus that is gone."""

    partition: int
    offset: int
    appended_ms: int


def place_of(letter: Message) -> Place:
    """Returns where a dead letter is."""
    return Place(letter.partition, letter.offset, letter.appended_ms)


def raw_place(letter: Message) -> tuple[str, str]:
    """Returns topic and ``partition/offset`` of the record that a letter is about, its first."""
    words = {name: value.decode("utf-8", "replace") for name, value in letter.headers.items()}
    if words.get("topic") == REPLAY:
        first = [words.get(f"{ORIGINAL_PREFIX}{name}", "") for name in (H_TOPIC, H_POSITION)]
        return first[0], first[1]
    return words.get("topic", ""), f"{words.get('partition')}/{words.get('offset')}"


class Handled:
    """Which dead letters were replayed or dropped, noted in ``<state>/dlq.db`` of this machine."""

    def __init__(self, state: Path) -> None:
        path = state / "dlq.db"
        try:
            state.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(path, timeout=30, isolation_level=None)
            self._db.execute(
                "CREATE TABLE IF NOT EXISTS letters (part INTEGER, at INTEGER, appended INTEGER,"
                " how TEXT, PRIMARY KEY (part, at, appended)) WITHOUT ROWID"
            )
        except (sqlite3.Error, OSError) as error:
            raise Unavailable(f"{path}: {error}; is the disk full or read-only?") from error

    def note(self, letters: Iterable[Place], how: str) -> None:
        """Notes letters as ``replayed`` or ``dropped``."""
        rows = [(*letter, how) for letter in letters]
        with self._db:
            self._db.execute("BEGIN")
            self._db.executemany("INSERT OR REPLACE INTO letters VALUES (?,?,?,?)", rows)

    def how(self, letter: Message) -> str:
        """Returns ``replayed``, ``dropped`` or "" for one that still waits."""
        row = self._db.execute(
            "SELECT how FROM letters WHERE part = ? AND at = ? AND appended = ?", place_of(letter)
        ).fetchone()
        return str(row[0]) if row else ""

    def waiting(self, bus: Bus) -> int:
        """Returns how many dead letters on the bus nobody has replayed or dropped; reads them."""
        return sum(not self.how(letter) for letter in read(bus, [DLQ]))

    def close(self) -> None:
        """Releases the file; safe to call twice."""
        self._db.close()
