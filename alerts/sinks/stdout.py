"""``- {type: stdout}``: alerts as NDJSON on standard output, for trying things and for pipes."""

import sys
from collections.abc import Sequence
from typing import Literal

from alerts.sink import SinkConfig


class Config(SinkConfig):
    type: Literal["stdout"] = "stdout"


class StdoutSink:
    """Writes one line an alert revision."""

    def send(self, alerts: Sequence[bytes]) -> None:
        for alert in alerts:
            sys.stdout.buffer.write(alert + b"\n")
        sys.stdout.buffer.flush()

    def check(self) -> str:
        return ""

    def close(self) -> None:
        sys.stdout.buffer.flush()


def open_sink(config: Config) -> StdoutSink:
    return StdoutSink()
