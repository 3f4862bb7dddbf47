from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import orjson
import pytest

from samlog.bus.base import Message, TopicPartition
from samlog.clock import iso_ms
from samlog.deadletter import dead_letter
from samlog.errors import BadEvent, ConfigError, Unavailable
from samlog.event import ALERTS, DLQ, EVENTS, raw_topic
from samlog.store.base import PLATFORM_UNIT, Answers, Document, Outcome, WriteResult
from samlog.store.step import CLOCK_MARGIN_S, COMMIT_S, StoreStep
from samlog.testing import FakeClock

Refuses = Callable[[Document], bool]


class Remembering:
    """An event store in memory; ``refuses`` says which documents it does not take."""

    def __init__(self, refuses: Refuses = lambda document: False) -> None:
        self.refuses = refuses
        self.documents: dict[tuple[str, str], dict[str, Any]] = {}
        self.asked: list[bool] = []
        self.units: list[str] = []
        self.down = False
        self.closed = 0
        self.buffers = False
        self.is_slow = False
        self.uncommitted = False
        self.commits = 0
        self.is_committing = False

    def setup(self, units: Sequence[str], *, dry_run: bool = False) -> Sequence[str]:
        if self.down:
            raise Unavailable("down")
        self.units += units
        return ()

    def begin(self, documents: Sequence[Document], *, maybe_seen: bool = False) -> Answers:
        if self.down:
            raise Unavailable("down")
        if documents:
            self.asked.append(maybe_seen)
        self.uncommitted = self.buffers
        results = [self._write(document) for document in documents]
        return lambda: results

    def _write(self, document: Document) -> WriteResult:
        if self.refuses(document):
            return WriteResult(Outcome.REFUSED, "field [x] is no number")
        if (document.stream, document.id) in self.documents:
            return WriteResult(Outcome.EXISTS)
        self.documents[document.stream, document.id] = document.source
        return WriteResult(Outcome.CREATED)

    def replace(self, documents: Sequence[Document]) -> Sequence[WriteResult]:
        for document in documents:
            self.documents[document.stream, document.id] = document.source
        return [WriteResult(Outcome.CREATED)] * len(documents)

    def commit(self, *, wait: bool = True) -> None:
        self.uncommitted = False
        self.commits += 1
        self.is_committing = self.is_slow

    def is_committed(self, *, wait: bool = False) -> bool:
        self.is_committing &= not wait
        return not self.is_committing

    def close(self) -> None:
        self.closed += 1


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def store() -> Remembering:
    return Remembering()


@pytest.fixture
def step(store: Remembering, clock: FakeClock) -> StoreStep:
    return StoreStep(store, clock)  # type: ignore[arg-type]


def message(topic: str, value: bytes, *, at: FakeClock | None = None, **headers: bytes) -> Message:
    appended_ms = int(at.now().timestamp() * 1000) if at else 0
    return Message(topic, 0, 7, b"enheda|web1", value, headers, appended_ms)


def event(id_: str = "e1", **fields: Any) -> bytes:
    return orjson.dumps(
        {
            "@timestamp": "2026-01-10T12:00:00.000Z",
            "event.id": id_,
            "event.dataset": "system.auth",
            "data_stream.dataset": "system.auth",
            "data_stream.namespace": "enheda",
            **fields,
        }
    )


def rejected(value: bytes, clock: FakeClock, *, unit: str = "enheda", detail: str = "d") -> Message:
    raw = Message(raw_topic(unit), 2, 41, b"k", value, {"source": b"sshd"}, 0)
    record = dead_letter(raw, stage="normalize", reason="bad", detail=detail, rejected=clock.now())
    return Message(DLQ, 0, 3, record.key, record.value, record.headers, 0)


