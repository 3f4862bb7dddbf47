"""Events per second of the Sigma engine with all of SigmaHQ's rules, JSON parse included.

    python -m benchmarks.detect [--rounds 5] [--events 20000] [--shared ../shared/data]

Prints for each set the median and range of interleaved rounds on one core, with the prefilter and
without, the hits, and the time to load the rules cold and from the cache. Times are of the
process's own CPU, so that what else runs on the machine weighs less; a calibration line (a loop of
five million empty turns) tells the state the machine was in.
"""

import argparse
import gzip
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from detect.engine import Engine, Mode
from detect.raw import flatten_raw
from normalize.frame import Normalizer
from normalize.parse import parse_record
from normalize.registry import Registry
from normalize.step import encode_event

RAW_SETS = (
    "windows-security-datasets-50k",
    "lane-raw_windows",
    "lane-structured_windows",
    "lane-cisco_syslog",
    "lane-sysmon_file_event",
    "lane-mixed_schema",
    "aws-cloudtrail-invictus-2900",
    "zeek-json-8k",
)
NORMALISED_SETS = (RAW_SETS[0], *RAW_SETS[-2:])
FULL_SCAN_EVENTS = 300


def read(shared: Path, name: str, limit: int) -> list[bytes]:
    """Returns every n-th line of a set, at most ``limit``."""
    with gzip.open(shared / "events" / f"{name}.ndjson.gz") as file:
        lines = file.read().splitlines()
    return lines[:: max(1, len(lines) // limit)][:limit]


def normalise(lines: list[bytes]) -> list[bytes]:
    """Returns the lines as records of ``samlog.events``."""
    normalizer, now = Normalizer({}, Registry()), datetime(2026, 11, 22, tzinfo=UTC)
    found = []
    for i, line in enumerate(lines):
        for event in parse_record(line, normalizer, received=now, name=str(i)):
            found.append(encode_event(event))
    return found


def run(engine: Engine, lines: list[bytes], *, prefilter: bool) -> tuple[float, int]:
    """Returns (events per second, hits)."""
    prepare: Callable[[Any], Any] = flatten_raw if engine.mode == "raw" else lambda event: event
    hits = 0
    began = time.process_time()
    for line in lines:
        event = prepare(orjson.loads(line))
        hits += len(engine.match(event, line=line, prefilter=prefilter))
    return len(lines) / (time.process_time() - began), hits


def load(shared: Path, mode: Mode, cache: str) -> Engine:
    """Loads all rules and says how long it took."""
    began = time.process_time()
    engine = Engine.load([shared / "sigmahq"], mode=mode, cache_dir=cache)
    loaded = time.process_time()
    engine.prepare()
    print(f"  {mode}: {len(engine.rules)} rules, {loaded - began:.2f} s, "
          f"index of all sources {time.process_time() - loaded:.2f} s")  # fmt: skip
    return engine


def calibrate() -> float:
    """Returns the seconds of five million empty turns."""
    began = time.process_time()
    for _ in range(5_000_000):
        pass
    return time.process_time() - began


def measure(
    sets: dict[str, tuple[Engine, list[bytes]]], rounds: int
) -> dict[str, tuple[list[float], list[float], int]]:
    """Returns per set the rates with the prefilter, without it, and the hits."""
    results: dict[str, tuple[list[float], list[float], int]] = {n: ([], [], 0) for n in sets}
    for _ in range(rounds):
        for name, (engine, lines) in sets.items():
            fast, full, _ = results[name]
            rate, hits = run(engine, lines, prefilter=True)
            fast.append(rate)
            full.append(run(engine, lines[:FULL_SCAN_EVENTS], prefilter=False)[0])
            results[name] = (fast, full, hits)
    return results


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--events", type=int, default=20_000, help="events of a set, at most")
    parser.add_argument("--shared", type=Path, default=Path("../shared/data"))
    options = parser.parse_args()
    if not options.shared.is_dir():
        raise SystemExit(f"{options.shared} is absent: rules and events of others are read there")
    print(f"calibration {calibrate():.3f} s")
    with tempfile.TemporaryDirectory() as cache:
        print("rules, cold:")
        load(options.shared, "raw", cache)
        load(options.shared, "ecs", cache)
        print("rules, from the cache:")
        raw = load(options.shared, "raw", cache)
        ecs = load(options.shared, "ecs", cache)
    sets = {name: (raw, read(options.shared, name, options.events)) for name in RAW_SETS}
    for name in NORMALISED_SETS:
        sets[f"normalised {name}"] = (ecs, normalise(sets[name][1]))
    print(f"{'set':<44}{'events/s':>10}  {'range':<18}{'full scan':>10}{'ratio':>8}{'hits':>8}")
    for name, (fast, full, hits) in measure(sets, options.rounds).items():
        median, slow = statistics.median(fast), statistics.median(full)
        spread = f"{min(fast):,.0f}-{max(fast):,.0f}"
        print(
            f"{name:<44}{median:>10,.0f}  {spread:<18}{slow:>10,.0f}{median / slow:>8.1f}{hits:>8}"
        )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"calibration {calibrate():.3f} s, peak memory {peak:,.0f} MB (both modes, all events)")


if __name__ == "__main__":
    main()
