"""One process or many, restarts and rebalances: the final detections are those of the whole set."""

import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from detect.correlate import correlator, part
from detect.correlate.correlator import Limits
from detect.correlate.rule import Correlation
from detect.correlate.telling import stamp
from detect.correlate.window import Match
from tests.detect.correlate.oracle import SECOND, reference
from tests.detect.correlate.workers import Seen, rules, run, values_of, world


def expected(world: Mapping[int, Sequence[Seen]]) -> set[tuple[Any, ...]]:
    """What the whole set gives by the slow reference, correlations of correlations included."""
    found: set[tuple[Any, ...]] = set()
    events = [event for part in world.values() for event in part]
    *below, wide, over = rules()
    of_host: dict[str, list[Match]] = defaultdict(list)
    host = {event.id: event.stream for event in events}
    for group in sorted({event.group for event in events}):
        above: list[Match] = []
        for rule in below:
            matches = [m for event in events if event.group == group for m in played(rule, event)]
            by_id = {m.id: m for m in matches}
            for slot, last, _, count in reference(rule, matches):
                t = by_id[last].t if rule.kind != "temporal_ordered" else slot_time(matches, last)
                found.add((rule.rule.id, group, stamp(t), last, count))
                if rule.rule.id == "rule-value_count":
                    of_host[host[last]].append(Match(t, 0, f"{group}{slot}", 1, (last,), b"", 0))
                if rule.rule.id in ("rule-event_count", "rule-temporal"):
                    place = ["rule-event_count", "rule-temporal"].index(rule.rule.id)
                    above.append(Match(t, 0, f"{rule.kind}{slot}", 1 << place, (last,), b"", 0))
        found |= of_others(over, group, above)
    for name, matches in of_host.items():
        found |= of_others(wide, name, matches)
    return {one for one in found if one[0] not in BELOW}


BELOW = ("rule-event_count", "rule-temporal", "rule-value_count")
"""These alert only through another."""


def of_others(rule: Correlation, group: str, matches: Sequence[Match]) -> set[tuple[Any, ...]]:
    by_id = {m.id: m for m in matches}
    fired = [(by_id[last], count) for _, last, _, count in reference(rule, matches)]
    return {(rule.rule.id, group, stamp(m.t), m.values[0], count) for m, count in fired}


def slot_time(matches: Sequence[Match], last: str) -> int:
    return next(m.t for m in matches if m.id == last)


def played(rule: Correlation, event: Seen) -> list[Match]:
    t = min(event.t, event.received + 300 * SECOND)
    values = tuple(values_of(rule, event))
    if rule.kind != "temporal_ordered":
        return [Match(t, 0, event.id, event.mask, values, b"", 0)]
    places = [i for i in range(3) if event.mask >> i & 1]
    return [Match(t, i, event.id, 1 << i, values, b"", 0) for i in places]


@pytest.fixture(autouse=True)
def _small_marks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(part, "MARK_RECORDS", 16)
    monkeypatch.setattr(correlator, "BUCKET", 2)


def test_one_process_gives_what_the_definition_says() -> None:
    made = world(1, 600)

    bus = run(made, seed=1, detects=1, correlates=1, faults=False)

    assert set(bus.final().values()) == expected(made)


@pytest.mark.parametrize("seed", range(6))
def test_many_processes_with_restarts_give_the_same(seed: int) -> None:
    made = world(seed, 400)
    dice = random.Random(seed)

    bus = run(
        made,
        seed=seed,
        detects=dice.randrange(1, 5),
        correlates=dice.randrange(1, 4),
        faults=True,
    )

    assert set(bus.final().values()) == expected(made)


@pytest.mark.parametrize("seed", range(4))
def test_a_state_that_begins_in_the_middle_of_the_topic_gives_the_same(seed: int) -> None:
    made = world(seed, 1_200, spool=20 * SECOND)
    limits = Limits(lateness_ms=240 * SECOND)

    alone = rules()[:-2]

    bus = run(made, seed=seed, detects=2, correlates=2, faults=True, limits=limits, made=alone)

    assert sum(bus.committed.values()) > 500
    assert bus.late == 0
    silent = ("rule-above", "rule-wide", *BELOW)
    assert {found for found in bus.final().values() if found[0] not in silent} == {
        found for found in expected(made) if found[0] not in silent
    }


@pytest.mark.parametrize("correlates", [1, 2])
def test_what_correlations_tell_others_counts_though_detect_is_far_ahead(correlates: int) -> None:
    made = world(3, 900, spool=20 * SECOND)
    limits = Limits(lateness_ms=60 * SECOND)

    bus = run(
        made, seed=3, detects=2, correlates=correlates, faults=False, limits=limits, backlog=True
    )

    assert {f for f in bus.final().values() if f[0] in ("rule-above", "rule-wide")} == {
        f for f in expected(made) if f[0] in ("rule-above", "rule-wide")
    }
