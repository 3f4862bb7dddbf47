"""The loop: what is committed when, and what happens to records that fail."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from samlog.bus.base import Message, Record, TopicPartition
from samlog.bus.embedded import EmbeddedBus
from samlog.bus.embedded_consumer import EmbeddedConsumer
from samlog.bus.kafka_cluster import Cluster
from samlog.bus.kafka_producer import KafkaProducer
from samlog.clock import SystemClock
from samlog.deadletter import Quota, dead_letter, original, send
from samlog.errors import BadEvent, Unavailable
from samlog.event import DLQ, raw_topic, sha256_hex
from samlog.journal import Journal
from samlog.loop import Loop, Stage
from samlog.metrics import Metrics
from samlog.step import Rejection
from samlog.tally import BadRelease

IN, OUT = "samlog.raw.enheda", "samlog.events"
NOW = datetime(2026, 1, 10, 15, 0, tzinfo=UTC)


class Upper:
    """A step that writes its input in capitals, and fails where a record's text says so."""

    name = "upper"

    def __init__(self) -> None:
        self.fail_settle = 0
        self.hold: list[Message] = []
        self.let_go: list[Message] = []
        self.refuse: list[Rejection] = []
        self.resets = 0

    def process(self, message: Message) -> Iterable[Record]:
        if message.value == b"bad":
            raise BadEvent("is_bad", "on purpose")
        if message.value == b"bug":
            raise KeyError("oops")
        if message.value == b"hold":
            self.hold.append(message)
            return []
        if message.value == b"long":
            return [Record(OUT, b"first", b"k"), *[Record(OUT, b"x" * (17 << 20), b"k")] * 2]
        if message.value == b"refuse":
            self.refuse.append(Rejection(message, "refused_by_store"))
            return []
        return [Record(OUT, message.value.upper(), message.key)]

    def tick(self, now: datetime) -> Iterable[Record]:
        return []

    def flush(self) -> Iterable[Record]:
        released = [Record(OUT, b"RELEASED", m.key) for m in self.hold]
        self.hold = []
        return released

    def settle(self) -> Iterable[Rejection]:
        self.hold = [message for message in self.hold if message not in self.let_go]
        if self.fail_settle:
            self.fail_settle -= 1
            raise Unavailable("the store is down", retry_after_s=0)
        refused, self.refuse = self.refuse, []
        return refused

    def held(self) -> Mapping[TopicPartition, int]:
        return {m.tp: m.offset for m in self.hold[:1]}

    def reset(self) -> None:
        self.resets += 1
        self.hold, self.refuse = [], []

    def figures(self) -> Mapping[str, float]:
        return {}

    def close(self) -> None:
        return


