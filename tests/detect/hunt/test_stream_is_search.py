"""Stream = search, on a real Elasticsearch: SAMLOG_STREAM_SEARCH=full takes all events and rules.

The figure for all of them is in docs/reference/stream-search.md.
"""

import os
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from benchmarks.stream_search import (
    Comparison,
    compare,
    fired,
    markdown,
    normalised,
    searched,
    stored,
    windows,
)
from detect.build import build
from detect.engine import Engine
from detect.search.query import Query, queries
from samlog.clock import SystemClock
from samlog.errors import RuleError
from samlog.event import Event
from samlog.hunt import Hunt
from samlog.store.base import Query as Question
from samlog.store.embedded import EmbeddedStore

EVENTS = "windows-security-datasets-50k.ndjson.gz"
FULL = os.environ.get("SAMLOG_STREAM_SEARCH") == "full"
SAMPLE_EVENTS = 2_000
SAMPLE_RULES = 300
EMBEDDED_RULES = 100


def sampled(asked: list[Query], hits: dict[str, set[str]], wanted: int) -> list[Query]:
    """Returns the rules that fire, and others from all over the list: ``wanted`` in all."""
    firing = [query for query in asked if query.rule.id in hits]
    silent = [query for query in asked if query.rule.id not in hits]
    step = max(1, len(silent) // (wanted - len(firing)))
    return firing + silent[::step][: wanted - len(firing)]


@pytest.mark.slow
@pytest.mark.elasticsearch
@pytest.mark.timeout(3_600)
def test_a_search_finds_what_the_stream_found(
    sigmahq: Path, shared_data: Path, elasticsearch_url: str
) -> None:
    built = build([sigmahq], mode="ecs", placeholders={})
    asked = windows(queries(built))
    events = list(normalised(shared_data / "events" / EVENTS, 1 if FULL else 25))
    events = events if FULL else events[:SAMPLE_EVENTS]
    hits = fired(Engine(built, mode="ecs"), events)
    if not FULL:
        asked = sampled(asked, hits, SAMPLE_RULES)

    told = searched(elasticsearch_url, asked, hits, events)

    assert told.share >= 0.99, [(d.rule.path, d.stream, d.search) for d in told.different]
    assert [d.rule.path for d in told.different if not d.cause] == []
    assert told.pairs > (500 if FULL else 10)


@pytest.mark.slow
@pytest.mark.timeout(3_600)
def test_a_hunt_in_the_embedded_store_finds_what_the_stream_found(
    sigmahq: Path, shared_data: Path, tmp_path: Path
) -> None:
    """Every rule, also those that have no query of their own."""
    built = build([sigmahq], mode="ecs", placeholders={})
    events = list(normalised(shared_data / "events" / EVENTS, 1 if FULL else 25))
    events = events if FULL else events[:SAMPLE_EVENTS]
    engine = Engine(built, mode="ecs")
    hits = fired(engine, events)
    asked = windows(queries(built, widen=True))
    asked = asked if FULL else sampled(asked, hits, EMBEDDED_RULES)
    assert [query.rule.path for query in asked if query.error] == []

    with closing(EmbeddedStore(tmp_path, clock=SystemClock(), writer=True)) as store:
        store.setup(["hunt"])
        stored(store, "hunt", events)
        different = {}
        for query in asked:
            hunt = Hunt(store, Question(query.text, ["hunt"]), fires_on(engine, query.rule.id))
            found = {hit.id for hit in hunt.found()}
            if found != hits.get(query.rule.id, set()):
                different[query.rule.path] = len(found)

    assert different == {}


def fires_on(engine: Engine, rule_id: str) -> Callable[[Event], bool]:
    return lambda event: any(match.rule.id == rule_id for match in engine.match(event))


def one_query(sigmahq: Path, text: str = "x", error: RuleError | None = None) -> Query:
    built = build([next(sigmahq.rglob("proc_creation_win_*.yml"))], mode="ecs", placeholders={})
    return Query(built.report.loaded[0], text, error)


def test_a_difference_is_told_with_its_cause(sigmahq: Path) -> None:
    query = one_query(sigmahq)
    hits = {query.rule.id: {"1", "2"}}
    events = [{"event.id": "1", "tags": ["search_truncated"]}, {"event.id": "2"}]

    def told(found: set[str], asked: Query = query) -> Comparison:
        return compare([asked], hits, events, lambda text: found)

    assert told({"1", "2"}).different == []
    assert "8,191 characters" in told({"2"}).different[0].cause
    assert told({"1"}).different[0].cause == ""
    refused = query._replace(error=RuleError("cannot", reason="not_searchable"))
    assert told({"1", "2"}, refused).different[0].search == -1
    assert told({"2"}).share == 0
    assert "0 of 1 rules (0.00 %)" in markdown(told({"2"}), "make it")