def envelope(**changes: Any) -> bytes:
    alert = {
        "schema": "soc-alert/1",
        "type": "alert",
        "id": "019a0000-0000-7000-8000-000000000001",
        "seq": 12,
        "revision": 1,
        "dedup_key": "sha256:00",
        "producer": {"unit": "enheda", "instance": "alerts"},
        "subject": {"municipality": "kommune-x", "zone": "intern", "environment": "prod"},
        "time": {
            "first_seen": "2026-01-10T11:00:00.000Z",
            "last_seen": "2026-01-10T11:59:00.000Z",
            "detected": "2026-01-10T12:00:00.000Z",
            "sent": "2026-01-10T12:00:01.000Z",
        },
        "rule": {
            "id": "r1",
            "title": "Many failures",
            "author": "A. Writer",
            "level": "high",
            "attack": ["T1110.003", "T1078"],
            "log_class": "LC-01",
        },
        "priority": {"code": 2, "label": "høj"},
        "sharing": {"tlp": "AMBER"},
        "count": 12,
        "summary": {"en": "Many failures: 12 events on web1", "da": "…"},
        "observables": [
            {"role": "source", "type": "ipv4-addr", "value": "203.0.113.7"},
            {"role": "target", "type": "hostname", "value": "web1"},
        ],
        "evidence": [{"event_id": "e1"}, {"event_id": "e2"}],
        "state": {"status": "new"},
    }
    return orjson.dumps(alert | changes)


def test_nothing_is_written_before_the_batch_is_settled(
    step: StoreStep, store: Remembering
) -> None:
    assert list(step.process(message(EVENTS, event()))) == []
    assert store.documents == {}

    assert list(step.settle()) == []
    assert list(store.documents) == [("logs-system.auth-enheda", "e1")]


def test_an_event_is_stamped_with_the_time_it_was_stored(
    step: StoreStep, store: Remembering, clock: FakeClock
) -> None:
    step.process(message(EVENTS, event()))
    clock.advance(3)

    step.settle()

    (source,) = store.documents.values()
    assert source["event.ingested"] == iso_ms(clock.now())


def test_what_was_on_the_bus_before_the_start_is_looked_up(
    step: StoreStep, store: Remembering, clock: FakeClock
) -> None:
    step.process(message(EVENTS, event(), at=clock))
    step.settle()
    clock.advance(CLOCK_MARGIN_S + 1)
    step.process(message(EVENTS, event("e2"), at=clock))
    step.settle()

    assert store.asked == [True, False]


def test_after_a_step_back_everything_that_is_on_the_bus_is_looked_up(
    step: StoreStep, store: Remembering, clock: FakeClock
) -> None:
    clock.advance(60)
    repeated = message(EVENTS, event(), at=clock)
    step.process(repeated)
    clock.advance(60)

    step.reset()
    step.settle()
    step.process(repeated)
    step.settle()

    assert store.asked == [True]


def test_a_store_that_is_down_when_the_stage_starts_is_set_up_later(
    store: Remembering, clock: FakeClock
) -> None:
    step = StoreStep(store, clock, ["enheda"])  # type: ignore[arg-type]
    store.down = True
    with pytest.raises(Unavailable):
        step.settle()

    store.down = False
    step.reset()
    step.settle()
    step.settle()

    assert store.units == ["enheda"]


def test_a_refused_event_is_a_rejection_and_its_neighbours_are_stored(clock: FakeClock) -> None:
    store = Remembering(lambda document: document.id == "bad")
    step = StoreStep(store, clock)  # type: ignore[arg-type]
    for id_ in ("e1", "bad", "e2"):
        step.process(message(EVENTS, event(id_)))

    (rejection,) = [*step.settle(), *step.settle()]

    assert (rejection.reason, rejection.detail) == ("store_refused", "field [x] is no number")
    assert orjson.loads(rejection.message.value)["event.id"] == "bad"
    assert len(store.documents) == 2
    assert step.figures() == {"created": 2, "exists": 0, "refused": 1}


def test_a_repeated_event_changes_nothing_and_is_counted(
    step: StoreStep, store: Remembering
) -> None:
    for _ in range(2):
        step.process(message(EVENTS, event()))
        step.settle()

    assert len(store.documents) == 1
    assert step.figures()["exists"] == 1


def test_an_event_marked_so_is_written_over_the_one_that_is_there(
    step: StoreStep, store: Remembering
) -> None:
    step.process(message(EVENTS, event(a="old")))
    step.settle()
    step.process(message(EVENTS, event(a="new"), replace=b"1"))
    step.settle()

    (source,) = store.documents.values()
    assert source["a"] == "new"


