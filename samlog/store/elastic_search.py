"""Questions to Elasticsearch, and its answers as hits and buckets.

Paging needs no state on the server: the sort (time, id, index) gives every document its place, so
a cursor holds the values of the last hit and never expires.
"""

import base64
import binascii
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import orjson

from samlog.clock import iso_ms
from samlog.errors import ConfigError
from samlog.store.base import Bucket, Hit, Page, Query, check_dataset
from samlog.store.elastic_client import Server
from samlog.store.elastic_mapping import DOCUMENT_ID
from samlog.store.elastic_streams import pattern, stream_of
from samlog.store.query import check_countable
from samlog.store.query_elastic import to_elastic

PAGE = 2_000
"""Hits of one request; a larger page is put together from several."""

EXACT_TERMS = 10_000
"""Terms that each index counts: with fewer different values the counts are exact."""

_WHOLE = {"ignore_unavailable": "true", "allow_partial_search_results": "false"}
"""An answer that misses a shard is an error: a wrong count is worse than none."""

_ONE_BY_ONE = {"max_concurrent_shard_requests": "1"}
"""For queries made of rules: what hundreds of wildcards take of memory, each index takes again."""

_COMPOSITE_PAGE = 10_000


def body_of(query: Query) -> dict[str, Any]:
    """Returns the query in Elasticsearch's form; raises `ConfigError` where it cannot be read."""
    filters: list[dict[str, Any]] = [_clause(query)]
    span = {}
    if query.since is not None:
        span["gte"] = query.since.astimezone(UTC).isoformat()
    if query.until is not None:
        span["lt"] = query.until.astimezone(UTC).isoformat()
    if span:
        filters.append({"range": {"@timestamp": span}})
    if query.streams:
        for dataset in query.streams:
            check_dataset(dataset)
        # Not in the address, which a server takes up to 4 kB of.
        streams = [f"logs-{d}-{unit}" for d in query.streams for unit in query.units]
        filters.append({"terms": {"_index": streams}})
    return {"bool": {"filter": filters}}


def _clause(query: Query) -> dict[str, Any]:
    """Rules are asked as Kibana asks them: case counts in a name without ``.caseless``.

    Not lenient, as the index is: what is too complex for the server must not look like no hit.
    """
    if query.from_rule:
        return {"query_string": {"query": query.text, "lenient": False}}
    return to_elastic(query.text)


def search(server: Server, query: Query, *, limit: int, cursor: str, newest_first: bool) -> Page:
    """Returns one page; see `samlog.store.base.EventStore.search`."""
    if not query.units:
        return Page((), 0)
    order = "desc" if newest_first else "asc"
    after = _read_cursor(cursor, order) if cursor else None
    wanted = body_of(query)
    hits: list[dict[str, Any]] = []
    total = 0
    while True:
        size = min(limit - len(hits), PAGE)
        # One more than wanted tells whether there is a next page.
        found = _page(server, query, wanted, size + 1, order, after, first=not hits)
        total = total or found["total"]["value"] if "total" in found else total
        hits += found["hits"][:size]
        more = len(found["hits"]) > size
        if not more or len(hits) >= limit:
            break
        after = hits[-1]["sort"]
    seen = [_hit(hit, order) for hit in hits]
    return Page(seen, total, seen[-1].cursor if more and seen else "")


def _page(
    server: Server,
    query: Query,
    wanted: dict[str, Any],
    size: int,
    order: str,
    after: Sequence[Any] | None,
    *,
    first: bool,
) -> dict[str, Any]:
    body: dict[str, Any] = {
        "query": wanted,
        "size": size,
        "track_total_hits": first,
        "sort": [
            {"@timestamp": {"order": order, "unmapped_type": "date"}},
            {DOCUMENT_ID: {"order": order, "unmapped_type": "keyword"}},
            {"_index": {"order": order}},
        ],
    }
    if after is not None:
        body["search_after"] = after
    answer = ask(server, query.units, body, one_by_one=query.from_rule)
    hits: dict[str, Any] = answer["hits"]
    return hits


def ask(
    server: Server, units: Sequence[str], body: dict[str, Any], *, one_by_one: bool = False
) -> dict[str, Any]:
    """Searches the streams of ``units`` and no others, ``one_by_one`` on each node."""
    params = _WHOLE | _ONE_BY_ONE if one_by_one else _WHOLE
    return server.call("POST", f"/{pattern(units)}/_search", body, params=params)


