"""``make bench-detect``: samlog's Sigma engine beside rsigma and zargunlite, in one run.

One core (``--core``), interleaved rounds, the same rules and events, rules' own field names on both
sides, matched fields in the output. The time of a run is the CPU time of the whole command, less
that of the same command over one event of each kind, just before and after it: not counted are
loading the rules, samlog's from its cache, and what is made for the first event of a kind. Prints
medians and ranges of events/s, the ratio, hits per rule compared, load times (samlog's without its
cache too) and peak memory.

rsigma: the command on the PATH or ``--rsigma`` (``cargo install rsigma@0.23.0 --locked``).
zargunlite: a Python with it and pysigma-backend-sqlite, ``--zargunlite VENV/bin/python``.
"""

import argparse
import gzip
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import orjson

from benchmarks.windows_lane import prepare_windows

SHARED = Path(__file__).parents[1] / "../shared/data"
DIFFERENT = "structured_windows_all_different"
WINDOWS = "windows_50k"
LANES = (
    "raw_windows",
    "structured_windows",
    DIFFERENT,
    "cisco_syslog",
    "sysmon_file_event",
    "mixed_schema",
    WINDOWS,
)
KIND = ("product", "category", "service", "Channel", "EventID")
FEW = 2_000
"""Events for zargunlite, which is slower by orders of magnitude."""


@dataclass(frozen=True)
class Lane:
    """Events and rules of one comparison; ``one`` holds an event of each kind."""

    name: str
    events: Path
    one: Path
    few: Path
    rules: Path
    count: int


@dataclass(frozen=True)
class Run:
    """CPU seconds and peak kilobytes of one command, and hits per rule."""

    cpu_s: float
    peak_kb: int
    hits: Counter[str]


def prepared(name: str, folder: Path, shared: Path, repeat: int) -> Lane:
    """Writes one lane, its events repeated to be measurable beside the load time.

    In a process of its own: what a command starts with counts as its memory, too.
    """
    with get_context("spawn").Pool(1) as pool:
        return pool.apply(prepare, (name, folder, shared, repeat))


def prepare(name: str, folder: Path, shared: Path, repeat: int) -> Lane:
    if name == WINDOWS:
        return lane(folder, name, *prepare_windows(folder, shared))
    source = "structured_windows" if name == DIFFERENT else name
    with gzip.open(shared / f"events/lane-{source}.ndjson.gz") as file:
        lines = file.read().splitlines() * repeat
    return lane(folder, name, different(lines) if name == DIFFERENT else lines, shared / "sigmahq")


def different(lines: list[bytes]) -> list[bytes]:
    """Returns the events with a seeded suffix on every command line: no value comes twice."""
    chance = random.Random(7)
    out = []
    for line in lines:
        event = orjson.loads(line)
        for field in ("CommandLine", "ParentCommandLine"):
            event[field] = f"{event.get(field, '')} /{chance.randrange(10**12):012}"
        out.append(orjson.dumps(event))
    return out


def of_each_kind(lines: list[bytes]) -> list[bytes]:
    """Returns the first event of each kind: what an engine makes for a kind belongs to its load."""
    first: dict[tuple[object, ...], bytes] = {}
    for line in lines:
        event = orjson.loads(line)
        first.setdefault(tuple(str(event.get(name)) for name in KIND), line)
    return list(first.values())


def lane(folder: Path, name: str, lines: list[bytes], rules: Path) -> Lane:
    paths = [folder / f"{name.replace(' ', '_')}.{part}.ndjson" for part in ("all", "one", "few")]
    for path, part in zip(paths, (lines, of_each_kind(lines), lines[:FEW]), strict=True):
        path.write_bytes(b"\n".join(part) + b"\n")
    return Lane(name, *paths, rules, len(lines))


def measured(command: list[str], out: Path, *, count: bool) -> Run:
    """Runs a command to its end; raises `SystemExit` with its words when it fails."""
    with out.open("wb") as stdout, (out.parent / "stderr").open("wb") as stderr:
        process = subprocess.Popen(command, stdout=stdout, stderr=stderr)
        _, status, used = os.wait4(process.pid, 0)
    if os.waitstatus_to_exitcode(status):
        words = (out.parent / "stderr").read_text()[-500:]
        raise SystemExit(f"{' '.join(command[:6])} … failed: {words}")
    hits: Counter[str] = Counter()
    if count:
        with out.open("rb") as lines:
            for line in lines:
                row = orjson.loads(line)
                hits[row.get("rule") or row.get("rule_id") or row["id"]] += 1
    return Run(used.ru_utime + used.ru_stime, used.ru_maxrss, hits)


def samlog(lane: Lane, events: Path) -> list[str]:
    """Returns our command: rules' own names, matched fields in the output."""
    rules = ["--rules", str(lane.rules)]
    return [sys.executable, "-m", "samlog", "-q", "detect", "--raw", "--json", *rules, str(events)]


def rsigma(command: str, lane: Lane, events: Path) -> list[str]:
    """Returns rsigma's command as fast as it goes: routing by logsource, JSON in and out."""
    fixed = [command, "engine", "eval", "-r", str(lane.rules), "--logsource-routing"]
    return [*fixed, "--input-format", "json", "--output-format", "ndjson", "-e", f"@{events}"]


