"""``make bench-peers``: samlog beside Logprep on a real Kafka, in one run.

Both read the same 50,000 Windows events from Kafka, make ECS of them, ask 1,000 of SigmaHQ's rules,
and write events and detections to Kafka. Each has all its processes on one core (``--core``); the
broker and what feeds it are on another (``--other``). Rounds are interleaved, each on a broker of
its own; a thousand events come first, so that nothing is built during the measurement.

samlog runs its stages normalize and detect (all parsers, all of an event's fields). Logprep runs
field_manager for 28 fields, generic_adder for the logsources, pre_detector: `deployment`. A second
measurement has its main process, which never sleeps, on the other core; a third is logprep-ng.

The rules: SigmaHQ's for Windows by id, the first 1,000 that both can load.
Printed: medians and ranges of events/s by the clock, CPU time an event, memory, the ratio, and the
alerts of both, (event, rule) by (event, rule).
"""

import argparse
import gzip
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from statistics import median

from benchmarks.peers.deployment import Translated, rules_for_windows, translated
from benchmarks.peers.systems import Alerts, Round, System, logprep, run, samlog
from detect.engine import Engine
from samlog.servers import start_kafka

SHARED = Path(__file__).parents[2] / "../shared/data"
SET = "events/windows-security-datasets-50k.ndjson.gz"
ACCEPTS = Path(__file__).with_name("logprep_accepts.py")
BAR = 10


