"""Several detect and correlate processes on a real Kafka find what one of each finds.

A default run takes 3,000 events, SAMLOG_TEST_ONE_MANY_EVENTS=100000 all. The seed is printed.
"""

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Any

import orjson
import pytest

from samlog import pipeline, status
from samlog.bus.base import Bus, Record
from samlog.clock import SystemClock
from samlog.config import Settings
from samlog.event import DETECTIONS, EVENTS, MATCHES
from samlog.servers import KafkaServer, start_kafka
from tests.e2e.one_many_world import correlations, events, last_events, write_rules

COUNT = int(os.environ.get("SAMLOG_TEST_ONE_MANY_EVENTS", "3000"))
LIMIT = pytest.mark.timeout(1_800 + COUNT / 5)
pytestmark = [pytest.mark.soak, pytest.mark.slow, pytest.mark.kafka, LIMIT]
PARTITIONS = 6
BACKLOG = 0.5
CHUNKS = 10
PATIENCE_S = 180 + COUNT / 50
REST_S = 3.0
APART = ("detected", "correlation")
"""Parts of a detection that are not compared as they are."""

Word = dict[str, Any]


@dataclass
class Site:
    """A configuration of its own on a broker of its own, and the processes that run there."""

    folder: Path
    settings: Settings
    bus: Bus
    running: list["subprocess.Popen[bytes]"] = field(default_factory=list)
    late: dict[int, float] = field(default_factory=dict)
    """Process id to how many matches it called late."""

    def run(self, *words: str) -> "subprocess.Popen[bytes]":
        config = ["--config", str(self.folder / "samlog.yaml")]
        with (self.folder / f"run{len(self.running)}.log").open("wb") as told:
            process = subprocess.Popen(
                [sys.executable, "-m", "samlog", "-q", "run", *words, *config],
                stdout=told,
                stderr=told,
            )
        self.running.append(process)
        return process

    def told(self) -> dict[str, dict[str, Any]]:
        """Returns the status of each process, and notes what each has called late."""
        found = dict(status.read_all(self.settings.state_path))
        self.late |= {told["pid"]: told["late"] for told in found.values() if "late" in told}
        return found

    def write(self, records: Iterable[Record]) -> None:
        producer = self.bus.producer("test")
        for record in records:
            producer.send(record)
        producer.close()

    def unread(self) -> int:
        """Returns how many events detect has to commit."""
        self.told()
        return sum(self.bus.lag("samlog.detect", [EVENTS]).values())

    def kill(self, process: str) -> None:
        os.kill(int(self.told()[process]["pid"]), signal.SIGKILL)

    def stop(self) -> None:
        for process in self.running:
            with suppress(ProcessLookupError):
                process.terminate()
        for process in self.running:
            process.wait(60)


@contextmanager
def site(folder: Path, kafka: KafkaServer) -> Iterator[Site]:
    """Gives a site with the rules of this test; its processes have ended afterwards."""
    config = {
        "bus": {"type": "kafka", "brokers": [kafka.address], "partitions": PARTITIONS},
        "store": {"type": "embedded", "path": str(folder / "data")},
        "state": str(folder / "data"),
        "units": {"enheda": {"title": "Enhed A"}, "enhedb": {"title": "Enhed B"}},
        "rules": [str(write_rules(folder / "rules"))],
        "http": {"listen": "127.0.0.1:0"},
        "limits": {"batch": 100 if COUNT < 10_000 else 500},
    }
    (folder / "samlog.yaml").write_bytes(orjson.dumps(config))
    settings = pipeline.load_settings(str(folder / "samlog.yaml"), {}).settings
    bus = pipeline.open_bus(settings, SystemClock())
    bus.create_topics([EVENTS, MATCHES, DETECTIONS])
    made = Site(folder, settings, bus)
    try:
        yield made
    finally:
        made.stop()
        bus.close()


class LastWords:
    """What stands on ``samlog.detections``: the last word on each detection, if not withdrawn."""

    def __init__(self, bus: Bus) -> None:
        self._consumer = bus.consumer("test-reads-detections", [DETECTIONS])
        self._words: dict[str, Word] = {}
        self.said: defaultdict[str, list[str]] = defaultdict(list)
        self.places: defaultdict[str, set[int]] = defaultdict(set)
        """Detection to the partitions of ``samlog.detections`` in which its words are."""
        self.states: Counter[str] = Counter()

    def read(self, rest_s: float = 0.3) -> int:
        """Reads until nothing comes for so long; returns how many came."""
        taken = 0
        while messages := self._consumer.poll(max_messages=5_000, timeout_s=rest_s):
            taken += len(messages)
            for message in messages:
                found = orjson.loads(message.value)
                before = self._words.get(found["id"])
                if before is None or not is_older(found, before):
                    self._words[found["id"]] = brief(found)
                self.places[found["id"]].add(message.partition)
                about = found.get("correlation", {})
                self.states[about.get("state", "")] += 1
                word = f"{about.get('state')} {about.get('count')} {about.get('word')}"
                self.said[found["id"]].append(word)
        return taken

    def standing(self) -> dict[str, Word]:
        """Returns by id what is the same wherever and whenever it was found."""
        found = {}
        for id_, word in self._words.items():
            about = word.get("correlation", {})
            if about.get("state") == "withdrawn":
                continue
            found[id_] = {key: value for key, value in word.items() if key not in APART}
            found[id_] |= {f"correlation.{k}": about[k] for k in about if k != "word"}
        return found

    def titles(self) -> set[str]:
        return {word["title"] for word in self.standing().values()}


def is_older(found: Word, before: Word) -> bool:
    """Tells whether a word is one that a successor repeats, as alerts do."""
    said, known = (word.get("correlation", {}).get("word") for word in (found, before))
    return bool(said and known and said[0] == known[0] and said[1] < known[1])


