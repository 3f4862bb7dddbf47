"""Load time and memory of one process with all of SigmaHQ's rules, over a million events.

    python -m benchmarks.memory [--events 1000000] [--cache FOLDER] [--shared ../shared/data]

Prints the seconds of CPU to load (cold without ``--cache``, from it the second time) and to prepare
the indexes, and the resident memory after each tenth of the events. Events are the 50k Windows
ones, normalised, again and again, each with a command line of its own.
"""

import argparse
import gc
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import orjson

from benchmarks.detect import calibrate, normalise, read
from detect.engine import Engine
from detect.step import DetectStep
from samlog.bus.base import Message
from samlog.cli.stage_ import GC_THRESHOLDS
from samlog.clock import SystemClock
from samlog.event import EVENTS

SAMPLE = 5_000
LINE = "winlog.event_data.CommandLine"


def resident_mb() -> float:
    """Returns the resident memory of this process now, in MB (Linux)."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 1e6


def peak_mb() -> float:
    """Returns the greatest resident memory that this process had, in MB (Linux)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) * 1024 / 1e6


def samples(shared: Path) -> list[bytes]:
    """Returns normalised events."""
    return normalise(read(shared, "windows-security-datasets-50k", SAMPLE))


def messages(lines: list[bytes], count: int) -> Iterator[Message]:
    """Yields events that are all different."""
    for n in range(count):
        event = orjson.loads(lines[n % len(lines)])
        changed = event | {LINE: f"{event.get(LINE, 'cmd')} {n:x}", "event.id": f"e{n}"}
        yield Message(EVENTS, 0, n, b"u", orjson.dumps(changed), {}, 0)


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--cache", type=Path, help="folder of compiled rules; kept")
    parser.add_argument("--shared", type=Path, default=Path("../shared/data"))
    options = parser.parse_args()
    if not options.shared.is_dir():
        raise SystemExit(f"{options.shared} is absent: rules and events of others are read there")
    print(f"calibration {calibrate():.3f} s")
    # In a process of its own: reading and normalising them takes 240 MB.
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as apart:
        lines = apart.submit(samples, options.shared).result()
    print(f"{resident_mb():.0f} MB with {len(lines):,} events and no rules")
    began = time.process_time()
    with tempfile.TemporaryDirectory() as made:
        cache = options.cache or Path(made)
        engine = Engine.load([options.shared / "sigmahq"], mode="ecs", cache_dir=cache)
    loaded = time.process_time()
    gc.set_threshold(*GC_THRESHOLDS)
    step = DetectStep(engine, SystemClock())
    prepared = time.process_time() - loaded
    print(
        f"{len(engine.rules)} rules loaded in {loaded - began:.2f} s, indexes in {prepared:.2f} s"
    )
    print(f"{resident_mb():.0f} MB, peak {peak_mb():.0f} MB")
    fired = 0
    for message in messages(lines, options.events):
        fired += len(list(step.process(message)))
        if (message.offset + 1) % max(1, options.events // 10) == 0:
            step.tick(step._clock.now())
            print(
                f"{message.offset + 1:>10,} events  {resident_mb():>6.0f} MB  {fired:,} detections"
            )
    print(f"peak {peak_mb():.0f} MB, calibration {calibrate():.3f} s")


if __name__ == "__main__":
    main()
