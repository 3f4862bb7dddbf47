"""How far the events have come: from what detect reads to the watermark of correlate.

Detect follows every (partition, stream) of ``samlog.events`` and says now and then, to every
partition of ``samlog.matches``, up to which time all streams of a partition have come. The
watermark is the minimum over all partitions. It holds nothing up but finality: what comes behind
it is still counted, for as long as the stated lateness.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from detect.correlate.control import control_record
from detect.correlate.group import NEVER
from samlog.bus.base import EVERY, Record
from samlog.event import Event

DISORDER_MS = 60_000
"""A stream's own events may be so much out of order without anything being taken back."""
IDLE_MS = 60_000
"""A stream that was silent for so long, by the time of the bus, is not waited for."""
QUIET_S = 30.0
"""A partition read to its end and silent for so long, by our clock, is not waited for."""
EVERY_S = 1.0
REPEAT_S = 30.0
"""What has not changed is told again, to those who began to read behind it."""
MAX_STREAMS = 50_000
_NOT_ITS_OWN = frozenset({"time_from_receipt", "time_invalid"})
_AHEAD = timedelta(minutes=5)


class Partition:
    """The streams of one partition. ``streams``: name → [latest @timestamp, append time in ms].

    ``fresh`` and ``untold``: an event came since the last look, and since the last word.
    """

    __slots__ = (
        "appended",
        "fresh",
        "idle",
        "read_s",
        "streams",
        "told",
        "told_s",
        "top",
        "untold",
    )

    def __init__(self) -> None:
        self.streams: dict[Any, list[Any]] = {}
        self.top = ""
        self.appended = 0
        self.read_s = 0.0
        self.idle = False
        self.fresh = self.untold = False
        self.told = b""
        self.told_s = 0.0


class Reading:
    """What detect has read. Times are compared as text: they are all UTC in one form."""

    def __init__(self) -> None:
        self._partitions: dict[int, Partition] = {}
        self._total = 0
        self._told_s = float("-inf")

    def note(self, partition: int, stream: Any, event: Event, appended_ms: int) -> None:
        """Notes that an event was read. 0.4 us."""
        stamp = event["@timestamp"]
        tags = event.get("tags")
        if tags and not _NOT_ITS_OWN.isdisjoint(tags):
            return
        received = event.get("samlog.received")
        if received is not None and stamp > received and is_ahead(stamp, received):
            return
        here = self._partitions.get(partition)
        if here is None:
            here = self._partitions[partition] = Partition()
        here.appended = appended_ms
        here.idle = False
        here.fresh = here.untold = True
        seen = here.streams.get(stream)
        if seen is None:
            if len(here.streams) >= MAX_STREAMS:
                here.streams.pop(next(iter(here.streams)))
            here.streams[stream] = [stamp, appended_ms]
        else:
            if stamp > seen[0]:
                seen[0] = stamp
            seen[1] = appended_ms

    def watch(self, assigned: Iterable[int], behind: Mapping[int, int], now_s: float) -> None:
        """Takes over which partitions this process reads, and what of each is unread."""
        mine = set(assigned)
        self._total = len(behind)
        for partition in [p for p in self._partitions if p not in mine]:
            del self._partitions[partition]
        for partition in mine:
            here = self._partitions.setdefault(partition, Partition())
            if behind.get(partition, 0) or here.fresh:
                here.read_s = now_s
                here.idle = here.fresh = False
            elif now_s - here.read_s >= QUIET_S or not here.streams:
                here.idle = True

    def records(self, now_s: float, *, ended: bool = False) -> Iterator[Record]:
        """Yields what is new, at most once a second. ``ended``: no event will come any more.

        Where an event came there is a word, even if it moved nothing: correlations settle by it.
        """
        if not ended and (now_s - self._told_s < EVERY_S or not self._total):
            return
        self._told_s = now_s
        for number, here in self._partitions.items():
            here.idle = here.idle or ended
            if not here.idle and not here.streams:
                continue
            value = orjson.dumps({"p": number, "n": self._total, **progress(here)})
            again = not ended and (here.untold or now_s - here.told_s >= REPEAT_S)
            if again or here.told != value:
                here.told, here.told_s, here.untold = value, now_s, False
                yield control_record(value, partition=EVERY)

    def reset(self) -> None:
        """Forgets all: the partitions may be others now."""
        self._partitions.clear()


def is_ahead(stamp: str, received: str) -> bool:
    """Tells whether a sender's clock is so far ahead that its time says nothing."""
    try:
        return datetime.fromisoformat(stamp) - datetime.fromisoformat(received) > _AHEAD
    except (TypeError, ValueError):
        return True


def progress(here: Partition) -> dict[str, int | None]:
    """Returns ``w``, the time up to which all streams have come (None: idle), and ``top``."""
    stamps = [seen[0] for seen in here.streams.values()]
    here.top = max([here.top, *stamps])
    top = _ms(here.top)
    if here.idle:
        return {"w": None, "top": top}
    active = [seen[0] for seen in here.streams.values() if here.appended - seen[1] <= IDLE_MS]
    w = _ms(min(active)) if active else None
    return {"w": None if w is None else w - DISORDER_MS, "top": top}


def _ms(stamp: str) -> int | None:
    try:
        moment = datetime.fromisoformat(stamp)
    except ValueError:
        return None
    return round(moment.replace(tzinfo=moment.tzinfo or UTC).timestamp() * 1000)


class Upstream:
    """What the partitions of ``samlog.events`` have told; gives the watermark."""

    def __init__(self) -> None:
        self._told: dict[int, tuple[int | None, int]] = {}
        self._total = 0

    def take(self, record: Mapping[str, Any]) -> int:
        """Takes one record of `Reading.records`; returns the watermark in ms, `NEVER` at first.

        A partition that nobody reads is waited for: it has not told that it is idle.
        """
        self._total = max(self._total, int(record["n"]))
        number, w, top = int(record["p"]), record["w"], record["top"]
        before, highest = self._told.get(number, (NEVER, NEVER))
        if w is not None and before is not None:
            w = max(int(w), before)
        self._told[number] = (w, max(highest, NEVER if top is None else int(top)))
        return self.watermark()

    def watermark(self) -> int:
        """Returns the time up to which all partitions have come, in ms; `NEVER` at first."""
        if not self._told or len(self._told) < self._total:
            return NEVER
        active = [w for w, _ in self._told.values() if w is not None]
        return min(active) if active else max(top for _, top in self._told.values())

    def known(self) -> list[Any]:
        """Returns what was told, for a mark: [partitions in all, [partition, w, top] …]."""
        return [self._total, *([p, w, top] for p, (w, top) in sorted(self._told.items()))]

    def join(self, known: Iterable[Any]) -> None:
        """Takes over what another process knew when it made a mark."""
        total, *parts = known
        for number, w, top in parts:
            self.take({"p": number, "n": total, "w": w, "top": top})
