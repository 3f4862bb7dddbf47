"""The semantics of an event store, over every implementation (`samlog.store.base`)."""

import secrets
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from samlog.clock import SystemClock, iso_ms
from samlog.errors import ConfigError
from samlog.store.base import Document, EventStore, Outcome, Query
from samlog.store.elastic import ElasticsearchStore
from samlog.store.embedded import EmbeddedStore
from samlog.store.fields import IGNORE_ABOVE, SEARCH_TRUNCATED
from samlog.testing import FakeClock

CREATED, EXISTS, REFUSED = Outcome.CREATED, Outcome.EXISTS, Outcome.REFUSED
START = datetime(2026, 1, 10, tzinfo=UTC)


@dataclass
class Backend:
    """One kind of store: ``connect`` opens the same data again, as another process does.

    ``pass_midnight`` makes the next document one of a later day, and returns a moment in between.
    ``code`` opens the store in a process of its own.
    """

    connect: Callable[[], EventStore]
    pass_midnight: Callable[[EventStore], datetime]
    code: str


def new_units() -> tuple[str, str]:
    """Returns two units that no other test writes."""
    return "a" + secrets.token_hex(6), "b" + secrets.token_hex(6)


def embedded_backend(stack: ExitStack, folder: Path) -> Backend:
    clock = FakeClock(datetime(2026, 1, 10, 23, 59, 59, tzinfo=UTC))

    def connect() -> EventStore:
        return stack.enter_context(closing(EmbeddedStore(folder, clock=clock)))

    def pass_midnight(store: EventStore) -> datetime:
        clock.advance(2)
        return datetime(2026, 1, 11, tzinfo=UTC)

    code = (
        "from pathlib import Path; from samlog.clock import SystemClock; "
        "from samlog.store.embedded import EmbeddedStore; "
        f"store = EmbeddedStore(Path({str(folder)!r}), clock=SystemClock())"
    )
    return Backend(connect, pass_midnight, code)


def elasticsearch_backend(stack: ExitStack, url: str, units: Sequence[str]) -> Backend:
    def connect() -> EventStore:
        store = ElasticsearchStore([url], units=units, clock=SystemClock())
        return stack.enter_context(closing(store))

    def pass_midnight(store: EventStore) -> datetime:
        store.rollover()
        return datetime.now(UTC)

    code = (
        "from samlog.clock import SystemClock; "
        "from samlog.store.elastic import ElasticsearchStore; "
        f"store = ElasticsearchStore([{url!r}], units={units!r}, clock=SystemClock())"
    )
    return Backend(connect, pass_midnight, code)


MakeBackend = Callable[[ExitStack, Sequence[str]], Backend]


