"""``samlog doctor`` on this machine: each injected fault has an exit code, a cause and a next step.

Faults of real servers: ``test_doctor_servers.py``.
"""

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from samlog.bus.base import Record
from samlog.bus.embedded import EmbeddedBus
from samlog.cli.doctor_ import examine
from samlog.cli.finding import Finding, verdict
from samlog.clock import SystemClock
from samlog.errors import Exit
from samlog.event import DLQ, EVENTS, raw_topic
from samlog.slot import Slot
from samlog.status import StatusFile
from samlog.testing import FakeClock

Cli = Callable[..., Any]
ROOT = Path(__file__).parents[2]


def doctor(deployment: Any, clock: Any = None, **options: Any) -> list[Finding]:
    return examine(deployment.config, clock or SystemClock(), **options)


def wrong(findings: list[Finding]) -> list[Finding]:
    return [finding for finding in findings if finding.exit != Exit.DONE]


def only(findings: list[Finding], code: Exit) -> Finding:
    """Returns the one finding that needs attention; it decides the exit code."""
    (finding,) = wrong(findings)
    assert finding.exit == code == verdict(findings)
    return finding


def test_a_healthy_deployment_has_no_findings(cli: Cli, deployment: Any) -> None:
    answer = cli("doctor", "-c", deployment.config)

    assert answer.code == 0, answer.out
    assert answer.err == "healthy\n"


def test_json_has_a_line_a_finding_with_stable_keys(cli: Cli, deployment: Any) -> None:
    rows = cli("doctor", "--json", "-c", deployment.config).rows

    assert {tuple(row) for row in rows} == {("about", "what", "next", "exit", "ok")}


def test_no_configuration(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))

    answer = cli("doctor")

    assert answer.code == 78
    assert "no configuration found in ./samlog.yaml" in answer.out
    assert "→ samlog init > samlog.yaml" in answer.out


def test_every_typo_in_the_configuration_is_a_finding(deployment: Any) -> None:
    deployment.write({"retention": {"event_days": 3}, "sinkz": []})

    findings = doctor(deployment)

    assert verdict(findings) == Exit.CONFIG
    told = " ".join(f.what for f in findings)
    assert "unknown key 'sinkz'; did you mean 'sinks'?" in told
    assert "unknown key 'retention.event_days'; did you mean 'events_days'?" in told
    assert {f.next for f in findings} == {f"correct it, then: samlog check {deployment.config}"}


def test_a_foreign_package_in_front_of_ours(tmp_path: Path, deployment: Any) -> None:
    (tmp_path / "front" / "normalize").mkdir(parents=True)
    (tmp_path / "front" / "normalize" / "__init__.py").touch()
    environ = {**os.environ, "PYTHONPATH": f"{tmp_path / 'front'}:{ROOT}"}

    for words in (["doctor"], ["parse", str(deployment.log)]):
        ran = subprocess.run(
            [sys.executable, "-m", "samlog", *words],
            env=environ,
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )
        assert ran.returncode == 78, ran.stderr
        told = ran.stdout + ran.stderr
        assert "the package 'normalize' at" in told
        assert "is not samlog's" in told
    assert "Traceback" not in told


