"""One partition of ``samlog.matches``: what it tells is a function of its records, in their order.

Whoever reads it, and however often it is read again, the same is told at the same records. So the
last word on a firing is that of the whole log, although the process that told the first one was
killed: its successor tells the same once more, and then what follows. For that nothing may depend
on a clock. A match in order fires where it is read; what others changed, and what is final, is
told at the first control record of a second (by the bus), or at a *settle* record, which the reader
writes where none comes.

A commit lies before the oldest match that is kept. A *mark*, written before the commit, says where
it will be and what was known then. Who begins in the middle reads up to that mark, does everything
up to where it was made in silence, for that was told, and the rest aloud.
"""

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from detect.correlate.control import SETTLE, control_record, read_control
from detect.correlate.correlator import OWN_STREAM, Correlator, Telling
from detect.correlate.group import NEVER
from detect.correlate.matches import decode
from detect.correlate.progress import Upstream
from detect.correlate.rule import Correlation
from detect.correlate.window import Match
from samlog.bus.base import Message, Record
from samlog.clock import Clock
from samlog.errors import BadEvent

MARK_RECORDS = 4_096
"""A mark is made when so many records need not be read again."""
ASK_S = 2.0
"""A settle record is written where no control record came for so long, by our clock."""
BEHIND_H = 27
"""What correlations tell others counts if it is told at most so many hours after its cause."""
_HOUR_MS = 3_600_000

Made = Callable[[int, int], Correlator]
Body = tuple[Any, bytes]
"""Head and rest of a match; of a control record its parts and nothing."""


class Said(NamedTuple):
    """What is told by the record at ``offset``."""

    offset: int
    telling: Telling


class Rules(NamedTuple):
    """The rule set in force: its correlations by name, and where matches of others go."""

    by_name: Mapping[str, Correlation]
    stranger: Callable[[Message], None]


