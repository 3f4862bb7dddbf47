"""``samlog dlq``: nothing is lost by looking, and nothing doubles by putting back."""

from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest

from samlog import pipeline
from samlog.bus.base import Message, Record
from samlog.bus.embedded import EmbeddedBus
from samlog.bus.embedded_consumer import EmbeddedConsumer
from samlog.bus.embedded_positions import needed_from
from samlog.bus.embedded_producer import EmbeddedProducer
from samlog.clock import SystemClock
from samlog.deadletter import dead_letter
from samlog.errors import BusError, Unavailable
from samlog.event import DLQ, H_POSITION, H_RECEIVED, H_REPLACE, H_TOPIC, REPLAY, raw_topic
from samlog.replay import Handled, letter_again, place_of, read
from samlog.store.base import Query

Cli = Callable[..., Any]
IN = raw_topic("enheda")


@pytest.fixture
def bus(deployment: Any) -> Any:
    opened = EmbeddedBus(deployment.data, clock=SystemClock())
    opened.create_topics([IN, raw_topic("enhedb"), DLQ])
    with closing(opened):
        yield opened


def letter(offset: int, unit: str = "enheda", reason: str = "binary", **headers: bytes) -> Message:
    raw = Message(raw_topic(unit), 0, offset, b"k", b"\x00%d" % offset, headers, 1_768_057_200_000)
    now = SystemClock().now()
    record = dead_letter(raw, stage="normalize", reason=reason, detail="why", rejected=now)
    return Message(DLQ, 0, offset, record.key, record.value, record.headers, 0)


def put(bus: EmbeddedBus, *letters: Message) -> None:
    with closing(bus.producer("test")) as producer:
        for one in letters:
            producer.send(Record(one.topic, one.value, one.key, one.headers))
        producer.flush()


@pytest.fixture
def letters(bus: EmbeddedBus) -> EmbeddedBus:
    """Three dead letters on the bus: two of enheda (binary, empty), one of enhedb."""
    put(bus, letter(0), letter(1, reason="empty"), letter(2, "enhedb"))
    return bus


def test_letters_are_counted_by_unit_and_reason(
    cli: Cli, deployment: Any, letters: EmbeddedBus
) -> None:
    rows = cli("dlq", "ls", "--json", "-c", deployment.config).rows

    assert {(r["unit"], r["reason"], r["count"]) for r in rows} == {
        ("enheda", "binary", 1),
        ("enheda", "empty", 1),
        ("enhedb", "binary", 1),
    }
    assert list(rows[0]) == ["unit", "stage", "reason", "source", "count"]


def test_each_letter_has_a_line_with_stable_keys(
    cli: Cli, deployment: Any, letters: EmbeddedBus
) -> None:
    rows = cli("dlq", "ls", "--each", "--json", "--unit", "enhedb", "-c", deployment.config).rows

    assert [row["offset"] for row in rows] == ["0/2"]
    assert list(rows[0]) == [
        *("offset", "rejected", "unit", "stage", "reason", "detail"),
        *("topic", "source", "bytes", "handled"),
    ]


def test_looking_leaves_no_position_that_would_hold_retention_up(
    cli: Cli, deployment: Any, letters: EmbeddedBus
) -> None:
    cli("dlq", "ls", "-c", deployment.config)

    assert DLQ not in needed_from(deployment.data / "bus")


def test_two_may_look_at_once(letters: EmbeddedBus) -> None:
    first = read(letters, [DLQ])
    assert next(first).offset == 0

    assert [message.offset for message in read(letters, [DLQ])] == [0, 1, 2]
    assert [message.offset for message in first] == [1, 2]


def test_a_letter_is_shown_with_its_reason_and_its_bytes_escaped(
    cli: Cli, deployment: Any, letters: EmbeddedBus
) -> None:
    answer = cli("dlq", "show", "0/1", "-c", deployment.config)

    assert answer.code == 0
    assert "reason               empty" in answer.out
    assert answer.out.endswith("\\x001\n")
    assert cli("dlq", "show", "0/1", "--bytes", "-c", deployment.config).out == "\x001"


def test_headers_that_an_attacker_wrote_cannot_steer_the_terminal(
    cli: Cli, deployment: Any, bus: EmbeddedBus
) -> None:
    put(bus, letter(0, host=b"\x1b[2Jx\n"))

    assert "\x1b" not in cli("dlq", "show", "0/0", "-c", deployment.config).out


