"""Writes records to the embedded bus: collected in memory, one transaction a topic and flush."""

from collections.abc import Callable

from samlog.bus.base import Record
from samlog.bus.embedded_block import Row
from samlog.bus.embedded_format import encode_headers
from samlog.bus.embedded_topic import TopicFile
from samlog.clock import Clock
from samlog.errors import BadEvent, BusError, SamlogError

_MAX_RECORDS = 5000
_MAX_BYTES = 16 * 1024 * 1024
_SEND_WAIT_S = 30.0


class EmbeddedProducer:
    """A producer; several processes may have one on the same topic.

    ``send`` writes by itself when 5,000 records or 16 MiB wait. When that write is refused, `send`
    raises and everything stays queued but the new record; when `flush` is refused, what was queued
    is forgotten, because the caller sends it again.
    """

    def __init__(
        self,
        client: str,
        open_topic: Callable[[str], TopicFile],
        *,
        max_record_bytes: int,
        reserve_bytes: int,
        clock: Clock,
    ) -> None:
        self._client = client
        self._open_topic = open_topic
        self._max_record_bytes = max_record_bytes
        self._reserve_bytes = reserve_bytes
        self._clock = clock
        self._topics: dict[str, TopicFile] = {}
        self._queued: dict[str, list[Row]] = {}
        self._queued_records = 0
        self._queued_bytes = 0
        self.closed = False

    def send(self, record: Record) -> None:
        """Queues ``record``; see `samlog.bus.base.Producer`.

        Raises `BusError` when the topic does not exist. Key and headers together are limited as
        the value is.
        """
        self._check_open("send")
        row = self._row(record)
        if record.topic not in self._topics:
            self._topics[record.topic] = self._open_topic(record.topic)
        if self._queued_records >= _MAX_RECORDS or self._queued_bytes >= _MAX_BYTES:
            self._write(_SEND_WAIT_S)
        self._queued.setdefault(record.topic, []).append(row)
        self._queued_records += 1
        self._queued_bytes += len(row[1]) + len(row[2])

    def _row(self, record: Record) -> Row:
        limit = self._max_record_bytes
        if len(record.value) > limit:
            raise BadEvent(
                "record_too_large", f"{len(record.value)} bytes, {record.topic} takes {limit}"
            )
        headers = encode_headers(record.headers)
        if len(headers) + len(record.key or b"") > limit:
            raise BadEvent(
                "record_too_large", f"key and headers exceed the {limit} bytes of {record.topic}"
            )
        return record.key, headers, record.value

    def flush(self, timeout_s: float = 30.0) -> None:
        """Makes everything sent before durable; waits at most ``timeout_s`` for other writers."""
        self._check_open("flush")
        try:
            self._write(timeout_s)
        except SamlogError:
            self._forget_queue()
            raise

    def _write(self, busy_s: float) -> None:
        now_ms = int(self._clock.now().timestamp() * 1000)
        for topic in list(self._queued):
            rows = self._queued[topic]
            self._topics[topic].append(
                rows, now_ms, reserve_bytes=self._reserve_bytes, busy_s=busy_s
            )
            del self._queued[topic]
        self._forget_queue()

    def _forget_queue(self) -> None:
        self._queued.clear()
        self._queued_records = self._queued_bytes = 0

    def close(self) -> None:
        """Flushes and releases; safe to call twice. Released also when the flush is refused."""
        if self.closed:
            return
        try:
            self.flush()
        finally:
            self.closed = True
            for topic in self._topics.values():
                topic.close()

    def _check_open(self, doing: str) -> None:
        if self.closed:
            raise BusError(f"producer {self._client} is closed: open a new one before you {doing}")