class Part:
    """State of one partition. ``base`` is where a restart would begin."""

    def __init__(self, number: int, first: int, make: Made, clock: Clock) -> None:
        """``make`` returns the state that begins with what was known at two watermarks."""
        self.number = number
        self.first = self.base = self.next = first
        self.upstream = Upstream()
        self.correlator = make(NEVER, NEVER)
        self.waiting: deque[tuple[Message, Body]] | None = deque() if first else None
        """What was read before the mark; None where everything is known."""
        self._make = make
        self._clock = clock
        self._end: int | None = None
        self._second = -1
        self._hours: deque[tuple[int, int]] = deque()
        """Hour of the bus and the watermark at its beginning, since `BEHIND_H` hours."""
        self._pending = False
        self._asked = False
        self._settled_s = clock.monotonic_s()

    def take(self, message: Message, rules: Rules) -> Sequence[Said]:
        """Takes the next record; raises `BadEvent` (match_not_json) where it is none."""
        self.next = max(self.next, message.offset + 1)
        if message.value[:1] == b"{":
            return self._take_control(message, read_control(message.value), rules)
        body = decode(message.value)
        if self.waiting is None:
            return self._match(message, body, rules)
        _check(body[0])
        self.waiting.append((message, body))
        return ()

    def _take_control(
        self, message: Message, record: Mapping[str, Any], rules: Rules
    ) -> Sequence[Said]:
        if self.waiting is None:
            return self._control(message, record)
        if record.get("base") == self.first:
            return self._join(record, message.offset, rules)
        self.waiting.append((message, (record, b"")))
        return ()

    def _apply(self, message: Message, body: Body, rules: Rules) -> Sequence[Said]:
        if isinstance(body[0], dict):
            return self._control(message, body[0])
        return self._match(message, body, rules)

    def _match(self, message: Message, body: Body, rules: Rules) -> Sequence[Said]:
        head, rest = body
        rule = rules.by_name.get(head[0])
        if rule is None or message.key is None:
            rules.stranger(message)
            return ()
        told = self._add(rule, message, head, rest)
        return [Said(message.offset, one) for one in told] if told else ()

    def _add(self, rule: Correlation, message: Message, head: Any, rest: bytes) -> list[Telling]:
        _, t, id_, mask, values, stream = head
        key, offset, add = message.key or b"", message.offset, self.correlator.add
        if stream.startswith(OWN_STREAM):
            # The firing of a slot may have moved since it was told before.
            first, last = map(int, stream.split()[1:])
            self.correlator.retract(key, id_, first, last, but=t)
        if rule.kind != "temporal_ordered":
            return add(key, rule, Match(t, 0, id_, mask, values, rest, offset), stream)
        told: list[Telling] = []
        for place in range(len(rule.bases)):
            if mask >> place & 1:
                told += add(
                    key, rule, Match(t, place, id_, 1 << place, values, rest, offset), stream
                )
        return told

    def _control(self, message: Message, record: Mapping[str, Any]) -> Sequence[Said]:
        if "gone" in record:
            slot = (record["from"], record["to"])
            self.correlator.retract(message.key or b"", record["gone"], *slot)
        elif "p" in record:
            self.upstream.take(record)
            self._pending = True
            second = message.appended_ms // 1000
            if second != self._second:
                self._second = second
                return self._advance(message)
        elif "settle" in record:
            return self._advance(message)
        return ()

    def _advance(self, message: Message) -> Sequence[Said]:
        self._pending = self._asked = False
        self._settled_s = self._clock.monotonic_s()
        watermark = self.upstream.watermark()
        told = self.correlator.advance(watermark, self._slow(watermark, message.appended_ms))
        return [Said(message.offset, one) for one in told]

    def _slow(self, watermark: int, appended_ms: int) -> int:
        """Returns the watermark as it was `BEHIND_H` hours ago, by the bus; at first `NEVER`."""
        hours, hour = self._hours, appended_ms // _HOUR_MS
        if not hours or hours[-1][0] < hour:
            hours.append((hour, watermark))
        while len(hours) > 1 and hours[1][0] <= hour - BEHIND_H:
            hours.popleft()
        return hours[0][1] if hours[0][0] <= hour - BEHIND_H else NEVER

    def _join(self, mark: Mapping[str, Any], offset: int, rules: Rules) -> Sequence[Said]:
        """Does what was read up to where the mark was made in silence, and the rest aloud."""
        waiting, self.waiting = self.waiting or deque(), None
        slow = mark.get("slow", NEVER)
        self.correlator = self._make(mark["watermark"], slow)
        at = mark.get("at", offset)
        while waiting and waiting[0][0].offset < at:
            self._apply(*waiting.popleft(), rules)
        self.upstream.join(mark.get("upstream", [0]))
        self.correlator.advance(mark["watermark"], slow)
        self._hours = deque((hour, w) for hour, w in mark.get("hours", ()))
        self._second = mark.get("second", self._second)
        self._pending = False
        return self._aloud(waiting, rules)

    def _aloud(self, waiting: deque[tuple[Message, Body]], rules: Rules) -> Sequence[Said]:
        found: list[Said] = []
        while waiting:
            found += self._apply(*waiting.popleft(), rules)
        return found

    def go_on(self, rules: Rules) -> Sequence[Said]:
        """Does all that was read aloud although no mark came: retention has deleted it."""
        waiting, self.waiting = self.waiting or deque(), None
        return self._aloud(waiting, rules)

    def watch(self, unread: int) -> None:
        """Takes note of how many records are unread: a mark is before the end of that."""
        if self._end is None:
            self._end = self.next + unread

    @property
    def in_vain(self) -> bool:
        """Tells whether a mark is waited for that does not come."""
        return self.waiting is not None and self._end is not None and self.next >= self._end

    def ask(self, *, at_once: bool = False) -> Iterator[Record]:
        """Yields a settle record where something waits for a control record and none comes."""
        unsettled = self._pending or self.correlator.unsettled
        if self.waiting is not None or self._asked or not unsettled:
            return
        if at_once or self._clock.monotonic_s() - self._settled_s >= ASK_S:
            self._asked = True
            yield control_record(SETTLE, partition=self.number)

    def mark(self, least: int | None) -> Iterator[Record]:
        """Yields a mark where a commit may move; called right behind a control record.

        ``least``: an offset that has to be read again for another reason.
        """
        oldest = self.correlator.oldest_offset()
        known = [offset for offset in (oldest, least) if offset is not None]
        base = min([*known, self.next])
        if self.waiting is not None or self._pending or self.correlator.unsettled:
            return
        if base - self.base < MARK_RECORDS:
            return
        self.base = base
        yield control_record(
            {
                "base": base,
                "at": self.next,
                "watermark": self.correlator.come,
                "slow": self.correlator.slow,
                "hours": list(self._hours),
                "second": self._second,
                "upstream": self.upstream.known(),
            },
            partition=self.number,
        )


def _check(head: Any) -> None:
    """Raises `BadEvent` where a match that is done later would be none then."""
    kinds = (str, int, str, int, list, str)
    if not all(isinstance(part, kind) for part, kind in zip(head, kinds, strict=True)):
        raise BadEvent("match_not_json", "not the parts of a match")
