"""Where a Kafka cluster is and how one logs in, and what its errors mean for samlog."""

import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kafka import errors
from kafka.net.compat import KafkaNetClient

from samlog.bus.kafka_repairs import repair_connections
from samlog.errors import BusError, ConfigError, SamlogError, Unavailable

_CONNECT_S = 2.0

# A broker that comes back is found within 2 s; kafka-python's own ceiling is 30 s. Topics that
# are created later are seen within a minute (5 minutes there).
_TIMES: Mapping[str, Any] = {
    "reconnect_backoff_max_ms": 2_000,
    "request_timeout_ms": 15_000,
    "bootstrap_timeout_ms": 5_000,
    "metadata_max_age_ms": 60_000,
}

_REFUSED = (
    errors.TopicAuthorizationFailedError,
    errors.GroupAuthorizationFailedError,
    errors.ClusterAuthorizationFailedError,
)
_LOGIN = (
    errors.SaslAuthenticationFailedError,
    errors.UnsupportedSaslMechanismError,
    errors.IllegalSaslStateError,
)
_TOO_LARGE = (errors.MessageSizeTooLargeError, errors.RecordListTooLargeError)
_WRONG = (
    errors.KafkaConfigurationError,
    errors.InvalidTopicError,
    errors.InvalidReplicationFactorError,
    errors.InvalidPartitionsError,
    errors.InvalidConfigurationError,
    errors.PolicyViolationError,
    errors.InconsistentGroupProtocolError,
    errors.UnsupportedVersionError,
    errors.UnsupportedCodecError,
)


@dataclass(frozen=True)
class Cluster:
    """Addresses and log-in of one cluster.

    ``brokers`` are ``host:port``. ``security`` are keyword arguments of kafka-python's clients:
    ``security_protocol``, ``ssl_*``, ``sasl_*``. ``host`` names this machine in ``client.id``.
    """

    brokers: Sequence[str]
    security: Mapping[str, Any] = field(default_factory=dict)
    host: str = ""

    def __post_init__(self) -> None:
        for name in ("ssl_cafile", "ssl_certfile", "ssl_keyfile"):
            file = self.security.get(name)
            if file and not Path(file).is_file():
                raise ConfigError(f"bus: {name} {file} is not a file")

    @property
    def address(self) -> str:
        """Returns the addresses for people."""
        return ", ".join(self.brokers)

    @property
    def user(self) -> str:
        """Returns who logs in."""
        return str(self.security.get("sasl_plain_username", "anonymous"))

    def open(self, kind: Callable[..., Any], client: str, **settings: Any) -> tuple[Any, Any]:
        """Makes one of kafka-python's clients; returns it and its network client.

        Raises `Unavailable` or `ConfigError`; what a failed constructor had started (a thread
        and sockets, which it leaves behind) is stopped.
        """
        repair_connections()
        opened: list[KafkaNetClient] = []

        def network(**given: Any) -> KafkaNetClient:
            opened.append(KafkaNetClient(**given))
            return opened[-1]

        name = f"{client}-{self.host}" if self.host else client
        try:
            made = kind(
                bootstrap_servers=list(self.brokers),
                client_id=name,
                kafka_client=network,
                **{**_TIMES, **self.security, **settings},
            )
        except (errors.KafkaError, OSError, ValueError) as error:
            cause = _cause(opened, error)
            for net in opened:
                net.close()
            raise self.explained(cause, "connect") from error
        return made, opened[0]

    def explained(self, error: Exception, doing: str) -> SamlogError:
        """Returns what an error of kafka-python means here, as a sentence."""
        where = f"Kafka at {self.address}"
        if isinstance(error, _LOGIN):
            mechanism = self.security.get("sasl_mechanism", "SASL")
            return ConfigError(
                f"{where} refused the log-in of {self.user!r} ({mechanism}): {_said(error)}. "
                "Check bus.sasl: mechanism, username and password_file"
            )
        if "CERTIFICATE_VERIFY_FAILED" in str(error):
            return ConfigError(
                f"{where} shows a certificate that is not trusted: {_said(error)}. "
                "Check bus.tls: ca_file and check_hostname"
            )
        if isinstance(error, _REFUSED):
            return ConfigError(
                f"{where} does not let {self.user!r} {doing}: {_said(error)}. "
                "An ACL is missing: let an administrator of the cluster grant it"
            )
        if isinstance(error, _TOO_LARGE):
            return ConfigError(
                f"{where} refuses records that bus.max_record_bytes allows ({doing}): raise the "
                "topic's max.message.bytes or lower bus.max_record_bytes"
            )
        if isinstance(error, errors.FencedInstanceIdError):
            return BusError(f"{where}: another process has joined the group as this same member")
        if isinstance(error, errors.CorruptRecordError):
            return BusError(
                f"{where}: a record cannot be read while samlog wants to {doing}: {error}"
            )
        if isinstance(error, (*_WRONG, ValueError)):
            return ConfigError(f"{where} cannot {doing}: {_said(error)}")
        return Unavailable(
            f"{where} cannot be used now ({doing}): {_said(error)}{self._why(error)}"
        )

    def _why(self, error: Exception) -> str:
        """Asks the network what a time-out hides; "" when every broker accepts connections."""
        if not isinstance(error, (errors.KafkaTimeoutError, errors.KafkaConnectionError)):
            return ""
        reasons = [reason for reason in map(_unreachable, self.brokers) if reason]
        if reasons:
            return "; " + "; ".join(reasons)
        return "; it accepts connections, so check bus.tls and bus.sasl if it never worked"


def _cause(opened: Sequence[KafkaNetClient], error: Exception) -> Exception:
    """Connects once more to learn why it failed: kafka-python reports each failure as time-out."""
    found = error
    if not opened or not isinstance(error, errors.KafkaTimeoutError):
        return found
    manager = opened[0]._manager
    broker = manager.cluster.bootstrap_brokers()[0].node_id

    async def connect() -> None:
        manager.reset_backoff(broker)
        await manager.get_connection(broker, timeout_ms=_CONNECT_S * 1000)

    try:
        manager.run(connect)
    except errors.KafkaError as cause:
        telling = isinstance(cause, (*_LOGIN, errors.KafkaConnectionError))
        if telling and "ECONN" not in str(cause):
            found = cause
    return found


def _said(error: Exception) -> str:
    text = str(error)
    return text if type(error).__name__ in text else f"{type(error).__name__}: {text}"


def _unreachable(broker: str) -> str:
    host, _, port = broker.rpartition(":")
    if not host or not port.isdigit():
        host, port = broker, "9092"
    try:
        socket.create_connection((host.strip("[]"), int(port)), _CONNECT_S).close()
    except socket.gaierror:
        return f"the host name {host!r} of {broker} is not known"
    except OSError as error:
        return f"{broker}: {error.strerror or error}"
    return ""