@pytest.fixture(
    scope="module",
    params=["embedded", pytest.param("elasticsearch", marks=pytest.mark.elasticsearch)],
)
def make_backend(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> MakeBackend:
    """Makes a backend of one kind of store, empty, for some units."""
    if request.param == "embedded":
        return lambda stack, units: embedded_backend(stack, tmp_path_factory.mktemp("store"))
    url: str = request.getfixturevalue("elasticsearch_url")
    return lambda stack, units: elasticsearch_backend(stack, url, units)


@pytest.fixture
def units() -> tuple[str, str]:
    return new_units()


@pytest.fixture
def backend(make_backend: MakeBackend, units: tuple[str, str]) -> Iterator[Backend]:
    with ExitStack() as stack:
        yield make_backend(stack, units)


@pytest.fixture
def store(backend: Backend, units: tuple[str, str]) -> EventStore:
    opened = backend.connect()
    opened.setup(units)
    return opened


@pytest.fixture
def unit(units: tuple[str, str]) -> str:
    return units[0]


def document(unit: str, id_: str, dataset: str = "test.log", **fields: Any) -> Document:
    """One event; ``user__name`` stands for ``user.name``, ``at`` for seconds after the start."""
    moment = START + timedelta(seconds=fields.pop("at", 0))
    event = {name.replace("__", "."): value for name, value in fields.items()}
    return Document(f"logs-{dataset}-{unit}", id_, {"@timestamp": iso_ms(moment), **event})


def outcomes(store: EventStore, documents: Sequence[Document], **how: bool) -> list[Outcome]:
    return [result.outcome for result in store.write(documents, **how)]


def found(store: EventStore, unit: str, text: str) -> list[str]:
    """Returns the ids that a query finds, sorted."""
    store.refresh()
    return sorted(hit.id for hit in store.search(Query(text, [unit])).hits)


# Identity


def test_the_same_batch_twice_is_stored_once(store: EventStore, unit: str) -> None:
    batch = [document(unit, str(n)) for n in range(5)]

    assert outcomes(store, batch) == [CREATED] * 5
    assert outcomes(store, batch) == [EXISTS] * 5

    assert found(store, unit, "*") == ["0", "1", "2", "3", "4"]


def test_an_id_twice_in_one_batch_is_stored_once(store: EventStore, unit: str) -> None:
    assert outcomes(store, [document(unit, "1"), document(unit, "1")]) == [CREATED, EXISTS]

    assert found(store, unit, "*") == ["1"]


def test_the_first_document_of_an_id_stays(store: EventStore, unit: str) -> None:
    store.write([document(unit, "1", user__name="first")])

    store.write([document(unit, "1", user__name="second")], maybe_seen=True)

    assert found(store, unit, "user.name:first") == ["1"]
    assert found(store, unit, "user.name:second") == []


def test_a_repeat_after_a_rollover_is_recognised(store: EventStore, unit: str) -> None:
    batch = [document(unit, str(n)) for n in range(5)]
    store.write(batch)
    store.rollover()

    assert outcomes(store, batch, maybe_seen=True) == [EXISTS] * 5

    assert found(store, unit, "*") == ["0", "1", "2", "3", "4"]


def test_a_repeat_after_midnight_by_a_new_process_is_recognised(
    backend: Backend, store: EventStore, unit: str
) -> None:
    batch = [document(unit, str(n)) for n in range(3)]
    store.write(batch)
    backend.pass_midnight(store)
    store.close()
    again = backend.connect()

    assert outcomes(again, [*batch, document(unit, "new")], maybe_seen=True) == [
        EXISTS,
        EXISTS,
        EXISTS,
        CREATED,
    ]

    assert found(again, unit, "*") == ["0", "1", "2", "new"]


def test_one_id_in_two_datasets_and_two_units_is_four_documents(
    store: EventStore, units: tuple[str, str]
) -> None:
    batch = [document(unit, "1", dataset) for unit in units for dataset in ("test.a", "test.b")]

    assert outcomes(store, batch, maybe_seen=True) == [CREATED] * 4

    store.refresh()
    assert store.count(Query("*", units)) == 4


def test_nothing_written_is_nothing_answered(store: EventStore) -> None:
    assert list(store.write([])) == []
    assert list(store.replace([])) == []


def test_what_was_begun_is_there_after_its_answers_and_a_commit(
    store: EventStore, unit: str
) -> None:
    answers = store.begin([document(unit, "1"), document(unit, "2")])

    assert [result.outcome for result in answers()] == [CREATED, CREATED]
    store.commit()
    assert not store.uncommitted
    assert found(store, unit, "*") == ["1", "2"]


def test_a_commit_may_go_on_while_the_next_batch_begins(store: EventStore, unit: str) -> None:
    store.begin([document(unit, "1")])()
    store.commit(wait=False)
    store.begin([document(unit, "2")])()

    assert store.is_committed(wait=True)
    store.commit()
    assert found(store, unit, "*") == ["1", "2"]


def test_what_was_begun_exists_for_the_next_batch(store: EventStore, unit: str) -> None:
    first = store.begin([document(unit, "1")])
    results = [result.outcome for result in first()]
    second = store.begin([document(unit, "1"), document(unit, "2")])

    assert results == [CREATED]
    assert [result.outcome for result in second()] == [EXISTS, CREATED]
    store.commit()
    assert found(store, unit, "*") == ["1", "2"]


def test_what_was_begun_can_be_replaced_before_a_commit(store: EventStore, unit: str) -> None:
    store.begin([document(unit, "1", user__name="old")])()

    store.replace([document(unit, "1", user__name="new")])

    assert found(store, unit, "user.name:new") == ["1"]
    assert found(store, unit, "*") == ["1"]


# Refusals


def test_a_refused_document_does_not_touch_its_neighbours(store: EventStore, unit: str) -> None:
    batch = [
        document(unit, "1"),
        document(unit, "2", source__ip="not an address"),
        document(unit, "3", source__port="ssh"),
        document(unit, "4"),
    ]

    results = store.write(batch)

    assert [result.outcome for result in results] == [CREATED, REFUSED, REFUSED, CREATED]
    assert "source.ip" in results[1].reason
    assert "source.port" in results[2].reason
    assert found(store, unit, "*") == ["1", "4"]


def test_an_event_without_a_time_is_refused(store: EventStore, unit: str) -> None:
    (result,) = store.write([Document(f"logs-test.log-{unit}", "1", {"user.name": "a"})])

    assert result.outcome is REFUSED
    assert "@timestamp" in result.reason


def test_a_vendor_field_of_another_type_is_no_conflict(store: EventStore, unit: str) -> None:
    batch = [
        document(unit, "1", zeek__conn__x=1),
        document(unit, "2", zeek__conn__x="one"),
        document(unit, "3", zeek__conn__x=True),
        document(unit, "4", zeek__conn__x=0.5),
    ]

    assert outcomes(store, batch) == [CREATED] * 4

    assert found(store, unit, "zeek.conn.x:(1 OR one OR true)") == ["1", "2", "3"]


def test_a_value_too_long_to_search_is_kept_and_tagged(store: EventStore, unit: str) -> None:
    long = "x" * (IGNORE_ABOVE + 1)

    assert outcomes(store, [document(unit, "1", vendor__blob=long, tags=["a"])]) == [CREATED]

    store.refresh()
    (hit,) = store.search(Query(f"tags:{SEARCH_TRUNCATED}", [unit])).hits
    assert hit.source["vendor.blob"] == long
    assert hit.source["tags"] == ["a", SEARCH_TRUNCATED]
    assert found(store, unit, "vendor.blob:*") == []


def test_a_value_of_the_longest_length_is_found(store: EventStore, unit: str) -> None:
    store.write([document(unit, "1", vendor__blob="\u00e9" * (IGNORE_ABOVE - 1) + "B")])

    assert found(store, unit, "vendor.blob:*b") == ["1"]


# Search

EVENTS: dict[str, dict[str, Any]] = {
    "1": {
        "user__name": "Admin",
        "source__ip": "10.0.0.7",
        "source__port": 22,
        "process__command_line": r"C:\Windows\System32\cmd.exe /c whoami",
        "message": "Failed password for root from 10.0.0.7 port 22",
        "tags": ["One", "two"],
        "at": 0,
    },
    "2": {
        "user__name": "admin two",
        "source__ip": "10.0.1.7",
        "source__port": 2200,
        "message": "Accepted password; user_name=evil.exe (web1.example)",
        "event__risk_score": -1.5,
        "at": 60,
    },
    "3": {
        "user__name": "\u00c6rlig \u00d8st",
        "source__ip": "2001:db8::1",
        "source__port": 443,
        "tls__established": True,
        "vendor": {"deep": {"er": "Value"}},
        "samlog__json": {"a": {"b": ["X", 5]}},
        "at": 3600,
    },
    "4": {"event__created": "1601-01-01T00:00:00.000Z", "vendor__path": "a.b*c", "at": 86_400},
}


FILLED_UNIT = new_units()[0]


@pytest.fixture(scope="module")
def filled(make_backend: MakeBackend) -> Iterator[EventStore]:
    """A store with `EVENTS`, for tests that only read."""
    with ExitStack() as stack:
        store = make_backend(stack, [FILLED_UNIT]).connect()
        store.setup([FILLED_UNIT])
        store.write([document(FILLED_UNIT, id_, **fields) for id_, fields in EVENTS.items()])
        store.refresh()
        yield store


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("", "1234"),
        ("*", "1234"),
        ("*:*", "1234"),
        # Keywords: the whole value, in any case.
        ("user.name:admin", "1"),
        ("user.name:ADMIN", "1"),
        ('user.name:"Admin Two"', "2"),
        (r"user.name:admin\ two", "2"),
        ("user.name:two", ""),
        ("tags:(one AND TWO)", "1"),
        ("user.name:\u00e6rlig*", "3"),
        ("vendor.deep.er:value", "3"),
        ("samlog.json.a.b:x", "3"),
        ("samlog.json.a.b:5", "3"),
        # Wildcards and regular expressions.
        ("user.name:ad*", "12"),
        ("user.name:A?min", "1"),
        ("user.name:*O", "2"),
        (r"process.command_line:*\\system32\\*WHOAMI", "1"),
        (r"vendor.path:a.b\*c", "4"),
        (r"vendor.path:a?b\*?", "4"),
        (r"vendor.path:axb\*c", ""),
        ("user.name:/adm.n( two)?/", "12"),
        ("user.name:/[A-D]+[^x]{3}n/", "1"),
        (r"process.command_line:/c:\\windows.*/", "1"),
        # Numbers, addresses, times.
        ("source.port:22", "1"),
        ("source.port:[22 TO 443]", "13"),
        ("source.port:{22 TO 443]", "3"),
        ("source.port:>443", "2"),
        ("source.port:(>=22 AND <2200)", "13"),
        ("event.risk_score:[-2 TO -1.5]", "2"),
        ("event.risk_score:-1.5", "2"),
        ("tls.established:true", "3"),
        ("source.ip:10.0.0.7", "1"),
        (r"source.ip:10.0.0.0\/16", "12"),
        ("source.ip:10.0.0.0/24", "1"),
        ('source.ip:"2001:db8::/32"', "3"),
        ("source.ip:10.0.*", "12"),
        ("source.ip:[10.0.0.8 TO 10.0.1.255]", "2"),
        ("@timestamp:2026-01-10", "123"),
        ("@timestamp:2026-01-10T00:00", "1"),
        ("@timestamp:[2026-01-10T00:01 TO 2026-01-10]", "23"),
        ("@timestamp:>2026-01-10", "4"),
        ("event.created:<1700-01-01", "4"),
        # Words and phrases.
        ("message:PASSWORD", "12"),
        ("message:pass", ""),
        ("message:pass*", "12"),
        ('message:"failed password"', "1"),
        ('message:"password failed"', ""),
        ("message:(password failed)", "1"),
        ("message:evil.exe", "2"),
        ("message:user_name", "2"),
        ("message:web1", "2"),
        ("message:10.0.0.7", "1"),
        # No field: the default fields.
        ("admin", "1"),
        ("password", "12"),
        ('"failed password"', "1"),
        # Any value.
        ("_exists_:tags", "1"),
        ("source.ip:*", "123"),
        ("NOT _exists_:source.ip", "4"),
        ("_exists_:vendor.deep", "3"),
        ("_exists_:vendor", "34"),
        ("_exists_:ven", ""),
        # Together.
        ("NOT user.name:admin", "234"),
        ("-user.name:admin source.port:*", "23"),
        ("!user.name:admin && source.port:*", "23"),
        ("user.name:admin OR source.port:443", "13"),
        ("source.port:(22 OR 443) AND NOT tls.established:true", "1"),
        ("source.port:22 || source.port:443 || source.port:2200 -user.name:ad*", "3"),
        ("+source.port:* +message:accepted", "2"),
        ("NOT (source.port:* OR vendor.path:*)", ""),
    ],
)
def test_query_finds(filled: EventStore, text: str, ids: str) -> None:
    assert "".join(found(filled, FILLED_UNIT, text)) == ids
    assert filled.count(Query(text, [FILLED_UNIT])) == len(ids)