def main() -> int:
    options = arguments()
    if not (options.shared / SET).exists():
        print("../shared/data is absent: there are no events and rules to measure with")
        return 0
    os.sched_setaffinity(0, {options.other})
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    with gzip.open(options.shared / SET) as file:
        lines = file.read().splitlines()
    lines = lines[:: max(1, len(lines) // options.events)][: options.events]
    with tempfile.TemporaryDirectory(prefix="samlog-bench-") as name:
        folder = Path(name)
        rules = options.write or folder
        if not (rules / "sigma").is_dir():
            choose(options, rules.resolve())
        tell_machine(options, lines)
        rounds = measure(systems(options, rules.resolve()), options.rounds, folder, lines)
    if options.write:
        rounds = {name: kept(options.write, name, found) for name, found in rounds.items()}
    tell(rounds, len(lines))
    return 0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--logprep", type=Path, required=True, help="a Python that has Logprep")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rules", type=int, default=1_000)
    parser.add_argument("--events", type=int, default=1 << 30, help="at most; every n-th is taken")
    parser.add_argument("--core", type=int, default=0, help="the core of what is measured")
    parser.add_argument("--other", type=int, default=1, help="the core of everything else")
    parser.add_argument("--only", action="append", help="only this system; may be repeated")
    parser.add_argument("--shared", type=Path, default=SHARED)
    parser.add_argument(
        "--write",
        type=Path,
        help="folder that keeps rules, rounds and alerts; what it holds of an earlier run with the "
        "same options counts too, so that a long run can be made in parts",
    )
    return parser.parse_args()


def choose(options: argparse.Namespace, folder: Path) -> None:
    """Writes the rules that both load: ``sigma/`` and ``logprep/`` below ``folder``."""
    (folder / "sigma").mkdir(parents=True)
    (folder / "logprep").mkdir()
    engine = Engine.load([options.shared / "sigmahq"])
    loaded = {rule.id for rule in engine.rules}
    answers: Counter[str] = Counter()
    found: list[tuple[Translated, Path]] = []
    for rule_id, path in rules_for_windows(options.shared / "sigmahq"):
        rule = translated(path) if rule_id in loaded else "samlog does not load it"
        if isinstance(rule, str):
            answers[rule] += 1
        else:
            found.append((rule, path))
    kept = 0
    for (rule, path), why in zip(found, accepted(options.logprep, found), strict=True):
        if kept == options.rules:
            break
        answers[why and f"Logprep: {why}"] += 1
        if not why:
            shutil.copyfile(path, folder / "sigma" / path.name)
            (folder / "logprep" / f"{rule.id}.json").write_text(json.dumps([rule.content]))
            kept += 1
    told = ", ".join(f"{n} {why}" for why, n in answers.most_common() if why)
    print(f"{kept} rules; left out on the way: {told or 'none'}")


def accepted(python: Path, found: list[tuple[Translated, Path]]) -> list[str]:
    """Returns for each rule why Logprep does not load it, "" if it does."""
    asked = "\n".join(json.dumps(asdict(rule)) for rule, _ in found)
    ran = subprocess.run(
        [str(python), str(ACCEPTS)], input=asked, capture_output=True, text=True, check=False
    )
    if ran.returncode:
        raise SystemExit(f"Logprep does not run: {ran.stderr[-1000:]}")
    return [json.loads(line)["why"] for line in ran.stdout.splitlines()]


def systems(options: argparse.Namespace, folder: Path) -> list[System]:
    """Returns what is measured, samlog first."""
    rules = folder / "logprep"
    programs = options.logprep.parent
    found = [
        samlog(folder / "sigma", options.core),
        logprep(programs / "logprep", rules, options.core),
        logprep(
            programs / "logprep",
            rules,
            options.core,
            name="logprep, 2 cores",
            main_core=options.other,
        ),
        logprep(programs / "logprep-ng", rules, options.core, name="logprep-ng"),
    ]
    return [one for one in found if not options.only or one.name in options.only]


def tell_machine(options: argparse.Namespace, lines: list[bytes]) -> None:
    model = "".join(
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    )[:40]
    ran = subprocess.run(
        [str(options.logprep), "-c", "from importlib.metadata import version as v; import platform;"
         "print(f\"Logprep {v('logprep')}, confluent-kafka {v('confluent-kafka')}, "
         "Python {platform.python_version()}\")"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    size = sum(map(len, lines)) / len(lines)
    print(
        f"{os.cpu_count()} cores ({model}); samlog on Python {platform.python_version()}; "
        f"{ran.stdout.strip()}\n{len(lines):,} events of {size:,.0f} bytes on average; "
        f"core {options.core} for what is measured, core {options.other} for broker and feed; "
        f"load {os.getloadavg()[0]:.1f}"
    )


def measure(
    chosen: list[System], rounds: int, folder: Path, lines: list[bytes]
) -> dict[str, list[Round]]:
    """Runs all systems in turn, ``rounds`` times."""
    found: dict[str, list[Round]] = {one.name: [] for one in chosen}
    for number in range(rounds):
        for one in chosen:
            with start_kafka(heap_mb=1024) as kafka:
                place = folder / f"{one.name.replace(' ', '')}-{number}"
                took = run(one, kafka.address, place, lines, tell=number == 0)
            found[one.name].append(took)
            parts = ", ".join(f"{name} {cpu:.1f}" for name, cpu in took.cpu_s.items() if cpu > 0.2)
            print(f"  round {number + 1}, {one.name}: {len(lines) / took.wall_s:,.0f} events/s, "
                  f"{took.wall_s:.1f} s, CPU s: {parts}", flush=True)  # fmt: skip
    return found


def tell(rounds: dict[str, list[Round]], events: int) -> None:
    """Prints the table, the ratios and how the alerts compare."""
    for name, found in rounds.items():
        rates = [events / one.wall_s for one in found]
        cpus = [one.cpu / events * 1e6 for one in found]
        alerts = found[0].alerts
        print(
            f"{name:17} {median(rates):7,.0f} events/s ({spread(rates)}), "
            f"{median(cpus):6,.0f} us CPU an event ({spread(cpus)}), "
            f"peak {max(one.peak_mb for one in found):,.0f} MB, "
            f"start {median(one.start_cpu_s for one in found):.0f} s CPU, "
            f"{len(alerts):,} alerts of {len({rule for _, rule in alerts})} rules"
        )
    own = rounds.pop("samlog", [])
    for name, theirs in rounds.items():
        if own and theirs:
            wall = [b.wall_s / a.wall_s for a, b in zip(own, theirs, strict=True)]
            cpu = [b.cpu / a.cpu for a, b in zip(own, theirs, strict=True)]
            print(f"samlog is {median(wall):.1f} times as fast as {name} ({spread(wall, 1)}; bar "
                  f"{BAR}); by CPU time {median(cpu):.1f} ({spread(cpu, 1)})")  # fmt: skip
            tell_differences(own[0].alerts, theirs[0].alerts, name)
    rounds["samlog"] = own


def spread(values: list[float], digits: int = 0) -> str:
    return f"{min(values):,.{digits}f} to {max(values):,.{digits}f}"


def tell_differences(ours: Alerts, theirs: Alerts, name: str) -> None:
    """Prints how many (event, rule) are equal, and the rules of those that are not."""
    print(
        f"  alerts of samlog and {name}: {len(ours & theirs):,} equal, "
        f"{len(ours - theirs):,} only samlog's, {len(theirs - ours):,} only {name}'s"
    )
    for whose, alone in (("samlog", ours - theirs), (name, theirs - ours)):
        for rule, count in Counter(rule for _, rule in alone).most_common(12):
            first = min(number for number, its in alone if its == rule)
            print(f"    only {whose}: {count:5} of {rule}, first event {first}")


def kept(folder: Path, name: str, found: list[Round]) -> list[Round]:
    """Returns the rounds of a system with those of earlier runs; the alerts are the first's."""
    path = folder / f"{name.replace(' ', '').replace(',', '-')}.json"
    rows = json.loads(path.read_text()) if path.exists() else []
    rows += [asdict(one) | {"alerts": sorted(one.alerts)} for one in found]
    path.write_text(json.dumps(rows))
    return [
        Round(**{**row, "alerts": {(number, rule) for number, rule in row["alerts"]}})
        for row in rows
    ]


if __name__ == "__main__":
    sys.exit(main())
