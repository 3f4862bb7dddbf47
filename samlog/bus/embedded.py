"""The embedded bus: one SQLite file a topic below ``<path>/bus/``, nothing to install or run.

Any number of processes may append to a topic; a group has one consumer per topic, and a second is
refused (there is no group protocol: that is what Kafka is for). The folder must be on a local disk,
because SQLite's log and file locks do not work over NFS.

*Retention* deletes from the front, when somebody calls `EmbeddedBus.apply_retention`. By default it
keeps what a known group has not read (``keep_unread``): samlog rather stops taking records, loudly,
than loses what it has acknowledged. A group that will not come back is removed by `forget_group`.
With ``keep_unread=False`` a slow group meets a counted `Gap`, as on Kafka.

*Full disk.* Producers stop with `Unavailable` while `reserve_bytes` are still free, so that
consumers can go on committing and retention cutting.

*Damage* (a flipped bit, a cut file, a lost write-ahead log) is never read over: a record has a
checksum and offsets have no holes. The process that meets it stops with `BusError`; the next to
open the topic alone rebuilds it from all readable records, keeps the damaged file beside it, and
readers meet the missing records as a counted `Gap`.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from samlog.bus import embedded_positions
from samlog.bus.base import TopicPartition
from samlog.bus.embedded_consumer import EmbeddedConsumer
from samlog.bus.embedded_errors import disk_errors
from samlog.bus.embedded_format import TopicPaths, check_name
from samlog.bus.embedded_open import WAL_BYTES, create_topic, open_topic
from samlog.bus.embedded_positions import Positions
from samlog.bus.embedded_producer import EmbeddedProducer
from samlog.bus.embedded_topic import TopicFile
from samlog.clock import Clock
from samlog.errors import BusError

DEFAULT_MAX_RECORD_BYTES = 16 * 1024 * 1024
DEFAULT_RESERVE_BYTES = 64 * 1024 * 1024
_CUT_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class Retention:
    """How long and how much a topic keeps; None means without limit.

    ``max_bytes`` counts what records take on disk. ``keep_unread`` wins over both limits.
    """

    max_age_s: float | None = 7 * 86400.0
    max_bytes: int | None = None
    keep_unread: bool = True


class EmbeddedBus:
    """Topics in a folder. Its own methods may be called by any thread.

    ``retention`` maps a prefix of topic names to its `Retention`; the longest prefix that fits
    wins, and ``""`` is every topic's default.
    """

    def __init__(
        self,
        path: Path,
        *,
        clock: Clock,
        max_record_bytes: int = DEFAULT_MAX_RECORD_BYTES,
        retention: Mapping[str, Retention] | None = None,
        reserve_bytes: int = DEFAULT_RESERVE_BYTES,
    ) -> None:
        self.max_record_bytes = max_record_bytes
        self._folder = path / "bus"
        self._clock = clock
        self._retention = {"": Retention()} | dict(retention or {})
        self._reserve_bytes = reserve_bytes
        # Writing a log back takes its size once more, which must fit into what is kept free.
        self._wal_bytes = min(WAL_BYTES, reserve_bytes // 4 or WAL_BYTES)
        self._opened: list[EmbeddedProducer | EmbeddedConsumer] = []
        self._closed = False

    def create_topics(self, topics: Iterable[str]) -> None:
        """Creates what does not exist yet. Raises `Unavailable` where the disk refuses."""
        self._check_open()
        with disk_errors(self._folder, "creating the bus"):
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        missing = [paths for paths in map(self._paths, topics) if not paths.exist()]
        passed = embedded_positions.passed(self._folder) if missing else {}
        for paths in missing:
            create_topic(paths, start=passed.get(paths.topic, 0))

    def topics(self) -> frozenset[str]:
        """Returns the names of all existing topics."""
        return frozenset(path.stem for path in self._folder.glob("*.sqlite"))

    def producer(self, client: str) -> EmbeddedProducer:
        """Opens a producer; ``client`` names it in messages."""
        self._check_open()
        producer = EmbeddedProducer(
            client,
            self._open,
            max_record_bytes=self.max_record_bytes,
            reserve_bytes=self._reserve_bytes,
            clock=self._clock,
        )
        self._remember(producer)
        return producer

    def consumer(self, group: str, topics: Sequence[str], *, member: str = "") -> EmbeddedConsumer:
        """Joins ``group``; ``member`` is named to whoever is refused because of this consumer.

        Raises `BusError` when another consumer, of this process or another, reads one of the
        topics for this group.
        """
        self._check_open()
        with disk_errors(self._folder, "opening the bus"):
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        held = ExitStack()
        try:
            positions = Positions.open(self._folder, group)
            held.callback(positions.close)
            for topic in sorted(set(topics)):
                name = check_name("topic", topic)
                held.callback(os.close, embedded_positions.lock(self._folder, group, name, member))
            positions.join(topics)
            consumer = EmbeddedConsumer(
                group,
                topics,
                positions=positions,
                held=held,
                open_topic=self._open_if_exists,
                clock=self._clock,
            )
        except BaseException:
            held.close()
            raise
        self._remember(consumer)
        return consumer

    def _remember(self, opened: EmbeddedProducer | EmbeddedConsumer) -> None:
        self._opened = [one for one in self._opened if not one.closed] + [opened]

    def end_offsets(self, topics: Sequence[str]) -> Mapping[TopicPartition, int]:
        """Returns the offset that the next record will get, of every topic that exists."""
        return {tp: end for tp, (_, end) in self._bounds(topics).items()}

    def lag(self, group: str, topics: Sequence[str]) -> Mapping[TopicPartition, int]:
        """Returns how many records still exist that ``group`` has not committed."""
        with disk_errors(self._folder, "reading positions"):
            stored = embedded_positions.committed(self._folder, group)
        return {
            tp: max(0, end - max(first, stored.get(tp.topic, 0)))
            for tp, (first, end) in self._bounds(topics).items()
        }

    def _bounds(self, topics: Sequence[str]) -> dict[TopicPartition, tuple[int, int]]:
        bounds = {}
        for topic in topics:
            if (file := self._open_if_exists(topic)) is not None:
                with closing(file):
                    bounds[file.tp] = file.bounds()
        return bounds

    def apply_retention(self) -> Mapping[str, int]:
        """Cuts every topic to its retention and returns how many records of which were deleted.

        To be called every minute or so by one process. O(deleted records); producers may append
        meanwhile.
        """
        self._check_open()
        with disk_errors(self._folder, "reading positions"):
            needed = embedded_positions.needed_from(self._folder)
        deleted = {}
        for topic in sorted(self.topics()):
            with closing(self._open(topic)) as file:
                if count := self._cut(file, self._retention_of(topic), needed.get(topic)):
                    deleted[topic] = count
        return deleted

    def _cut(self, file: TopicFile, retention: Retention, needed: int | None) -> int:
        limit = file.bounds()[1]
        if retention.keep_unread and needed is not None:
            limit = min(limit, needed)
        deleted = 0
        if retention.max_age_s is not None:
            oldest = self._clock.now() - timedelta(seconds=retention.max_age_s)
            deleted += file.delete_before(
                min(limit, file.first_after(int(oldest.timestamp() * 1000)))
            )
        while retention.max_bytes is not None and file.stored_bytes() > retention.max_bytes:
            cut = file.delete_before(min(limit, file.bounds()[0] + _CUT_AT_ONCE))
            if not cut:
                break
            deleted += cut
        return deleted

    def _retention_of(self, topic: str) -> Retention:
        prefix = max((p for p in self._retention if topic.startswith(p)), key=len)
        return self._retention[prefix]

    def delete_before(self, positions: Mapping[TopicPartition, int]) -> None:
        """Deletes every record before the given offsets, read or not; readers meet a `Gap`."""
        self._check_open()
        for tp, offset in positions.items():
            with closing(self._open(tp.topic)) as file:
                file.delete_before(offset)

    def forget_group(self, group: str) -> None:
        """Removes a group's positions, so that retention no longer waits for it.

        Raises `BusError` while a consumer of the group is running.
        """
        self._check_open()
        with closing(Positions.open(self._folder, group)) as positions:
            locks: list[int] = []
            try:
                for topic in sorted(positions.known()):
                    locks.append(embedded_positions.lock(self._folder, group, topic, "forgetting"))
                positions.forget()
            finally:
                for fd in locks:
                    os.close(fd)

    def close(self) -> None:
        """Closes every producer (which flushes) and consumer still open; safe to call twice."""
        if self._closed:
            return
        self._closed = True
        with ExitStack() as stack:
            for opened in self._opened:
                stack.callback(opened.close)

    def _open_if_exists(self, topic: str) -> TopicFile | None:
        return self._open(topic) if self._paths(topic).exist() else None

    def _open(self, topic: str) -> TopicFile:
        return open_topic(self._paths(topic), wal_bytes=self._wal_bytes)

    def _paths(self, topic: str) -> TopicPaths:
        return TopicPaths(self._folder, check_name("topic", topic))

    def _check_open(self) -> None:
        if self._closed:
            raise BusError(f"the bus at {self._folder} is closed: open it again")