@pytest.mark.parametrize(
    "text", ["user.name:(", "a AND", '"open', "user.name:a~", "source.ip:x", "source.port:22*"]
)
def test_a_query_that_cannot_be_answered_is_refused_with_a_sentence(
    filled: EventStore, text: str
) -> None:
    with pytest.raises(ConfigError, match="the query cannot be"):
        filled.search(Query(text, [FILLED_UNIT]))


def test_hits_come_back_as_they_were_written(filled: EventStore) -> None:
    (hit,) = filled.search(Query("source.port:443", [FILLED_UNIT])).hits

    assert hit.source == document(FILLED_UNIT, "3", **EVENTS["3"]).source
    assert (hit.stream, hit.id) == (f"logs-test.log-{FILLED_UNIT}", "3")


def test_times_limit_a_search_from_inclusive_to_exclusive(filled: EventStore) -> None:
    since, until = START + timedelta(seconds=60), START + timedelta(seconds=3600)

    assert filled.count(Query("*", [FILLED_UNIT], since=since, until=until)) == 1
    assert filled.count(Query("*", [FILLED_UNIT], since=since)) == 3
    assert filled.count(Query("*", [FILLED_UNIT], until=until)) == 2


def test_a_unit_sees_its_own_events_only(store: EventStore, units: tuple[str, str]) -> None:
    mine, theirs = units
    store.write([document(mine, "1"), document(theirs, "2"), document(theirs, "3")])

    assert found(store, mine, "*") == ["1"]
    assert found(store, theirs, f"* OR data_stream.namespace:{mine}") == ["2", "3"]
    assert store.count(Query("*", units)) == 3
    assert store.count(Query("*", [])) == 0
    assert not store.search(Query("*", [])).hits