@pytest.mark.parametrize(
    "value", [b"", b"\xff", b"[]", b"3", b"{}", event(**{"event.id": None}), event("e")[:-1]]
)
def test_what_is_no_event_is_bad_and_nothing_else(step: StoreStep, value: bytes) -> None:
    with pytest.raises(BadEvent):
        step.process(message(EVENTS, value))


@pytest.mark.parametrize("value", [b"{", b"[]", b"{}", envelope(time=3), envelope(producer={})])
def test_what_is_no_alert_is_bad_and_nothing_else(step: StoreStep, value: bytes) -> None:
    with pytest.raises(BadEvent):
        step.process(message(ALERTS, value))


def test_a_format_of_the_future_stops_the_stage(step: StoreStep) -> None:
    headers = {"samlog-v": b"2.0"}
    with pytest.raises(ConfigError, match="format 2.0"):
        step.process(message(EVENTS, event())._replace(headers=headers))


def test_every_revision_of_an_alert_is_a_document(step: StoreStep, store: Remembering) -> None:
    for revision in (1, 2, 2):
        step.process(message(ALERTS, envelope(revision=revision)))
    step.settle()

    assert list(store.documents) == [
        ("logs-samlog.alerts-enheda", "019a0000-0000-7000-8000-000000000001.1"),
        ("logs-samlog.alerts-enheda", "019a0000-0000-7000-8000-000000000001.2"),
    ]


def test_an_alert_is_an_ecs_alert_with_its_whole_envelope(
    step: StoreStep, store: Remembering, clock: FakeClock
) -> None:
    step.process(message(ALERTS, envelope()))
    step.settle()

    (alert,) = store.documents.values()
    assert alert["samlog.alert.envelope"] == orjson.loads(envelope())
    expected = {
        "@timestamp": "2026-01-10T12:00:01.000Z",
        "event.kind": "alert",
        "event.id": ["e1", "e2"],
        "event.severity": 73,
        "rule.id": "r1",
        "rule.name": "Many failures",
        "rule.author": ["A. Writer"],
        "threat.technique.id": ["T1078", "T1110"],
        "threat.technique.subtechnique.id": ["T1110.003"],
        "related.ip": ["203.0.113.7"],
        "host.name": "web1",
        "samlog.unit": "enheda",
        "samlog.alert.priority": "høj",
        "organization.id": "kommune-x",
        "event.ingested": iso_ms(clock.now()),
    }
    assert {name: alert.get(name) for name in expected} == expected


def test_a_dead_letter_is_kept_with_its_reason_and_what_can_be_read_of_it(
    step: StoreStep, store: Remembering, clock: FakeClock
) -> None:
    step.process(rejected(b"\xff\x00 bad line", clock, detail="no time in it"))
    clock.advance(60)
    step.settle()

    ((stream, _), source) = next(iter(store.documents.items()))
    assert stream == "logs-samlog.rejected-enheda"
    expected = {
        "@timestamp": iso_ms(clock.now() - timedelta(seconds=60)),
        "event.kind": "pipeline_error",
        "error.code": "bad",
        "error.message": "no time in it",
        "event.original": "\ufffd\x00 bad line",
        "samlog.dead_letter.topic": "samlog.raw.enheda",
        "samlog.dead_letter.offset": "41",
        "samlog.source": "sshd",
    }
    assert {name: source.get(name) for name in expected} == expected


def test_the_same_dead_letter_is_one_document(
    step: StoreStep, store: Remembering, clock: FakeClock
) -> None:
    for _ in range(2):
        step.process(rejected(b"x", clock))
    step.process(rejected(b"y", clock))
    step.settle()

    assert len(store.documents) == 2


def test_a_huge_dead_letter_is_cut(step: StoreStep, store: Remembering, clock: FakeClock) -> None:
    step.process(rejected("ø".encode() * 2**20, clock))
    step.settle()

    (source,) = store.documents.values()
    assert source["event.original"] == "ø" * 32_768
    assert source["samlog.dead_letter.bytes"] == 2**21


def test_a_refused_dead_letter_is_kept_without_its_content_and_does_not_come_back(
    clock: FakeClock,
) -> None:
    store = Remembering(lambda document: "event.original" in document.source)
    step = StoreStep(store, clock)  # type: ignore[arg-type]
    step.process(rejected(b"poison", clock))

    assert list(step.settle()) == []

    ((stream, _), source) = next(iter(store.documents.items()))
    assert stream == "logs-samlog.rejected-enheda"
    assert source["error.code"] == "bad"
    assert step.figures() == {"created": 1, "exists": 0, "refused": 0}


