"""What a stage does with messages, and the loop that drives it.

The loop: poll → `Step.process` each → `Step.settle` → flush the producer → commit. A position is
committed only after every output of every record before it was accepted, and never past the
oldest record which the step holds.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, runtime_checkable

from samlog.bus.base import Message, Record, TopicPartition


@dataclass(frozen=True, slots=True)
class Rejection:
    """A message that turned out bad after `Step.process` had taken it; becomes a dead letter."""

    message: Message
    reason: str
    detail: str = ""


class Step(Protocol):
    """One stage's work. Single-threaded; called only by the loop."""

    name: str

    def process(self, message: Message) -> Iterable[Record]:
        """Takes one message and returns what is to be written for it now.

        Raises `BadEvent` when this message is bad (it becomes a dead letter) and `Unavailable`
        when the other side is (the batch is repeated later). A step may keep the message and
        return its output later from `tick` or `flush`; then `held` must tell.
        """

    def tick(self, now: datetime) -> Iterable[Record]:
        """Releases what waited long enough; called every second, also without messages."""

    def flush(self) -> Iterable[Record]:
        """The input has ended: releases what is held; called again until it returns nothing."""

    def settle(self) -> Iterable[Rejection]:
        """Makes side effects of processed messages durable (bulk write, transaction).

        Called once a batch, before outputs are flushed and positions committed, and while nothing
        comes and something is held. Messages whose effects may be durable later are held. Returns
        the messages that the other side refused since the last call; raises `Unavailable` to have
        everything that is not committed repeated.
        """

    def held(self) -> Mapping[TopicPartition, int]:
        """Returns per partition the offset of the oldest message still held; {} if none."""

    def reset(self) -> None:
        """Forgets everything unsettled: the loop rewinds to the committed position.

        Called after a failed batch and when partitions were lost.
        """

    def figures(self) -> Mapping[str, float]:
        """Returns what the step counted since it started, for the status and the summary line."""

    def close(self) -> None:
        """Releases what the step opened; safe to call twice."""


@runtime_checkable
class Watcher(Protocol):
    """A step that has to know how far its input has been read (see `Step`)."""

    def watch(
        self, assigned: frozenset[TopicPartition], behind: Mapping[TopicPartition, int]
    ) -> None:
        """Tells what this process reads, and how many records of every partition are unread.

        Called every five seconds and, before `Step.flush`, when the input has ended.
        """
