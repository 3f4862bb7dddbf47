"""``- {type: webhook, url: https://cert.example/alerts, min_priority: hoj}``

POSTs one soc-alert/1 document a request (``application/json``), with its id as
``Idempotency-Key``. 2xx is accepted; 408, 425, 429 and 5xx are tried again (Retry-After is
obeyed); any other answer refuses the alert for good, which is noted with the answer's text.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import httpx
import orjson
from pydantic import Field

from alerts.sink import SinkConfig
from samlog.errors import BadEvent, Unavailable
from samlog.secrets import read_secret

AGAIN = {408, 425, 429}


class Config(SinkConfig):
    type: Literal["webhook"] = "webhook"
    url: str = Field(pattern=r"^https?://")
    """Where alerts are posted."""
    token_file: Path | None = None
    """File with a bearer token."""
    ca_file: Path | None = None
    """Certificate authority that signed the receiver's certificate; default: the system's."""
    timeout_s: float = Field(default=10.0, gt=0, le=120)
    """How long one answer may take."""


class WebhookSink:
    """One connection, kept open."""

    def __init__(self, config: Config) -> None:
        headers = {"content-type": "application/json", "user-agent": "samlog"}
        if config.token_file is not None:
            token = read_secret(config.token_file, f"sink {config.label}: token_file").strip()
            headers["authorization"] = f"Bearer {token}"
        verify: bool | str = str(config.ca_file) if config.ca_file else True
        self._url = config.url
        self._client = httpx.Client(headers=headers, timeout=config.timeout_s, verify=verify)

    def send(self, alerts: Sequence[bytes]) -> None:
        for alert in alerts:
            self._post(alert)

    def _post(self, alert: bytes) -> None:
        document = orjson.loads(alert)
        key = f"{document['id']}:{document['seq']}"
        try:
            answer = self._client.post(self._url, content=alert, headers={"idempotency-key": key})
        except httpx.HTTPError as error:
            raise Unavailable(f"webhook {self._url}: {error}", retry_after_s=5) from error
        if answer.status_code in AGAIN or answer.status_code >= 500:
            wait = answer.headers.get("retry-after", "")
            raise Unavailable(
                f"webhook {self._url} answers {answer.status_code}",
                retry_after_s=float(wait) if wait.isdecimal() else 5.0,
            )
        if not answer.is_success:
            raise BadEvent("sink_refused", f"{answer.status_code} {answer.text[:200]}")

    def check(self) -> str:
        try:
            self._client.head(self._url)
        except httpx.HTTPError as error:
            return f"webhook {self._url}: {error}; check the address and the firewall"
        return ""

    def close(self) -> None:
        self._client.close()


def open_sink(config: Config) -> WebhookSink:
    return WebhookSink(config)
