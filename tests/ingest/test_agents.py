"""The configurations in examples/agents, run where their program is there."""

import shutil
import socket
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from normalize.frame import Normalizer
from normalize.parse import parse_record
from normalize.registry import Registry

AGENTS = Path(__file__).parents[2] / "examples" / "agents"
TEST_CONFIG = """
global(workDirectory="{folder}")
module(load="imuxsock" SysSock.Use="off")
input(type="imuxsock" Socket="{folder}/log" RateLimit.Interval="0")
"""
FRAMINGS = {
    "octet-counted": {},
    "by line": {'TCP_Framing="octet-counted"': 'TCP_Framing="traditional"'},
    "udp": {'protocol="tcp"': 'protocol="udp"'},
}


class Rsyslog:
    """A real rsyslogd with the example's action, in a folder of its own."""

    def __init__(self, folder: Path, port: int, changes: dict[str, str]) -> None:
        self._socket = folder / "log"
        action = (AGENTS / "rsyslog.conf").read_text()
        changes = {"samlog.example": "127.0.0.1", '"5514"': f'"{port}"'} | changes
        for old, new in changes.items():
            assert old in action
            action = action.replace(old, new)
        config = folder / "rsyslog.conf"
        config.write_text(TEST_CONFIG.format(folder=folder) + action)
        program = shutil.which("rsyslogd", path="/usr/sbin:/sbin:/usr/bin:/bin")
        if not program:
            pytest.skip("rsyslogd is not installed: apt-get install rsyslog")
        command = [program, "-n", "-f", str(config), "-i", str(folder / "pid")]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL)

    def is_up(self) -> bool:
        assert self._process.poll() is None, "rsyslogd ended"
        return self._socket.exists()

    def log(self, message: bytes) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.connect(str(self._socket))
            sender.send(message)

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(20)


@pytest.fixture(params=list(FRAMINGS))
def connected(request: Any, bench: Any, tmp_path: Path) -> Iterator[tuple[Rsyslog, Any]]:
    source = bench.open("syslog", listen="127.0.0.1:0")
    rsyslog = Rsyslog(tmp_path, source.address[1], FRAMINGS[request.param])
    try:
        bench.until(rsyslog.is_up)
        yield rsyslog, source
    finally:
        rsyslog.stop()


def test_rsyslog_sends_with_the_example(connected: tuple[Rsyslog, Any], bench: Any) -> None:
    rsyslog, source = connected
    for number in range(200):
        rsyslog.log(b"<38>Jan 10 13:37:01 sshd[811]: Failed password, try %d" % number)

    found = bench.wait_for(source, 200)

    assert len(found) == 200
    assert all(one.value.startswith(b"<38>1 ") for one in found)
    assert [int(one.value.split()[-1]) for one in found] == list(range(200))
    assert {one.headers["peer"] for one in found} == {b"127.0.0.1"}


def test_a_log_in_that_rsyslog_sent_is_read_as_one(
    connected: tuple[Rsyslog, Any], bench: Any
) -> None:
    rsyslog, source = connected
    rsyslog.log(
        b"<38>Jan 10 13:37:01 sshd[811]: Failed password for anna from 192.0.2.7 port 5 ssh2"
    )

    (found,) = bench.wait_for(source, 1)
    received = datetime(2026, 1, 10, 13, 37, 2, tzinfo=UTC)
    (event,) = parse_record(found.value, Normalizer({}, Registry()), received=received, name="x")

    assert (event["event.dataset"], event["event.outcome"]) == ("system.auth", "failure")
    assert (event["user.name"], event["source.ip"]) == ("anna", "192.0.2.7")
    assert (event["process.name"], event["process.pid"]) == ("sshd", 811)


@pytest.mark.parametrize("name", ["filebeat.yml", "winlogbeat.yml"])
def test_beats_write_their_units_topic_and_wait_for_all_replicas(name: str) -> None:
    output = yaml.safe_load((AGENTS / name).read_text())["output.kafka"]

    assert output["topic"] == "samlog.raw.enheda"
    assert output["required_acks"] == -1
    assert output["max_message_bytes"] <= 1 << 20


def test_vector_posts_to_the_address_that_the_source_has_by_default() -> None:
    sink = yaml.safe_load((AGENTS / "vector.yaml").read_text())["sinks"]["samlog"]

    assert sink["uri"] == "http://127.0.0.1:9601/events"
    assert sink["framing"]["method"] == "newline_delimited"


def test_fluent_bit_posts_lines_to_the_address_that_the_source_has_by_default() -> None:
    lines = (AGENTS / "fluent-bit.conf").read_text().splitlines()
    words = [line.split(None, 1) for line in lines if line.startswith("    ")]
    keys = {key: value for key, value in words if key != "#"}

    assert (keys["Host"], keys["Port"], keys["URI"]) == ("127.0.0.1", "9601", "/events")
    assert keys["Format"] == "json_lines"
