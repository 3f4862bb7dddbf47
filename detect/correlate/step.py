"""The correlate stage: matches of rules in, detections out, provisional at once and then final.

All state is a function of ``samlog.matches``. Positions are committed only up to the oldest match
that may be needed again, so a restart or a rebalance reads it again from there (`part`).
"""

from collections import Counter, deque
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from detect.correlate.correlator import Correlator
from detect.correlate.limits import Counts, Limits
from detect.correlate.matches import name_of
from detect.correlate.part import Part, Rules, Said
from detect.correlate.rule import Correlation, silent_rules
from detect.correlate.telling import Teller, Word
from detect.counters import Counters
from detect.ledger import Ledger
from detect.reload import RuleSet
from samlog import log
from samlog.bus.base import Message, Record, TopicPartition
from samlog.clock import Clock
from samlog.event import MATCHES
from samlog.metrics import Metrics
from samlog.step import Rejection

MAX_STRANGERS = 100_000
STRANGER_S = 600.0
TICK_S = 1.0
LOOK_S = 30.0


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
        self._parts: dict[int, Part] = {}
        self._counts = Counts()
        self._sizes: dict[str, Any] = {}
        self._told: Counter[str] = Counter()
        self._reported: Counter[tuple[str, str]] = Counter()
        self._strangers: deque[tuple[float, Message]] = deque(maxlen=MAX_STRANGERS)
        self._unknown = 0
        self._ticked_s = self._looked_s = clock.monotonic_s()
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
        by_name: dict[str, Correlation] = {name_of(one): one for one in correlations}
        self._rules = Rules(by_name, self._note_stranger)
        silent = frozenset[str]() if self._tell_all else silent_rules(correlations)
        self._teller = Teller(correlations, silent, rules.label, rules.overlays)
        for part in self._parts.values():
            part.correlator.keep({name.encode(): one for name, one in by_name.items()})
        self._retry = bool(self._strangers)

    def process(self, message: Message) -> Iterable[Record]:
        """Returns what fires by one record; [] for most."""
        part = self._parts.get(message.partition)
        if part is None:
            part = self._begin(message)
        said = part.take(message, self._rules)
        if message.value[:1] != b"{":
            return self._records(part, said) if said else ()
        return [*self._records(part, said), *part.mark(self._least(part.number))]

    def _begin(self, message: Message) -> Part:
        def make(edge: int, slow_edge: int) -> Correlator:
            limits, counts, sizes = self._limits, self._counts, self._sizes
            return Correlator(limits, counts, sizes, edge=edge, slow_edge=slow_edge)

        part = Part(message.partition, message.offset, make, self._clock)
        self._parts[message.partition] = part
        return part

    def _note_stranger(self, message: Message) -> None:
        self._strangers.append((self._clock.monotonic_s(), message))
        self._unknown += 1

    def _least(self, number: int) -> int | None:
        own = (message.offset for _, message in self._strangers if message.partition == number)
        return next(own, None)

    def _records(self, part: Part, said: Iterable[Said]) -> list[Record]:
        now = self._clock.now()
        found: list[Record] = []
        for offset, told in said:
            self._told[told.state] += 1
            found.extend(self._teller.records(told, Word(part.number, offset, now)))
        return found

    def tick(self, now: datetime) -> Iterable[Record]:
        """Returns what no record of the topic brings about: what was waited for in vain."""
        seconds = self._clock.monotonic_s()
        if seconds - self._ticked_s < TICK_S:
            return []
        self._ticked_s = seconds
        found: list[Record] = self._strangers_again(seconds)
        for part in self._parts.values():
            if part.in_vain:
                found += self._records(part, part.go_on(self._rules))
            found += part.ask()
        self._report()
        if seconds - self._looked_s >= LOOK_S:
            self._look()
        return found

    def watch(
        self, assigned: frozenset[TopicPartition], behind: Mapping[TopicPartition, int]
    ) -> None:
        """Takes note of how far the topic is read; what lies before its end may hold a mark."""
        for number, part in self._parts.items():
            unread = behind.get(TopicPartition(MATCHES, number))
            if unread is not None:
                part.watch(unread)

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
        """Returns what the end of the input brings about; [] when everything is at rest.

        With ``finish`` all windows are closed.
        """
        found: list[Record] = []
        for part in self._parts.values():
            if part.waiting is not None:
                found += self._records(part, part.go_on(self._rules))
            if self._finish:
                told = part.correlator.finish()
                found += self._records(part, [Said(part.next - 1, one) for one in told])
            else:
                found += part.ask(at_once=True)
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
