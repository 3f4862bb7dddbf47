"""Queries over the shared Windows events: none finds nothing, and both stores find the same."""

import secrets
from collections.abc import Iterator, Sequence
from contextlib import closing

import pytest

from samlog.clock import SystemClock
from samlog.store.base import Document, EventStore, Outcome, Query
from samlog.store.elastic import ElasticsearchStore
from samlog.store.embedded import EmbeddedStore
from samlog.testing import FakeClock
from tests.contract.documents import WINDOWS, windows_documents
from tests.contract.queries import QUERIES

UNIT = "p" + secrets.token_hex(6)
BATCH = 2_500


@pytest.fixture(scope="module")
def documents() -> Sequence[Document]:
    if not WINDOWS.exists():
        pytest.skip("../shared/data is absent: there are no Windows events to search")
    return list(windows_documents(UNIT))


def fill(store: EventStore, documents: Sequence[Document]) -> None:
    store.setup([UNIT])
    for start in range(0, len(documents), BATCH):
        results = store.write(documents[start : start + BATCH])
        assert {result.outcome for result in results} == {Outcome.CREATED}
    store.refresh()


@pytest.fixture(scope="module")
def embedded(
    documents: Sequence[Document], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[EventStore]:
    with closing(EmbeddedStore(tmp_path_factory.mktemp("store"), clock=FakeClock())) as store:
        fill(store, documents)
        yield store


@pytest.fixture(scope="module")
def elasticsearch(documents: Sequence[Document], elasticsearch_url: str) -> Iterator[EventStore]:
    opened = ElasticsearchStore([elasticsearch_url], units=[UNIT], clock=SystemClock())
    with closing(opened) as store:
        fill(store, documents)
        yield store


def hits(store: EventStore, text: str) -> list[tuple[str, str]]:
    """Returns (stream, id) of the newest 1,000 hits, in order."""
    return [(hit.stream, hit.id) for hit in store.search(Query(text, [UNIT]), limit=1_000).hits]


def test_there_are_enough_queries() -> None:
    assert len(set(QUERIES)) >= 60


@pytest.mark.slow
@pytest.mark.parametrize("text", QUERIES)
def test_query_finds_something(embedded: EventStore, text: str) -> None:
    assert embedded.count(Query(text, [UNIT])) > 0


@pytest.mark.slow
@pytest.mark.elasticsearch
@pytest.mark.parametrize("text", QUERIES)
def test_query_finds_the_same_in_both_stores(
    embedded: EventStore, elasticsearch: EventStore, text: str
) -> None:
    query = Query(text, [UNIT])

    assert embedded.count(query) == elasticsearch.count(query)
    assert hits(embedded, text) == hits(elasticsearch, text)


@pytest.mark.slow
@pytest.mark.elasticsearch
@pytest.mark.parametrize(
    "field",
    ["event.code", "winlog.channel", "event.category", "process.pid", "source.ip", "user.name"],
)
def test_values_are_counted_alike(
    embedded: EventStore, elasticsearch: EventStore, field: str
) -> None:
    query = Query("*", [UNIT])

    assert embedded.terms(query, field, size=50) == elasticsearch.terms(query, field, size=50)


@pytest.mark.slow
@pytest.mark.elasticsearch
def test_times_are_counted_alike(embedded: EventStore, elasticsearch: EventStore) -> None:
    query = Query("*", [UNIT])

    assert embedded.histogram(query, interval_s=3600) == elasticsearch.histogram(
        query, interval_s=3600
    )
