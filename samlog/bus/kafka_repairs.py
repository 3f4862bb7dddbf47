"""Three repairs of kafka-python 3.0.12, each with a test that fails without it.

*Set aside.* Records of a partition that was paused while it was read are given out again only when
no other partition is held, and one that was read to its end counts as held: they stay for ever.

*Unfinished joins.* A rejoin because partitions were added, which outlasts one poll, is never
finished: the member reads nothing, sends no heartbeats and doesn't notice.

*Last words.* What a broker sends just before it closes the connection is thrown away: it says why a
log-in was refused.

What it makes of unreadable records is repaired in `samlog.bus.kafka_records`.
"""

from collections.abc import Callable
from typing import Any

from kafka import KafkaConsumer
from kafka.net.transport import KafkaSSLTransport, KafkaTCPTransport

Receive = Callable[[Any], tuple[bytes, Exception | None]]


def _data_first(receive: Receive) -> Receive:
    """Returns a read that gives what is there; the next one finds the end of the stream again."""

    def read(transport: Any) -> tuple[bytes, Exception | None]:
        data, error = receive(transport)
        return (data, None) if data else (data, error)

    return read


_READS = {kind: _data_first(kind._sock_recv) for kind in (KafkaTCPTransport, KafkaSSLTransport)}


def repair_connections() -> None:
    """Makes all connections of this process read to the end."""
    for kind, read in _READS.items():
        kind._sock_recv = read


def before_poll(consumer: KafkaConsumer) -> None:
    """Lets the next poll give out what was set aside, and finish a join that is under way."""
    fetcher, coordinator = consumer._fetcher, consumer._coordinator
    if not fetcher._next_partition_records:
        fetcher._next_partition_records = None
    if coordinator.rejoining:
        coordinator.request_rejoin()
