"""Bulk writing: documents to NDJSON, items of the answer to outcomes, what was busy once more."""

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from samlog.clock import Clock
from samlog.errors import ConfigError, Unavailable
from samlog.store.base import Document, Outcome, WriteResult
from samlog.store.elastic_client import Busy, Server, reason_of
from samlog.store.elastic_mapping import DOCUMENT_ID
from samlog.store.fields import IGNORE_ABOVE, tag_truncated

MAX_BODY_BYTES = 8 * 1024 * 1024
"""Bytes of one bulk request; a server takes at most 100 MB (``http.max_content_length``)."""

MIN_BODY_BYTES = 1024 * 1024
"""A smaller part is not worth a request: each costs the server a write of every index in it."""

_ID_KEY = b',"' + DOCUMENT_ID.encode() + b'":'
# Version 8.19.0 indexes \\ and \" of JSON as two characters in sub-fields: no path is found in
# .caseless. A later one puts such a value into other fields (elastic/elasticsearch pull requests
# 129169, 135181, 135184). What is written with \u is read in another way, rightly by all.
_BACKSLASH = (b"\\\\", b"\\u005c")
_QUOTE = (b'\\"', b"\\u0022")
_FIRST_WAIT_S = 0.1
_LONGEST_WAIT_S = 5.0
_CREATED = WriteResult(Outcome.CREATED)
_EXISTS = WriteResult(Outcome.EXISTS)


@dataclass(frozen=True, slots=True)
class Line:
    """One finished action of a bulk request and its place in the caller's batch."""

    place: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Patience:
    """How long busy items are tried again before the batch is given up."""

    clock: Clock
    seconds: float = 30.0


def create_line(place: int, document: Document) -> Line:
    """Returns the action that creates ``document``.

    Raises `ValueError` or `TypeError` for what JSON cannot hold (a lone surrogate, an integer
    beyond 64 bits).
    """
    action = {"_index": document.stream, "_id": document.id, "require_data_stream": True}
    return Line(place, orjson.dumps({"create": action}) + b"\n" + _source(document))


def index_line(place: int, document: Document, at: dict[str, Any]) -> Line:
    """Returns the action that puts ``document`` over the search hit ``at``, in its backing index.

    It fails with a conflict if somebody else changed it since.
    """
    action = {
        "_index": at["_index"],
        "_id": at["_id"],
        "if_seq_no": at["_seq_no"],
        "if_primary_term": at["_primary_term"],
    }
    return Line(place, orjson.dumps({"index": action}) + b"\n" + _source(document))


def delete_line(place: int, at: dict[str, Any]) -> Line:
    """Returns the action that deletes the search hit ``at``."""
    return Line(place, orjson.dumps({"delete": {"_index": at["_index"], "_id": at["_id"]}}) + b"\n")


def _source(document: Document) -> bytes:
    body = document.json or orjson.dumps(document.source)
    # Most events are shorter as a whole than the longest value that can be searched.
    if len(body) > IGNORE_ABOVE and tag_truncated(document.source):
        body = orjson.dumps(document.source)
    if body == b"{}":
        return b"{}\n"
    body = _spelt(body, document.source.get("event.original"))
    return body[:-1] + _ID_KEY + orjson.dumps(document.id) + b"}\n"


def _spelt(body: bytes, original: object) -> bytes:
    """Returns ``body`` with \\u for backslashes and quotes, but in ``event.original``.

    That has no sub-fields and more of them than all the rest, being JSON itself: 17 µs instead of
    29 an event of 7 kB, and an eighth less to send.
    """
    kept, at = b"", -1
    if type(original) is str:
        kept = b'"event.original":' + orjson.dumps(original)
        at = body.find(kept[:18])
    if at < 0 or not body.startswith(kept, at):
        return body.replace(*_BACKSLASH).replace(*_QUOTE)
    before, after = body[:at], body[at + len(kept) :]
    before = before.replace(*_BACKSLASH).replace(*_QUOTE)
    return before + kept + after.replace(*_BACKSLASH).replace(*_QUOTE)


def split(lines: Iterable[Line], size: int, connections: int) -> Iterator[Sequence[Line]]:
    """Cuts a batch into about equal parts, at most one a connection where they are not too small.

    ``size`` is about how many bytes they have in all. Each part is given as soon as it is full, so
    that it is on its way while the next one is made. None is larger than a request may be.
    """
    limit = min(max(MIN_BODY_BYTES, -(-size // connections)), MAX_BODY_BYTES)
    part: list[Line] = []
    taken = 0
    for line in lines:
        if part and taken + len(line.data) > limit:
            yield part
            part, taken = [], 0
        part.append(line)
        taken += len(line.data)
    if part:
        yield part


def send(server: Server, lines: Sequence[Line], patience: Patience) -> dict[int, WriteResult]:
    """Sends one part until every item has its answer; returns it by place in the batch.

    Items that the cluster was too busy for (429) or failed at (5xx) are sent again, with growing
    and scattered pauses. Raises `Unavailable` when that took too long, or when a request got no
    answer: then some items may have been written.
    """
    results: dict[int, WriteResult] = {}
    waiting = list(lines)
    deadline = patience.clock.monotonic_s() + patience.seconds
    pause = _FIRST_WAIT_S
    while True:
        waiting, why = _round(server, waiting, results)
        if not waiting:
            return results
        if patience.clock.monotonic_s() + pause > deadline:
            raise Unavailable(f"Elasticsearch is busy: {why}", retry_after_s=_LONGEST_WAIT_S)
        patience.clock.sleep(pause * random.uniform(0.5, 1.0))
        pause = min(pause * 2, _LONGEST_WAIT_S)


def _round(
    server: Server, lines: list[Line], results: dict[int, WriteResult]
) -> tuple[list[Line], str]:
    """Sends ``lines`` once, notes the answers; returns what has to be sent again, and why."""
    try:
        answer = server.call(
            "POST",
            "/_bulk",
            b"".join(line.data for line in lines),
            params={"filter_path": "items.*.status,items.*.error"},
            lines=True,
        )
    except Busy as busy:
        return lines, str(busy)
    again: list[Line] = []
    why = ""
    for line, item in zip(lines, answer["items"], strict=True):
        (told,) = item.values()
        if _worth_repeating(told):
            again.append(line)
            why = reason_of(told)
        else:
            results[line.place] = _outcome(told)
    return again, why


def _worth_repeating(told: dict[str, Any]) -> bool:
    """Busy, failing, or an index that is blocked just now (403: closed, read-only)."""
    if told["status"] == 403:
        return bool(told.get("error", {}).get("type") == "cluster_block_exception")
    return bool(told["status"] == 429 or told["status"] >= 500)


def _outcome(told: dict[str, Any]) -> WriteResult:
    status = told["status"]
    if status < 300:
        return _CREATED
    if status == 409 or "error" not in told:  # the latter: deleted already
        return _EXISTS
    reason = reason_of(told)
    if status == 404:
        raise ConfigError(f"Elasticsearch: {reason}. Type: samlog setup")
    if status in (401, 403):
        raise ConfigError(
            f"Elasticsearch does not allow writing ({status}): {reason}; "
            "deploy/elasticsearch/roles.yml lists what samlog's users need"
        )
    return WriteResult(Outcome.REFUSED, reason)
