"""``python -m benchmarks.correlate``: matches/s of every type of correlation, on one core.

For each type: one group whose window fills, the same once it is full (each match pushes one out),
and 100,000 live groups. Two figures each: the state alone, and the whole step with reading the
record. CPU time, so that other work on the machine counts little; medians of interleaved rounds.
Nothing may be told in these runs: it is the price of a match, not of an alert.
"""

import argparse
import gc
import statistics
import time
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

from benchmarks.__main__ import calibrate, machine
from detect.correlate.correlator import Correlator, Limits
from detect.correlate.matches import Head, encode, name_of
from detect.correlate.rule import KINDS, NUMERIC, Base, Correlation
from detect.correlate.step import CorrelateStep
from detect.correlate.window import Match
from detect.rule import Rule
from samlog.bus.base import Message
from samlog.cli.stage_ import GC_THRESHOLDS
from samlog.clock import SystemClock
from samlog.event import MATCHES

LIVE_GROUPS = 100_000
GOAL = 200_000
RULE = Rule("r", "t", "high", "", "", "", (), (), (), (), ("", "", ""), "", "", "", 1, "")
REST = {"u": "enheda", "g": ["anna"], "e": "e", "h": "ab" * 32, "i": "logs-x-enheda", "l": "LC-05"}
CONTEXT = {"c": {"host.name": "srv-112", "user.name": "anna", "source.ip": "203.0.113.7"}, "x": {}}


def correlation(kind: str, span_ms: int) -> Correlation:
    """Returns a correlation that never fires."""
    never = 4 if kind.startswith("temporal") else 10**15
    return Correlation(
        rule=RULE,
        kind=kind,
        bases=tuple(Base(f"base-{i}", {}) for i in range(3)),
        group_by=("User",),
        fields=("Value",) if kind.startswith("value") else (),
        span_ms=span_ms,
        bounds=(("gte", never),),
        percentile=95_000 if kind == "value_percentile" else 50_000,
        generate=False,
        shared=False,
    )


def head_of(one: Correlation, i: int) -> Head:
    """Returns match number ``i``: a millisecond each, 5,000 distinct values, two of three rules."""
    value = i * 7919 % 5_000
    values: list[Any] = []
    if one.fields:
        values = [value * 1_000_000 if one.kind in NUMERIC else f"host-{value}"]
    return Head(name_of(one), i, f"{i:032x}", 1 << (i % 2), values, "enheda|srv system.auth")


def state(one: Correlation, groups: int, first: int, count: int) -> Callable[[], float]:
    """Returns a measurement of the state alone: matches/s over ``count`` behind ``first``."""

    def measure() -> float:
        correlator = Correlator(Limits(matches_per_group=1 << 40, matches=1 << 40))
        ordered = one.kind == "temporal_ordered"
        made = []
        for i in range(first + count):
            head = head_of(one, i)
            match = Match(i, i % 2 if ordered else 0, head.id, head.mask, head.values, b"", i)
            made.append((b"%d" % (i % groups), match))
        add = correlator.add
        for key, match in made[:first]:
            add(key, one, match, "s")
        gc.collect()
        began = time.process_time()
        for key, match in made[first:]:
            add(key, one, match, "s")
        return count / (time.process_time() - began)

    return measure


def step(one: Correlation, groups: int, first: int, count: int) -> Callable[[], float]:
    """Returns a measurement of the step: matches/s with reading the record."""

    def measure() -> float:
        engine = SimpleNamespace(built=SimpleNamespace(correlations=[one]))
        rules: Any = SimpleNamespace(engine=engine, label="", overlays=None)
        limits = Limits(matches_per_group=1 << 40, matches=1 << 40)
        made = CorrelateStep(rules, SystemClock(), limits=limits)
        messages = []
        for i in range(first + count):
            record = encode(head_of(one, i), b"%d" % (i % groups), REST | CONTEXT)
            messages.append(Message(MATCHES, 0, i, record.key, record.value, {}, 0))
        process = made.process
        for message in messages[:first]:
            process(message)
        gc.collect()
        began = time.process_time()
        for message in messages[first:]:
            process(message)
        return count / (time.process_time() - began)

    return measure


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--matches", type=int, default=100_000, help="measured a run (100,000)")
    parser.add_argument("--rounds", type=int, default=5, help="interleaved rounds (5)")
    parser.add_argument("--types", nargs="*", default=list(KINDS), help="which types (all)")
    options = parser.parse_args()
    gc.set_threshold(*GC_THRESHOLDS)
    print(f"machine: {machine()}; {options.matches:,} matches a run, {options.rounds} rounds")
    calibrate()
    count = options.matches
    cases: dict[tuple[str, str, str], Callable[[], float]] = {}
    for kind in options.types:
        for what, groups, first, span in (
            ("filling", 1, 0, 1 << 40),
            ("full", 1, count, count),
            ("100,000 groups", LIVE_GROUPS, LIVE_GROUPS, 4 * LIVE_GROUPS),
        ):
            one = correlation(kind, span)
            cases[kind, what, "state"] = state(one, groups, first, count)
            cases[kind, what, "step"] = step(one, groups, first, count)
    return show(cases, options.rounds)


def show(cases: dict[tuple[str, str, str], Callable[[], float]], rounds: int) -> int:
    """Runs the cases in turn, so often, and prints medians and ranges."""
    figures: dict[tuple[str, str, str], list[float]] = {case: [] for case in cases}
    for _ in range(rounds):
        for case, measure in cases.items():
            figures[case].append(measure())
    print(f"{'type':17} {'window':15} {'state: matches/s (range)':32} step: matches/s (range)")
    for kind, what, part in cases:
        if part == "state":
            parts = [told(figures[kind, what, name]) for name in ("state", "step")]
            print(f"{kind:17} {what:15} {parts[0]:32} {parts[1]}")
    least = min(statistics.median(values) for values in figures.values())
    print(f"least: {least:,.0f}/s; the goal is {GOAL:,}/s for every one")
    return 0


def told(values: Sequence[float]) -> str:
    return f"{statistics.median(values):,.0f} ({min(values):,.0f}-{max(values):,.0f})"


if __name__ == "__main__":
    raise SystemExit(main())