@pytest.mark.parametrize("offset", ["0/9", "7", "0/x", "../1", "1/0"])
def test_a_letter_that_is_not_there_says_where_the_list_is(
    cli: Cli, deployment: Any, letters: EmbeddedBus, offset: str
) -> None:
    answer = cli("dlq", "show", offset, "-c", deployment.config)
    assert answer.code == 78
    assert "samlog dlq ls --each" in answer.err


def raw_offsets(bus: EmbeddedBus) -> list[str]:
    return sorted(m.headers[H_POSITION].decode() for m in read(bus, [REPLAY]))


def test_a_letter_is_replayed_once(cli: Cli, deployment: Any, letters: EmbeddedBus) -> None:
    first = cli("dlq", "replay", "--reason", "binary", "-c", deployment.config)
    second = cli("dlq", "replay", "-c", deployment.config)

    assert "2 dead letters were put back" in first.err
    assert "1 dead letters were put back" in second.err
    assert raw_offsets(letters) == ["0/0", "0/1", "0/2"]
    assert "no dead letters" in cli("dlq", "ls", "-c", deployment.config).err
    rows = cli("dlq", "ls", "--each", "--all", "--json", "-c", deployment.config).rows
    assert [row["handled"] for row in rows] == ["replayed"] * 3


def test_on_request_a_letter_is_replayed_again(
    cli: Cli, deployment: Any, letters: EmbeddedBus
) -> None:
    cli("dlq", "replay", "--unit", "enhedb", "-c", deployment.config)
    cli("dlq", "replay", "--unit", "enhedb", "--again", "-c", deployment.config)

    assert raw_offsets(letters) == ["0/2", "0/2"]


def test_a_dry_run_counts_and_does_nothing(cli: Cli, deployment: Any, letters: EmbeddedBus) -> None:
    answer = cli("dlq", "replay", "--dry-run", "-c", deployment.config)

    assert "3 dead letters would be put back" in answer.err
    assert raw_offsets(letters) == []
    assert len(cli("dlq", "ls", "--each", "--json", "-c", deployment.config).rows) == 3


def test_a_letter_of_a_topic_that_is_gone_is_told_and_kept(
    cli: Cli, deployment: Any, bus: EmbeddedBus
) -> None:
    put(bus, letter(0, "formerunit"))

    answer = cli("dlq", "replay", "-c", deployment.config)

    assert answer.code == 1
    assert "a unit that was removed?" in answer.err
    assert len(cli("dlq", "ls", "--json", "-c", deployment.config).rows) == 1


def test_dropped_letters_are_hidden_and_not_replayed(
    cli: Cli, deployment: Any, letters: EmbeddedBus
) -> None:
    answer = cli("dlq", "drop", "--reason", "binary", "--yes", "-c", deployment.config)

    assert "2 dead letters hidden" in answer.err
    assert [r["reason"] for r in cli("dlq", "ls", "--json", "-c", deployment.config).rows] == [
        "empty"
    ]
    assert "1 dead letters were" in cli("dlq", "replay", "-c", deployment.config).err


def test_what_waits_is_what_was_neither_replayed_nor_dropped(
    deployment: Any, letters: EmbeddedBus
) -> None:
    with closing(Handled(deployment.data)) as handled:
        assert handled.waiting(letters) == 3
        handled.note([place_of(next(read(letters, [DLQ])))], "dropped")
        assert handled.waiting(letters) == 2


def test_letters_of_a_bus_that_is_gone_hide_none_of_a_new_one(
    deployment: Any, letters: EmbeddedBus
) -> None:
    earlier = [place_of(m)._replace(appended_ms=1) for m in read(letters, [DLQ])]

    with closing(Handled(deployment.data)) as handled:
        handled.note(earlier, "dropped")
        assert handled.waiting(letters) == 3