def zargunlite(python: str, lane: Lane, events: Path) -> list[str]:
    """Returns the command that asks every rule as SQL."""
    return [
        python,
        str(Path(__file__).with_name("zargunlite_run.py")),
        str(lane.rules),
        str(events),
    ]


def main() -> int:
    options = arguments()
    if not (options.shared / "events").exists():
        print("../shared/data is absent: there are no events and rules to measure with")
        return 0
    pin = ["taskset", "-c", str(options.core)] if shutil.which("taskset") else []
    with tempfile.TemporaryDirectory(prefix="samlog-bench-") as name:
        folder = Path(name)
        for one in options.lane or LANES:
            os.environ["XDG_CACHE_HOME"] = str(folder / f"cache-{one}")
            chosen = prepared(one, folder, options.shared, options.repeat)
            compare(chosen, options, pin, folder / "out")
            chosen.events.unlink()
    return 0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--repeat", type=int, default=20, help="how often a lane's 10,000 events")
    parser.add_argument("--core", type=int, default=0, help="the core that everything is pinned to")
    parser.add_argument("--rsigma", default=shutil.which("rsigma") or "", help="rsigma's command")
    parser.add_argument("--zargunlite", default="", help="a Python that has zargunlite")
    parser.add_argument("--shared", type=Path, default=SHARED)
    parser.add_argument("--lane", action="append", choices=LANES, help="only this; may be repeated")
    return parser.parse_args()


def compare(lane: Lane, options: argparse.Namespace, pin: list[str], out: Path) -> None:
    """Prints one lane: events/s of each engine in the same rounds, ratios, hits that differ."""
    engines = {"samlog": lambda events: samlog(lane, events)}
    if options.rsigma:
        engines["rsigma"] = lambda events: rsigma(options.rsigma, lane, events)
    rates: dict[str, list[float]] = {name: [] for name in engines}
    loads: dict[str, list[float]] = {name: [] for name in engines}
    hits: dict[str, Counter[str]] = {}
    peaks: dict[str, int] = {}
    cold = measured([*pin, *samlog(lane, lane.one)], out, count=False)
    print(f"\n{lane.name}: {lane.count:,} events; samlog's load without a cache {cold.cpu_s:.1f} s")
    for turn in range(options.rounds):
        for name, command in engines.items():
            before = measured([*pin, *command(lane.one)], out, count=False)
            whole = measured([*pin, *command(lane.events)], out, count=turn == 0)
            after = measured([*pin, *command(lane.one)], out, count=False)
            load_s = (before.cpu_s + after.cpu_s) / 2
            rates[name].append(lane.count / max(1e-9, whole.cpu_s - load_s))
            loads[name].append(load_s)
            peaks[name] = max(peaks.get(name, 0), whole.peak_kb)
            if turn == 0:
                hits[name] = whole.hits
    for name in engines:
        tell(name, rates[name], loads[name], peaks[name], hits[name])
    if "rsigma" in engines:
        ratios = [a / b for a, b in zip(rates["samlog"], rates["rsigma"], strict=True)]
        print(f"  ratio to rsigma {statistics.median(ratios):.2f} ({spread(ratios, 2)})")
        tell_differences(hits["samlog"], hits["rsigma"])
    if options.zargunlite:
        tell_zargunlite(lane, options.zargunlite, pin, out, statistics.median(rates["samlog"]))


def tell(name: str, rates: list[float], loads: list[float], peak: int, hits: Counter[str]) -> None:
    print(
        f"  {name:8} {statistics.median(rates):9,.0f} events/s ({spread(rates)}), "
        f"load {statistics.median(loads):.2f} s, peak {peak / 1024:.0f} MB, "
        f"{hits.total():,} hits of {len(hits)} rules"
    )


def spread(values: list[float], digits: int = 0) -> str:
    return f"{min(values):,.{digits}f} to {max(values):,.{digits}f}"


def tell_differences(ours: Counter[str], theirs: Counter[str]) -> None:
    different = {rule: (ours[rule], theirs[rule]) for rule in ours | theirs}
    wrong = {rule: pair for rule, pair in different.items() if pair[0] != pair[1]}
    print(f"  hits per rule: {len(different) - len(wrong)} rules equal, {len(wrong)} not")
    for rule, (own, other) in sorted(wrong.items())[:10]:
        print(f"    {rule}: samlog {own}, rsigma {other}")


def tell_zargunlite(lane: Lane, python: str, pin: list[str], out: Path, own: float) -> None:
    run = measured([*pin, *zargunlite(python, lane, lane.few)], out, count=False)
    told = orjson.loads(out.read_bytes().splitlines()[-1])
    rate = told["events"] / told["seconds"]
    print(
        f"  zargunlite {rate:,.0f} events/s ({told['rules']} rules of {told['given']}, "
        f"{told['hits']} hits in {told['events']:,} events, peak {run.peak_kb / 1024:.0f} MB): "
        f"samlog is {own / rate:,.0f} times as fast"
    )


if __name__ == "__main__":
    sys.exit(main())
