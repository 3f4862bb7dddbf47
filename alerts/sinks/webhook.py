"""``- {type: webhook, url: https://cert.example/alerts, min_priority: hoj}``

POSTs one soc-alert/1 document a request (``application/json``), with its id as
``Idempotency-Key``. 2xx is accepted, and noted before the next is sent. 400, 409, 413 and 422 are
about that alert: it is refused for good, which `samlog doctor` and `samlog alerts show` tell with
the answer's text. After any other answer (3xx, 401, 403, 404, 429, 5xx …) alerts wait until it is
mended, here or there, and `samlog doctor` tells why; ``Retry-After`` is obeyed up to an hour.
"""

from collections.abc import Sequence
from datetime import timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import ClassVar, Literal

import httpx
import orjson
from pydantic import Field

from alerts.sink import SinkConfig
from samlog.address import Url
from samlog.errors import BadEvent, Unavailable
from samlog.secrets import read_secret

REFUSED = {400, 409, 413, 422}
"""Answers about the alert itself. All others are about us, the address or the receiver's state."""
BUSY = {408, 425, 429}
BUSY_WAIT_S = 5.0
MENDED_BY_PEOPLE_WAIT_S = 60.0
MAX_RETRY_AFTER_S = 3600.0
MEND = {
    401: "; renew token_file, it is read for every alert",
    403: "; let the receiver allow this token",
    404: "; correct url",
    405: "; correct url",
}


class Config(SinkConfig):
    batch: ClassVar[int] = 1
    type: Literal["webhook"] = "webhook"
    url: Url = Field(pattern=r"^https?://[^/]")
    """Where alerts are posted."""
    token_file: Path | None = None
    """File with a bearer token; read for every alert, so that it may be renewed at any time."""
    ca_file: Path | None = None
    """Certificate authority that signed the receiver's certificate; default: the system's."""
    timeout_s: float = Field(default=10.0, gt=0, le=120)
    """How long one answer may take."""


class WebhookSink:
    """One connection, kept open."""

    def __init__(self, config: Config) -> None:
        headers = {"content-type": "application/json", "user-agent": "samlog"}
        verify: bool | str = str(config.ca_file) if config.ca_file else True
        self._url = config.url
        self._token_file = config.token_file
        self._token_of = f"sink {config.label}: token_file"
        self._login()
        self._client = httpx.Client(headers=headers, timeout=config.timeout_s, verify=verify)

    def _login(self) -> dict[str, str]:
        """Returns the header that logs in, with the token as it is now."""
        if self._token_file is None:
            return {}
        token = read_secret(self._token_file, self._token_of).strip()
        return {"authorization": f"Bearer {token}"}

    def send(self, alerts: Sequence[bytes]) -> None:
        for alert in alerts:
            self._post(alert)

    def _post(self, alert: bytes) -> None:
        document = orjson.loads(alert)
        headers = {"idempotency-key": f"{document['id']}:{document['seq']}", **self._login()}
        try:
            answer = self._client.post(self._url, content=alert, headers=headers)
        except httpx.HTTPError as error:
            raise Unavailable(f"webhook {self._url}: {error}", retry_after_s=5) from error
        if answer.is_success:
            return
        code, said = answer.status_code, f"{answer.status_code} {answer.text[:200]}".strip()
        if code in REFUSED:
            raise BadEvent("sink_refused", said)
        busy = code in BUSY or code >= 500
        raise Unavailable(
            f"webhook {self._url} answers {said}{MEND.get(code, '')}{_elsewhere(answer)}",
            retry_after_s=_retry_after(answer, BUSY_WAIT_S if busy else MENDED_BY_PEOPLE_WAIT_S),
        )

    def check(self) -> str:
        try:
            self._client.head(self._url)
        except httpx.HTTPError as error:
            return f"webhook {self._url}: {error}; check the address and the firewall"
        return ""

    def close(self) -> None:
        self._client.close()


def _elsewhere(answer: httpx.Response) -> str:
    """Returns what to do about a redirect: alerts and tokens go only where somebody wrote."""
    place = answer.headers.get("location", "")[:200]
    return f"; it points to {place}, correct url" if place and answer.is_redirect else ""


def _retry_after(answer: httpx.Response, usual_s: float) -> float:
    """Returns the seconds to wait: Retry-After (RFC 9110 section 10.2.3), else ``usual_s``.

    A date there is compared with the answer's own, so that no two clocks have to agree.
    """
    said = answer.headers.get("retry-after", "").strip()
    if said.isdecimal():
        return min(max(float(said), 1.0), MAX_RETRY_AFTER_S)
    try:
        at, now = parsedate_to_datetime(said), parsedate_to_datetime(answer.headers.get("date", ""))
        wait_s = (at - now) / timedelta(seconds=1)
    except (TypeError, ValueError):
        return usual_s
    return max(usual_s, min(wait_s, MAX_RETRY_AFTER_S))


def open_sink(config: Config) -> WebhookSink:
    return WebhookSink(config)
