"""What a bus is: the contract that the embedded and the Kafka bus both meet.

Semantics, proved by ``tests/contract/test_bus.py`` over every implementation:

*Order.* Records of one topic and key are read in the order in which one producer sent them.

*Durability.* `Producer.send` promises nothing. When `Producer.flush` returns, every record sent
before is durable and will be read; when it raises, the caller must assume that some are and some
are not, rewind its own input and send again.

*Positions.* The offset of a message names it within (topic, partition), rises, and is never used
twice. ``commit({tp: n})`` says "I want n next". A consumer that starts reads from its group's
committed position; without one from the oldest record. What was polled and not committed is
delivered again to the group's next consumer. Only partitions that are assigned now are committed;
a commit for another is ignored and counted.

*Gaps.* When retention has deleted records which a group had not read, the consumer goes on at the
oldest one that is left, and `Consumer.take_gaps` tells how many are missing. It never jumps
silently.

*Size.* A record whose value exceeds ``max_record_bytes`` is refused by `send` with `BadEvent`
(reason ``record_too_large``) before anything is sent; the producer stays usable.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

Headers = Mapping[str, bytes]


class TopicPartition(NamedTuple):
    """One ordered log within a topic. The embedded bus has partition 0 only."""

    topic: str
    partition: int


EVERY = -1
"""As a record's partition: a copy goes to every partition of the topic."""


# Not frozen, though nobody changes one: 0.3 us instead of 0.7 to make.
@dataclass(slots=True)
class Record:
    """What a step wants written. ``key`` decides order and partition; None spreads.

    ``partition`` overrides that: a number, or `EVERY`. The embedded bus has one partition.
    """

    topic: str
    value: bytes
    key: bytes | None = None
    headers: Headers = field(default_factory=dict)
    partition: int | None = None


class Message(NamedTuple):
    """One record as it was read. ``appended_ms`` is the broker's append time, ms since 1970."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes
    headers: Headers
    appended_ms: int

    @property
    def tp(self) -> TopicPartition:
        return TopicPartition(self.topic, self.partition)


@dataclass(frozen=True, slots=True)
class Gap:
    """Records which retention deleted before the group read them."""

    tp: TopicPartition
    first_missing: int
    missing: int


class Producer(Protocol):
    """Writes records. One thread only."""

    def send(self, record: Record) -> None:
        """Queues ``record``; may block while buffers are full.

        Raises `BadEvent` for a record over the size limit (nothing sent, producer usable) and
        `Unavailable` when the bus is down.
        """

    def flush(self, timeout_s: float = 30.0) -> None:
        """Returns only when every record sent before is durable; else raises `Unavailable`."""

    def close(self) -> None:
        """Flushes and releases; safe to call twice."""


class Consumer(Protocol):
    """Reads topics as one member of a group. One thread only."""

    foreign_commits: int
    """How many partitions `commit` was asked for that were not assigned, and ignored."""

    def poll(self, *, max_messages: int = 500, timeout_s: float = 0.5) -> Sequence[Message]:
        """Returns messages in offset order per partition, or an empty sequence after the time-out.

        Returns as soon as there is at least one. Raises `Unavailable` when the bus is down.
        """

    def commit(self, upto: Mapping[TopicPartition, int]) -> None:
        """Stores, durably, the offset of the next message wanted per partition."""

    def committed(self) -> Mapping[TopicPartition, int]:
        """Returns the group's stored position of every assigned partition that has one."""

    def assigned(self) -> frozenset[TopicPartition]:
        """Returns the partitions that this member owns now (it may change at every poll)."""

    def take_revoked(self) -> frozenset[TopicPartition]:
        """Returns, once, the partitions lost since the last call; what is held of them is void."""

    def seek(self, positions: Mapping[TopicPartition, int]) -> None:
        """Makes the next poll start at these offsets; nothing is committed by it."""

    def pause(self) -> None:
        """Stops fetching (back-pressure) and stays a member; `poll` gives nothing."""

    def resume(self) -> None:
        """Fetches again after `pause`."""

    def take_gaps(self) -> Sequence[Gap]:
        """Returns, once, the gaps met since the last call."""

    def close(self) -> None:
        """Leaves the group without committing; safe to call twice."""


class Bus(Protocol):
    """A place where topics are."""

    max_record_bytes: int

    def create_topics(self, topics: Iterable[str]) -> None:
        """Creates what does not exist yet, with this bus's configured partitions and retention."""

    def topics(self) -> frozenset[str]:
        """Returns the names of all existing samlog topics."""

    def producer(self, client: str) -> Producer:
        """Opens a producer; ``client`` names it in the broker's logs and metrics."""

    def consumer(self, group: str, topics: Sequence[str], *, member: str = "") -> Consumer:
        """Joins ``group`` for ``topics``. ``member`` is the static membership id on Kafka.

        The embedded bus refuses a second consumer of a group and topic with `BusError`.
        """

    def end_offsets(self, topics: Sequence[str]) -> Mapping[TopicPartition, int]:
        """Returns per partition the offset that the next appended record will get."""

    def lag(self, group: str, topics: Sequence[str]) -> Mapping[TopicPartition, int]:
        """Returns per partition how many records the group has not committed yet."""

    def close(self) -> None:
        """Releases everything; safe to call twice."""
