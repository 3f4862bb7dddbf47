"""The dearest of many hostile events: what one event can cost with all of SigmaHQ's rules.

    python -m benchmarks.hostile [--events 100000] [--seed 1] [--only KIND] [--check 200]

Events are written as an attacker would who knows the rules: values made of the rules' own
literals and near misses, of what nearly matches their regexes, lists of everything, long values,
values that fold to more than they are, thousands of fields. Each goes through the detect step as a
record: JSON parse, match, detections as JSON. Times are of the process's own CPU in milliseconds,
so that what else runs on the machine weighs less; a calibration line (a loop of five million empty
turns) tells the state it was in. One event in ``--check`` is also asked without the prefilter: the
answers must be the same. Last, for comparison, ordinary Windows events.
"""

import argparse
import gc
import random
import resource
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import orjson

from benchmarks.detect import calibrate, normalise, read
from benchmarks.hostile_events import KINDS, Bait, baits, hostile_event
from detect.engine import Engine
from detect.step import DetectStep
from samlog.bus.base import Message
from samlog.cli.stage_ import GC_THRESHOLDS
from samlog.clock import SystemClock
from samlog.event import EVENTS

ORDINARY = "windows-security-datasets-50k"
WARM_UP = 300
SHOWN = 12


def messages(
    all_baits: list[Bait], count: int, seed: int, only: str
) -> Iterator[tuple[str, Message]]:
    """Yields (kind, message); the same seed gives the same."""
    rng = random.Random(seed)
    now = datetime(2026, 11, 22, tzinfo=UTC).isoformat()
    kinds = [only] if only else list(KINDS)
    for n in range(count):
        kind = kinds[n % len(kinds)]
        bait = rng.choice(all_baits)
        event = hostile_event(kind, bait, rng)
        head = {"@timestamp": now, "event.id": f"e{n}", "samlog.unit": "enheda"}
        value = orjson.dumps({**event, **head, **bait.head}, default=repr)
        yield kind, Message(EVENTS, 0, n, b"enheda", value, {}, 0)


def differs(engine: Engine, value: bytes) -> bool:
    """Tells whether the prefilter and the full scan give different rules."""
    event = orjson.loads(value)
    answers = [
        {match.rule.id for match in engine.match(event, line=value)},
        {match.rule.id for match in engine.match(event)},
        {match.rule.id for match in engine.match(event, prefilter=False)},
    ]
    return any(answer != answers[0] for answer in answers)


def percentile(ordered: list[float], share: float) -> float:
    """Returns the smallest value that so great a share does not exceed."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def row(name: str, times: list[float]) -> str:
    """Returns a line of the table, in milliseconds."""
    ordered = sorted(times)
    shares = (0.5, 0.99, 0.999)
    cells = "".join(f"{percentile(ordered, s):>9.3f}" for s in shares)
    return f"{name:<26}{len(times):>8}{cells}{ordered[-1]:>9.2f}"


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", choices=[*KINDS, ""], default="", help="one kind of event")
    parser.add_argument("--check", type=int, default=1000, help="one in so many is asked twice; 0")
    parser.add_argument("--shared", type=Path, default=Path("../shared/data"))
    parser.add_argument("--cache", type=Path, help="folder of compiled rules to use again")
    options = parser.parse_args()
    if not options.shared.is_dir():
        raise SystemExit(f"{options.shared} is absent: the rules are read there")
    with tempfile.TemporaryDirectory() as made:
        cache = options.cache or Path(made)
        engine = Engine.load([options.shared / "sigmahq"], mode="ecs", cache_dir=cache)
    step = DetectStep(engine, SystemClock())
    gc.set_threshold(*GC_THRESHOLDS)
    print(f"calibration {calibrate():.3f} s, {len(engine.rules)} rules")
    run(step, engine, baits(engine.built), options)
    print(row("ordinary: Windows events", ordinary(step, options.shared)))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"calibration {calibrate():.3f} s, peak memory {peak:,.0f} MB")


def ordinary(step: DetectStep, shared: Path) -> list[float]:
    """Returns the milliseconds of each public Windows event, normalised."""
    times = []
    for n, value in enumerate(normalise(read(shared, ORDINARY, 100_000))):
        message = Message(EVENTS, 0, n, b"enheda", value, {}, 0)
        began = time.thread_time_ns()
        list(step.process(message))
        times.append((time.thread_time_ns() - began) / 1e6)
    return times


def run(
    step: DetectStep, engine: Engine, all_baits: list[Bait], options: argparse.Namespace
) -> None:
    """Measures and prints."""
    times: dict[str, list[float]] = defaultdict(list)
    worst: list[tuple[float, int, str, int, int]] = []
    apart: list[float] = []
    different = checked = fired = 0
    for _, message in messages(all_baits, WARM_UP, options.seed + 1, options.only):
        list(step.process(message))
    for kind, message in messages(all_baits, options.events, options.seed, options.only):
        began = time.thread_time_ns()
        orjson.loads(message.value)
        parsed = time.thread_time_ns()
        found = list(step.process(message))
        took = (time.thread_time_ns() - parsed) / 1e6
        apart.append(took - (parsed - began) / 1e6)
        times[kind].append(took)
        fired += len(found)
        worst.append((took, message.offset, kind, len(message.value), len(found)))
        if len(worst) > 1_000:
            worst = sorted(worst, reverse=True)[:SHOWN]
        if options.check and message.offset % options.check == 0:
            checked += 1
            if differs(engine, message.value):
                different += 1
                print(f"DIFFERENT: event {message.offset}, {kind}")
    print(f"{'kind':<26}{'events':>8}{'p50':>9}{'p99':>9}{'p99.9':>9}{'worst':>9}  ms")
    for kind, found_times in times.items():
        print(row(kind, found_times))
    print(row("all", [one for part in times.values() for one in part]))
    print(row("all, less the JSON parse", apart))
    for took, number, kind, size, n in sorted(worst, reverse=True)[:SHOWN]:
        print(f"  {took:8.2f} ms  event {number}, {kind}, {size:,} bytes, {n} detections")
    print(f"{fired:,} detections; {different} of {checked} differ from the full scan")


if __name__ == "__main__":
    main()
