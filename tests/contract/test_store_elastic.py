"""What only Elasticsearch does: backing indices, mappings, lost answers, restarts."""

import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from urllib.parse import urlsplit

import pytest

from samlog.clock import SystemClock, iso_ms
from samlog.errors import ConfigError, Unavailable
from samlog.servers import ElasticsearchServer
from samlog.store.base import PLATFORM_UNIT, Document, Outcome, Query
from samlog.store.elastic import ElasticsearchStore
from samlog.store.elastic_client import Server
from samlog.store.elastic_mapping import FIELD_LIMIT, template, template_name
from samlog.testing import FakeClock

pytestmark = pytest.mark.elasticsearch

OLD = "2020-09-01T00:00:00.000Z"
CREATED, EXISTS, REFUSED = Outcome.CREATED, Outcome.EXISTS, Outcome.REFUSED


def event(id_: str, unit: str, dataset: str = "test.events", **fields: object) -> Document:
    return Document(f"logs-{dataset}-{unit}", id_, {"@timestamp": OLD, **fields})


def events(unit: str, n: int) -> list[Document]:
    return [event(str(number), unit) for number in range(n)]


def outcomes(store: ElasticsearchStore, *documents: Document, **how: bool) -> list[Outcome]:
    return [result.outcome for result in store.write(documents, **how)]


def ids(store: ElasticsearchStore, text: str, unit: str) -> list[str]:
    store.refresh()
    return sorted(hit.id for hit in store.search(Query(text, [unit])).hits)


def opened(url: str, unit: str, **options: float) -> ElasticsearchStore:
    return ElasticsearchStore([url], units=[unit], clock=SystemClock(), **options)  # type: ignore[arg-type]


@pytest.fixture
def unit() -> str:
    return "t" + secrets.token_hex(6)


@pytest.fixture
def store(elasticsearch_url: str, unit: str) -> Iterator[ElasticsearchStore]:
    with closing(opened(elasticsearch_url, unit)) as store:
        store.setup([unit])
        yield store


