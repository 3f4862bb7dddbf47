"""What fires is a function of the set of matches: held against a slow reference."""

import random
from collections.abc import Sequence
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from detect.correlate.correlator import (
    Correlator,
    Limits,
    Telling,
    final_firings,
)
from detect.correlate.group import NEVER
from detect.correlate.rule import KINDS, Correlation
from detect.correlate.window import Match
from tests.detect.correlate.oracle import SECOND, Fired, correlation, match, reference

KEY = b"a group"
SEVERAL_BOUNDS = [
    (("gte", 3),),
    (("gt", 2),),
    (("gt", 1), ("lte", 3)),
    (("lt", 3),),
    (("lte", 2),),
    (("eq", 2),),
    (("neq", 2),),
]


@st.composite
def correlations(draw: st.DrawFn) -> Correlation:
    kind = draw(st.sampled_from(KINDS))
    bounds = draw(st.sampled_from(SEVERAL_BOUNDS))
    rules = draw(st.integers(1, 3))
    if kind == "temporal_ordered":
        bounds = (("gte", rules),)
    percentile = draw(st.sampled_from([0, 50_000, 33_300, 95_000, 100_000]))
    return correlation(kind, bounds=bounds, rules=rules, percentile=percentile)


@st.composite
def matches_of(draw: st.DrawFn, rule: Correlation) -> list[Match]:
    made: dict[Any, Match] = {}
    for i in range(draw(st.integers(0, 30))):
        t = draw(st.integers(0, 60)) * SECOND
        place = draw(st.integers(0, len(rule.bases) - 1))
        order = place if rule.kind == "temporal_ordered" else 0
        values = draw(st.lists(st.integers(0, 5), max_size=2))
        found = match(t, f"e{i:02}", mask=1 << place, values=tuple(values), order=order)
        made[found[:3]] = found
    return list(made.values())


@st.composite
def cases(draw: st.DrawFn) -> tuple[Correlation, list[Match], int]:
    rule = draw(correlations())
    return rule, draw(matches_of(rule)), draw(st.integers(0, 2**32))


def run(
    rule: Correlation,
    matches: Sequence[Match],
    dice: random.Random,
    limits: Limits | None = None,
) -> list[Telling]:
    """Plays matches with ticks and honest watermarks in between; returns all that was told."""
    correlator = Correlator(limits or Limits())
    told: list[Telling] = []
    for i, found in enumerate(matches):
        told += correlator.add(KEY, rule, found, "s")
        if dice.random() < 0.3:
            told += correlator.advance(NEVER)
        if dice.random() < 0.2:
            coming = [m.t for m in matches[i + 1 :]]
            told += correlator.advance(min(coming, default=found.t) - 1)
    return told + correlator.finish()


def stands(told: Sequence[Telling]) -> set[Fired]:
    return {
        (f.firing.slot, f.firing.match.id, f.firing.total, f.total)
        for f in final_firings(told).values()
    }


@settings(max_examples=300, deadline=None)
@given(cases())
def test_any_order_of_arrival_gives_what_the_definition_says(
    case: tuple[Correlation, list[Match], int],
) -> None:
    rule, matches, seed = case
    dice = random.Random(seed)
    dice.shuffle(matches)
    repeated = [*matches, *(m for m in matches if dice.random() < 0.2)]

    told = run(rule, repeated, dice)

    assert stands(told) == reference(rule, matches)


@settings(max_examples=150, deadline=None)
@given(cases())
def test_matches_behind_the_watermark_correct_what_was_told(
    case: tuple[Correlation, list[Match], int],
) -> None:
    rule, matches, seed = case
    dice = random.Random(seed)
    dice.shuffle(matches)
    correlator = Correlator(Limits())
    told: list[Telling] = []
    for found in matches:
        told += correlator.add(KEY, rule, found, "s")
        told += correlator.advance(found.t)

    told += correlator.finish()

    assert stands(told) == reference(rule, matches)


@settings(max_examples=150, deadline=None)
@given(cases())
def test_a_match_that_is_taken_back_leaves_no_trace(
    case: tuple[Correlation, list[Match], int],
) -> None:
    rule, matches, seed = case
    dice = random.Random(seed)
    gone = {m.id for m in matches if dice.random() < 0.3}
    correlator = Correlator(Limits())
    told: list[Telling] = []
    for found in matches:
        told += correlator.add(KEY, rule, found, "s")
    for found in matches:
        if found.id in gone:
            correlator.retract(KEY, found.id, found.t, found.t)

    told += correlator.finish()

    assert stands(told) == reference(rule, [m for m in matches if m.id not in gone])
