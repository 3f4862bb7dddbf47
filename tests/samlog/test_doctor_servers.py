"""``samlog doctor`` and ``samlog check --connect`` against real servers with something wrong."""

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from samlog.bus.kafka import KafkaBus
from samlog.cli.doctor_ import examine
from samlog.cli.finding import Finding, verdict
from samlog.clock import SystemClock
from samlog.errors import Exit
from samlog.pipeline import all_topics, load_settings, open_store
from samlog.servers import (
    ElasticsearchServer,
    KafkaServer,
    ServerError,
    User,
    start_elasticsearch,
    start_kafka,
)
from samlog.store.elastic_client import Server
from samlog.testing import FakeClock

Cli = Callable[..., Any]
PASSWORD = "long enough"


def absent(request: pytest.FixtureRequest, name: str, problem: ServerError) -> None:
    if name in request.config.getoption("--require"):
        pytest.fail(str(problem), pytrace=False)
    pytest.skip(f"no {name} with log-ins could be started: {problem}")


@pytest.fixture(scope="module")
def guarded_kafka(request: pytest.FixtureRequest) -> Iterator[KafkaServer]:
    try:
        server = start_kafka(users={"samlog": PASSWORD})
    except ServerError as problem:
        absent(request, "kafka", problem)
        return
    with server:
        yield server


@pytest.fixture(scope="module")
def guarded_elasticsearch(request: pytest.FixtureRequest) -> Iterator[ElasticsearchServer]:
    try:
        server = start_elasticsearch(users=[User("samlog", PASSWORD, ("superuser",))], heap_mb=512)
    except ServerError as problem:
        absent(request, "elasticsearch", problem)
        return
    with server:
        yield server


def secret(tmp_path: Path, text: str) -> str:
    file = tmp_path / "password"
    file.write_text(text)
    return str(file)


def kafka(server: KafkaServer, tmp_path: Path, password: str = PASSWORD) -> dict[str, Any]:
    sasl = {"username": "samlog", "password_file": secret(tmp_path, password)}
    return {"bus": {"type": "kafka", "brokers": [server.address], "sasl": sasl, "partitions": 1}}


def elastic(
    server: ElasticsearchServer, tmp_path: Path, password: str = PASSWORD
) -> dict[str, Any]:
    store = {"type": "elasticsearch", "urls": [server.url], "username": "samlog"}
    return {"store": store | {"password_file": secret(tmp_path, password)}}


def about(findings: list[Finding], name: str) -> list[Finding]:
    return [f for f in findings if f.about == name and f.exit != Exit.DONE]


@pytest.mark.kafka
def test_a_wrong_kafka_password(
    guarded_kafka: KafkaServer, deployment: Any, tmp_path: Path, cli: Cli
) -> None:
    deployment.write(kafka(guarded_kafka, tmp_path, "wrong"))

    findings = examine(deployment.config, SystemClock())

    (finding,) = about(findings, "bus")
    assert verdict(findings) == finding.exit == Exit.CONFIG
    assert "refused the log-in of 'samlog' (SCRAM-SHA-512)" in finding.what
    assert finding.next == "correct bus: in the configuration; then: samlog check --connect"
    assert cli("check", "--connect", "--no-rules", deployment.config).code == 78


@pytest.mark.kafka
def test_missing_topics_are_created_by_setup(
    guarded_kafka: KafkaServer, deployment: Any, tmp_path: Path, cli: Cli
) -> None:
    deployment.write(kafka(guarded_kafka, tmp_path))
    (finding,) = about(examine(deployment.config, SystemClock()), "bus")
    assert "topics are missing: samlog." in finding.what
    assert finding.next == "samlog setup"

    assert cli("setup", "--dry-run", "-c", deployment.config).out.count("would create topic") == 9
    assert cli("setup", "-c", deployment.config).out.count("created topic") == 9

    assert about(examine(deployment.config, SystemClock()), "bus") == []
    assert cli("setup", "-c", deployment.config).out == ""


