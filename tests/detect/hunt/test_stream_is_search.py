"""Stream = search, on a real Elasticsearch: SAMLOG_STREAM_SEARCH=full takes all events and rules.

The figure for all of them is in docs/reference/stream-search.md.
"""

import os
from pathlib import Path

import pytest

from benchmarks.stream_search import (
    Comparison,
    compare,
    fired,
    markdown,
    normalised,
    searched,
    windows,
)
from detect.build import build
from detect.engine import Engine
from detect.search.query import Query, queries
from samlog.errors import RuleError

EVENTS = "windows-security-datasets-50k.ndjson.gz"
FULL = os.environ.get("SAMLOG_STREAM_SEARCH") == "full"
SAMPLE_EVENTS = 2_000
SAMPLE_RULES = 300


def sampled(asked: list[Query], hits: dict[str, set[str]]) -> list[Query]:
    """Returns the rules that fire, and others from all over the list."""
    firing = [query for query in asked if query.rule.id in hits]
    silent = [query for query in asked if query.rule.id not in hits]
    step = max(1, len(silent) // (SAMPLE_RULES - len(firing)))
    return firing + silent[::step][: SAMPLE_RULES - len(firing)]


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
        asked = sampled(asked, hits)

    told = searched(elasticsearch_url, asked, hits, events)

    assert told.share >= 0.99, [(d.rule.path, d.stream, d.search) for d in told.different]
    assert [d.rule.path for d in told.different if not d.cause] == []
    assert told.pairs > (500 if FULL else 20)


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
