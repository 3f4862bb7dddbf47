"""The correlate stage: matches of rules in, detections out, provisional at once and then final.

All state is a function of ``samlog.matches``. Positions are committed only up to the oldest match
that may be needed again, so a restart or a rebalance reads it again from there. What lies before is
forgotten: a *mark* on the partition itself says where a commit is about to be made and up to which
time all was known then; a state that begins in the middle of a partition stays silent until it has
read the mark of its own beginning.
"""

from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

import orjson

from detect.correlate.correlator import OWN_STREAM, Correlator, Counts, Limits, Telling
from detect.correlate.group import NEVER
from detect.correlate.matches import decode, name_of
from detect.correlate.progress import Upstream
from detect.correlate.rule import Correlation, silent_rules
from detect.correlate.telling import Teller
from detect.correlate.window import Match
from detect.counters import Counters
from detect.ledger import Ledger
from detect.reload import RuleSet
from samlog import log
from samlog.bus.base import Message, Record, TopicPartition
from samlog.clock import Clock
from samlog.errors import BadEvent
from samlog.event import FORMAT_VERSION, H_VERSION, MATCHES
from samlog.metrics import Metrics
from samlog.step import Rejection

MARK_RECORDS = 4_096
"""A mark is made when so many records need not be read again."""
GIVE_UP_S = 10.0
"""A state waits for its mark for so long after the last record; it may have been deleted."""
MAX_STRANGERS = 100_000
STRANGER_S = 600.0
REFRESH_S = 1.0
LOOK_S = 30.0


class _Part:
    """One partition of ``samlog.matches``. ``base`` is where a restart would begin."""

    __slots__ = ("base", "correlator", "first", "next", "quiet_at", "quiet_since_s", "upstream")

    def __init__(self, first: int, correlator: Correlator) -> None:
        self.first = self.base = self.next = first
        self.correlator = correlator
        self.upstream = Upstream()
        self.quiet_at = -1
        self.quiet_since_s = 0.0


