"""Reads from Kafka as one member of a group: nothing skipped silently, only the own committed.

kafka-python runs rebalances on its own thread; what a member owns is therefore kept here, behind a
lock. Assignment is cooperative: partitions that stay keep their position through a rebalance.
"""

import threading
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import Any

from kafka import ConsumerRebalanceListener, OffsetAndMetadata, errors
from kafka import KafkaConsumer as Client
from kafka import TopicPartition as KafkaPartition
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor

from samlog.bus.base import Gap, Message, TopicPartition
from samlog.bus.kafka_cluster import Cluster
from samlog.bus.kafka_producer import OVERHEAD_BYTES
from samlog.bus.kafka_records import PartitionRecords
from samlog.bus.kafka_repairs import before_poll
from samlog.clock import Clock
from samlog.errors import BusError, Unavailable

_ASK_MS = 10_000
_CLOSE_MS = 3_000
_GRACE_S = 1.0

# While one request waits at the broker for the partitions that are at their end, the others are
# not asked for: with 500 ms a backlog of 30,000 was read at 31k or at 79k/s, by chance. Where all
# are at their end nothing else waits, and each request costs Kafka and us a millisecond.
_FETCH_WAIT_MS = 50
_IDLE_FETCH_WAIT_MS = 250
_IDLE_AFTER_S = 1.0

_NOT_A_MEMBER = (
    errors.CommitFailedError,
    errors.RebalanceInProgressError,
    errors.IllegalGenerationError,
    errors.UnknownMemberIdError,
)