def test_a_disk_that_is_nearly_full(deployment: Any) -> None:
    finding = only(doctor(deployment, free=lambda folder: 5 << 20), Exit.FAILED)

    assert "nearly full, 5 MiB are free" in finding.what
    assert "make room, or lower retention.bus_hours" in finding.next


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MiB of its own."""
    point = tmp_path / "disk"
    point.mkdir()
    mount = shutil.which("mount") or "mount"
    made = subprocess.run(
        [mount, "-t", "tmpfs", "-o", "size=2m", "samlog-test", str(point)],
        capture_output=True,
        text=True,
    )
    if made.returncode:
        pytest.skip(f"a small file system needs the right to mount: {made.stderr.strip()}")
    try:
        yield point
    finally:
        subprocess.run(["umount", "--lazy", str(point)], check=True)


def on(deployment: Any, folder: Path) -> Any:
    part = {"type": "embedded", "path": str(folder)}
    return deployment.write({"bus": part, "store": part})


def test_a_real_small_disk(small_disk: Path, deployment: Any) -> None:
    finding = only(doctor(on(deployment, small_disk)), Exit.FAILED)

    assert "MiB are free" in finding.what


def test_a_read_only_data_folder(small_disk: Path, deployment: Any, cli: Cli) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    on(deployment, small_disk)

    findings = doctor(deployment)

    (finding,) = [f for f in wrong(findings) if f.about == "disk"]
    assert verdict(findings) == Exit.CONFIG
    assert f"cannot be written by user {os.geteuid()}" in finding.what
    assert f"mount -o remount,rw {small_disk}" in finding.next
    answer = cli("run", "--until-idle", "-c", deployment.config)
    assert answer.code == 78
    assert "Read-only file system" in answer.err


def test_a_port_in_use(deployment: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        listen = f"127.0.0.1:{holder.getsockname()[1]}"
        deployment.write({"sources": [{"type": "http", "unit": "enheda", "listen": listen}]})

        finding = only(doctor(deployment), Exit.FAILED)

    assert f"http {listen} (tcp)" in finding.what
    assert finding.next.startswith(f"ss -lnp 'sport = :{listen.rpartition(':')[2]}'")


def test_a_port_that_our_own_collector_has_is_no_finding(deployment: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        listen = f"127.0.0.1:{holder.getsockname()[1]}"
        deployment.write({"sources": [{"type": "http", "unit": "enheda", "listen": listen}]})
        collector = Slot(deployment.data, "collect")

        assert wrong(doctor(deployment)) == []

    collector.close()


def test_an_address_that_is_not_this_machines(deployment: Any) -> None:
    deployment.write(
        {"sources": [{"type": "syslog", "unit": "enheda", "listen": "203.0.113.9:5514"}]}
    )

    findings = doctor(deployment)

    assert verdict(findings) == Exit.CONFIG
    assert all("correct listen:" in f.next for f in wrong(findings))


def test_a_pattern_that_matches_no_file(deployment: Any, tmp_path: Path) -> None:
    paths = [str(tmp_path / "nothing-*.log")]
    deployment.write({"sources": [{"type": "file", "unit": "enheda", "paths": paths}]})

    finding = only(doctor(deployment), Exit.FAILED)

    assert "matches no file yet" in finding.what
    assert "correct paths:" in finding.next


def test_no_rules(deployment: Any, tmp_path: Path) -> None:
    empty = tmp_path / "rules"
    empty.mkdir()
    deployment.write({"rules": [str(empty)]})

    finding = only(doctor(deployment), Exit.CONFIG)

    assert "nothing will be detected" in finding.what
    assert "rules: [builtin]" in finding.next


def test_a_rule_folder_that_is_not_there(deployment: Any) -> None:
    deployment.write({"rules": ["./sigma", "builtin"]})

    finding = only(doctor(deployment), Exit.FAILED)

    assert finding.what == "./sigma is not there"
    assert finding.next == "put a SigmaHQ checkout at ./sigma, or take it out of rules:"


def test_a_refused_rule(deployment: Any, tmp_path: Path) -> None:
    rule = tmp_path / "broken.yml"
    rule.write_text("title: [no rule\n")
    deployment.write({"rules": ["builtin", str(rule)]})

    finding = only(doctor(deployment), Exit.FAILED)

    assert "refused: " in finding.what
    assert "broken.yml" in finding.what
    assert finding.next.startswith("samlog rules lint ")


def test_no_sink(deployment: Any) -> None:
    deployment.write({"sinks": []})

    finding = only(doctor(deployment), Exit.FAILED)

    assert "alerts reach nobody" in finding.what
    assert "{type: file, path: ./alerts.ndjson}" in finding.next


def test_a_sink_that_cannot_be_used(deployment: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
    deployment.write({"sinks": [{"type": "webhook", "url": f"http://127.0.0.1:{port}/alerts"}]})

    finding = only(doctor(deployment), Exit.FAILED)

    assert "sink webhook" in finding.what
    assert "alerts wait and are sent then" in finding.next


def told(deployment: Any, stage: str, clock: Any, **status: object) -> None:
    StatusFile(deployment.data, stage, clock).write(status, now=True)


def test_a_stage_that_is_silent(deployment: Any) -> None:
    clock, stage = FakeClock(), Slot(deployment.data, "detect")
    told(deployment, "detect", clock)
    clock.advance(61)

    finding = only(doctor(deployment, clock), Exit.FAILED)

    assert f"detect (process {os.getpid()}) gave no sign of life for 61 s" in finding.what
    assert finding.next == f"kill {os.getpid()}; samlog run starts it again where it was"
    stage.close()


def test_a_stage_that_was_killed(deployment: Any) -> None:
    clock = FakeClock()
    told(deployment, "detect", clock)

    finding = only(doctor(deployment, clock), Exit.FAILED)

    assert "detect is not running" in finding.what
    assert finding.next.startswith("samlog run detect")


def test_a_stage_that_waits_for_a_server(deployment: Any) -> None:
    clock, stage = FakeClock(), Slot(deployment.data, "store")
    told(deployment, "store", clock, problem="Elasticsearch does not answer")

    finding = only(doctor(deployment, clock), Exit.UNAVAILABLE)

    assert finding.what == "store: Elasticsearch does not answer"
    stage.close()


def test_a_clock_that_was_set_back(deployment: Any) -> None:
    ahead = FakeClock(SystemClock().now() + timedelta(hours=1))
    told(deployment, "detect", ahead, finished=True)

    finding = only(doctor(deployment), Exit.FAILED)

    assert "s behind samlog's last run" in finding.what
    assert finding.next.startswith("timedatectl set-ntp true")


def fill(deployment: Any, topic: str, count: int) -> None:
    with closing(EmbeddedBus(deployment.data, clock=SystemClock())) as bus:
        bus.create_topics([topic])
        producer = bus.producer("test")
        for _ in range(count):
            producer.send(Record(topic, b"{}", b"enheda|", {"unit": b"enheda"}))
        producer.flush()


def test_a_stage_that_is_far_behind(deployment: Any) -> None:
    fill(deployment, EVENTS, 10_001)

    findings = [f for f in wrong(doctor(deployment)) if f.about == "lag"]

    assert [f.what for f in findings] == [
        "stage detect is 10,001 records behind",
        "stage store is 10,001 records behind",
    ]
    assert findings[0].next == "samlog run detect"


def test_a_unit_that_was_taken_out_with_work_left_to_do(deployment: Any) -> None:
    fill(deployment, raw_topic("formerunit"), 5)

    finding = only(doctor(deployment), Exit.FAILED)

    assert "5 records of unit 'formerunit' wait" in finding.what
    assert finding.next.startswith("put 'formerunit' back below units:")


def test_dead_letters_that_nobody_looked_at(deployment: Any) -> None:
    fill(deployment, DLQ, 3)
    deployment.data.mkdir(exist_ok=True)

    finding = only(doctor(deployment), Exit.FAILED)

    assert "3 dead letters wait" in finding.what
    assert finding.next.startswith("samlog dlq ls")


def test_a_damaged_topic_that_a_stage_has_open(deployment: Any) -> None:
    fill(deployment, EVENTS, 100)
    with closing(EmbeddedBus(deployment.data, clock=SystemClock())) as bus:
        consumer = bus.consumer("samlog.store", [EVENTS])
        (deployment.data / "bus" / "samlog.events.damage").write_text("a record is not\n")

        findings = doctor(deployment)

        consumer.close()
    (finding,) = [f for f in wrong(findings) if f.about == "bus"]
    assert "is damaged" in finding.what
    assert finding.next.startswith("stop all of samlog here, then: samlog run")


def test_a_topic_that_was_rebuilt(deployment: Any) -> None:
    fill(deployment, EVENTS, 1)
    kept = deployment.data / "bus" / "samlog.events.sqlite.damaged-20260110T120000"
    kept.touch()

    finding = only(doctor(deployment), Exit.FAILED)

    assert "was damaged and rebuilt" in finding.what
    assert f"rm {kept}" in finding.next


def test_a_damaged_index(cli: Cli, deployment: Any) -> None:
    cli("-q", "run", "--until-idle", "-c", deployment.config)
    cli("dlq", "drop", "--yes", "-c", deployment.config)
    for part in (deployment.data / "store").rglob("*.store"):
        part.write_bytes(b"\xff" * part.stat().st_size)

    finding = only(doctor(deployment), Exit.FAILED)

    assert "is damaged" in finding.what
    assert "samlog dlq replay --raw" in finding.next


def test_a_store_of_another_release(deployment: Any) -> None:
    (deployment.data / "store" / "events.v0").mkdir(parents=True)

    finding = only(doctor(deployment), Exit.FAILED)

    assert "another version of samlog" in finding.what


def test_a_broker_that_is_down(deployment: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        broker = f"127.0.0.1:{holder.getsockname()[1]}"
    deployment.write({"bus": {"type": "kafka", "brokers": [broker]}})

    finding = only(doctor(deployment), Exit.UNAVAILABLE)

    assert finding.what.startswith(f"Kafka at {broker}")
    assert "Connection refused" in finding.what
    assert finding.next == "start the broker, or correct bus.brokers; then: samlog doctor"


def test_a_password_file_that_is_missing(deployment: Any) -> None:
    sasl = {"username": "samlog", "password_file": "/nowhere/password"}
    deployment.write({"bus": {"type": "kafka", "brokers": ["127.0.0.1:1"], "sasl": sasl}})

    finding = only(doctor(deployment), Exit.CONFIG)

    assert "bus.sasl.password_file: cannot read it" in finding.what


def test_an_elasticsearch_that_is_down(deployment: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        url = f"http://127.0.0.1:{holder.getsockname()[1]}"
    deployment.write({"store": {"type": "elasticsearch", "urls": [url]}})

    finding = only(doctor(deployment), Exit.UNAVAILABLE)

    assert f"Elasticsearch at {url} does not answer" in finding.what
    assert finding.next == "start Elasticsearch, or correct store.urls; then: samlog doctor"
