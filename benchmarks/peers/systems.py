"""samlog and Logprep on a Kafka of their own: started, fed, awaited, and what they found."""

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from benchmarks.peers.deployment import DETECTIONS, EVENTS, NUMBER, configuration
from benchmarks.peers.processes import Running, started
from samlog import event
from samlog.bus.base import Record
from samlog.bus.kafka import KafkaBus
from samlog.event import raw_topic, sha256_hex

UNIT = "enheda"
TOPIC = raw_topic(UNIT)
PARTITIONS = 6
AGENTS = 6
"""Senders, so keys: the partitions are filled evenly."""
HEADERS = {
    event.H_VERSION: event.FORMAT_VERSION,
    event.H_COLLECTOR: b"collector-1",
    event.H_RECEIVED: b"2026-11-22T07:00:00.123456789Z",
}
WARM_UP = 1_000
WAIT_S = 600.0
LOOK_S = 0.1
OWN_NOTICES = "samlog"
"""Author of what samlog tells of itself (of an event that no rule saw whole); not compared."""
Alerts = set[tuple[int, str]]


@dataclass(frozen=True)
class System:
    """One way to run: ``start`` yields the running command."""

    name: str
    start: Callable[[str, Path], Any]
    is_done: Callable[[KafkaBus, int], bool]
    found: Callable[[KafkaBus, list[bytes]], Alerts]
    main_core: int | None = None


@dataclass(frozen=True)
class Round:
    """What one run took: seconds from the first record sent to the last one done."""

    wall_s: float
    cpu_s: dict[str, float]
    start_cpu_s: float
    peak_mb: float
    alerts: Alerts

    @property
    def cpu(self) -> float:
        return sum(self.cpu_s.values())


def numbered(lines: list[bytes], first: int) -> list[bytes]:
    """Returns flat JSON objects with their number as one field more."""
    return [b'%s,"%s":%d}' % (x.rstrip()[:-1], NUMBER.encode(), first + i)
            for i, x in enumerate(lines)]  # fmt: skip


def samlog(rules: Path, core: int) -> System:
    """Returns samlog's own stages normalize and detect."""

    @contextmanager
    def start(broker: str, folder: Path) -> Iterator[Running]:
        state = str(folder / "data")
        config = {
            "bus": {"type": "kafka", "brokers": [broker], "partitions": PARTITIONS},
            "store": {"type": "embedded", "path": state},
            "state": state,
            "units": {UNIT: {"title": "Enhed A"}},
            "sources": [{"type": "file", "unit": UNIT, "paths": [str(folder / "none")]}],
            "rules": [str(rules)],
            "sinks": [{"type": "file", "path": str(folder / "alerts.ndjson")}],
            "http": {"listen": "127.0.0.1:0"},
        }
        path = folder / "samlog.yaml"
        path.write_bytes(orjson.dumps(config))
        command = [sys.executable, "-m", "samlog", "run", "normalize", "detect"]
        with started([*command, "--config", str(path)], core, folder / "samlog.log") as running:
            yield running

    return System("samlog", start, _samlog_is_done, _samlog_found)


def _samlog_is_done(bus: KafkaBus, sent: int) -> bool:
    events = sum(bus.end_offsets([event.EVENTS]).values())
    return (
        events >= sent
        and not any(bus.lag("samlog.normalize", [TOPIC]).values())
        and not any(bus.lag("samlog.detect", [event.EVENTS]).values())
    )


def _samlog_found(bus: KafkaBus, records: list[bytes]) -> Alerts:
    numbers = {sha256_hex(value): orjson.loads(value)[NUMBER] for value in records}
    found = [orjson.loads(value) for value in read(bus, event.DETECTIONS)]
    return {
        (numbers[one["event_sha256"]], one["rule"]["id"])
        for one in found
        if one["event_sha256"] in numbers and one["rule"]["author"] != OWN_NOTICES
    }


def logprep(
    program: Path, rules: Path, core: int, *, name: str = "logprep", main_core: int | None = None
) -> System:
    """Returns a Logprep; ``program`` is ``logprep`` or ``logprep-ng``."""

    @contextmanager
    def start(broker: str, folder: Path) -> Iterator[Running]:
        (folder / "rules").symlink_to(rules)
        config = configuration(folder, broker, TOPIC, "logprep")
        path = folder / "pipeline.json"
        path.write_text(json.dumps(config))
        with started([str(program), "run", str(path)], core, folder / "logprep.log") as running:
            yield running

    return System(name, start, _logprep_is_done, _logprep_found, main_core)


def _logprep_is_done(bus: KafkaBus, sent: int) -> bool:
    return sum(bus.end_offsets([EVENTS]).values()) >= sent


def _logprep_found(bus: KafkaBus, records: list[bytes]) -> Alerts:
    found = [orjson.loads(value) for value in read(bus, DETECTIONS)]
    return {(one[NUMBER], one["id"]) for one in found if NUMBER in one}


def read(bus: KafkaBus, topic: str) -> list[bytes]:
    """Returns the values of all records of a topic."""
    wanted = sum(bus.end_offsets([topic]).values())
    consumer = bus.consumer("bench.read", [topic])
    found: list[bytes] = []
    deadline = time.monotonic() + WAIT_S
    while len(found) < wanted and time.monotonic() < deadline:
        found += [message.value for message in consumer.poll(max_messages=5_000, timeout_s=1.0)]
    consumer.close()
    return found


def run(system: System, broker: str, folder: Path, lines: list[bytes], *, tell: bool) -> Round:
    """Runs a system over all lines once; ``tell``: also reads what it found."""
    folder.mkdir()
    bus = KafkaBus([broker], partitions=PARTITIONS)
    bus.create_topics([TOPIC, EVENTS, DETECTIONS, event.EVENTS, event.DETECTIONS])
    warm = numbered(lines[:: max(1, len(lines) // WARM_UP)], -2 * len(lines))
    records = numbered(lines, 0)
    with system.start(broker, folder) as running:
        send(bus, warm)
        wait(system, bus, len(warm), running)
        if system.main_core is not None:
            running.move_main_to(system.main_core)
        before = running.cpu_s()
        began = time.perf_counter()
        send(bus, records)
        wait(system, bus, len(warm) + len(records), running)
        wall_s = time.perf_counter() - began
        after = running.cpu_s()
        used = {name: after[name] - before.get(name, 0.0) for name in after}
        alerts = system.found(bus, records) if tell else set()
    bus.close()
    alerts = {(number, rule) for number, rule in alerts if number >= 0}
    return Round(wall_s, used, sum(before.values()), running.peak_mb, alerts)


def send(bus: KafkaBus, values: list[bytes]) -> None:
    """Writes raw records as collectors do."""
    producer = bus.producer("bench")
    keys = [b"collector-1|agent-%d" % number for number in range(AGENTS)]
    for number, value in enumerate(values):
        headers = {**HEADERS, event.H_SEQ: b"%d" % number}
        producer.send(Record(TOPIC, value, keys[number % AGENTS], headers, number % PARTITIONS))
    producer.flush()
    producer.close()


def wait(system: System, bus: KafkaBus, sent: int, running: Running) -> None:
    """Waits until all that was sent is done; looks at the memory every two seconds."""
    deadline = time.monotonic() + WAIT_S
    looked = 0.0
    while not system.is_done(bus, sent):
        running.check()
        if time.monotonic() > deadline:
            raise SystemExit(f"{system.name} hung: {running.log.read_text()[-1500:]}")
        if time.monotonic() - looked > 2:
            running.look()
            looked = time.monotonic()
        time.sleep(LOOK_S)
    running.look()