class Rig:
    """A loop over `Upper` on a real embedded bus."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.bus = EmbeddedBus(folder, clock=SystemClock())
        self.bus.create_topics([IN, OUT, DLQ])
        self.step = Upper()
        self.metrics = Metrics()
        self.topics = [IN]
        self.loop = self.new_loop()

    def new_loop(self) -> Loop:
        stage = Stage(self.step, "samlog.upper", self.topics, batch=100)
        journal = Journal(self.folder / "upper.note")
        return Loop(stage, self.bus, journal, SystemClock(), self.metrics, Quota(10))

    def put(self, *values: bytes, topic: str = IN) -> None:
        producer = self.bus.producer("test")
        for value in values:
            producer.send(Record(topic, value, b"k", {"source": b"here"}))
        producer.flush()
        producer.close()

    def got(self, topic: str, group: str = "look") -> list[Message]:
        consumer = self.bus.consumer(group, [topic])
        messages = list(consumer.poll(max_messages=100_000, timeout_s=0.2))
        consumer.close()
        return messages

    def lag(self) -> int:
        return sum(self.bus.lag("samlog.upper", [IN]).values())

    def restart(self) -> None:
        self.loop.close()
        self.loop = self.new_loop()


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    made = Rig(tmp_path)
    yield made
    made.loop.close()
    made.bus.close()


def test_outputs_are_written_and_the_position_is_committed(rig: Rig) -> None:
    rig.put(b"a", b"b")

    taken = rig.loop.turn()

    assert taken == 2
    assert [m.value for m in rig.got(OUT)] == [b"A", b"B"]
    assert rig.lag() == 0


def test_a_bad_event_becomes_a_dead_letter_and_the_others_go_on(rig: Rig) -> None:
    rig.put(b"a", b"bad", b"b")

    rig.loop.turn()

    [letter] = rig.got(DLQ)
    assert [m.value for m in rig.got(OUT)] == [b"A", b"B"]
    assert letter.value == b"bad"
    assert letter.headers["reason"] == b"is_bad"
    assert letter.headers["unit"] == b"enheda"
    assert original(letter) == Record(IN, b"bad", b"k", {"source": b"here"})


def test_a_record_that_becomes_too_much_for_the_bus_is_put_aside_itself(rig: Rig) -> None:
    rig.put(b"a", b"long", b"b")

    rig.loop.turn()

    [letter] = rig.got(DLQ)
    assert [m.value for m in rig.got(OUT)] == [b"A", b"first", b"B"]
    assert letter.headers["reason"] == b"record_too_large"
    assert original(letter) == Record(IN, b"long", b"k", {"source": b"here"})


@pytest.mark.parametrize(
    ("value", "headers"),
    [
        (b"bad", {"h": b"x" * 65_400}),
        (b"bad", {f"h{n}": b"x" * 12 for n in range(4_000)}),
        (b"bad" * 10_000_000, {}),
        (b"bad" * 10_000_000, {"h": b"x" * 65_400}),
    ],
)
def test_a_dead_letter_that_the_bus_refuses_is_sent_in_part_and_says_so(
    value: bytes, headers: dict[str, bytes]
) -> None:
    message = Message(IN, 0, 7, b"k" * 60_000, value, headers, 1)
    letter = dead_letter(message, stage="s", reason="is_bad", detail="d", rejected=NOW)
    sent: list[Record] = []
    kafka = KafkaProducer(
        Cluster(["192.0.2.1:9092"]), "test", max_record_bytes=16 << 20, clock=SystemClock()
    )
    kafka._queue = sent.append  # type: ignore[method-assign] # no broker: only its limits count

    send(kafka, letter)

    (record,) = sent
    assert record.headers["reason"] == b"is_bad"
    assert record.headers["offset"] == b"7"
    assert letter.value.startswith(record.value)
    if record.value != letter.value:
        assert record.headers["full-length"] == b"30000000"
        assert record.headers["full-sha256"] == sha256_hex(value).encode()
    with pytest.raises(ValueError, match="took a part"):
        original(Message(DLQ, 0, 0, record.key, record.value, record.headers, 1))


def test_a_bug_in_a_step_costs_one_record_and_not_the_stage(rig: Rig) -> None:
    rig.put(b"a", b"bug", b"b")

    rig.loop.turn()

    [letter] = rig.got(DLQ)
    assert letter.headers["reason"] == b"internal_error"
    assert b"KeyError" in letter.headers["detail"]
    assert rig.lag() == 0


def test_what_settle_refuses_becomes_a_dead_letter_with_its_reason(rig: Rig) -> None:
    rig.put(b"refuse", b"a")

    rig.loop.turn()

    assert [m.headers["reason"] for m in rig.got(DLQ)] == [b"refused_by_store"]


def test_the_stage_stops_when_all_records_of_all_units_fail_by_a_bug(rig: Rig) -> None:
    rig.put(*[b"bug"] * 1_500)

    with pytest.raises(BadRelease, match="the backlog stays"):
        for _ in range(20):
            rig.loop.turn()

    assert rig.lag() >= 500


def test_what_one_unit_sends_does_not_stop_a_stage_that_works_for_another(rig: Rig) -> None:
    other = raw_topic("enhedb")
    rig.bus.create_topics([other])
    rig.topics = [IN, other]
    rig.restart()
    rig.put(b"a", topic=other)
    rig.loop.turn()
    rig.put(*[b"bug"] * 1_500)
    rig.put(b"b", topic=other)

    for _ in range(20):
        rig.loop.turn()

    assert [m.value for m in rig.got(OUT)] == [b"A", b"B"]
    assert len(rig.got(DLQ)) == 1_500


def test_bad_events_alone_never_stop_the_stage(rig: Rig) -> None:
    rig.put(*[b"bad"] * 1_500)

    for _ in range(20):
        rig.loop.turn()

    assert rig.lag() == 0
    assert len(rig.got(DLQ)) == 1_500


def test_a_source_over_its_limit_is_marked_and_still_dead_lettered(rig: Rig) -> None:
    rig.put(*[b"bad"] * 30)

    rig.loop.turn()

    assert rig.metrics.value("source_marked", unit="enheda", source="here") == 1
    assert len(rig.got(DLQ)) == 30


def test_nothing_is_committed_when_the_other_side_is_unavailable(rig: Rig) -> None:
    rig.put(b"a", b"b")
    rig.step.fail_settle = 1

    rig.loop.turn()

    assert rig.lag() == 2
    assert rig.got(OUT) == []
    assert rig.step.resets == 1
    assert "down" in rig.loop.problem


def test_an_unavailable_batch_is_repeated_and_nothing_is_lost(rig: Rig) -> None:
    rig.put(b"a", b"b")
    rig.step.fail_settle = 3

    for _ in range(4):
        rig.loop.turn()

    assert [m.value for m in rig.got(OUT)] == [b"A", b"B"]
    assert rig.lag() == 0
    assert rig.loop.problem == ""


def test_a_commit_never_passes_the_oldest_held_record(rig: Rig) -> None:
    rig.put(b"a", b"hold", b"b", b"c")

    rig.loop.turn()

    assert rig.lag() == 3


def test_what_is_let_go_is_committed_though_nothing_comes(rig: Rig) -> None:
    rig.put(b"a", b"hold", b"b")
    rig.loop.turn()
    kept = rig.step.hold
    rig.loop.turn()
    assert rig.lag() == 2

    rig.step.let_go = kept
    rig.loop.turn()

    assert rig.lag() == 0
    assert rig.loop.counts.batches == 1


def test_a_stop_commits_what_can_be_settled_at_once(rig: Rig) -> None:
    rig.put(b"a", b"hold", b"b")
    rig.loop.turn()
    rig.step.let_go = rig.step.hold

    rig.loop.run(draining=lambda: False, stopping=lambda: True)

    assert rig.lag() == 0


def test_a_stop_does_not_wait_for_a_store_that_is_down(rig: Rig) -> None:
    rig.put(b"a", b"hold", b"b")
    rig.loop.turn()
    rig.step.fail_settle = 1

    rig.loop.run(draining=lambda: False, stopping=lambda: True)

    assert rig.lag() == 2


def test_held_records_are_released_when_the_input_has_ended(rig: Rig) -> None:
    rig.put(b"a", b"hold", b"b")

    rig.loop.run(draining=lambda: True, stopping=lambda: False)

    assert [m.value for m in rig.got(OUT)] == [b"A", b"B", b"RELEASED"]
    assert rig.lag() == 0


def test_a_range_in_which_a_process_died_is_taken_record_by_record(rig: Rig) -> None:
    rig.put(b"a", b"b", b"c")
    Journal(rig.folder / "upper.note").begin_batch({f"{IN}/0": (0, 3)})
    rig.restart()

    rig.loop.turn()

    assert rig.loop.counts.redelivered == 3
    assert rig.loop.counts.batches == 3
    assert rig.lag() == 0


def test_what_an_earlier_process_read_and_did_not_commit_counts_as_given_again(rig: Rig) -> None:
    rig.put(b"a", b"b", b"c")
    Journal(rig.folder / "upper.note").done({f"{IN}/0": 2})
    rig.restart()

    rig.loop.run(lambda: True, lambda: False)

    assert rig.loop.counts.redelivered == 2
    assert rig.loop.counts.batches == 1


def test_a_note_of_very_many_partitions_still_tells_where_a_process_died(rig: Rig) -> None:
    journal = Journal(rig.folder / "upper.note")
    journal.done({f"samlog.raw.unit{n}/0": 10**12 for n in range(200)})
    journal.begin_batch({f"{IN}/0": (5, 7)})

    assert Journal(rig.folder / "upper.note").careful(IN, 0, 6)


def test_a_record_that_killed_three_processes_becomes_a_dead_letter(rig: Rig) -> None:
    rig.put(b"a", b"deadly", b"c")
    first = rig.bus.end_offsets([IN])[TopicPartition(IN, 0)] - 3
    deadly = first + 1
    Journal(rig.folder / "upper.note").begin_batch({f"{IN}/0": (first, first + 2)})
    for _ in range(2):
        Journal(rig.folder / "upper.note").begin_single(IN, 0, deadly)
    rig.restart()

    rig.loop.turn()

    [letter] = rig.got(DLQ)
    assert letter.headers["reason"] == b"kills_process"
    assert letter.value == b"deadly"
    assert [m.value for m in rig.got(OUT)] == [b"A", b"C"]


def test_who_is_stopped_while_the_other_side_is_down_did_not_die_of_a_record(rig: Rig) -> None:
    rig.put(b"a", b"b")
    rig.step.fail_settle = 4
    for _ in range(4):
        rig.loop.turn()
        rig.restart()

    rig.loop.turn()

    assert [m.value for m in rig.got(OUT)] == [b"A", b"B"]
    assert rig.got(DLQ) == []
    assert not Journal(rig.folder / "upper.note").careful(IN, 0, 0)


def test_a_damaged_crash_note_is_no_reason_to_stop(tmp_path: Path) -> None:
    (tmp_path / "x.note").write_bytes(b"\xff not json" * 10)

    journal = Journal(tmp_path / "x.note")

    assert not journal.careful(IN, 0, 5)


class Keeping(Upper):
    """Holds every record for ever, as a correlation holds its window, and is told of its input."""

    name = "keeping"

    def __init__(self) -> None:
        super().__init__()
        self.told: list[int] = []

    def process(self, message: Message) -> Iterable[Record]:
        self.hold.append(message)
        return []

    def flush(self) -> Iterable[Record]:
        return []

    def watch(
        self, assigned: frozenset[TopicPartition], behind: Mapping[TopicPartition, int]
    ) -> None:
        self.told.append(sum(behind[tp] for tp in assigned))


def test_what_a_step_keeps_is_read_again_after_a_restart_and_does_not_keep_it_from_ending(
    tmp_path: Path,
) -> None:
    rig = Rig(tmp_path)
    rig.step = step = Keeping()
    rig.restart()
    rig.put(b"a", b"b", b"c")

    rig.loop.run(lambda: True, lambda: False)
    first = [m.value for m in step.hold]
    step.hold.clear()
    rig.restart()
    rig.loop.run(lambda: True, lambda: False)

    assert first == [m.value for m in step.hold] == [b"a", b"b", b"c"]
    assert rig.lag() == 3
    assert step.told[-1] == 0
    rig.loop.close()
    rig.bus.close()


def test_what_a_step_keeps_from_before_the_range_in_which_a_process_died_is_taken_as_batches(
    tmp_path: Path,
) -> None:
    rig = Rig(tmp_path)
    rig.step = Keeping()
    rig.restart()
    rig.put(*(b"%d" % i for i in range(60)))
    rig.loop.turn()
    rig.put(b"x", b"y")
    first = rig.bus.end_offsets([IN])[TopicPartition(IN, 0)] - 2
    Journal(rig.folder / "upper.note").begin_batch({f"{IN}/0": (first, first + 1)})
    found = Journal(rig.folder / "upper.note")
    assert [found.careful(IN, 0, first + n) for n in (-1, 0, 1)] == [False, True, True]
    rig.restart()

    rig.loop.run(lambda: True, lambda: False)

    assert rig.loop.counts.redelivered == 60 + 2
    assert not Journal(rig.folder / "upper.note").careful(IN, 0, first)
    rig.loop.close()
    rig.bus.close()


def test_a_crash_note_of_an_older_release_still_names_its_range(tmp_path: Path) -> None:
    (tmp_path / "x.note").write_bytes(b'{"batch": {"%s/0": 7}, "deaths": {}}' % IN.encode())

    journal = Journal(tmp_path / "x.note")

    assert journal.careful(IN, 0, 7)
    assert not journal.careful(IN, 0, 8)


def test_who_has_not_been_given_a_partition_yet_has_not_read_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = Rig(tmp_path)
    rig.step = step = Keeping()
    rig.restart()
    rig.put(b"a", b"b")
    joining = iter([True, True])
    poll = EmbeddedConsumer.poll

    def late(self: EmbeddedConsumer, **how: Any) -> Sequence[Message]:
        if next(joining, False):
            monkeypatch.setattr(EmbeddedConsumer, "assigned", lambda _: frozenset())
            return []
        monkeypatch.setattr(EmbeddedConsumer, "assigned", assigned)
        return poll(self, **how)

    assigned = EmbeddedConsumer.assigned
    monkeypatch.setattr(EmbeddedConsumer, "poll", late)

    rig.loop.run(lambda: True, lambda: False)

    assert [m.value for m in step.hold] == [b"a", b"b"]
    rig.loop.close()
    rig.bus.close()