class Cutting:
    """Forwards TCP to a server; after `cut_next` it drops the next answer and hangs up."""

    def __init__(self, url: str) -> None:
        to = urlsplit(url)
        self._to = (to.hostname, to.port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.cut_next = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(self._to)
            for source, sink, answers in ((client, server, False), (server, client, True)):
                threading.Thread(
                    target=self._pump, args=(source, sink, answers), daemon=True
                ).start()

    def _pump(self, source: socket.socket, sink: socket.socket, answers: bool) -> None:
        with suppress(OSError), source, sink:
            while data := source.recv(65536):
                if answers and self.cut_next.is_set():
                    self.cut_next.clear()
                    source.shutdown(socket.SHUT_RDWR)
                    sink.shutdown(socket.SHUT_RDWR)
                    return
                sink.sendall(data)

    def close(self) -> None:
        self._listener.close()


def test_a_replay_after_a_rollover_adds_nothing(store: ElasticsearchStore, unit: str) -> None:
    store.write(events(unit, 5))
    store.rollover()

    assert outcomes(store, *events(unit, 6)) == [EXISTS] * 5 + [CREATED]
    assert ids(store, "*", unit) == ["0", "1", "2", "3", "4", "5"]


def test_what_is_said_to_be_a_repeat_is_looked_up_whatever_its_time(
    elasticsearch_url: str, unit: str
) -> None:
    later = FakeClock(datetime.now(UTC) + timedelta(days=3))
    document = event("1", unit)
    document.source["@timestamp"] = iso_ms(later.now() - timedelta(hours=1))
    with closing(ElasticsearchStore([elasticsearch_url], units=[unit], clock=later)) as store:
        store.setup([unit])
        store.write([document])
        store.rollover()

        assert outcomes(store, document, maybe_seen=True) == [EXISTS]


def test_an_event_without_a_time_of_its_own_is_looked_up_after_a_rollover(
    store: ElasticsearchStore, unit: str
) -> None:
    def received(moment: datetime) -> Document:
        document = event("1", unit, tags=["time_from_receipt"])
        document.source["@timestamp"] = iso_ms(moment)
        return document

    store.write([received(datetime.now(UTC))])
    store.rollover()

    assert outcomes(store, received(datetime.now(UTC) + timedelta(seconds=5))) == [EXISTS]


def test_a_rollover_by_somebody_else_is_noticed(
    store: ElasticsearchStore, elasticsearch_url: str, unit: str
) -> None:
    store.write(events(unit, 2))
    with closing(opened(elasticsearch_url, unit)) as other:
        other.rollover()
        assert outcomes(other, *events(unit, 2)) == [EXISTS, EXISTS]


def test_a_lost_answer_is_unavailable_and_the_repeat_adds_nothing(
    store: ElasticsearchStore, elasticsearch_url: str, unit: str
) -> None:
    store.write([event("first", unit)])
    with closing(Cutting(elasticsearch_url)) as proxy, closing(opened(proxy.url, unit)) as far:
        assert outcomes(far, event("second", unit)) == [CREATED]
        proxy.cut_next.set()
        with pytest.raises(Unavailable):
            far.write(events(unit, 3))

    assert outcomes(store, *events(unit, 3), maybe_seen=True) == [EXISTS] * 3
    assert ids(store, "*", unit) == ["0", "1", "2", "first", "second"]


def test_a_mapping_conflict_is_refused_alone_and_says_which_field(
    store: ElasticsearchStore, unit: str
) -> None:
    bad = event("bad", unit, **{"source.ip": "not an address"})

    results = store.write([event("1", unit), bad, event("2", unit)])

    assert [result.outcome for result in results] == [CREATED, REFUSED, CREATED]
    assert "source.ip" in results[1].reason
    assert ids(store, "*", unit) == ["1", "2"]


def test_a_name_may_have_a_value_and_names_below_it(store: ElasticsearchStore, unit: str) -> None:
    documents = [
        event("leaf", unit, **{"vendor.a": "x"}),
        event("below", unit, **{"vendor.a.b": "y"}),
        event("both", unit, **{"vendor.a": "x", "vendor.a.b": "y"}),
        event("object", unit, **{"vendor.a": {"b": [{"c": 1}, "z"]}}),
    ]

    assert outcomes(store, *documents) == [CREATED] * 4
    assert ids(store, "vendor.a:x", unit) == ["both", "leaf"]
    assert ids(store, "vendor.a.b:y", unit) == ["below", "both"]


def test_what_json_escapes_is_compared_as_it_is(store: ElasticsearchStore, unit: str) -> None:
    text = 'C:\\Dir\\"a b"/\n\t\x01æ'
    store.write([event("1", unit, **{"process.command_line": text, "source.ip": "10.0.0.1"})])
    store.refresh()

    (hit,) = store.search(Query(r'process.command_line:/c:.dir.."?a b"?.{5}/', [unit])).hits
    assert hit.source["process.command_line"] == text
    assert ids(store, r"process.command_line:C\:\\dir\\?a\ b?/*", unit) == ["1"]


def test_the_first_value_of_a_vendor_field_does_not_decide_its_type(
    store: ElasticsearchStore, unit: str
) -> None:
    values: list[object] = [5, "five", 5.5, True, "2020-01-01", None, [], [1, "a"]]
    documents = [event(str(n), unit, **{"vendor.v": v}) for n, v in enumerate(values)]

    assert outcomes(store, *documents) == [CREATED] * len(values)


def test_names_that_elasticsearch_forbids_are_refused_alone(
    store: ElasticsearchStore, unit: str
) -> None:
    names = ["", " ", "_id", "a..b", ".a", "b."]
    documents = [event(str(n), unit, **{name: 1}) for n, name in enumerate(names)]

    results = outcomes(store, event("good", unit), *documents)

    assert results == [CREATED, REFUSED, REFUSED, REFUSED, CREATED, CREATED, CREATED]


def test_more_fields_than_an_index_takes_are_kept(store: ElasticsearchStore, unit: str) -> None:
    many = {f"vendor.f{n}": "x" for n in range(FIELD_LIMIT)}

    assert outcomes(store, event("1", unit, **many), event("2", unit, late="y")) == [CREATED] * 2
    store.refresh()
    (hit,) = store.search(Query(f"event.id:x OR vendor.f{1}:x", [unit])).hits
    assert len(hit.source) == FIELD_LIMIT + 1


def test_long_values_are_kept_and_the_event_says_so(store: ElasticsearchStore, unit: str) -> None:
    command = "x" * 40_000
    document = event("1", unit, **{"process.command_line": command, "event.original": "y" * 2**20})

    assert outcomes(store, document) == [CREATED]
    store.refresh()
    (hit,) = store.search(Query("tags:search_truncated", [unit])).hits
    assert hit.source["process.command_line"] == command
    assert len(hit.source["event.original"]) == 2**20


def test_what_json_cannot_hold_and_what_belongs_nowhere_is_refused_alone(
    store: ElasticsearchStore, unit: str
) -> None:
    documents = [
        event("surrogate", unit, text="\ud800"),
        event("large", unit, number=2**70),
        event("other", "nosuchunit"),
        Document("logs-*-" + unit, "pattern", {"@timestamp": OLD}),
        event("", unit),
        event("i" * 513, unit),
        Document(f"logs-test.events-{unit}", "timeless", {}),
    ]

    assert outcomes(store, *documents, event("good", unit)) == [REFUSED] * 7 + [CREATED]


def test_the_platform_takes_what_has_no_unit(store: ElasticsearchStore) -> None:
    id_ = secrets.token_hex(8)

    assert outcomes(store, event(id_, PLATFORM_UNIT, "samlog.rejected")) == [CREATED]


def test_a_unit_whose_name_begins_like_another_sees_nothing_of_it(
    elasticsearch_url: str, unit: str
) -> None:
    longer = unit + "b"
    with closing(
        ElasticsearchStore([elasticsearch_url], units=[unit, longer], clock=SystemClock())
    ) as store:
        store.setup([unit, longer])
        store.write([event("1", unit), event("2", longer)])
        assert ids(store, "*", unit) == ["1"]
        assert ids(store, "*", longer) == ["2"]
        for sly in ("*", f"{unit},logs-*", "", "-x"):
            with pytest.raises(ConfigError, match="is no unit"):
                store.count(Query("*", [sly]))
        with pytest.raises(ConfigError, match="is no dataset"):
            store.count(Query("*", [unit], streams=["*"]))


def test_setup_does_nothing_the_second_time(elasticsearch_url: str, unit: str) -> None:
    with closing(opened(elasticsearch_url, unit)) as store:
        planned = store.setup([unit], dry_run=True)
        assert any("no index template" in problem for problem in store.check().problems)

        assert store.setup([unit]) == planned
        assert store.setup([unit]) == []
        assert store.check().problems == []


def test_a_stale_template_is_found_and_setup_puts_the_new_mapping_to_use(
    store: ElasticsearchStore, elasticsearch_url: str, unit: str
) -> None:
    server = Server([elasticsearch_url])
    old = template(unit)
    old["_meta"] = old["template"]["mappings"]["_meta"] = {"samlog": "0"}
    server.call("PUT", f"/_index_template/{template_name(unit)}", old)
    store.write([event("1", unit)])

    assert any("another version" in problem for problem in store.check().problems)
    done = store.setup([unit])

    assert any("index template" in line for line in done)
    assert any(f"logs-test.events-{unit}" in line for line in done)
    assert store.check().problems == []
    assert outcomes(store, event("1", unit)) == [EXISTS]
    server.close()


def test_a_server_without_the_template_is_a_sentence_and_not_a_loss(
    elasticsearch_url: str, unit: str
) -> None:
    with closing(opened(elasticsearch_url, unit)) as store, pytest.raises(ConfigError) as told:
        store.write([event("1", unit)])

    assert "samlog setup" in str(told.value)


def test_retention_spares_an_index_that_still_took_something_later(
    store: ElasticsearchStore, unit: str
) -> None:
    store.write([event("1", unit)])

    assert store.delete_before(datetime.now(UTC) - timedelta(days=30), [unit]) == 0
    assert ids(store, "*", unit) == ["1"]


def test_an_index_that_took_nothing_since_is_deleted_whole(
    store: ElasticsearchStore, unit: str
) -> None:
    store.write(events(unit, 3))
    store.rollover()
    moment = datetime.now(UTC)
    store.write([event("later", unit)])

    assert store.delete_before(moment, [unit]) == 3
    assert ids(store, "*", unit) == ["later"]


def test_doubles_are_found(store: ElasticsearchStore, unit: str) -> None:
    store.write([event("1", unit), event("2", unit), event("1", unit, "test.other")])
    store.refresh()

    assert store.find_doubles(unit) == [("1", 2)]


def test_a_replaced_document_moves_to_its_new_dataset(store: ElasticsearchStore, unit: str) -> None:
    store.write([event("1", unit, "test.old", a="old"), event("2", unit, "test.old", a="old")])
    store.rollover()

    store.replace([event("1", unit, "test.new", a="new"), event("2", unit, "test.old", a="new")])

    store.refresh()
    hits = store.search(Query("*", [unit], streams=["test.new", "test.old"])).hits
    assert {(hit.id, hit.stream, hit.source["a"]) for hit in hits} == {
        ("1", f"logs-test.new-{unit}", "new"),
        ("2", f"logs-test.old-{unit}", "new"),
    }


def test_a_cursor_that_is_none_is_refused(store: ElasticsearchStore, unit: str) -> None:
    for cursor in ("x", "AAAA", "W10=", "bnVsbA=="):
        with pytest.raises(ConfigError, match="cursor"):
            store.search(Query("*", [unit]), cursor=cursor)


def test_a_server_that_is_down_at_the_start_is_waited_for(
    own_elasticsearch: ElasticsearchServer, unit: str
) -> None:
    url = own_elasticsearch.url
    own_elasticsearch.stop()
    with closing(opened(url, unit, patience_s=0.0)) as store:
        with pytest.raises(Unavailable, match="does not answer"):
            store.setup([unit])
        with pytest.raises(Unavailable):
            store.write([event("1", unit)])
        health = store.check()
        assert not health.reachable
        assert "does not answer" in health.problems[0]

        own_elasticsearch.start()

        store.setup([unit])
        assert outcomes(store, event("1", unit), maybe_seen=True) == [CREATED]


def test_a_restart_amid_bulk_requests_loses_and_doubles_nothing(
    own_elasticsearch: ElasticsearchServer, unit: str
) -> None:
    with closing(opened(own_elasticsearch.url, unit, patience_s=0.0)) as store:
        store.setup([unit])
        under_way = threading.Event()
        repeats: list[int] = []

        def write() -> None:
            for batch in range(60):
                documents = [event(f"{batch}-{n}", unit, text="x" * 2000) for n in range(100)]
                repeats.append(_until_written(partial(store.write, documents)))
                if batch == 5:
                    under_way.set()

        # The server ends with the thread that starts it, so it is the writer that gets its own.
        writer = threading.Thread(target=write)
        writer.start()
        assert under_way.wait(60)
        own_elasticsearch.kill()
        own_elasticsearch.start()
        writer.join(120)

        store.refresh()
        assert sum(repeats) > 0
        assert store.count(Query("*", [unit])) == 6000
        assert store.find_doubles(unit) == []


def _until_written(write: Callable[..., object]) -> int:
    repeats = 0
    while True:
        try:
            write(maybe_seen=repeats > 0)
            return repeats
        except Unavailable:
            repeats += 1
            time.sleep(0.1)