class Ownership(ConsumerRebalanceListener):  # type: ignore[misc]
    """Which partitions are ours now, as the rebalances tell (on kafka-python's thread)."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._owned: set[TopicPartition] = set()
        self._revoked: set[TopicPartition] = set()

    def on_partitions_assigned(self, assigned: Collection[KafkaPartition]) -> None:
        with self._lock:
            self._owned.update(TopicPartition(*tp) for tp in assigned)

    def on_partitions_revoked(self, revoked: Collection[KafkaPartition]) -> None:
        lost = {TopicPartition(*tp) for tp in revoked}
        with self._lock:
            self._owned -= lost
            self._revoked |= lost

    def owned(self) -> frozenset[TopicPartition]:
        """Returns what this member owns now."""
        with self._lock:
            return frozenset(self._owned)

    def take_revoked(self) -> frozenset[TopicPartition]:
        """Returns, once, what was lost since the last call."""
        with self._lock:
            revoked, self._revoked = frozenset(self._revoked), set()
        return revoked


class KafkaConsumer:
    """One member of a group; see `samlog.bus.base.Consumer`.

    ``foreign_commits`` counts partitions that were asked to be committed and belong to another
    member. Close a static member (``member`` given) and its partitions wait for it, until the
    session time-out, instead of moving at once.
    """

    def __init__(
        self,
        cluster: Cluster,
        group: str,
        topics: Sequence[str],
        *,
        member: str,
        session_s: float,
        max_record_bytes: int,
        clock: Clock,
    ) -> None:
        self._cluster = cluster
        self._clock = clock
        self._doing = f"read {', '.join(topics)} as group {group}"
        self._ownership = Ownership()
        self._gaps: list[Gap] = []
        self._served: set[KafkaPartition] = set()
        self._paused = False
        self._closed = False
        self._lonely_since: float | None = None
        self._found_at_s = clock.monotonic_s()
        self.foreign_commits = 0
        self._kafka, self._network = cluster.open(
            Client,
            group,
            group_id=group,
            group_instance_id=member or None,
            auto_offset_reset="none",
            enable_auto_commit=False,
            allow_auto_create_topics=False,
            partition_assignment_strategy=[CooperativeStickyAssignor],
            session_timeout_ms=int(session_s * 1000),
            heartbeat_interval_ms=int(min(3.0, session_s / 4) * 1000),
            fetch_max_wait_ms=_FETCH_WAIT_MS,
            receive_message_max_bytes=100_000_000 + 2 * max_record_bytes,
            metrics_enabled=False,
        )
        self._kafka._fetcher.PartitionRecords = partial(
            PartitionRecords, max_record_bytes=max_record_bytes + 2 * OVERHEAD_BYTES
        )
        self._kafka.subscribe(list(topics), listener=self._ownership)

    def poll(self, *, max_messages: int = 500, timeout_s: float = 0.5) -> Sequence[Message]:
        """Returns messages in offset order per partition; see `samlog.bus.base.Consumer.poll`.

        A group's first polls may return nothing while it is joined. Raises `Unavailable` when no
        broker has been connected for a second.
        """
        if self._closed:
            raise BusError("this consumer is closed")
        deadline = self._clock.monotonic_s() + timeout_s
        while True:
            left_ms = max(0, int((deadline - self._clock.monotonic_s()) * 1000))
            found = self._fetch(max_messages, left_ms)
            if found or self._clock.monotonic_s() >= deadline:
                break
        self._pace(bool(found))
        if not found:
            self._check_allowed()
            self._check_connected()
        return found

    def _pace(self, has_found: bool) -> None:
        now = self._clock.monotonic_s()
        if has_found:
            self._found_at_s = now
        is_idle = now - self._found_at_s >= _IDLE_AFTER_S
        wait_ms = _IDLE_FETCH_WAIT_MS if is_idle else _FETCH_WAIT_MS
        self._kafka._fetcher.config["fetch_max_wait_ms"] = wait_ms

    def _fetch(self, max_messages: int, timeout_ms: int) -> list[Message]:
        if self._paused:
            self._kafka.pause(*self._kafka.assignment())
        try:
            batches = self._next_in_turn(max_messages, timeout_ms)
        except errors.NoOffsetForPartitionError as error:
            self._kafka.seek_to_beginning(*self._still_assigned(error.args[0]))
            return []
        except errors.OffsetOutOfRangeError as error:
            self._go_on_at_oldest(error.args[0])
            return []
        except errors.LogTruncationError as error:
            self._follow_truncation(error.divergent_offsets)
            return []
        except errors.KafkaError as error:
            raise self._cluster.explained(error, self._doing) from error
        if self._paused:
            self._give_back(batches)
            return []
        return [message for batch in batches.values() for message in batch]

    def _next_in_turn(self, max_messages: int, timeout_ms: int) -> Mapping[KafkaPartition, Any]:
        """Takes what is ready of partitions that had no turn in this round, else starts a round.

        kafka-python hands out all it has fetched of one partition (1 MiB) before the next one: of
        small records that is a backlog of thousands in front of every other unit.
        """
        batches: Mapping[KafkaPartition, Any]
        before_poll(self._kafka)
        served = self._still_assigned(self._served)
        if served and not self._paused:
            self._kafka.pause(*served)
            try:
                batches = self._kafka.poll(timeout_ms=0, max_records=max_messages)
            finally:
                self._kafka.resume(*served)
            if batches:
                self._served.update(batches)
                return batches
            before_poll(self._kafka)
        batches = self._kafka.poll(timeout_ms=timeout_ms, max_records=max_messages)
        self._served = set(batches)
        return batches

    def _still_assigned(self, partitions: Collection[KafkaPartition]) -> list[KafkaPartition]:
        assigned = self._kafka.assignment()
        return [tp for tp in partitions if tp in assigned]

    def _give_back(self, batches: Mapping[KafkaPartition, Sequence[Any]]) -> None:
        """Rewinds over what came from partitions that were assigned during a pause."""
        for tp, batch in batches.items():
            self._kafka.seek(tp, batch[0].offset)

    def _go_on_at_oldest(self, wanted: Mapping[KafkaPartition, int]) -> None:
        partitions = self._still_assigned(wanted)
        try:
            oldest = self._kafka.beginning_offsets(partitions, timeout_ms=_ASK_MS)
        except errors.KafkaError as error:
            raise self._cluster.explained(error, self._doing) from error
        for tp in partitions:
            self._note_gap(tp, wanted[tp], oldest[tp])
            self._kafka.seek(tp, oldest[tp])

    def _note_gap(self, tp: KafkaPartition, wanted: int, oldest: int) -> None:
        """Counts what is missing; a group that never committed and asks for 0 misses nothing.

        When the log ends before ``wanted`` (the topic was made anew) 0 records are missing.
        """
        if wanted == 0 and not self.committed_of([TopicPartition(*tp)]):
            return
        self._gaps.append(Gap(TopicPartition(*tp), wanted, max(0, oldest - wanted)))

    def _follow_truncation(self, divergent: Mapping[KafkaPartition, Any]) -> None:
        """Goes back to where a new leader's log parts from what was read: nothing is skipped."""
        for tp in self._still_assigned(divergent):
            safe = divergent[tp]
            if safe is None:
                self._kafka.seek_to_beginning(tp)
            else:
                self._kafka.seek(tp, safe.offset)

    def _check_allowed(self) -> None:
        """A topic that may not even be described is only logged by kafka-python."""
        refused = self._network.cluster.unauthorized_topics
        if refused:
            error = errors.TopicAuthorizationFailedError(", ".join(sorted(refused)))
            raise self._cluster.explained(error, self._doing)

    def _check_connected(self) -> None:
        now = self._clock.monotonic_s()
        if any(
            self._network.connected(broker.node_id) for broker in self._network.cluster.brokers()
        ):
            self._lonely_since = None
            return
        if self._lonely_since is None:
            self._lonely_since = now
        if now - self._lonely_since >= _GRACE_S:
            raise Unavailable(f"Kafka at {self._cluster.address}: no broker is connected")

    def commit(self, upto: Mapping[TopicPartition, int]) -> None:
        """Stores positions of owned partitions; the others are ignored and counted.

        Raises `Unavailable` when the group has moved on without this member; the next polls
        join it again.
        """
        owned = self._ownership.owned()
        ours = {tp: n for tp, n in upto.items() if tp in owned}
        self.foreign_commits += len(upto) - len(ours)
        if not ours:
            return
        offsets = {KafkaPartition(*tp): OffsetAndMetadata(n, "", -1) for tp, n in ours.items()}
        try:
            self._kafka.commit(offsets, timeout_ms=_ASK_MS)
        except _NOT_A_MEMBER as error:
            raise Unavailable(
                f"Kafka took no position: the group is being shared out anew ({error})",
                retry_after_s=0.1,
            ) from error
        except errors.KafkaError as error:
            raise self._cluster.explained(error, self._doing) from error

    def committed(self) -> Mapping[TopicPartition, int]:
        """Returns the group's stored position of every assigned partition that has one."""
        return self.committed_of(self._ownership.owned())

    def committed_of(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        """Returns the group's stored positions of these partitions, where it has one."""
        found = {}
        try:
            for tp in partitions:
                offset = self._kafka.committed(KafkaPartition(*tp), timeout_ms=_ASK_MS)
                if offset is not None:
                    found[tp] = int(offset)
        except errors.KafkaError as error:
            raise self._cluster.explained(error, self._doing) from error
        return found

    def assigned(self) -> frozenset[TopicPartition]:
        """Returns the partitions that this member owns now."""
        return self._ownership.owned()

    def take_revoked(self) -> frozenset[TopicPartition]:
        """Returns, once, the partitions lost since the last call."""
        return self._ownership.take_revoked()

    def seek(self, positions: Mapping[TopicPartition, int]) -> None:
        """Makes the next poll start at these offsets; partitions of others are left alone."""
        owned = self._ownership.owned() & {TopicPartition(*tp) for tp in self._kafka.assignment()}
        for tp, offset in positions.items():
            if tp in owned:
                self._kafka.seek(KafkaPartition(*tp), offset)

    def pause(self) -> None:
        """Stops fetching and stays a member, as long as `poll` is called."""
        self._paused = True

    def resume(self) -> None:
        """Fetches again after `pause`."""
        self._paused = False
        self._kafka.resume(*self._kafka.assignment())

    def take_gaps(self) -> Sequence[Gap]:
        """Returns, once, the gaps met since the last call."""
        gaps, self._gaps = self._gaps, []
        return gaps

    def close(self) -> None:
        """Leaves the group without committing; safe to call twice."""
        if self._closed:
            return
        self._closed = True
        try:
            self._kafka.close(autocommit=False, timeout_ms=_CLOSE_MS)
        finally:
            self._network.close()