def test_datasets_limit_a_search(store: EventStore, unit: str) -> None:
    store.write([document(unit, "1", "test.a"), document(unit, "2", "test.b")])
    store.refresh()

    assert store.count(Query("*", [unit], streams=["test.a"])) == 1
    assert store.count(Query("*", [unit], streams=["test.a", "test.b"])) == 2
    assert store.count(Query("*", [unit], streams=["test.none"])) == 0


# Order and pages


def test_hits_are_sorted_by_time_then_id(store: EventStore, unit: str) -> None:
    store.write(
        [
            document(unit, "common-b", at=1),
            document(unit, "common-a", at=1),
            document(unit, "z", at=0),
            document(unit, "a", at=2),
        ]
    )
    store.refresh()
    query = Query("*", [unit])

    newest = [hit.id for hit in store.search(query).hits]
    oldest = [hit.id for hit in store.search(query, newest_first=False).hits]

    assert newest == ["a", "common-b", "common-a", "z"]
    assert oldest == newest[::-1]


@pytest.mark.parametrize("newest_first", [True, False])
def test_pages_of_equal_times_hold_everything_once(
    store: EventStore, unit: str, newest_first: bool
) -> None:
    store.write([document(unit, f"same-beginning-{n:02}", at=n // 10) for n in range(25)])
    store.refresh()
    ids: list[str] = []
    cursor = ""

    while True:
        page = store.search(Query("*", [unit]), limit=7, cursor=cursor, newest_first=newest_first)
        assert page.total == 25
        ids += [hit.id for hit in page.hits]
        cursor = page.cursor
        if not cursor:
            break

    assert ids == sorted(ids, reverse=newest_first)
    assert len(ids) == len(set(ids)) == 25


def test_the_cursor_of_a_hit_goes_on_after_it(filled: EventStore) -> None:
    first = filled.search(Query("*", [FILLED_UNIT])).hits[1]

    after = filled.search(Query("*", [FILLED_UNIT]), cursor=first.cursor)

    assert [hit.id for hit in after.hits] == ["2", "1"]
    assert after.cursor == ""


def test_pages_go_beyond_ten_thousand_hits_over_several_days(
    backend: Backend, store: EventStore, unit: str
) -> None:
    for start in (0, 4_000, 8_000):
        store.write([document(unit, f"{n:05}", at=n % 997) for n in range(start, start + 4_000)])
        if start == 4_000:
            backend.pass_midnight(store)
    store.refresh()
    ids: list[str] = []
    cursor = ""

    while True:
        page = store.search(Query("*", [unit]), limit=5_000, cursor=cursor, newest_first=False)
        ids += [hit.id for hit in page.hits]
        cursor = page.cursor
        if not cursor:
            break

    assert ids == sorted((f"{n:05}" for n in range(12_000)), key=lambda id_: (int(id_) % 997, id_))
    assert page.total == 12_000


@pytest.mark.parametrize("cursor", ["x", "bm9uZQ==", "WzEsMl0="])
def test_a_damaged_cursor_is_refused(filled: EventStore, cursor: str) -> None:
    with pytest.raises(ConfigError, match="cursor"):
        filled.search(Query("*", [FILLED_UNIT]), cursor=cursor)


def test_a_cursor_of_the_other_order_is_refused(filled: EventStore) -> None:
    cursor = filled.search(Query("*", [FILLED_UNIT]), limit=1).cursor

    with pytest.raises(ConfigError, match="order"):
        filled.search(Query("*", [FILLED_UNIT]), cursor=cursor, newest_first=False)


# Others read


def test_what_was_refreshed_is_seen_by_another_instance(
    backend: Backend, store: EventStore, unit: str
) -> None:
    other = backend.connect()
    store.write([document(unit, "1")])
    store.refresh()
    assert other.count(Query("*", [unit])) == 1

    store.write([document(unit, "2")])
    store.refresh()

    assert other.count(Query("*", [unit])) == 2


def test_what_was_refreshed_is_seen_by_another_process(
    backend: Backend, store: EventStore, unit: str
) -> None:
    store.write([document(unit, "1"), document(unit, "2")])
    store.refresh()
    code = (
        f"{backend.code}\nfrom samlog.store.base import Query\n"
        f"print(store.count(Query('*', [{unit!r}])))"
    )

    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )

    assert done.stdout == "2\n"


# Counting


def test_values_are_counted_as_they_were_written(store: EventStore, unit: str) -> None:
    names = ["Admin", "admin", "Admin", "root", "admin", "Admin", "x" * 100 + "Y"]
    store.write([document(unit, str(n), user__name=name) for n, name in enumerate(names)])
    store.refresh()

    buckets = store.terms(Query("*", [unit]), "user.name")

    assert [(bucket.key, bucket.count) for bucket in buckets] == [
        ("Admin", 3),
        ("admin", 2),
        ("root", 1),
        ("x" * 100 + "Y", 1),
    ]


def test_long_values_are_counted_as_they_were_written(store: EventStore, unit: str) -> None:
    long = "SQBFAFgA" * 60
    others = [long.lower(), long.replace("S", "s")]
    for number, value in enumerate([long, long, *others]):
        vendor = {"list": [{"line": "short"}, {"line": [value]}]}
        store.write([document(unit, str(number), process__command_line=value, vendor=vendor)])
    store.refresh()

    for field in ("process.command_line", "vendor.list.line"):
        counted = {b.key: b.count for b in store.terms(Query("*", [unit]), field)}
        counted.pop("short", None)
        assert counted == {long: 2, others[0]: 1, others[1]: 1}


def test_a_document_is_not_replaced_because_it_names_another(store: EventStore, unit: str) -> None:
    store.write([document(unit, "first"), document(unit, "second", event__id="first")])
    store.refresh()
    store.replace([document(unit, "first", user__name="new")])
    store.refresh()

    assert store.count(Query("*", [unit])) == 2
    assert [hit.id for hit in store.search(Query("user.name:new", [unit])).hits] == ["first"]


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        ("tags", {"One": 1, "two": 1}),
        ("source.port", {"22": 1, "443": 1, "2200": 1}),
        ("source.ip", {"10.0.0.7": 1, "10.0.1.7": 1, "2001:db8::1": 1}),
        ("tls.established", {"true": 1}),
        ("event.risk_score", {"-1.5": 1}),
        ("event.created", {"1601-01-01T00:00:00.000Z": 1}),
        ("no.such.field", {}),
    ],
)
def test_values_of_every_type_are_counted(
    filled: EventStore, field: str, expected: dict[str, int]
) -> None:
    buckets = filled.terms(Query("*", [FILLED_UNIT]), field)

    assert {bucket.key: bucket.count for bucket in buckets} == expected


