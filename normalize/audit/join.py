"""Waits for the records of one audit event, which come one by one, and tells when it is whole.

The order of the stream decides, not the clock, so that a replay ends events where they ended
before. An event ends with EOE; with the third record of the host after PROCTITLE (EOE may come
among those of other events); with a record of the host that is three seconds younger (auparse
waits two); or when too much is open. The clock decides only on a host that has fallen silent.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from normalize.audit.types import END, JOINED, LAST
from samlog.bus.base import Message, TopicPartition

WAIT_S = 3.0
SILENT = timedelta(seconds=WAIT_S)
SILENT_WHOLE = timedelta(seconds=0.5)
RECORDS_AFTER = 3
MAX_OPEN = 64
"""Open events a host; the oldest one is released when there would be more."""
MAX_HOSTS = 1_000
MAX_RECORDS = 512
MAX_BYTES = 256 * 1024
"""Of one event; what comes after it begins another one."""
MAX_HELD_BYTES = 64 * 1024 * 1024
"""Of all open events; beyond it the host that was heard first is given up."""
MAX_SPANS = 10_000

Host = tuple[str, str]
"""Unit, and the host's name or whatever else tells one stream from another."""


@dataclass(slots=True)
class Group:
    """The messages of one event so far, in their order. ``due``: when silence ends it.

    ``spans`` are the first and last offset per partition, ``after`` counts the host's records since
    the event was ``whole``.
    """

    epoch: float
    messages: list[Message] = field(default_factory=list)
    spans: dict[TopicPartition, tuple[int, int]] = field(default_factory=dict)
    size: int = 0
    whole: bool = False
    after: int = 0
    due: datetime | None = None


class Joiner:
    """Holds open events of all hosts. Memory is bounded; the oldest go first."""

    def __init__(self) -> None:
        self._hosts: dict[Host, dict[str, Group]] = {}
        self._spans: dict[TopicPartition, list[tuple[int, int]]] = {}
        self._bytes = 0

    def take(
        self, message: Message, host: Host, kind: str, epoch: float, stamp: str
    ) -> tuple[bool, list[Group]]:
        """Takes a record of type ``kind`` and audit id ``stamp``.

        Returns (whether it is held, the events that are whole now). What is not held is an event by
        itself: user space's records, and an EOE whose event has gone.
        """
        groups = self._hosts.get(host)
        if groups is None:
            if kind not in JOINED or kind == END:
                return False, []
            released = self._make_room()
            groups = self._hosts[host] = {}
        else:
            released = self._release(groups, stamp, epoch)
        group = groups.get(stamp)
        if group is None:
            if kind not in JOINED or kind == END:
                self._drop_empty(host, groups)
                return False, released
            if len(groups) >= MAX_OPEN:
                released.append(self._close(groups, next(iter(groups))))
            group = groups[stamp] = Group(epoch)
        group.messages.append(message)
        group.size += len(message.value)
        self._bytes += len(message.value)
        tp, offset = message.tp, message.offset
        low, high = group.spans.get(tp, (offset, offset))
        group.spans[tp] = (min(low, offset), max(high, offset))
        group.due = None
        group.whole = group.whole or kind in LAST
        if kind == END or len(group.messages) >= MAX_RECORDS or group.size >= MAX_BYTES:
            released.append(self._close(groups, stamp))
            self._drop_empty(host, groups)
        elif self._bytes >= MAX_HELD_BYTES:
            released += self._make_room()
        return True, released

    def tick(self, now: datetime) -> list[Group]:
        """Returns the events of hosts that have said nothing for a while."""
        released: list[Group] = []
        for host, groups in list(self._hosts.items()):
            for stamp, group in list(groups.items()):
                if group.due is None:
                    group.due = now + (SILENT_WHOLE if group.whole else SILENT)
                elif group.due <= now:
                    released.append(self._close(groups, stamp))
            self._drop_empty(host, groups)
        return released

    def flush(self) -> list[Group]:
        """Returns everything that is open."""
        open_groups = list(self._hosts.values())
        self._hosts.clear()
        return [self._close(groups, stamp) for groups in open_groups for stamp in list(groups)]

    def held(self) -> Mapping[TopicPartition, int]:
        """Returns the offset per partition from which a new process must read.

        Not only before the oldest open record, but never within an event that has been released:
        else its tail would be read again without its beginning and be an event of its own.
        """
        oldest: dict[TopicPartition, int] = {}
        for groups in self._hosts.values():
            for group in groups.values():
                for tp, (first, _) in group.spans.items():
                    oldest[tp] = min(first, oldest.get(tp, first))
        for tp in list(self._spans):
            if tp not in oldest:
                del self._spans[tp]
                continue
            spans = sorted(self._spans[tp], reverse=True)[:MAX_SPANS]
            for first, last in spans:
                if first < oldest[tp] <= last:
                    oldest[tp] = first
            self._spans[tp] = [span for span in spans if span[1] >= oldest[tp]]
        return oldest

    def reset(self) -> None:
        """Forgets everything; it will be read again."""
        self._hosts.clear()
        self._spans.clear()
        self._bytes = 0

    def _release(self, groups: dict[str, Group], stamp: str, epoch: float) -> list[Group]:
        ended: list[str] = []
        for name, group in groups.items():
            if name == stamp:
                continue
            group.after += group.whole
            if group.after >= RECORDS_AFTER or group.epoch < epoch - WAIT_S:
                ended.append(name)
        return [self._close(groups, name) for name in ended]

    def _close(self, groups: dict[str, Group], stamp: str) -> Group:
        group = groups.pop(stamp)
        self._bytes -= group.size
        for tp, span in group.spans.items():
            if span[0] < span[1]:
                self._spans.setdefault(tp, []).append(span)
        return group

    def _make_room(self) -> list[Group]:
        if len(self._hosts) < MAX_HOSTS and self._bytes < MAX_HELD_BYTES:
            return []
        groups = self._hosts.pop(next(iter(self._hosts)))
        return [self._close(groups, stamp) for stamp in list(groups)]

    def _drop_empty(self, host: Host, groups: dict[str, Group]) -> None:
        if not groups:
            self._hosts.pop(host, None)