@pytest.mark.parametrize("unit", ["gone", "-"])
def test_a_dead_letter_of_no_configured_unit_goes_to_the_platform(
    clock: FakeClock, unit: str
) -> None:
    store = Remembering(
        lambda document: not document.stream.endswith(("-enheda", f"-{PLATFORM_UNIT}"))
    )
    step = StoreStep(store, clock)  # type: ignore[arg-type]
    letter = rejected(b"x", clock)
    step.process(letter._replace(headers={**letter.headers, "unit": unit.encode()}))

    assert list(step.settle()) == []
    assert [stream for stream, _ in store.documents] == [f"logs-samlog.rejected-{PLATFORM_UNIT}"]


def test_a_dead_letter_without_any_header_is_stored(step: StoreStep, store: Remembering) -> None:
    step.process(message(DLQ, b"\x00"))
    step.settle()

    ((stream, _), source) = next(iter(store.documents.items()))
    assert (stream, source["error.code"]) == (f"logs-samlog.rejected-{PLATFORM_UNIT}", "unknown")


def test_a_batch_is_held_until_its_answers_were_asked_for(step: StoreStep) -> None:
    for id_ in ("e1", "e2"):
        step.process(message(EVENTS, event(id_)))
    step.settle()

    assert step.held() == {TopicPartition(EVENTS, 0): 7}
    step.settle()
    assert step.held() == {}


def test_a_message_that_comes_alone_is_written_before_the_next_one_is_read(
    step: StoreStep, store: Remembering
) -> None:
    store.buffers = True
    step.process(message(EVENTS, event("e1")))

    step.settle()

    assert step.held() == {}
    assert not store.uncommitted


def test_batches_are_committed_together(
    step: StoreStep, store: Remembering, clock: FakeClock
) -> None:
    store.buffers = True

    def batch(number: int) -> bool:
        for id_ in (f"a{number}", f"b{number}"):
            step.process(message(EVENTS, event(id_)))
        step.settle()
        return store.uncommitted

    assert batch(1)
    assert batch(2)
    clock.advance(COMMIT_S)
    assert not batch(3)
    assert step.held() == {}
    assert batch(4), "the next ones wait for each other again"


def test_what_is_being_committed_is_held_until_that_is_over(
    step: StoreStep, store: Remembering, clock: FakeClock
) -> None:
    store.buffers = store.is_slow = True

    def batch(first: int) -> None:
        for offset in (first, first + 1):
            step.process(message(EVENTS, event(f"e{offset}"))._replace(offset=offset))
        step.settle()

    batch(1)
    clock.advance(COMMIT_S)
    batch(3)
    assert store.commits == 1
    batch(5)
    assert step.held() == {TopicPartition(EVENTS, 0): 1}

    store.is_committing = False
    batch(7)

    assert step.held() == {TopicPartition(EVENTS, 0): 5}


def test_when_nothing_comes_a_commit_under_way_is_waited_for(
    step: StoreStep, store: Remembering, clock: FakeClock
) -> None:
    store.buffers = store.is_slow = True
    clock.advance(COMMIT_S)
    for id_ in ("e1", "e2"):
        step.process(message(EVENTS, event(id_)))
    step.settle()

    step.settle()

    assert step.held() == {}


def test_what_waits_is_committed_when_nothing_comes(step: StoreStep, store: Remembering) -> None:
    store.buffers = True
    for id_ in ("e1", "e2"):
        step.process(message(EVENTS, event(id_)))
    step.settle()
    assert store.uncommitted

    step.settle()

    assert not store.uncommitted
    assert step.held() == {}


def test_after_a_reset_nothing_is_held(step: StoreStep, store: Remembering) -> None:
    for id_ in ("e1", "e2"):
        step.process(message(EVENTS, event(id_)))
    step.settle()

    step.reset()

    assert step.held() == {}
    assert list(step.settle()) == []


def test_closing_twice_is_safe(step: StoreStep, store: Remembering) -> None:
    step.close()
    step.close()

    assert store.closed == 2
