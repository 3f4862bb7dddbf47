"""The whole path as users start it, and a single stage over the records that it left behind."""

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from samlog import status

DATA = Path(__file__).parents[1] / "../shared/data"


@dataclass(frozen=True)
class PathFigures:
    """One run: ``seconds`` wall from start to exit, ``busy_s`` from first to last record."""

    events: int
    seconds: float
    busy_s: float
    cpu_s: dict[str, float]
    told: dict[str, dict[str, Any]]

    @property
    def per_second(self) -> float:
        return self.events / self.busy_s

    def table(self, title: str) -> str:
        """Returns the figures for people."""
        lines = [
            f"{title}: {self.per_second:,.0f} events/s from the first record to the last "
            f"({self.busy_s:.1f} s), {self.events / self.seconds:,.0f}/s with starting and "
            f"stopping ({self.seconds:.1f} s)"
        ]
        for stage, cpu in self.cpu_s.items():
            lines.append(f"  {stage:10} {cpu / self.events * 1e6:6.0f} µs CPU an event")
        total = sum(self.cpu_s.values())
        lines.append(f"  {'all stages':10} {total / self.events * 1e6:6.0f} µs CPU an event")
        return "\n".join(lines)


def configuration(folder: Path, source: Path, rules: Path) -> dict[str, Any]:
    """Returns an embedded configuration below ``folder`` that reads ``source``."""
    data = str(folder / "data")
    return {
        "bus": {"type": "embedded", "path": data},
        "store": {"type": "embedded", "path": data},
        "state": data,
        "units": {"enheda": {"title": "Enhed A"}},
        "sources": [{"type": "file", "unit": "enheda", "paths": [str(source)]}],
        "rules": [str(rules)],
        "sinks": [{"type": "file", "path": str(folder / "alerts.ndjson")}],
        "http": {"listen": "127.0.0.1:0"},
    }


def run_path(folder: Path, config: dict[str, Any]) -> PathFigures:
    """Runs ``samlog run --until-idle`` and reads what each stage told."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "samlog.yaml"
    path.write_bytes(orjson.dumps(config))
    started = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "samlog", "-q", "run", "--until-idle", "-c", str(path)],
        check=True,
        stderr=subprocess.DEVNULL,
    )
    seconds = time.perf_counter() - started
    told = status.read_all(Path(config["state"]))
    first = min(state["began"] for state in told.values() if state.get("began"))
    last = max(state["ended"] for state in told.values() if state.get("ended"))
    return PathFigures(
        events=int(told["collect"]["sent"]),
        seconds=seconds,
        busy_s=last - first,
        cpu_s={stage: float(state["cpu_s"]) for stage, state in told.items()},
        told=told,
    )


ALONE = """
import os, sys, time
from dataclasses import replace
from pathlib import Path
from samlog import pipeline
from samlog.clock import SystemClock
from samlog.deadletter import Quota
from samlog.journal import Journal
from samlog.loop import Loop
from samlog.metrics import Metrics
name, config, scratch = sys.argv[1:]
clock, metrics = SystemClock(), Metrics()
settings = pipeline.load_settings(config).settings
bus = pipeline.open_bus(settings, clock)
stage = pipeline.build_stage(name, settings, clock, metrics)
stage = replace(stage, group=f"bench.{name}.{time.time_ns()}")
loop = Loop(stage, bus, Journal(Path(scratch) / "note"), clock, metrics, Quota(1_000_000))
wall, cpu = time.perf_counter(), time.process_time()
loop.run(lambda: True, lambda: False)
wall, cpu, taken = time.perf_counter() - wall, time.process_time() - cpu, loop.counts.taken
print(f"{name:10} {taken / wall:9,.0f} records/s  {cpu / max(1, taken) * 1e6:5.0f} us CPU a record")
loop.close()
"""


def run_stage_alone(folder: Path, config: dict[str, Any], stage: str) -> str:
    """Returns a line about one stage that reads the run's topics again, as another group."""
    scratch = folder / f"alone-{stage}"
    scratch.mkdir(exist_ok=True)
    environ = os.environ | {"SAMLOG_STATE": str(scratch)}
    if config["store"]["type"] == "embedded":
        environ["SAMLOG_STORE__PATH"] = str(scratch)
    ended = subprocess.run(
        [sys.executable, "-c", ALONE, stage, str(folder / "samlog.yaml"), str(scratch)],
        check=False,
        capture_output=True,
        text=True,
        env=environ,
    )
    return ended.stdout.strip() or f"{stage}: failed: {ended.stderr.strip()[-300:]}"
