"""``- {type: kafka, brokers: ["cert-kafka:9093"], topic: samlog.alerts, tls: {...}, sasl: {...}}``

Alerts onto a topic of another cluster, such as the CERT's own. (The topic ``samlog.alerts`` of the
configured bus gets every alert anyway.) Key = unit; the value is soc-alert/1 JSON. The topic has to
be there: samlog does not create topics on a cluster that is not its own.
"""

from collections.abc import Sequence
from typing import Literal

import orjson
from pydantic import Field

from alerts.sink import SinkConfig
from samlog.bus.base import Bus, Producer, Record
from samlog.config import Sasl, Tls
from samlog.errors import BusError, SamlogError, Unavailable
from samlog.event import ALERTS


class Config(SinkConfig):
    type: Literal["kafka"] = "kafka"
    brokers: list[str] = Field(min_length=1)
    """``host:port`` of one or more brokers of the receiver's cluster."""
    topic: str = Field(default=ALERTS, pattern=r"^[a-zA-Z0-9._-]{1,249}$")
    """Topic that the alerts go to; made by the receiver."""
    tls: Tls | None = None
    """Encrypts; as ``bus.tls``."""
    sasl: Sasl | None = None
    """Logs in; as ``bus.sasl``."""


class KafkaSink:
    """Connects when there is something to send."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._opened: Bus | None = None
        self._producer: Producer | None = None

    def send(self, alerts: Sequence[bytes]) -> None:
        if self._producer is None:
            self._opened = self._bus()
            self._producer = self._opened.producer("samlog-alert-sink")
        try:
            for alert in alerts:
                unit = str(orjson.loads(alert)["producer"]["unit"]).encode()
                record = Record(self._config.topic, alert, unit, {"samlog-v": b"1"})
                self._producer.send(record)
            self._producer.flush()
        except BusError as error:
            raise Unavailable(f"{error}; create the topic there", retry_after_s=30) from error

    def _bus(self) -> Bus:
        from samlog.bus.kafka import KafkaBus
        from samlog.bus.kafka_security import security

        logins = security(self._config.tls, self._config.sasl)
        return KafkaBus(self._config.brokers, security=logins)

    def check(self) -> str:
        bus: Bus | None = None
        try:
            bus = self._bus()
            bus.topics()
        except SamlogError as error:
            return str(error)
        finally:
            if bus is not None:
                bus.close()
        return ""

    def close(self) -> None:
        if self._opened is not None:
            self._opened.close()
            self._opened = self._producer = None


def open_sink(config: Config) -> KafkaSink:
    return KafkaSink(config)
