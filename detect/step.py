"""The detect stage: every normalised event against every rule that is meant for it."""

import ctypes
import gc
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import orjson

from detect.correlate.matches import Feeder
from detect.correlate.progress import Reading
from detect.counters import LOOKED_AT, Counters, TimeShare
from detect.coverage import fields_read
from detect.detection import detection, record_of, rule_facts, set_aside, suppressed
from detect.engine import MAX_TOLD, Engine, Match, severity
from detect.ledger import Ledger
from detect.overlay import Overlays
from detect.own import FLOOD, flood, in_part
from detect.reload import RuleSet
from samlog import log
from samlog.bus.base import Message, Record, TopicPartition
from samlog.clock import Clock, iso_ms
from samlog.errors import BadEvent, Unavailable
from samlog.event import Event
from samlog.metrics import Metrics
from samlog.step import Rejection

WRITE_S = 5.0
MANY_RULES = 500
"""So many rules are taken from the garbage collector's attention."""


class DetectStep:
    """Reads ``samlog.events``, writes one record to ``samlog.detections`` for each rule that fired.

    Holds nothing back. An event without ``event.id`` or ``samlog.unit`` is a dead letter
    (``not_an_event``); one that is no JSON object too (``event_not_json``). What filters and the
    unit's overlay take away is counted and, with a ``ledger``, listed there. A rule that raises, or
    takes more than ``time_share`` of the time, is asked no more: told as a detection of unit
    ``samlog`` under `detect.detection.RULE_SET_ASIDE`. An event of which rules saw a part only is
    told under `detect.own.IN_PART`. Of one that fires more than `MAX_TOLD` rules the most severe
    are told, then one for all the others, which are listed as suppressed.
    """

    name = "detect"

    def __init__(
        self,
        rules: Engine | RuleSet,
        clock: Clock,
        *,
        ledger: Ledger | None = None,
        metrics: Metrics | None = None,
        time_share: float = 1.0,
    ) -> None:
        self._clock = clock
        self._ledger = ledger
        self._metrics = metrics or Metrics()
        self._counters = Counters()
        self._share = TimeShare(time_share, clock.monotonic_s())
        self._written_s = clock.monotonic_s()
        self._before: Counter[str] = Counter()
        self._told: dict[tuple[str, str], dict[str, Any]] = {}
        self._announced: set[str] = set()
        self._handed: list[str] = []
        self._reading = Reading()
        self.rules = RuleSet(rules, Overlays()) if isinstance(rules, Engine) else rules
        self._take(self.rules)

    def swap(self, rules: RuleSet) -> None:
        """Takes another rule set; only between two batches. Rules set aside are asked again."""
        self._before = Counter(self.figures())
        self._write()
        self._take(rules)

    def _take(self, rules: RuleSet) -> None:
        rules.engine.prepare()
        self.rules = rules
        self._engine = rules.engine
        self._feeder = Feeder(rules.engine.built.correlations, rules.engine)
        self._read_by_rules = fields_read(rules.engine.built)
        self._told.clear()
        self._announced.clear()
        self._handed.clear()
        self._metrics.gauge("rules_set_aside", 0)
        if self._ledger is not None:
            now = self._clock.now()
            facts = {
                "version": rules.version,
                "sha256": rules.sha256,
                "loaded": iso_ms(now),
                "rules": str(len(rules.engine.rules)),
            }
            self._ledger.tell(facts, now, fresh=True)
        if len(rules.engine.rules) >= MANY_RULES:
            leave_alone()

    def process(self, message: Message) -> Iterable[Record]:
        """Returns the detections on one event; [] for most."""
        event = read_event(message.value)
        engine = self._engine
        matches = engine.match(event, line=message.value)
        # Not a count of all events: that took 1 to 3 % of the time, this below 1 %.
        if event["samlog.unit"] not in engine.routed.enough:
            self._look_at(event)
        feeder = self._feeder
        if feeder:
            stream = (message.key, event.get("event.dataset"))
            self._reading.note(message.partition, stream, event, message.appended_ms)
        if engine.cut:
            self._metrics.count("events_matched_in_part_total", unit=event["samlog.unit"])
            matches = [*matches, in_part(engine.cut)]
        if not matches and not engine.taken_away:
            return ()
        now = self._clock.now()
        detected = iso_ms(now)
        self._note_filtered(event, detected)
        kept = self._kept(matches, event, now)
        found = [
            self._record(match, level, event, detected)
            for match, level in self._told_of(kept, event, now)
        ]
        if feeder and kept:
            name = f"{(message.key or b'').decode('utf-8', 'replace')} {event.get('event.dataset')}"
            found += feeder.records([match for match, _ in kept], event, name)
        return found

    def _look_at(self, event: Event) -> None:
        """Notes of what kind an event is and which fields that rules read it has."""
        unit, routed = event["samlog.unit"], self._engine.routed
        key = unit, routed.sources
        self._counters.seen[key] += 1
        fields = self._counters.fields.setdefault(key, set())
        fields.update(self._read_by_rules.intersection(event))
        if self._counters.seen[key] >= LOOKED_AT:
            routed.enough.add(unit)

    def _note_filtered(self, event: Event, detected: str) -> None:
        taken_away = self._engine.taken_away
        while taken_away:
            rule, found = taken_away.popleft()
            facts = ("filter", found.id, "", found.title)
            self._counters.suppressed.append(suppressed(rule, facts, event, detected))

    def _kept(
        self, matches: Sequence[Match], event: Event, now: datetime
    ) -> list[tuple[Match, str]]:
        """Returns the matches that the unit's overlay leaves, with their levels; counts them."""
        judge, today = self.rules.overlays.judge, now.date()
        unit = event["samlog.unit"]
        kept: list[tuple[Match, str]] = []
        for match in matches:
            by, level = judge(match, event, self._engine, today)
            if by is None:
                kept.append((match, level or match.rule.level))
                self._counters.matches[unit, match.rule.id] += 1
            else:
                facts = (by.action, by.id, by.owner, by.reason)
                self._counters.suppressed.append(suppressed(match.rule, facts, event, iso_ms(now)))
        return kept

    def _told_of(
        self, kept: Sequence[tuple[Match, str]], event: Event, now: datetime
    ) -> list[tuple[Match, str]]:
        """Returns the matches to tell; of a flood the most severe, the others are listed."""
        told = [pair for pair in kept if pair[0].rule.id not in self._feeder.silent]
        if len(told) <= MAX_TOLD:
            return told
        ordered = sorted(told, key=lambda pair: -severity(pair[1]))
        rest = [match for match, _ in ordered[MAX_TOLD:]]
        facts = ("flood", FLOOD.id, "samlog", FLOOD.title)
        for match in rest:
            self._counters.suppressed.append(suppressed(match.rule, facts, event, iso_ms(now)))
        return [*ordered[:MAX_TOLD], *self._kept([flood(rest)], event, now)]

    def _record(self, match: Match, level: str, event: Event, detected: str) -> Record:
        rule = self._told.get((match.rule.id, level))
        if rule is None:
            rule = rule_facts(match.rule, rule_set=self.rules.label, level=level)
            self._told[match.rule.id, level] = rule
        return record_of(detection(match, rule, event, detected))

    def tick(self, now: datetime) -> Iterable[Record]:
        """Writes the ledger every five seconds, and tells which rules are asked no more."""
        if not self._counters.suppressed and self._clock.monotonic_s() - self._written_s >= WRITE_S:
            self._share.note(self._engine)
            for rule_id, why in list(self._share.over(self._clock.monotonic_s())):
                if rule_id not in self._engine.stats.faults:
                    self._engine.set_aside(rule_id, why)
            self._write_if_possible()
        return [*self._announcements(now), *self._reading.records(self._clock.monotonic_s())]

    def watch(
        self, assigned: frozenset[TopicPartition], behind: Mapping[TopicPartition, int]
    ) -> None:
        """Takes over how far the events are read; correlations wait for what is not."""
        unread = {tp.partition: n for tp, n in behind.items()}
        mine = [tp.partition for tp in assigned]
        self._reading.watch(mine, unread, self._clock.monotonic_s())

    def _announcements(self, now: datetime) -> list[Record]:
        """Returns a detection for each rule newly set aside.

        What was handed out before is on the topic by now, else `reset` came.
        """
        self._announced.update(self._handed)
        faults = self._engine.stats.faults
        self._handed = [rule_id for rule_id in faults if rule_id not in self._announced]
        if self._handed:
            self._metrics.gauge("rules_set_aside", len(faults))
        return [self._announcement(rule_id, faults[rule_id], now) for rule_id in self._handed]

    def _announcement(self, rule_id: str, why: str, now: datetime) -> Record:
        rule = next(rule for rule in self._engine.rules if rule.id == rule_id)
        log.get("detect").error("rule_set_aside", rule=rule_id, title=rule.title, why=why)
        self._metrics.count("rule_errors_total")
        if self._ledger is not None:
            self._ledger.aside(rule_id, rule.title, why, now)
        return record_of(set_aside(rule, why, self.rules, iso_ms(now)))

    def _write_if_possible(self) -> None:
        """Writes; counts that cannot be written are lost, for detecting goes before counting."""
        try:
            self._write()
        except Unavailable as problem:
            log.get("detect").warning("rule_counts_lost", why=str(problem))
            self._counters.clear()

    def _write(self) -> None:
        """Adds what was counted to the ledger."""
        self._written_s = self._clock.monotonic_s()
        counters = self._counters
        counters.take_times(self._engine)
        if self._ledger is not None:
            self._ledger.add(counters, self._engine.built.sources, self._clock.now())
        for found in counters.suppressed:
            self._metrics.count("matches_suppressed_total", unit=found.unit, by=found.by)
        left_out = self._feeder.left_out
        for (rule_id, why), n in left_out.items():
            self._metrics.count("matches_uncounted_total", n, rule=rule_id, why=why)
        left_out.clear()
        counters.clear()
        self._engine.look_again()

    def flush(self) -> Iterable[Record]:
        """Returns what is to be told of rules that were set aside, and that the input ended."""
        ended = self._reading.records(self._clock.monotonic_s(), ended=True) if self._feeder else ()
        return [*self._announcements(self._clock.now()), *ended]

    def settle(self) -> Iterable[Rejection]:
        """Writes suppressed matches before the positions of their events are committed."""
        if self._counters.suppressed:
            self._share.note(self._engine)
            self._write()
        return ()

    def held(self) -> Mapping[TopicPartition, int]:
        return {}

    def figures(self) -> Mapping[str, float]:
        """Returns counts since the start: events, candidates, matches; and rules set aside now."""
        stats, before = self._engine.stats, self._before
        return {
            "events": before["events"] + stats.events,
            "candidates": before["candidates"] + stats.candidates,
            "matches": before["matches"] + stats.matches,
            "rules_set_aside": len(stats.faults),
        }

    def reset(self) -> None:
        """Forgets what the batch that is repeated counted as suppressed, and tells again."""
        self._counters.suppressed.clear()
        self._engine.taken_away.clear()
        self._handed.clear()
        self._reading.reset()

    def close(self) -> None:
        """Writes what was counted and releases the ledger; safe to call twice."""
        if self._ledger is not None:
            self._counters.suppressed.clear()
            self._write_if_possible()
            self._ledger.close()
            self._ledger = None


def leave_alone() -> None:
    """Takes what is in memory now from the search for reference cycles, and frees the rest.

    The conditions of 3,552 rules are 340,000 objects: looking through them takes 60 to 180 ms, in
    the middle of whatever event comes then. What loading them needed goes back to the system where
    glibc keeps it: 344 to 178 MB.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if os.name == "posix" else None
    if trim is not None:
        trim(0)


def read_event(value: bytes) -> Event:
    """Returns the event in a record of ``samlog.events``. Raises `BadEvent`."""
    try:
        event = orjson.loads(value)
    except orjson.JSONDecodeError as error:
        raise BadEvent("event_not_json", str(error)) from error
    if not isinstance(event, dict):
        raise BadEvent("event_not_json", f"a {type(event).__name__}, not an object")
    for key in ("event.id", "samlog.unit", "@timestamp"):
        if not isinstance(event.get(key), str):
            raise BadEvent("not_an_event", f"has no {key}")
    return event
