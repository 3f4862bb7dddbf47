"""A whole samlog as its users start it: a configuration file and `samlog run` in a process."""

import gzip
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Any

import orjson
import pytest

from normalize.complete import RECEIPT_FIELDS
from samlog import pipeline, status
from samlog.clock import SystemClock
from samlog.config import Settings
from samlog.event import DETECTIONS
from samlog.servers import (
    ElasticsearchServer,
    KafkaServer,
    start_elasticsearch,
    start_kafka,
)
from samlog.store.base import Query

DATA = Path(__file__).parents[2] / "../shared/data"
WINDOWS = DATA / "events/windows-security-datasets-50k.ndjson.gz"
RULES = DATA / "sigmahq"


@dataclass(frozen=True)
class Outcome:
    """What a run left behind, in a form that two runs can be compared by."""

    documents: Mapping[str, str]
    """event.id to the hash of the canonical document without times of receipt."""
    detections: frozenset[tuple[str, str]]
    """(rule id, event id)"""
    alerts: Mapping[str, int]
    """dedup key to count"""
    stored: int
    """documents in the store, doubles counted"""
    rejected: int

    def differences(self, other: "Outcome") -> list[str]:
        """Returns a sentence for each way in which ``other`` is not the same."""
        found = []
        lost = len(self.documents.keys() - other.documents.keys())
        new = len(other.documents.keys() - self.documents.keys())
        changed = sum(1 for i, h in self.documents.items() if other.documents.get(i, h) != h)
        if lost or new or changed:
            found.append(f"documents: {lost} lost, {new} new, {changed} changed")
        if self.detections != other.detections:
            lost, new = (
                len(self.detections - other.detections),
                len(other.detections - self.detections),
            )
            found.append(f"detections: {lost} lost, {new} new")
        if self.alerts != other.alerts:
            found.append(f"alert counts: {self.alerts.items() ^ other.alerts.items()}")
        if self.stored != other.stored:
            found.append(f"stored: {self.stored} against {other.stored} (doubles)")
        if self.rejected != other.rejected:
            found.append(f"rejected: {self.rejected} against {other.rejected}")
        return found


@dataclass
class Deployment:
    """One configuration below ``folder`` and the runs of it."""

    folder: Path
    config: dict[str, Any]
    environ: dict[str, str] = field(default_factory=dict)

    @property
    def path(self) -> Path:
        return self.folder / "samlog.yaml"

    def write(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.path.write_bytes(orjson.dumps(self.config))

    @property
    def settings(self) -> Settings:
        return pipeline.load_settings(str(self.path), {}).settings

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "samlog", "-q", *words, "--config", str(self.path)]

    def start(self, *words: str) -> "subprocess.Popen[bytes]":
        self.write()
        return subprocess.Popen(
            self.command("run", "--until-idle", *words),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=os.environ | self.environ,
        )

    def run(self, *words: str, timeout_s: float = 900) -> str:
        """Runs to the end; returns what it narrated. Fails the test on another exit than 0."""
        process = self.start(*words)
        _, told = process.communicate(timeout=timeout_s)
        assert process.returncode == 0, told.decode("utf-8", "replace")[-3000:]
        return told.decode("utf-8", "replace")

    def status(self) -> dict[str, dict[str, Any]]:
        return status.read_all(self.settings.state_path)

    def outcome(self) -> Outcome:
        """Reads everything back from the store, the bus and the alert store."""
        settings = self.settings
        documents, stored = self._documents(settings)
        rejected = documents.pop("rejected", 0)
        assert isinstance(rejected, int)
        with pipeline.alert_register(settings) as register:
            alerts = {row["dedup_key"]: row["count"] for row in register.rows(limit=1_000_000)}
        return Outcome(documents, self._detections(settings), alerts, stored, rejected)

    def _documents(self, settings: Settings) -> tuple[dict[str, Any], int]:
        store = pipeline.open_store(settings, SystemClock())
        found: dict[str, Any] = {"rejected": 0}
        stored, cursor = 0, ""
        store.refresh()
        while True:
            page = store.search(
                Query("*", tuple(settings.units)), limit=2_000, cursor=cursor, newest_first=False
            )
            for hit in page.hits:
                if hit.stream.startswith("logs-samlog.alerts-"):
                    continue
                if hit.stream.startswith("logs-samlog.rejected-"):
                    found["rejected"] += 1
                    continue
                stored += 1
                source = {k: v for k, v in hit.source.items() if k not in RECEIPT_FIELDS}
                packed = orjson.dumps(source, option=orjson.OPT_SORT_KEYS)
                found[hit.id] = sha256(packed).hexdigest()
            cursor = page.cursor
            if not cursor:
                store.close()
                return found, stored

    def _detections(self, settings: Settings) -> frozenset[tuple[str, str]]:
        bus = pipeline.open_bus(settings, SystemClock())
        consumer = bus.consumer(f"look-{time.time_ns()}", [DETECTIONS])
        found = set()
        while messages := consumer.poll(max_messages=5_000, timeout_s=3.0):
            for message in messages:
                detection = orjson.loads(message.value)
                found.add((detection["rule"]["id"], detection["event_id"]))
        consumer.close()
        bus.close()
        return frozenset(found)


