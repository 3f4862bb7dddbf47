"""The real servers that tests and ``make servers`` use: data survive, log-ins are asked for."""

import base64
import http.client
import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaAdminClient

from samlog.servers import (
    ElasticsearchServer,
    KafkaServer,
    ServerError,
    User,
    start_elasticsearch,
)
from samlog.servers.process import accepts

ROOT = Path(__file__).parents[2]
READER_OF_A = """
reader_a:
  cluster: [monitor]
  indices:
    - {names: [logs-*-unita], privileges: [read]}
"""


def _topics(server: KafkaServer) -> set[str]:
    admin = KafkaAdminClient(bootstrap_servers=server.address)
    try:
        return set(admin.list_topics())
    finally:
        admin.close()


def _ask(port: int, method: str, path: str, body: Any = None, login: str = "") -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30.0)
    headers = {"Content-Type": "application/json"}
    if login:
        headers["Authorization"] = "Basic " + base64.b64encode(login.encode()).decode()
    try:
        connection.request(method, path, json.dumps(body) if body else None, headers)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read() or b"null")
    finally:
        connection.close()


@pytest.mark.kafka
def test_a_killed_broker_comes_back_with_its_topics_at_its_address(own_kafka: KafkaServer) -> None:
    address = own_kafka.address
    admin = KafkaAdminClient(bootstrap_servers=address)
    admin.create_topics({"samlog.events": {"num_partitions": 1, "replication_factor": 1}})
    admin.close()
    own_kafka.kill()
    assert not accepts(own_kafka.port)
    own_kafka.start()
    assert own_kafka.address == address
    assert "samlog.events" in _topics(own_kafka)


@pytest.mark.elasticsearch
def test_a_killed_elasticsearch_comes_back_with_its_documents_at_its_address(
    own_elasticsearch: ElasticsearchServer,
) -> None:
    url, port = own_elasticsearch.url, own_elasticsearch.port
    assert _ask(port, "PUT", "/kept/_doc/1?refresh=true", {"a": 1})[0] == 201
    own_elasticsearch.kill()
    assert not accepts(port)
    own_elasticsearch.start()
    assert own_elasticsearch.url == url
    assert _ask(port, "GET", "/kept/_doc/1")[1]["_source"] == {"a": 1}


@pytest.mark.elasticsearch
def test_elasticsearch_with_users_shows_a_unit_only_its_own() -> None:
    users = [
        User("operator", "operator-pass", ("superuser",)),
        User("anna", "anna-pass", ("reader_a",)),
    ]
    with start_elasticsearch(users=users, roles_yml=READER_OF_A) as server:
        for unit in ("unita", "unitb"):
            path = f"/logs-test-{unit}/_doc/1?refresh=true&op_type=create"
            document = {"@timestamp": "2026-01-01T00:00:00Z"}
            assert _ask(server.port, "PUT", path, document, "operator:operator-pass")[0] == 201
        seen = _ask(server.port, "GET", "/logs-*/_search", login="anna:anna-pass")[1]
        assert [hit["_index"] for hit in seen["hits"]["hits"]] == ["logs-test-unita"]
        assert _ask(server.port, "GET", "/logs-*/_search")[0] == 401


@pytest.mark.elasticsearch
def test_root_is_told_which_folder_is_closed_to_elasticsearch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    tmp_path.chmod(0o700)
    with pytest.raises(ServerError, match="closed to the user nobody"):
        start_elasticsearch(tmp_path / "inner")


@pytest.mark.kafka
@pytest.mark.elasticsearch
def test_the_servers_command_prints_addresses_and_stops_both_on_interrupt() -> None:
    command = [sys.executable, "-m", "samlog.servers"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        lines = [running.stdout.readline() for _ in range(5)]
        ports = [int(line.rsplit(":", 1)[1]) for line in lines[:2]]
        assert lines[0].startswith("SAMLOG_TEST_KAFKA=127.0.0.1:")
        assert lines[1].startswith("SAMLOG_TEST_ELASTICSEARCH=http://127.0.0.1:")
        assert [accepts(port) for port in ports] == [True, True]
        running.send_signal(signal.SIGINT)
    assert running.returncode == 0
    assert [accepts(port) for port in ports] == [False, False]
