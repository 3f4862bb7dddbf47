"""HTTP: agents that post events, one JSON object or text line a line (NDJSON).

```yaml
- {type: http, unit: enheda, listen: 127.0.0.1:9601}
```

``POST /`` or ``POST /events``; ``Content-Encoding: gzip`` is understood. With ``Content-Type:
application/json`` the body may also be an array, or objects that go over several lines.

| answer | means |
|---|---|
| 200 | every event is durable on the bus |
| 400 | the body can't be unpacked; nothing was taken |
| 408 | the body did not come in time; nothing was taken |
| 413 | over ``max_body_bytes`` (sent or unpacked) or ``max_body_events``; nothing was taken |
| 415 | unknown ``Content-Encoding`` |
| 429 | samlog is behind: send it again after ``Retry-After`` seconds; nothing was taken |
| 503 | the bus did not take it in time, or samlog stops: send it again after ``Retry-After`` |

A body that is sent again within five minutes, after a 503 or because its sender went away without
an answer, gives the same events, not new ones. While its sender waits, and after a 200, an equal
body gives new ones. So it does every other time where a sender never waits for an answer (it leaves
within a second): what it sends can't be told from a repetition. A body that breaks off is nothing.
"""

from typing import Literal

from pydantic import Field

from ingest import source
from ingest.source import Context, Source
from samlog.address import Listen


class Config(source.Config):
    """An HTTP listener for events."""

    type: Literal["http"]
    listen: Listen = "127.0.0.1:9601"
    """Address; without TLS and log-in, so on loopback or behind a proxy that has both."""
    max_body_bytes: int = Field(default=16 << 20, ge=1024, le=1 << 30)
    """Largest body, as sent and unpacked."""
    max_body_events: int = Field(default=100_000, ge=1)
    """Most events in one body."""
    queue_bytes: int = Field(default=64 << 20, ge=1 << 16)
    """What may wait between receiving and the bus; beyond it the answer is 429."""
    body_timeout_s: float = Field(default=30.0, gt=0)
    """How long a body may take to come."""
    answer_timeout_s: float = Field(default=60.0, gt=0)
    """How long a sender waits for the bus before it is told 503."""


def open(config: Config, context: Context) -> Source:
    """Listens. Raises `Unavailable` or `ConfigError` where the port can't be had."""
    # FastAPI and uvicorn take longer to import than everything else; most commands never listen.
    from ingest.http_server import HttpSource

    return HttpSource(config, context)