def test_a_reader_that_gets_nothing_more_says_so(
    letters: EmbeddedBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(EmbeddedConsumer, "poll", lambda *_, **__: [])

    with pytest.raises(Unavailable, match="goes on with the rest"):
        list(read(letters, [DLQ]))


def test_a_replayed_record_says_where_it_first_was_and_when_it_came() -> None:
    again = letter_again(letter(7), replace=True)

    assert again.topic == REPLAY
    assert again.headers == {
        H_TOPIC: IN.encode(),
        H_POSITION: b"0/7",
        H_RECEIVED: b"2026-01-10T15:00:00.000Z",
        H_REPLACE: b"1",
    }


def test_a_record_that_was_replayed_before_keeps_its_first_place() -> None:
    first = letter_again(letter(7), replace=False)
    replayed = Message(REPLAY, 0, 3, first.key, first.value, first.headers, 1)
    now = SystemClock().now()
    twice = dead_letter(replayed, stage="normalize", reason="x", detail="", rejected=now)

    again = letter_again(Message(DLQ, 0, 9, None, twice.value, twice.headers, 0), replace=False)

    assert (again.topic, again.headers) == (REPLAY, first.headers)


def test_what_a_unit_said_of_its_place_is_not_repeated() -> None:
    forged = letter(7, **{H_POSITION: b"0/1", H_TOPIC: b"samlog.raw.enhedb", H_REPLACE: b"1"})

    again = letter_again(forged, replace=False)

    assert again.headers[H_TOPIC] == IN.encode()
    assert again.headers[H_POSITION] == b"0/7"
    assert H_REPLACE not in again.headers


def stored(deployment: Any) -> dict[str, Any]:
    settings = pipeline.load_settings(deployment.config, {}).settings
    with closing(pipeline.open_store(settings, SystemClock())) as store:
        hits = store.search(Query("event.kind:event", ("enheda",))).hits
        return {hit.id: hit.source for hit in hits}


def test_raw_records_are_written_over_what_was_stored_of_them(cli: Cli, deployment: Any) -> None:
    cli("-q", "run", "--until-idle", "-c", deployment.config)
    before = stored(deployment)
    mended = {"municipality": "kommune-y"}
    deployment.write({"units": {"enheda": {"defaults": mended}, "enhedb": {}}})

    answer = cli("dlq", "replay", "--raw", "--since", "1h", "-c", deployment.config)
    assert "2 raw records were put back" in answer.err
    cli("-q", "run", "--until-idle", "-c", deployment.config)

    after = stored(deployment)
    assert list(after) == list(before)
    assert [event["organization.id"] for event in after.values()] == ["kommune-y"]
    assert "organization.id" not in next(iter(before.values()))
    # The letter of the binary line was replayed with it, and came back as a new one.
    assert [r["count"] for r in cli("dlq", "ls", "--json", "-c", deployment.config).rows] == [1]


def test_a_letter_that_comes_while_raw_records_are_put_back_still_waits(
    cli: Cli, deployment: Any, bus: EmbeddedBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = Record(IN, b"\x000", b"k", {})
    with closing(bus.producer("test")) as producer:
        producer.send(raw)
        producer.flush()
    put(bus, letter(0))
    flush = EmbeddedProducer.flush

    def slow(self: EmbeddedProducer, timeout_s: float = 30.0) -> None:
        flush(self, timeout_s)
        if self._client == "samlog-replay" and not born:
            born.append(True)
            put(bus, letter(0), letter(5))

    born: list[bool] = []
    monkeypatch.setattr(EmbeddedProducer, "flush", slow)
    answer = cli("dlq", "replay", "--raw", "-c", deployment.config)

    assert "1 raw records were put back" in answer.err
    rows = cli("dlq", "ls", "--each", "--all", "--json", "-c", deployment.config).rows
    assert [row["handled"] for row in rows] == ["replayed", "", ""]


def test_copies_made_by_a_replay_are_not_replayed_themselves(cli: Cli, deployment: Any) -> None:
    cli("-q", "run", "--until-idle", "-c", deployment.config)
    for _ in range(2):
        answer = cli("dlq", "replay", "--raw", "-c", deployment.config)
        assert "2 raw records were put back" in answer.err


def test_raw_records_outside_the_time_are_left_alone(cli: Cli, deployment: Any) -> None:
    cli("-q", "run", "--until-idle", "-c", deployment.config)

    answer = cli("dlq", "replay", "--raw", "--until", "1h", "-c", deployment.config)

    assert "0 raw records" in answer.err


def test_only_so_many_may_look_at_once(letters: EmbeddedBus) -> None:
    looking = [read(letters, [DLQ]) for _ in range(8)]
    for one in looking:
        next(one)

    with pytest.raises(BusError, match="already reads"):
        next(read(letters, [DLQ]))
    for one in looking:
        one.close()  # type: ignore[attr-defined] # a generator
