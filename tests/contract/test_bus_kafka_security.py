"""Who may do what on a broker with log-ins and ACLs, and what samlog says when it is refused."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaAdminClient
from kafka.admin import ACL, ACLOperation, ACLPermissionType, ResourcePattern, ResourceType

from samlog.bus.base import Message, Record
from samlog.bus.kafka import KafkaBus
from samlog.clock import SystemClock
from samlog.errors import ConfigError, Unavailable
from samlog.servers import KafkaServer, ServerError, start_kafka
from samlog.servers.artifacts import java

pytestmark = pytest.mark.kafka

USERS = {"admin": "admin-pass", "unita": "unita-pass", "normalize": "normalize-pass"}
OWN, OTHER = "samlog.raw.unita", "samlog.raw.unitb"


def login(name: str, password: str = "") -> dict[str, Any]:
    return {
        "security_protocol": "SASL_PLAINTEXT",
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_plain_username": name,
        "sasl_plain_password": password or USERS[name],
    }


def allow(name: str, operation: ACLOperation, kind: ResourceType, resource: str) -> ACL:
    pattern = ResourcePattern(kind, resource)
    return ACL(f"User:{name}", "*", operation, ACLPermissionType.ALLOW, pattern)


@pytest.fixture(scope="module")
def guarded() -> Iterator[KafkaServer]:
    """A broker on which unit A may write its own topic and normalise may read it."""
    try:
        server = start_kafka(users=USERS)
    except ServerError as error:
        pytest.skip(f"needs a native broker: {error}")
    with server:
        bus = KafkaBus([server.address], security=login("admin"))
        bus.create_topics([OWN, OTHER])
        bus.close()
        acls = [
            allow("unita", ACLOperation.WRITE, ResourceType.TOPIC, OWN),
            allow("normalize", ACLOperation.READ, ResourceType.TOPIC, OWN),
            allow("normalize", ACLOperation.READ, ResourceType.GROUP, "samlog.normalize"),
        ]
        with KafkaAdminClient(bootstrap_servers=server.address, **login("admin")) as admin:
            assert admin.create_acls(acls)["failed"] == []
            for acl in acls:
                _await(acl, admin)
        yield server


def _await(acl: ACL, admin: KafkaAdminClient) -> None:
    """The broker follows the controller's log of ACLs a moment later."""
    clock = SystemClock()
    deadline = clock.monotonic_s() + 30.0
    while not admin.describe_acls(acl)[0]:
        assert clock.monotonic_s() < deadline, f"{acl} is not in force"


def opened(server: KafkaServer, name: str, password: str = "") -> KafkaBus:
    return KafkaBus([server.address], security=login(name, password))


def take(consumer: Any, count: int) -> list[Message]:
    clock = SystemClock()
    deadline = clock.monotonic_s() + 30.0
    messages: list[Message] = []
    while len(messages) < count and clock.monotonic_s() < deadline:
        messages += consumer.poll(timeout_s=0.2)
    return messages


def test_a_unit_writes_its_own_topic_and_normalise_reads_it(guarded: KafkaServer) -> None:
    unit, platform = opened(guarded, "unita"), opened(guarded, "normalize")
    producer = unit.producer("collector")
    producer.send(Record(OWN, b"log"))
    producer.flush()
    consumer = platform.consumer("samlog.normalize", [OWN])

    messages = take(consumer, 1)
    consumer.commit({m.tp: m.offset + 1 for m in messages})

    assert [m.value for m in messages] == [b"log"]
    unit.close()
    platform.close()


def test_a_unit_is_refused_writing_another_units_topic(guarded: KafkaServer) -> None:
    bus = opened(guarded, "unita")
    producer = bus.producer("collector")

    with pytest.raises(ConfigError, match=rf"does not let 'unita' write.* {OTHER}"):
        producer.send(Record(OTHER, b"forged"))
        producer.flush()

    bus.close()


def test_a_unit_is_refused_reading_its_own_topic(guarded: KafkaServer) -> None:
    bus = opened(guarded, "unita")
    consumer = bus.consumer("samlog.spy", [OWN])

    with pytest.raises(ConfigError, match=rf"does not let 'unita' read {OWN}"):
        take(consumer, 1)

    bus.close()


def test_a_reader_of_one_topic_is_refused_another(guarded: KafkaServer) -> None:
    bus = opened(guarded, "normalize")
    consumer = bus.consumer("samlog.normalize", [OTHER])

    with pytest.raises(ConfigError, match=rf"does not let 'normalize' read {OTHER}"):
        take(consumer, 1)

    bus.close()


def test_a_unit_is_refused_creating_topics(guarded: KafkaServer) -> None:
    bus = opened(guarded, "unita")

    with pytest.raises(ConfigError, match=r"does not let 'unita' create samlog\.raw\.unitc"):
        bus.create_topics(["samlog.raw.unitc"])

    bus.close()


def test_a_wrong_password_is_named_by_its_user(guarded: KafkaServer) -> None:
    bus = opened(guarded, "unita", "guessed")

    with pytest.raises(ConfigError, match=r"refused the log-in of 'unita' \(SCRAM-SHA-512\)"):
        bus.topics()
    with pytest.raises(ConfigError, match="refused the log-in"):
        bus.producer("collector").send(Record(OWN, b"x"))
    with pytest.raises(ConfigError, match="refused the log-in"):
        bus.consumer("samlog.spy", [OWN])


def test_no_log_in_where_one_is_needed_hints_at_the_settings(guarded: KafkaServer) -> None:
    with pytest.raises(Unavailable, match="check bus.tls and bus.sasl"):
        KafkaBus([guarded.address]).topics()


def test_records_travel_over_tls_with_a_certificate_that_is_checked(tmp_path: Path) -> None:
    store, ca = tmp_path / "broker.p12", tmp_path / "ca.pem"
    keytool = java().with_name("keytool")
    common = ["-alias", "broker", "-keystore", str(store), "-storepass", "changeit"]
    make = ["-genkeypair", "-keyalg", "EC", "-dname", "CN=localhost", "-storetype", "PKCS12"]
    names = ["-ext", "SAN=IP:127.0.0.1", "-ext", "BC=ca:true"]
    subprocess.run([keytool, *make, *common, *names], check=True, capture_output=True)
    subprocess.run([keytool, "-exportcert", "-rfc", "-file", ca, *common], check=True)
    prefix = "listener.name.client.ssl.keystore"
    properties = {
        "listener.security.protocol.map": "CLIENT:SSL,INTERNAL:PLAINTEXT,CONTROLLER:PLAINTEXT",
        f"{prefix}.location": str(store),
        f"{prefix}.password": "changeit",
        f"{prefix}.type": "PKCS12",
    }
    tls = {"security_protocol": "SSL", "ssl_cafile": str(ca)}
    try:
        server = start_kafka(properties=properties)
    except ServerError as error:
        pytest.skip(f"needs a native broker: {error}")
    with server:
        bus = KafkaBus([server.address], security=tls)
        bus.create_topics([OWN])
        producer = bus.producer("collector")
        producer.send(Record(OWN, b"secret"))
        producer.flush()

        assert [m.value for m in take(bus.consumer("samlog.test", [OWN]), 1)] == [b"secret"]
        with pytest.raises(ConfigError, match="Check bus.tls"):
            KafkaBus([server.address], security={"security_protocol": "SSL"}).topics()
        bus.close()