def brief(found: Word) -> Word:
    """Returns a detection with prints of its long parts: a run of full size has 100,000 of them."""
    about = {**found.get("correlation", {})}
    about["evidence"] = sha256(orjson.dumps(about.get("evidence"))).hexdigest()
    context = sha256(orjson.dumps(found["context"], option=orjson.OPT_SORT_KEYS)).hexdigest()
    kept = {"title": found["rule"]["title"], "rule": found["rule"]["sha256"], "context": context}
    return {**found, **kept, "correlation": about}


def until(what: str, true: Callable[[], bool]) -> None:
    """Waits for something to become true."""
    deadline = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < deadline, f"in vain: {what}"
        time.sleep(0.05)


def one_of_each(site: Site, seed: int) -> LastWords:
    """Everything is there before it begins; it ends when all is read."""
    site.write([*events(seed, COUNT), *last_events(COUNT)])
    process = site.run("detect", "correlate", "--until-idle", "--finish")
    until("one of each has ended", lambda: process.poll() is not None)
    assert process.returncode == 0, (site.folder / "run0.log").read_text("utf-8", "replace")
    assert "correlate" in site.told()
    words = LastWords(site.bus)
    words.read(REST_S)
    return words


def several_of_each(site: Site, seed: int) -> None:
    """Half is there before they begin, half comes while they run and things happen to them."""
    world = events(seed, COUNT)
    site.write(islice(world, int(COUNT * BACKLOG)))
    runs = [site.run("detect", "correlate"), site.run("detect"), site.run("detect")]
    until("the backlog is being read", lambda: site.unread() < COUNT * BACKLOG * 0.8)

    def join_late() -> None:
        runs.append(site.run("detect", "correlate"))
        # Both must have had records, else the kill below proves nothing.
        until("the one that joins late has begun", lambda: has_taken(site, ["correlate-1"]))

    def reload() -> None:
        for run in runs:
            run.send_signal(signal.SIGHUP)

    happenings: dict[int, Callable[[], None]] = {
        1: lambda: site.kill("detect"),
        2: join_late,
        4: lambda: site.kill("correlate"),
        6: reload,
        7: lambda: site.kill("detect-2"),
        8: lambda: site.kill("correlate-1"),
    }
    for number, chunk in enumerate(chunks(world)):
        site.write(chunk)
        happenings.get(number, lambda: None)()
        until("detect follows", lambda: site.unread() < COUNT / CHUNKS)
    site.write(last_events(COUNT))
    until("detect has read all", lambda: site.unread() == 0)


def chunks(world: Iterator[Record]) -> Iterator[Sequence[Record]]:
    size = max(1, int(COUNT * (1 - BACKLOG) / CHUNKS))
    while chunk := list(islice(world, size)):
        yield chunk


def has_taken(site: Site, processes: Sequence[str]) -> bool:
    told = site.told()
    return all(told.get(name, {}).get("taken", 0) for name in processes)


def difference(expected: LastWords, found: LastWords) -> list[str]:
    """Returns a line for each detection that only one of them has, or says otherwise."""
    one, many = expected.standing(), found.standing()
    lines = []
    for id_ in sorted(one.keys() | many.keys()):
        if id_ not in one or id_ not in many:
            word = one.get(id_) or many[id_]
            has = "one" if id_ in one else "many"
            lines.append(f"only {has}: {word['title']} {word['matched']} {word['timestamp']}")
            lines.append(f"    one said {expected.said[id_]}, many {found.said[id_]}")
            continue
        left, right = one[id_], many[id_]
        other = [f"{k}: {left.get(k)} | {right.get(k)}" for k in left if left[k] != right.get(k)]
        if other:
            lines.append(f"{one[id_]['title']} {one[id_]['matched']}: {'; '.join(other)}")
            lines.append(f"    one said {expected.said[id_]}, many {found.said[id_]}")
    return lines


def test_several_processes_find_what_one_of_each_finds(
    own_kafka: KafkaServer, tmp_path: Path
) -> None:
    seed = int(os.environ.get("SAMLOG_SEED", "0")) or random.randrange(1_000_000)
    print(f"seed {seed}, {COUNT} events (again: SAMLOG_SEED={seed})")
    with ExitStack() as stack:
        alone = stack.enter_context(site(made(tmp_path / "one"), own_kafka))
        began = time.monotonic()
        expected = one_of_each(alone, seed)
        print(f"one of each took {time.monotonic() - began:.0f} s")
        own_kafka.stop()
        other = stack.enter_context(start_kafka())
        together = stack.enter_context(site(made(tmp_path / "many"), other))
        began = time.monotonic()
        several_of_each(together, seed)
        print(f"several of each read all events in {time.monotonic() - began:.0f} s")
        found = LastWords(together.bus)

        wanted = expected.standing()

        def same() -> bool:
            together.told()
            return found.read() == 0 and found.standing() == wanted

        with suppress(AssertionError):
            until("they say the same", same)
        found.read(REST_S)
        print(f"and had said all after {time.monotonic() - began:.0f} s")

        print(f"one said {dict(expected.states)}, many {dict(found.states)}")
        differing = difference(expected, found)
        print(*differing[:20], sep="\n")
        assert differing == []
        assert found.states["provisional"] > 0
        states = {word.get("correlation.state", "final") for word in found.standing().values()}
        assert states == {"final"}
        assert {name for name, _ in correlations()} <= found.titles()
        assert {len(places) for places in found.places.values()} == {1}
        assert sum(alone.late.values()) == sum(together.late.values()) == 0
        assert len(together.late) >= 4, "two correlate processes and those that took their place"


def made(folder: Path) -> Path:
    folder.mkdir()
    return folder
