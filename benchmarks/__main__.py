"""``python -m benchmarks``: events/s of each stage alone, of the whole path, and its latency.

Figures of one run on one machine: compare ratios within a run, not runs with each other. With
``--servers`` also on a real Kafka and Elasticsearch (Java and Maven), with the store's ceiling of
the same run. Input: the public Windows events of ../shared/data, all SigmaHQ rules.
"""

import argparse
import gzip
import os
import platform
import shutil
import sys
import tempfile
from itertools import islice
from pathlib import Path

from benchmarks.latency import measure_latency
from benchmarks.whole_path import (
    DATA,
    STAGES,
    PathFigures,
    configuration,
    run_path,
    run_stage_alone,
)

EVENTS = DATA / "events/windows-security-datasets-50k.ndjson.gz"
RULES = DATA / "sigmahq"


def main() -> int:
    options = arguments()
    if not EVENTS.exists() or not RULES.exists():
        print("../shared/data is absent: there are no real events and rules to measure with")
        return 0
    print(f"machine: {os.cpu_count()} cores, {machine()}, Python {platform.python_version()}")
    print(f"input: {options.events:,} Windows events, all SigmaHQ rules; {' '.join(sys.argv)}")
    with tempfile.TemporaryDirectory(prefix="samlog-bench-") as name:
        folder = Path(name)
        source = folder / "events.ndjson"
        with gzip.open(EVENTS, "rb") as lines, source.open("wb") as out:
            out.writelines(islice(lines, options.events))
        calibrate()
        if not options.only_servers:
            embedded = measure_embedded(folder, source, options.events)
            if not options.no_latency:
                measure_latency(folder, source, RULES, rate=embedded.per_second / 2)
        if options.servers or options.only_servers:
            from benchmarks.on_servers import measure_servers

            measure_servers(folder, source, options.events, RULES)
        shutil.rmtree(folder / "embedded", ignore_errors=True)
    return 0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("--events", type=int, default=50_233, help="how many events (50,233)")
    parser.add_argument("--servers", action="store_true", help="also on Kafka and Elasticsearch")
    parser.add_argument("--only-servers", action="store_true", help="nothing embedded")
    parser.add_argument("--no-latency", action="store_true", help="leave the latency out")
    return parser.parse_args()


def machine() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def calibrate() -> None:
    """Prints how fast the machine is now: an empty loop of five million turns."""
    import time

    started = time.perf_counter()
    for _ in range(5_000_000):
        pass
    print(f"calibration: 5M empty turns {time.perf_counter() - started:.2f} s\n")


def measure_embedded(folder: Path, source: Path, events: int) -> PathFigures:
    """Prints the whole path embedded, then each stage alone over what that run left behind."""
    config = configuration(folder / "embedded", RULES)
    figures = run_path(folder / "embedded", config, source, events)
    print(figures.table("whole path, embedded"))
    print("\nstages alone (one process, nothing else running), on the same records")
    # Backwards: what a stage writes again would be repeats for those behind it.
    for stage in reversed(STAGES):
        print("  " + run_stage_alone(folder / "embedded", config, stage))
    return figures


if __name__ == "__main__":
    sys.exit(main())
