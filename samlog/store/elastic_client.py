"""The one place that speaks HTTP to Elasticsearch: answers become values or samlog's errors.

The 8.x client asks for version 8's form of every answer, which servers 8 and 9 both give. It never
repeats a request by itself: whether a repeat is harmless is known only to the caller.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from elastic_transport import OrjsonSerializer
from elasticsearch import (
    ApiError,
    Elasticsearch,
    TransportError,
    UnsupportedProductError,
)
from elasticsearch.serializer import NdjsonSerializer, TextSerializer

from samlog.errors import ConfigError, Unavailable

_JSON = "application/json"
_NDJSON = "application/x-ndjson"
_BUSY = 429
_MAX_REASON = 500


class Busy(Unavailable):
    """The cluster refused a request as a whole (429, 503): nothing of it was done."""


class Server:
    """One cluster behind one or more addresses. Thread-safe.

    Args:
        urls: Addresses of nodes, ``https://host:9200``; a dead one is passed over for a while.
        api_key: Encoded API key; else ``user`` and ``password``, else no authentication.
        ca: File with the authority's certificates in PEM; empty = the system's.
        connections: Open connections per node.
        timeout_s: How long one request may take.
    """

    def __init__(
        self,
        urls: Sequence[str],
        *,
        api_key: str = "",
        user: str = "",
        password: str = "",
        ca: str = "",
        connections: int = 4,
        timeout_s: float = 60.0,
    ) -> None:
        self.where = ", ".join(urls)
        options: dict[str, Any] = {"ca_certs": ca} if ca else {}
        if api_key:
            options["api_key"] = api_key
        elif user:
            options["basic_auth"] = (user, password)
        try:
            self._client = Elasticsearch(
                list(urls),
                connections_per_node=connections,
                request_timeout=timeout_s,
                max_retries=0,
                retry_on_timeout=False,
                serializers=_serializers(),
                **options,
            )
        except (ValueError, OSError) as problem:
            raise ConfigError(f"store.urls {self.where}: {problem}") from problem

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        params: Mapping[str, str] | None = None,
        lines: bool = False,
    ) -> dict[str, Any]:
        """Sends one request and returns the JSON object of the answer.

        Args:
            method: HTTP method.
            path: Path, already quoted.
            body: JSON value, or with ``lines`` the finished NDJSON bytes.
            params: Query parameters.
            lines: The body is NDJSON.

        Raises:
            Busy: The cluster has too much to do, or no master (429, 503).
            Unavailable: No answer, or the cluster failed (5xx): it may have been done.
            ConfigError: The user or key is refused (401), lacks a privilege (403), or the request
                is wrong (400).
            Missing: There is no such thing (404).
        """
        headers = {"accept": _JSON}
        if body is not None:
            headers["content-type"] = _NDJSON if lines else _JSON
        try:
            answer = self._client.perform_request(
                method, path, params=params, headers=headers, body=body
            )
        except TransportError as problem:
            raise Unavailable(
                f"Elasticsearch at {self.where} does not answer: {_short(problem)}"
            ) from problem
        except UnsupportedProductError as problem:
            raise ConfigError(f"{self.where} is not Elasticsearch") from problem
        except ApiError as problem:
            raise self._error(problem.meta.status, problem.body) from problem
        found = answer.body
        return found if isinstance(found, dict) else {"rows": found}

    def complete(self, response: Mapping[str, Any]) -> None:
        """Raises as `call` does when one answer of a multi-search is an error or misses shards."""
        status = response.get("status", 200)
        if status >= 300:
            raise self._error(status, response)
        if response["_shards"]["failed"]:
            raise Unavailable(f"Elasticsearch at {self.where}: a shard does not answer")

    def _error(self, status: int, body: Any) -> Exception:
        reason = reason_of(body)
        if status == 401:
            return ConfigError(
                f"Elasticsearch at {self.where} refused the user or key (401): "
                "look at store.api_key_file, or store.username and store.password_file"
            )
        if status == 403:
            return ConfigError(
                f"Elasticsearch at {self.where} does not allow it (403): {reason}; "
                "deploy/elasticsearch/roles.yml lists what samlog's users need"
            )
        if status == 404:
            return Missing(f"Elasticsearch: {reason}")
        if status in (_BUSY, 503):
            return Busy(f"Elasticsearch at {self.where} is busy ({status}): {reason}")
        if status >= 500:
            return Unavailable(f"Elasticsearch at {self.where} failed ({status}): {reason}")
        return BadRequest(f"Elasticsearch at {self.where} refused the request: {reason}")

    def close(self) -> None:
        """Closes the connections; safe to call twice."""
        self._client.close()


class BadRequest(ConfigError):
    """The request itself is wrong (400, 405): a query, a template, or an absent feature."""


class Missing(ConfigError):
    """The index, template or document is not there (404)."""


def reason_of(body: Any) -> str:
    """Returns the sentence that explains an error answer or one item's ``error``."""
    error = body.get("error", body) if isinstance(body, dict) else body
    if not isinstance(error, dict):
        return str(error)[:_MAX_REASON]
    causes = [error, *error.get("root_cause", [])[:1]]
    cause = error.get("caused_by")
    while isinstance(cause, dict):
        causes.append(cause)
        cause = cause.get("caused_by")
    reasons = dict.fromkeys(str(c["reason"]) for c in causes if c.get("reason"))
    return "; ".join(reasons)[:_MAX_REASON] or str(error.get("type", error))[:_MAX_REASON]


def _short(problem: TransportError) -> str:
    return str(problem.message)[:_MAX_REASON]


class _Lines(NdjsonSerializer):
    """Sends finished NDJSON as it is: the original copies it twice."""

    def dumps(self, data: Any) -> bytes:
        return data if type(data) is bytes else super().dumps(data)


def _serializers() -> dict[str, Any]:
    fast, lines = OrjsonSerializer(), _Lines()
    return {
        _JSON: fast,
        "application/vnd.elasticsearch+json": fast,
        _NDJSON: lines,
        "application/vnd.elasticsearch+x-ndjson": lines,
        "text/*": TextSerializer(),
    }
