"""A single Kafka broker in KRaft mode, from the jars that Maven fetched."""

import socket
import struct
import subprocess
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Mapping, Sequence
from pathlib import Path

from samlog.servers.artifacts import java, kafka_jars
from samlog.servers.process import Server, ServerError, accepts, free_port

_FORMAT_S = 60.0

_PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
controller.listener.names=CONTROLLER
inter.broker.listener.name=INTERNAL
listeners=CLIENT://127.0.0.1:{port},INTERNAL://127.0.0.1:{internal},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=CLIENT://127.0.0.1:{port},INTERNAL://127.0.0.1:{internal}
listener.security.protocol.map=CLIENT:{protocol},INTERNAL:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={data}
num.network.threads=2
num.io.threads=4
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=2
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
log.cleaner.dedupe.buffer.size=4194304
"""

# The principals of the two loopback listeners without a password run the broker itself.
_SECURITY = """\
listener.name.client.sasl.enabled.mechanisms=SCRAM-SHA-512
listener.name.client.scram-sha-512.sasl.jaas.config=\
org.apache.kafka.common.security.scram.ScramLoginModule required;
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS;User:{admin}
allow.everyone.if.no.acl.found=false
"""


class KafkaServer(Server):
    """A broker; `address` is what clients call ``bootstrap_servers``."""

    name = "kafka"

    def __init__(
        self,
        folder: Path | None = None,
        *,
        port: int = 0,
        heap_mb: int = 512,
        users: Mapping[str, str] | None = None,
        properties: Mapping[str, str] | None = None,
        deadline_s: float = 90.0,
    ) -> None:
        super().__init__(folder, port or free_port(), deadline_s=deadline_s)
        self._heap_mb = heap_mb
        self._users = dict(users or {})
        self._properties = dict(properties or {})
        self._settings = self.folder / "server.properties"
        self._data = self.folder / "data"
        self._internal = free_port()

    @property
    def address(self) -> str:
        """Returns ``127.0.0.1:<port>``."""
        return f"127.0.0.1:{self.port}"

    def command(self) -> Sequence[str]:
        return [*self._java(), "kafka.Kafka", str(self._settings)]

    def ready(self) -> bool:
        return _answers(self._internal) and accepts(self.port)

    def prepare(self) -> None:
        """Writes the settings, and formats the data folder when it is new."""
        self._settings.write_text(self._settings_text())
        if (self._data / "meta.properties").exists():
            return
        cluster = urlsafe_b64encode(uuid.uuid4().bytes).rstrip(b"=").decode()
        command = [*self._java(), "kafka.tools.StorageTool", "format", "--cluster-id=" + cluster]
        command += ["--config", str(self._settings)]
        for name, password in self._users.items():
            command += ["--add-scram", f"SCRAM-SHA-512=[name={name},password={password}]"]
        ran = subprocess.run(command, capture_output=True, timeout=_FORMAT_S)
        if ran.returncode:
            said = (ran.stdout + ran.stderr).decode("utf-8", "replace").strip()
            raise ServerError(f"the broker's data folder could not be formatted:\n{said}")

    def _settings_text(self) -> str:
        text = _PROPERTIES.format(
            port=self.port,
            internal=self._internal,
            controller=free_port(),
            data=self._data,
            protocol="SASL_PLAINTEXT" if self._users else "PLAINTEXT",
        )
        if self._users:
            text += _SECURITY.format(admin=next(iter(self._users)))
        return text + "".join(f"{key}={value}\n" for key, value in self._properties.items())

    def _java(self) -> list[str]:
        heap = [f"-Xms{min(self._heap_mb, 256)}m", f"-Xmx{self._heap_mb}m", "-XX:+UseG1GC"]
        log = "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"
        return [str(java()), *heap, log, "-cp", f"{kafka_jars()}/*"]


def start_kafka(
    folder: Path | None = None,
    *,
    port: int = 0,
    heap_mb: int = 512,
    users: Mapping[str, str] | None = None,
    properties: Mapping[str, str] | None = None,
    deadline_s: float = 90.0,
) -> KafkaServer:
    """Starts a broker and returns when it answers (about 3 s; the first time it is fetched).

    Args:
        folder: Settings, data and log; the data of one that was used before are used on. None
            makes a temporary one.
        port: Loopback port; 0 takes a free one.
        heap_mb: Java heap.
        users: Name → password. With users the broker asks for SCRAM-SHA-512 (SASL_PLAINTEXT) and
            has ACLs that allow nothing by default; the first user is the super user.
        properties: More broker settings; they win.
        deadline_s: Seconds until it must answer.

    Raises `ServerError` with the tail of the broker's log.
    """
    server = KafkaServer(
        folder,
        port=port,
        heap_mb=heap_mb,
        users=users,
        properties=properties,
        deadline_s=deadline_s,
    )
    try:
        server.prepare()
        server.start()
    except ServerError:
        server.close()
        raise
    return server


def _answers(port: int) -> bool:
    """Asks for the API versions: Kafka protocol, key 18, version 0."""
    client = b"samlog-ready"
    body = struct.pack(">hhih", 18, 0, 1, len(client)) + client
    try:
        with socket.create_connection(("127.0.0.1", port), 1.0) as connection:
            connection.settimeout(2.0)
            connection.sendall(struct.pack(">i", len(body)) + body)
            return len(connection.recv(8)) == 8
    except OSError:
        return False
