"""The whole path as users start it, and a single stage over the records that it left behind."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from samlog import pipeline, status
from samlog.clock import SystemClock
from samlog.event import DETECTIONS, EVENTS, raw_topic

DATA = Path(__file__).parents[1] / "../shared/data"
STAGES = ("normalize", "detect", "alerts", "store")
THROUGH = ("normalize", "detect", "store")
"""Stages that every event goes through."""


@dataclass(frozen=True)
class PathFigures:
    """One run: ``start_s`` until all stages were ready, ``busy_s`` from then until all was done.

    Done is when every event is stored and asked about, and every detection is in an alert. The last
    update of an alert went out ``updates_s`` later: updates wait for each other for ten seconds,
    however fast the path is. ``cpu_s`` is of samlog's stages, ``others_s`` of the servers that they
    use.
    """

    events: int
    start_s: float
    busy_s: float
    updates_s: float
    cpu_s: dict[str, float]
    others_s: dict[str, float]

    @property
    def per_second(self) -> float:
        return self.events / self.busy_s

    def table(self, title: str) -> str:
        """Returns the figures for people."""
        lines = [
            f"{title}: {self.per_second:,.0f} events/s from the arrival of the file until all are "
            f"stored, asked about and alerted ({self.busy_s:.1f} s; updates of these alerts were "
            f"out {self.updates_s:.1f} s later); all stages were ready after {self.start_s:.1f} s"
        ]
        for stage, cpu in self.cpu_s.items():
            lines.append(f"  {stage:10} {cpu / self.events * 1e6:6.0f} µs CPU an event")
        total = sum(self.cpu_s.values())
        lines.append(f"  {'all stages':10} {total / self.events * 1e6:6.0f} µs CPU an event")
        for server, cpu in self.others_s.items():
            lines.append(f"  {server:13} {cpu / self.events * 1e6:6.0f} µs CPU an event beside")
        return "\n".join(lines)


def configuration(folder: Path, rules: Path, unit: str = "enheda") -> dict[str, Any]:
    """Returns an embedded configuration below ``folder`` that reads what comes into ``feed/``."""
    data = str(folder / "data")
    return {
        "bus": {"type": "embedded", "path": data},
        "store": {"type": "embedded", "path": data},
        "state": data,
        "units": {unit: {"title": unit}},
        "sources": [{"type": "file", "unit": unit, "paths": [str(folder / "feed/*.ndjson")]}],
        "rules": [str(rules)],
        "sinks": [{"type": "file", "path": str(folder / "alerts.ndjson")}],
        "http": {"listen": "127.0.0.1:0"},
    }


def run_path(
    folder: Path,
    config: dict[str, Any],
    source: Path,
    events: int,
    others: Callable[[], dict[str, float]] = dict,
) -> PathFigures:
    """Runs ``samlog run``, gives it ``source`` when all stages are ready, stops it when idle.

    ``others`` tells the CPU seconds of what runs beside.
    """
    feed = folder / "feed"
    feed.mkdir(parents=True, exist_ok=True)
    path = folder / "samlog.yaml"
    path.write_bytes(orjson.dumps(config))
    state = Path(config["state"])
    started = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "samlog", "-q", "run", "-c", str(path)], stderr=subprocess.DEVNULL
    )
    try:
        wait(process, lambda: is_ready(status.read_all(state)))
        start_s = time.perf_counter() - started
        before, others_before = status.read_all(state), others()
        given = time.time()
        os.link(source, feed / "events.ndjson")
        done = wait_until_done(process, path, raw_topic(*config["units"]), events)
        told = wait_until_idle(process, state, events)
        others_s = {name: cpu - others_before[name] for name, cpu in others().items()}
    finally:
        process.terminate()
        process.wait()
    return PathFigures(
        events=int(told["collect"]["sent"]),
        start_s=start_s,
        busy_s=done - given,
        updates_s=max(0.0, max(told[stage]["ended"] for stage in STAGES) - done),
        cpu_s={stage: float(one["cpu_s"] - before[stage]["cpu_s"]) for stage, one in told.items()},
        others_s=others_s,
    )


def wait(
    process: subprocess.Popen[bytes], is_over: Callable[[], bool], every_s: float = 0.5
) -> None:
    """Looks every ``every_s`` until ``is_over``; gives up after five minutes."""
    deadline = time.monotonic() + 300
    while not is_over():
        if process.poll() is not None or time.monotonic() > deadline:
            raise SystemExit("samlog run ended or hung; run it by hand to see why")
        time.sleep(every_s)


def is_ready(told: status.States) -> bool:
    return told.keys() >= {"collect", *STAGES} and not any(s.get("starting") for s in told.values())


def wait_until_done(process: subprocess.Popen[bytes], config: Path, raw: str, events: int) -> float:
    """Returns when each stage had committed all that it reads (epoch, seconds)."""
    bus = pipeline.open_bus(pipeline.load_settings(str(config)).settings, SystemClock())
    # In this order: a stage commits when its outputs are on the bus, so the next one sees them.
    reads = [("normalize", raw), ("detect", EVENTS), ("store", EVENTS), ("alerts", DETECTIONS)]

    def is_done() -> bool:
        return sum(bus.end_offsets([raw]).values()) >= events and not any(
            any(bus.lag(f"samlog.{stage}", [topic]).values()) for stage, topic in reads
        )

    wait(process, is_done, every_s=0.1)
    bus.close()
    return time.time()


def wait_until_idle(process: subprocess.Popen[bytes], state: Path, events: int) -> status.States:
    """Returns what the stages told last: all events through, no count changed for three seconds."""
    seen: list[tuple[float, list[Any]]] = []

    def is_idle() -> bool:
        told = status.read_all(state)
        counts = [one.get("taken", one.get("sent")) for one in told.values()]
        if not seen or seen[-1][1] != counts:
            seen.append((time.monotonic(), counts))
        is_stored = all(told[stage]["taken"] >= events for stage in THROUGH)
        return is_stored and time.monotonic() - seen[-1][0] > 3

    wait(process, is_idle)
    return status.read_all(state)


ALONE = """
import gc, os, sys, time
from dataclasses import replace
from pathlib import Path
from samlog import pipeline
from samlog.cli.stage_ import GC_THRESHOLDS
from samlog.clock import SystemClock
from samlog.deadletter import Quota
from samlog.journal import Journal
from samlog.loop import Loop
from samlog.metrics import Metrics
gc.set_threshold(*GC_THRESHOLDS)
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
