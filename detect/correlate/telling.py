"""What is told of a firing: a detection, and a match for the correlations that build on it."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import orjson

from detect.correlate.control import control_record
from detect.correlate.correlator import FINAL, OWN_STREAM, PROVISIONAL, REPLACED, Telling
from detect.correlate.matches import Head, encode, key_of, name_of, values_of
from detect.correlate.rule import Correlation, dependants
from detect.correlate.window import Match
from detect.counters import Suppressed
from detect.detection import record_of, rule_facts
from detect.overlay import Entry, Overlays
from samlog.bus.base import Record
from samlog.clock import iso_ms
from samlog.event import Detection
from samlog.store.base import PLATFORM_UNIT

GROUP = "samlog.group"
"""Field of a detection's context by which alerts of a correlation are told apart."""


class Word(NamedTuple):
    """When something is said: by which record of ``samlog.matches``, and the time.

    The words on one firing come from one partition; that of the later record counts, whoever said
    it and however late.
    """

    partition: int
    offset: int
    now: datetime


class Teller:
    """Writes records about firings, for one rule set."""

    def __init__(
        self,
        correlations: Sequence[Correlation],
        silent: frozenset[str],
        rule_set: str = "",
        overlays: Overlays | None = None,
    ) -> None:
        self._silent = silent
        self._rule_set = rule_set
        self._overlays = overlays or Overlays()
        self.suppressed: list[Suppressed] = []
        """Firings that the overlay of their unit has disabled; whoever lists them clears this."""
        self._above = dependants(correlations)
        self._names = {one.rule.id: name_of(one) for one in correlations}

    def records(self, told: Telling, word: Word) -> Iterator[Record]:
        """Yields the detection, unless only other correlations ask for it, and their matches."""
        rule = told.group.rule
        rest = orjson.loads(told.firing.match.rest)
        if rule.rule.id not in self._silent and told.state != REPLACED:
            unit = owner(rule, rest)
            verdict = self._overlays.judge_rule(unit, rule.rule.id, word.now.date())
            found = self.detection(told, rest, word, level=verdict.level)
            if verdict.by is None:
                yield record_of(found)
            else:
                self.suppressed.append(suppressed_firing(found, verdict.by))
        if told.state != PROVISIONAL:
            yield from self._matches(told, rest)

    def detection(
        self, told: Telling, rest: Mapping[str, Any], word: Word, *, level: str = ""
    ) -> Detection:
        """Returns a firing as a detection.

        ``event_id`` is the event at which it fired; ``correlation`` holds the others, the state
        (provisional, final, withdrawn), the group, the number of matches, and the word's place.
        """
        rule, firing = told.group.rule, told.firing
        group = dict(zip(rule.group_by, rest.get("g", ()), strict=False))
        facts = rule_facts(rule.rule, rule_set=self._rule_set, level=level)
        context = dict(rest.get("c", {}))
        if not facts["entity"]:
            facts["entity"] = GROUP
        context.update({name: value for name, value in group.items() if name not in context})
        context[GROUP] = " · ".join(group.values()) or rule.rule.title
        found = Detection(
            id=firing.id,
            unit=owner(rule, rest),
            event_id=rest["e"],
            event_sha256=rest["h"],
            index=rest["i"],
            timestamp=stamp(firing.match.t),
            detected=iso_ms(word.now),
            rule=facts,
            matched=group,
            context=context,
        )
        found["correlation"] = {
            "state": told.state,
            "type": rule.kind,
            "group": group,
            "count": told.total,
            "value": round(firing.value, 6),
            "first": stamp(firing.first_t),
            "timespan_s": rule.span_ms // 1000,
            "evidence": list(map(evidence, firing.evidence)),
            "word": [word.partition, word.offset],
        }
        if rule.shared:
            found["correlation"]["units"] = units(firing.evidence)
        return found

    def _matches(self, told: Telling, rest: Mapping[str, Any]) -> Iterator[Record]:
        below, firing = told.group.rule, told.firing
        slot = (firing.slot * below.span_ms, (firing.slot + 1) * below.span_ms - 1)
        known = {name: values[0] for name, values in rest.get("x", {}).items() if values}
        known.update(zip(below.group_by, rest.get("g", ()), strict=False))
        for above, place in self._above.get(below.rule.id, ()):
            own = above.bases[place].names
            texts = [known.get(own.get(name, name)) for name in above.group_by]
            fields = [known.get(own.get(name, name)) for name in above.fields]
            values = values_of(above, [[text] if text else [] for text in fields])
            if None in texts or values is None:
                continue
            name = self._names[above.rule.id]
            group = [str(text) for text in texts]
            key = key_of(name, "" if above.shared else rest["u"], group)
            t = firing.match.t
            if told.state != FINAL:
                gone = {"gone": firing.id, "from": slot[0], "to": slot[1]}
                yield control_record(gone, key=key)
                continue
            asked = {name: own.get(name, name) for name in above.carried}
            carried = {n: [known[f]] for n, f in asked.items() if f in known}
            stream = f"{OWN_STREAM} {slot[0]} {slot[1]}"
            head = Head(name, t, firing.id, 1 << place, values, stream)
            yield encode(head, key, {**rest, "g": group, "x": carried})


def owner(rule: Correlation, rest: Mapping[str, Any]) -> str:
    """Returns the unit to which a firing is told.

    What is counted over all units is told to none of them: it holds events of others. So it is
    always the same one, whichever event it fires at.
    """
    return PLATFORM_UNIT if rule.shared else str(rest["u"])


def units(matches: Sequence[Match]) -> list[str]:
    """Returns the units whose events are shown."""
    return sorted({str(orjson.loads(match.rest)["u"]) for match in matches})


def suppressed_firing(found: Detection, by: Entry) -> Suppressed:
    """Returns what is listed of a firing that is not told."""
    return Suppressed(
        found["id"],
        found["unit"],
        found["rule"]["id"],
        found["rule"]["title"],
        by.action,
        by.id,
        by.owner,
        by.reason,
        found["event_id"],
        found["index"],
        found["timestamp"],
        found["detected"],
    )


def stamp(t: int) -> str:
    """Returns a time in ms since 1970 as ``@timestamp`` is written."""
    return iso_ms(datetime.fromtimestamp(t / 1000, UTC))


def evidence(match: Match) -> dict[str, str]:
    """Returns where an event of a firing is stored."""
    rest = orjson.loads(match.rest)
    return {
        "index": rest["i"],
        "event_id": rest["e"],
        "sha256": rest["h"],
        "log_class": rest["l"],
        "timestamp": stamp(match.t),
    }