def test_counting_takes_the_query_the_size_and_the_order(filled: EventStore) -> None:
    query = Query("source.port:(22 OR 443)", [FILLED_UNIT])

    assert [b.key for b in filled.terms(query, "source.port", size=1)] == ["22"]


def test_words_are_not_counted(filled: EventStore) -> None:
    with pytest.raises(ConfigError, match="message"):
        filled.terms(Query("*", [FILLED_UNIT]), "message")


def test_events_are_counted_by_interval_without_empty_ones(filled: EventStore) -> None:
    buckets = filled.histogram(Query("*", [FILLED_UNIT]), interval_s=3600)

    assert [(bucket.key, bucket.count) for bucket in buckets] == [
        ("2026-01-10T00:00:00.000Z", 2),
        ("2026-01-10T01:00:00.000Z", 1),
        ("2026-01-11T00:00:00.000Z", 1),
    ]


def test_intervals_may_be_few_among_very_many(store: EventStore, unit: str) -> None:
    times = ["1601-01-01T00:00:00.000Z", "2026-01-10T00:00:00.000Z", "9999-12-31T23:59:59.999Z"]
    stream = f"logs-test.log-{unit}"
    store.write([Document(stream, time, {"@timestamp": time}) for time in times])
    store.refresh()

    buckets = store.histogram(Query("*", [unit]), interval_s=1)

    assert [bucket.key for bucket in buckets] == [*times[:2], "9999-12-31T23:59:59.000Z"]


