"""Stream = search: rules as queries in Elasticsearch find what they found in the stream.

Normalises events, asks the engine, stores them in an Elasticsearch (one of its own where no
``--url`` is given), asks it every rule's query as Kibana would, and compares the hits rule by rule.
The page docs/reference/stream-search.md is written by
``python -m benchmarks.stream_search RULES EVENTS.ndjson.gz --write PAGE``.
"""

import argparse
import gzip
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

import orjson

from detect.build import build
from detect.engine import Engine
from detect.rule import Rule
from detect.search.query import Query, queries
from normalize.frame import Normalizer
from normalize.parse import parse_record
from normalize.registry import Registry
from samlog.clock import SystemClock
from samlog.errors import ConfigError
from samlog.event import Event
from samlog.servers import start_elasticsearch
from samlog.store.base import Document, EventStore
from samlog.store.elastic import ElasticsearchStore
from samlog.store.elastic_client import Server

RECEIVED = datetime(2026, 11, 22, tzinfo=UTC)
BATCH = 1_000
MOST_HITS = 10_000
"""Hits that one answer holds; a rule with more in the stream is not in the set."""


@dataclass
class Difference:
    """A rule whose hits differ. ``cause`` is a sentence, empty where nobody knows it.

    ``search`` is -1 where the rule has no query, or Elasticsearch refuses it.
    """

    rule: Rule
    stream: int
    search: int
    cause: str


@dataclass
class Comparison:
    """What was compared, and what was different."""

    rules: int
    events: int
    pairs: int
    seconds: float = 0.0
    different: list[Difference] = field(default_factory=list)

    @property
    def share(self) -> float:
        """Returns the share of rules with the same hits, 0 to 1."""
        return 1 - len(self.different) / self.rules if self.rules else 1.0


def normalised(file: Path, every: int = 1, limit: int | None = None) -> Iterator[Event]:
    """Yields events of a gzipped NDJSON file as the store has them, of every n-th line."""
    normalizer = Normalizer({}, Registry())
    with gzip.open(file) as lines:
        for number, line in enumerate(islice(lines, 0, None, every)):
            if limit is not None and number >= limit:
                return
            record = line.rstrip(b"\n")
            for event in parse_record(record, normalizer, received=RECEIVED, name=str(number)):
                yield orjson.loads(orjson.dumps(event, default=str))


def stored(store: EventStore, unit: str, events: Iterable[Event]) -> None:
    """Writes events under their own ids; refuses to go on without one of them."""
    batch: list[Document] = []
    left = iter(events)
    while batch := [_document(event, unit) for event in islice(left, BATCH)]:
        for result in store.write(batch):
            if result.reason:
                raise SystemExit(f"refused: {result.reason}")
    store.refresh()


def _document(event: Event, unit: str) -> Document:
    return Document(f"logs-{event['data_stream.dataset']}-{unit}", event["event.id"], event)


def fired(engine: Engine, events: Iterable[Event]) -> dict[str, set[str]]:
    """Returns rule id → ids of the events on which it fires in the stream."""
    hits: dict[str, set[str]] = {}
    for event in events:
        for match in engine.match(event):
            hits.setdefault(match.rule.id, set()).add(event["event.id"])
    return hits


def found(server: Server, unit: str, text: str) -> set[str]:
    """Returns the ids that Elasticsearch finds; its own errors are raised, not passed over."""
    body = {
        "query": {"query_string": {"query": text, "lenient": False}},
        "size": MOST_HITS,
        "_source": False,
        "track_total_hits": True,
    }
    params = {
        "allow_partial_search_results": "false",
        "ignore_unavailable": "true",
        "max_concurrent_shard_requests": "1",
    }
    hits = server.call("POST", f"/logs-*-{unit}/_search", body, params=params)["hits"]
    ids = {hit["_id"] for hit in hits["hits"]}
    missing = hits["total"]["value"] - len(ids)
    return ids | {f"another {number}" for number in range(missing)}