@pytest.mark.kafka
def test_dead_letters_are_listed_and_replayed_on_kafka(
    guarded_kafka: KafkaServer, deployment: Any, tmp_path: Path, cli: Cli
) -> None:
    from samlog.bus.base import Message
    from samlog.bus.kafka_security import security
    from samlog.deadletter import dead_letter

    deployment.write(kafka(guarded_kafka, tmp_path))
    settings = load_settings(deployment.config, {}).settings
    raw = Message("samlog.raw.enheda", 0, 5, b"k", b"\x00", {}, 1_768_057_200_000)
    letter = dead_letter(
        raw, stage="normalize", reason="binary", detail="", rejected=FakeClock().now()
    )
    login = security(None, settings.bus.sasl)  # type: ignore[union-attr] # it is Kafka's
    with closing(KafkaBus([guarded_kafka.address], security=login, partitions=1)) as bus:
        bus.create_topics(all_topics(settings))
        producer = bus.producer("test")
        producer.send(letter)
        producer.flush()
        producer.close()

    (row,) = cli("dlq", "ls", "--each", "--json", "-c", deployment.config).rows
    assert (row["unit"], row["reason"]) == ("enheda", "binary")
    assert "1 dead letters were put back" in cli("dlq", "replay", "-c", deployment.config).err
    assert cli("dlq", "ls", "--json", "-c", deployment.config).rows == []
    answer = cli("dlq", "replay", "--raw", "--dry-run", "-c", deployment.config)
    assert "0 raw records would" in answer.err  # a replay puts nothing on a unit's topic


@pytest.mark.elasticsearch
def test_a_wrong_elasticsearch_password(
    guarded_elasticsearch: ElasticsearchServer, deployment: Any, tmp_path: Path, cli: Cli
) -> None:
    deployment.write(elastic(guarded_elasticsearch, tmp_path, "wrong"))

    findings = examine(deployment.config, SystemClock())

    (finding,) = about(findings, "store")
    assert verdict(findings) == finding.exit == Exit.CONFIG
    assert "refused the user or key (401)" in finding.what
    assert finding.next.startswith("correct the user or key below store:")
    assert cli("check", "--connect", "--no-rules", deployment.config).code == 78


@pytest.mark.elasticsearch
def test_a_stale_template_is_mended_by_setup(
    guarded_elasticsearch: ElasticsearchServer, deployment: Any, tmp_path: Path, cli: Cli
) -> None:
    deployment.write(elastic(guarded_elasticsearch, tmp_path))
    (finding, *_) = about(examine(deployment.config, SystemClock()), "store")
    assert "there is no index template" in finding.what
    assert finding.next == "samlog setup"
    cli("setup", "-c", deployment.config)
    assert about(examine(deployment.config, SystemClock()), "store") == []

    url = guarded_elasticsearch.url
    with closing(Server([url], user="samlog", password=PASSWORD)) as server:
        (found,) = server.call("GET", "/_index_template/*enheda*")["index_templates"]
        found["index_template"]["_meta"]["samlog"] = "of yesterday"
        server.call("PUT", f"/_index_template/{found['name']}", found["index_template"])

    (finding,) = about(examine(deployment.config, SystemClock()), "store")
    assert "is of another version of samlog" in finding.what
    assert finding.next == "samlog setup"
    assert cli("setup", "-c", deployment.config).out.count("index template") == 1


@pytest.mark.elasticsearch
def test_a_clock_that_differs_from_elasticsearchs(
    guarded_elasticsearch: ElasticsearchServer, deployment: Any, tmp_path: Path, cli: Cli
) -> None:
    deployment.write(elastic(guarded_elasticsearch, tmp_path))
    settings = load_settings(deployment.config, {}).settings
    with closing(open_store(settings, SystemClock())) as store:
        store.setup(list(settings.units))
    assert about(examine(deployment.config, SystemClock()), "clock") == []

    (finding,) = about(examine(deployment.config, FakeClock()), "clock")

    assert "s behind Elasticsearch" in finding.what
    assert finding.exit == Exit.FAILED
    assert finding.next.startswith("timedatectl set-ntp true")


@pytest.mark.elasticsearch
def test_events_are_asked_for_doubles(
    guarded_elasticsearch: ElasticsearchServer, deployment: Any, tmp_path: Path, cli: Cli
) -> None:
    deployment.write(elastic(guarded_elasticsearch, tmp_path))
    cli("setup", "-c", deployment.config)

    answer = cli("doctor", "--doubles", "-c", deployment.config)

    assert "enheda: no event is stored twice" in answer.out