# Replacing and deleting


def test_replace_writes_over_an_event_that_moved_to_another_dataset(
    backend: Backend, store: EventStore, unit: str
) -> None:
    store.write([document(unit, "1", "test.old", user__name="a"), document(unit, "2", "test.old")])
    backend.pass_midnight(store)

    results = store.replace([document(unit, "1", "test.new", user__name="b")])

    assert [result.outcome for result in results] == [CREATED]
    store.refresh()
    hits = store.search(Query("*", [unit])).hits
    assert sorted((hit.stream, hit.id) for hit in hits) == [
        (f"logs-test.new-{unit}", "1"),
        (f"logs-test.old-{unit}", "2"),
    ]
    assert found(store, unit, "user.name:b") == ["1"]
    assert found(store, unit, "user.name:a") == []


def test_replace_in_place_and_repeated_leaves_one(store: EventStore, unit: str) -> None:
    store.write([document(unit, "1", user__name="a")])
    for _ in range(2):
        store.replace([document(unit, "1", user__name="b")])

    assert found(store, unit, "*") == ["1"]
    assert found(store, unit, "user.name:b") == ["1"]


def test_replace_does_not_touch_another_unit(store: EventStore, units: tuple[str, str]) -> None:
    mine, theirs = units
    store.write([document(mine, "1"), document(theirs, "1")])

    store.replace([document(mine, "1", "test.new")])

    assert found(store, theirs, "*") == ["1"]
    assert found(store, mine, "*") == ["1"]