def compare(
    asked: Sequence[Query],
    hits: dict[str, set[str]],
    events: Sequence[Event],
    search: Callable[[str], set[str]],
) -> Comparison:
    """Returns where the hits of the queries differ from those of the stream."""
    started = time.perf_counter()
    told = Comparison(len(asked), len(events), sum(len(hits.get(q.rule.id, ())) for q in asked))
    long = {event["event.id"] for event in events if "search_truncated" in event.get("tags", ())}
    for query in asked:
        stream = hits.get(query.rule.id, set())
        if query.error is not None:
            told.different.append(Difference(query.rule, len(stream), -1, _short(query.error)))
            continue
        try:
            ids = search(query.text)
        except ConfigError as error:
            cause = f"Elasticsearch: {_short(error).rpartition('request: ')[2][:200]}"
            told.different.append(Difference(query.rule, len(stream), -1, cause))
            continue
        if ids != stream:
            cause = _cause(query, ids ^ stream, long)
            told.different.append(Difference(query.rule, len(stream), len(ids), cause))
    told.seconds = time.perf_counter() - started
    return told


def _short(error: Exception) -> str:
    return " ".join(str(error).split())


def _cause(query: Query, differing: set[str], long: set[str]) -> str:
    if differing <= long:
        return "a value of more than 8,191 characters, which no index takes (`search_truncated`)"
    if ".\\*.caseless:" in query.text:
        return "keywords, of which `message` is searched by words"
    return ""


def windows(asked: Iterable[Query]) -> list[Query]:
    """Returns the queries of rules for Windows."""
    return [query for query in asked if query.rule.logsource[0] == "windows"]


def markdown(told: Comparison, command: str) -> str:
    """Returns the page."""
    rows = [
        f"| {d.rule.title} | `{d.rule.id}` | {d.stream} | {'-' if d.search < 0 else d.search} "
        f"| {d.cause.replace('|', '/')} | {d.rule.author.replace('|', '/')} |"
        for d in told.different
    ]
    return "\n".join(
        [
            f"<!-- Generated by `{command}`. Do not edit. -->",
            "# Stream = search",
            "",
            "Every mapped Windows rule of SigmaHQ, converted as `sigma convert -t lucene -p "
            "samlog` does and run in a real Elasticsearch, against the stream's own hits on the "
            f"same {told.events:,} normalised events.",
            "",
            f"**{told.rules - len(told.different):,} of {told.rules:,} rules "
            f"({100 * told.share:.2f} %) find exactly the same events**; the stream has "
            f"{told.pairs:,} pairs of rule and event. The others:",
            "",
            "| rule | id | stream | search | cause | author |",
            "|---|---|---:|---:|---|---|",
            *rows,
            "",
            "`-`: the rule has no query, or Elasticsearch refuses it. `samlog hunt` runs these "
            "rules too: its queries are wider and it asks the rule about every event they bring, "
            "so it finds what the stream finds, long values included.",
            "",
        ]
    )


def main(arguments: Iterable[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rules", type=Path)
    parser.add_argument("events", type=Path, help="raw events, NDJSON, gzipped")
    parser.add_argument("--url", help="server to ask; default: one of its own")
    parser.add_argument("--every", type=int, default=1, help="only every n-th event")
    parser.add_argument("--write", type=Path, help="page to write")
    parser.add_argument("--heap-mb", type=int, default=1024, help="heap of its own server")
    given = parser.parse_args(None if arguments is None else list(arguments))
    if given.url:
        told = measured(given.url, given.rules, given.events, given.every)
    else:
        with start_elasticsearch(heap_mb=given.heap_mb) as server:
            told = measured(server.url, given.rules, given.events, given.every)
    page = markdown(told, "python -m benchmarks.stream_search RULES EVENTS --write FILE")
    print(page, f"{told.seconds:.0f} s", sep="\n")
    if given.write:
        given.write.write_text(page, "utf-8")


def measured(url: str, rules: Path, file: Path, every: int = 1) -> Comparison:
    """Returns the comparison of all mapped Windows rules below ``rules``."""
    built = build([rules], mode="ecs", placeholders={})
    asked = windows(queries(built))
    events = list(normalised(file, every))
    hits = fired(Engine(built, mode="ecs"), events)
    return searched(url, asked, hits, events)


def searched(
    url: str, asked: Sequence[Query], hits: dict[str, set[str]], events: Sequence[Event]
) -> Comparison:
    """Stores the events in a unit of its own at ``url`` and compares there."""
    unit = "hunt" + secrets.token_hex(4)
    with (
        closing(ElasticsearchStore([url], units=[unit], clock=SystemClock())) as store,
        closing(Server([url], timeout_s=300)) as server,
    ):
        store.setup([unit])
        stored(store, unit, events)
        return compare(asked, hits, events, lambda text: found(server, unit, text))


if __name__ == "__main__":
    main()