def windows_lines(count: int) -> Iterator[bytes]:
    """Yields the first ``count`` of the public Windows events."""
    with gzip.open(WINDOWS) as lines:
        yield from islice(lines, count)


@pytest.fixture(scope="session")
def windows_file(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Path]:
    """Returns a maker of files with the first N Windows events."""
    if not WINDOWS.exists() or not RULES.exists():
        pytest.skip("../shared/data is absent: no real Windows events and rules to run on")

    def make(count: int) -> Path:
        path = tmp_path_factory.mktemp("events") / f"windows-{count}.ndjson"
        path.write_bytes(b"".join(windows_lines(count)))
        return path

    return make


@pytest.fixture(scope="session")
def sigma_rules() -> Path:
    """Returns SigmaHQ's checkout."""
    if not RULES.exists():
        pytest.skip("../shared/data is absent: no SigmaHQ rules")
    return RULES


def embedded_config(folder: Path, files: Sequence[Path], rules: Sequence[Path]) -> dict[str, Any]:
    """Returns the configuration of one unit with everything embedded below ``folder``."""
    data = str(folder / "data")
    return {
        "bus": {"type": "embedded", "path": data},
        "store": {"type": "embedded", "path": data},
        "units": {"enheda": {"title": "Enhed A"}},
        "sources": [{"type": "file", "unit": "enheda", "paths": [str(f) for f in files]}],
        "rules": [str(rule) for rule in rules],
        "sinks": [{"type": "file", "path": str(folder / "alerts.ndjson")}],
        "http": {"listen": "127.0.0.1:0"},
    }


@pytest.fixture
def embedded(tmp_path: Path) -> Callable[..., Deployment]:
    """Returns a maker of deployments with everything embedded."""

    def make(name: str, files: Sequence[Path], rules: Sequence[Path]) -> Deployment:
        return Deployment(tmp_path / name, embedded_config(tmp_path / name, files, rules))

    return make


@dataclass
class Servers:
    """A broker and a node that nobody else uses."""

    kafka: KafkaServer
    elasticsearch: ElasticsearchServer


@pytest.fixture
def servers(own_kafka: KafkaServer, own_elasticsearch: ElasticsearchServer) -> Iterator[Servers]:
    """A fresh broker and a fresh node; the module's own ones only tell whether that is possible."""
    own_kafka.stop()
    own_elasticsearch.stop()
    with start_kafka() as kafka, start_elasticsearch() as elasticsearch:
        yield Servers(kafka, elasticsearch)


@pytest.fixture
def on_servers(tmp_path: Path, servers: Servers) -> Callable[..., Deployment]:
    """Returns a maker of deployments on real servers."""

    def make(name: str, files: Sequence[Path], rules: Sequence[Path]) -> Deployment:
        made = embedded_config(tmp_path / name, files, rules)
        made["bus"] = {"type": "kafka", "brokers": [servers.kafka.address], "partitions": 3}
        made["store"] = {"type": "elasticsearch", "urls": [servers.elasticsearch.url]}
        made["state"] = str(tmp_path / name / "data")
        return Deployment(tmp_path / name, made)

    return make


def kill_stage(deployment: Deployment, stage: str) -> bool:
    """Sends SIGKILL to a stage's process; False when it has gone already."""
    told = deployment.status().get(stage, {})
    if told.get("finished") or "pid" not in told:
        return False
    try:
        os.kill(int(told["pid"]), signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


@pytest.fixture
def kill() -> Callable[[Deployment, str], bool]:
    """Returns what sends SIGKILL to a stage's process."""
    return kill_stage