class CorrelateStep:
    """Reads ``samlog.matches``; writes ``samlog.detections``, marks, and matches of correlations.

    A record that is no match is a dead letter (``match_not_json``). With ``finish`` the end of the
    input closes open windows; else they stay open and are counted.
    """

    name = "correlate"

    def __init__(
        self,
        rules: RuleSet,
        clock: Clock,
        *,
        metrics: Metrics | None = None,
        limits: Limits | None = None,
        finish: bool = False,
        tell_all: bool = False,
        ledger: Ledger | None = None,
    ) -> None:
        """``tell_all``: also what fired of correlations that only others ask for.

        ``ledger`` lists what units have disabled.
        """
        self._ledger = ledger
        self._clock = clock
        self._metrics = metrics or Metrics()
        self._limits = limits or Limits()
        self._finish = finish
        self._tell_all = tell_all
        self._parts: dict[int, _Part] = {}
        self._counts = Counts()
        self._sizes: dict[str, Any] = {}
        self._told: Counter[str] = Counter()
        self._reported: Counter[tuple[str, str]] = Counter()
        self._strangers: deque[tuple[float, Message]] = deque(maxlen=MAX_STRANGERS)
        self._unknown = 0
        self._refreshed_s = self._looked_s = clock.monotonic_s()
        self._open = 0
        self.rules = rules
        self._take(rules)

    def swap(self, rules: RuleSet) -> None:
        """Takes another rule set; correlations that mean what they meant keep their state."""
        self.settle()
        self.rules = rules
        self._take(rules)

    def _take(self, rules: RuleSet) -> None:
        correlations = rules.engine.built.correlations
        self._by_name: dict[str, Correlation] = {name_of(one): one for one in correlations}
        silent = frozenset[str]() if self._tell_all else silent_rules(correlations)
        self._teller = Teller(correlations, silent, rules.label, rules.overlays)
        for part in self._parts.values():
            part.correlator.keep({name.encode(): one for name, one in self._by_name.items()})
        self._retry = bool(self._strangers)

    def process(self, message: Message) -> Iterable[Record]:
        """Returns what fires by one record; [] for most."""
        part = self._parts.get(message.partition)
        if part is None:
            part = self._begin(message)
        part.next = max(part.next, message.offset + 1)
        value = message.value
        if value[:1] == b"{":
            return self._control(part, message)
        head, rest = decode(value)
        rule = self._by_name.get(head[0])
        if rule is None or message.key is None:
            self._strangers.append((self._clock.monotonic_s(), message))
            self._unknown += 1
            return ()
        told = self._add(part.correlator, rule, message, head, rest)
        return self._records(told) if told else ()

    def _add(
        self, correlator: Correlator, rule: Correlation, message: Message, head: Any, rest: bytes
    ) -> list[Telling]:
        _, t, id_, mask, values, stream = head
        key, offset = message.key or b"", message.offset
        if stream.startswith(OWN_STREAM):
            # The firing of a slot may have moved since it was told before.
            first, last = map(int, stream.split()[1:])
            correlator.retract(key, id_, first, last, but=t)
        if rule.kind != "temporal_ordered":
            return correlator.add(key, rule, Match(t, 0, id_, mask, values, rest, offset), stream)
        told: list[Telling] = []
        for place in range(len(rule.bases)):
            if mask >> place & 1:
                match = Match(t, place, id_, 1 << place, values, rest, offset)
                told += correlator.add(key, rule, match, stream)
        return told

    def _begin(self, message: Message) -> _Part:
        correlator = Correlator(self._limits, self._counts, self._sizes)
        correlator.waiting = message.offset > 0
        part = self._parts[message.partition] = _Part(message.offset, correlator)
        return part

    def _control(self, part: _Part, message: Message) -> Iterable[Record]:
        try:
            record = orjson.loads(message.value)
        except orjson.JSONDecodeError as error:
            raise BadEvent("match_not_json", str(error)) from error
        correlator = part.correlator
        try:
            if "gone" in record:
                slot = (int(record["from"]), int(record["to"]))
                correlator.retract(message.key or b"", str(record["gone"]), *slot)
            elif "base" in record:
                if correlator.waiting and record["base"] == part.first:
                    correlator.release(int(record["watermark"]))
            else:
                return self._records(correlator.advance(part.upstream.take(record)))
        except (KeyError, TypeError, ValueError) as error:
            raise BadEvent("match_not_json", f"no control record: {error!r}") from error
        return ()

    def _records(self, told: Iterable[Telling]) -> list[Record]:
        now = self._clock.now()
        found: list[Record] = []
        for one in told:
            self._told[one.state] += 1
            found.extend(self._teller.records(one, now))
        return found

    def tick(self, now: datetime) -> Iterable[Record]:
        """Returns what matches out of order have changed, and marks where a commit may move."""
        seconds = self._clock.monotonic_s()
        if seconds - self._refreshed_s < REFRESH_S:
            return []
        self._refreshed_s = seconds
        found: list[Record] = self._strangers_again(seconds)
        for number, part in self._parts.items():
            if part.correlator.waiting:
                self._give_up_waiting(part, seconds)
            found += self._records(part.correlator.settle())
            found += self._mark(number, part)
        self._report()
        if seconds - self._looked_s >= LOOK_S:
            self._look()
        return found

    def _look(self) -> None:
        """Counts open windows, which takes a look at every group."""
        self._looked_s = self._clock.monotonic_s()
        self._open = sum(part.correlator.open_windows() for part in self._parts.values())

    def _strangers_again(self, now_s: float) -> list[Record]:
        """Takes what was counted for correlations that came with a rule set newer than ours.

        What nobody knows after ten minutes belongs to a correlation that is no more.
        """
        strangers = self._strangers
        while strangers and now_s - strangers[0][0] > STRANGER_S:
            strangers.popleft()
        if not self._retry:
            return []
        self._retry = False
        again = [message for _, message in strangers]
        strangers.clear()
        return [record for message in again for record in self.process(message)]

    def _give_up_waiting(self, part: _Part, now_s: float) -> None:
        """Goes on without the mark where no record came for long: retention has deleted it."""
        if part.quiet_at != part.next:
            part.quiet_at, part.quiet_since_s = part.next, now_s
        elif now_s - part.quiet_since_s >= GIVE_UP_S:
            part.correlator.release(NEVER)

    def _mark(self, number: int, part: _Part) -> Iterator[Record]:
        oldest = part.correlator.oldest_offset()
        base = part.next if oldest is None else min(oldest, part.next)
        own = (message.offset for _, message in self._strangers if message.partition == number)
        base = min(base, next(own, base))
        if part.correlator.waiting or base - part.base < MARK_RECORDS:
            return
        part.base = base
        mark = orjson.dumps({"base": base, "watermark": part.correlator.come})
        yield Record(MATCHES, mark, None, {H_VERSION: FORMAT_VERSION}, number)

    def _report(self) -> None:
        """Counts late and evicted matches by name, and says so when it begins."""
        for kind, counter in (("late", self._counts.late), ("evicted", self._counts.evicted)):
            for name, total in counter.items():
                new = total - self._reported[kind, name]
                if not new:
                    continue
                if not self._reported[kind, name]:
                    told = log.get(self.name)
                    told.error(f"matches_{kind}", of=name, matches=new, next=_NEXT[kind])
                self._reported[kind, name] = total
                self._metrics.count(f"matches_{kind}_total", new)

    def flush(self) -> Iterable[Record]:
        """Settles everything; with ``finish`` closes all windows. Returns [] when it is at rest."""
        found: list[Record] = []
        for part in self._parts.values():
            if part.correlator.waiting:
                part.correlator.release(NEVER)
            if self._finish:
                found += self._records(part.correlator.finish())
            else:
                found += self._records(part.correlator.settle())
        self._report()
        self._look()
        return found

    def settle(self) -> Iterable[Rejection]:
        """Lists what was not told, before positions are committed."""
        suppressed = self._teller.suppressed
        if suppressed:
            if self._ledger is not None:
                self._ledger.add(Counters(suppressed=suppressed), (), self._clock.now())
            for found in suppressed:
                self._metrics.count("matches_suppressed_total", unit=found.unit, by=found.by)
            suppressed.clear()
        return ()

    def held(self) -> Mapping[TopicPartition, int]:
        """Returns where each partition would have to be read from again."""
        return {TopicPartition(MATCHES, number): part.base for number, part in self._parts.items()}

    def figures(self) -> Mapping[str, float]:
        """Returns counts since the start, and what is kept now."""
        counts = self._counts
        correlators = [part.correlator for part in self._parts.values()]
        return {
            "matches": counts.matches,
            "unknown": self._unknown,
            "late": counts.late.total(),
            "evicted": counts.evicted.total(),
            "provisional": self._told["provisional"],
            "final": self._told["final"],
            "withdrawn": self._told["withdrawn"],
            "groups": sum(len(one.groups) for one in correlators),
            "open_windows": self._open,
        }

    def reset(self) -> None:
        """Forgets all state: the loop rewinds to where it can be read again."""
        self._parts.clear()
        self._sizes.clear()
        self._strangers.clear()
        self._teller.suppressed.clear()

    def close(self) -> None:
        """Releases the ledger; safe to call twice."""
        if self._ledger is not None:
            self._ledger.close()


_NEXT = {
    "late": "they count for no correlation; see why the stream is so far behind",
    "evicted": "a correlation misses them; narrow its base rules or group by fewer values",
}
