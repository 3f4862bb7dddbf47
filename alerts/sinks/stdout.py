"""``- {type: stdout}``: alerts as NDJSON on standard output, for trying things and for pipes."""

import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Literal

from alerts.sink import SinkConfig
from samlog.errors import Unavailable


class Config(SinkConfig):
    type: Literal["stdout"] = "stdout"


class StdoutSink:
    """Writes one line an alert revision."""

    def send(self, alerts: Sequence[bytes]) -> None:
        try:
            for alert in alerts:
                sys.stdout.buffer.write(alert + b"\n")
            sys.stdout.buffer.flush()
        except OSError as error:
            raise Unavailable(f"standard output: {error.strerror}; alerts wait") from error

    def check(self) -> str:
        return ""

    def close(self) -> None:
        # Whoever read the pipe may be gone: `send` has told so, and nothing counts as sent.
        with suppress(OSError):
            sys.stdout.buffer.flush()


def open_sink(config: Config) -> StdoutSink:
    return StdoutSink()