def test_retention_deletes_what_was_received_before(
    backend: Backend, store: EventStore, unit: str
) -> None:
    store.write([document(unit, "old-1"), document(unit, "old-2")])
    moment = backend.pass_midnight(store)
    store.write([document(unit, "new")])

    assert store.delete_before(moment, [unit]) == 2

    assert found(store, unit, "*") == ["new"]
    assert store.delete_before(moment, [unit]) == 0


def test_retention_leaves_other_units(
    backend: Backend, store: EventStore, units: tuple[str, str]
) -> None:
    mine, theirs = units
    store.write([document(mine, "1"), document(theirs, "2")])
    moment = backend.pass_midnight(store)
    store.write([document(mine, "3")])

    assert store.delete_before(moment, [mine]) == 1

    assert found(store, mine, "*") == ["3"]
    assert found(store, theirs, "*") == ["2"]


# Life


def test_a_healthy_store_has_no_problems(filled: EventStore) -> None:
    health = filled.check()

    assert health.reachable
    assert health.version


def test_setup_a_second_time_changes_nothing(store: EventStore, units: tuple[str, str]) -> None:
    assert not store.setup(units)
    assert not store.setup(units, dry_run=True)


def test_a_store_may_be_closed_twice(store: EventStore) -> None:
    store.close()
    store.close()