def _hit(hit: Mapping[str, Any], order: str) -> Hit:
    source = hit["_source"]
    source.pop(DOCUMENT_ID, None)
    return Hit(stream_of(hit["_index"]), hit["_id"], source, _cursor(order, hit["sort"]))


def _cursor(order: str, values: Sequence[Any]) -> str:
    return base64.urlsafe_b64encode(orjson.dumps([order, *values])).decode()


def _read_cursor(cursor: str, order: str) -> list[Any]:
    try:
        its_order, *values = orjson.loads(base64.urlsafe_b64decode(cursor))
    except (binascii.Error, ValueError, TypeError) as problem:
        raise ConfigError("the cursor is damaged: take it from a page as it is") from problem
    if its_order != order or len(values) != 3:
        raise ConfigError("the cursor is of a search in the other order")
    return list(values)


def count(server: Server, query: Query) -> int:
    """Returns the exact number of hits."""
    if not query.units:
        return 0
    body = {"query": body_of(query), "size": 0, "track_total_hits": True}
    return int(ask(server, query.units, body)["hits"]["total"]["value"])


def terms(server: Server, query: Query, field: str, *, size: int) -> Sequence[Bucket]:
    """Returns the most frequent values of ``field``; exact as `EXACT_TERMS` says."""
    check_countable(field)
    if not query.units:
        return ()
    values = {
        "field": field,
        "size": size,
        "shard_size": max(size, EXACT_TERMS),
        "order": [{"_count": "desc"}, {"_key": "asc"}],
    }
    body = {"query": body_of(query), "size": 0, "aggs": {"values": {"terms": values}}}
    answer = ask(server, query.units, body)
    rows = answer.get("aggregations", {}).get("values", {}).get("buckets", [])
    return [Bucket(str(row.get("key_as_string", row["key"])), row["doc_count"]) for row in rows]


def histogram(server: Server, query: Query, *, interval_s: int) -> Sequence[Bucket]:
    """Returns counts per interval, oldest first; read in pieces, so of any length."""
    if not query.units:
        return ()
    interval = {"field": "@timestamp", "fixed_interval": f"{interval_s}s"}
    source = {"start": {"date_histogram": interval}}
    return [
        Bucket(iso_ms(datetime.fromtimestamp(row["key"]["start"] / 1000, UTC)), row["doc_count"])
        for row in _composite(server, query, source)
    ]


def doubles(server: Server, query: Query) -> Iterator[tuple[str, int]]:
    """Yields every id that occurs more than once, with how often; reads the whole index."""
    source = {"id": {"terms": {"field": DOCUMENT_ID}}}
    for row in _composite(server, query, source):
        if row["doc_count"] > 1:
            yield row["key"]["id"], row["doc_count"]


def _composite(server: Server, query: Query, source: dict[str, Any]) -> Iterator[dict[str, Any]]:
    composite: dict[str, Any] = {"size": _COMPOSITE_PAGE, "sources": [source]}
    body = {"query": body_of(query), "size": 0, "aggs": {"rows": {"composite": composite}}}
    while True:
        answer = ask(server, query.units, body).get("aggregations", {}).get("rows", {})
        yield from answer.get("buckets", [])
        if "after_key" not in answer:
            return
        composite["after"] = answer["after_key"]


def find_ids(
    server: Server, ids_by_index: Mapping[str, Sequence[str]], *, at_most: int = 1_000
) -> Iterator[dict[str, Any]]:
    """Yields a hit (index, id, sequence number) for every given id that can be found.

    Args:
        server: The cluster.
        ids_by_index: Index expression to the ids wanted there. Only what was refreshed is found.
        at_most: Ids of one question.
    """
    lines = []
    for index, ids in ids_by_index.items():
        header = orjson.dumps({"index": index, "ignore_unavailable": True})
        for start in range(0, len(ids), at_most):
            body = {
                "query": {"ids": {"values": list(ids[start : start + at_most])}},
                "size": 10_000,
                "_source": False,
                "seq_no_primary_term": True,
            }
            lines.append(header + b"\n" + orjson.dumps(body) + b"\n")
    if not lines:
        return
    answer = server.call("POST", "/_msearch", b"".join(lines), lines=True)
    for response in answer["responses"]:
        server.complete(response)
        yield from response["hits"]["hits"]
