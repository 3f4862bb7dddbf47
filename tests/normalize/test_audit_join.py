"""Records of one audit event come one by one; one event leaves, and nothing is lost on the way."""

import random
from collections.abc import Iterable, Sequence
from datetime import timedelta
from pathlib import Path

import orjson
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from normalize.audit import join
from normalize.audit.join import Joiner
from normalize.frame import Normalizer
from normalize.registry import Registry
from normalize.step import NormalizeStep
from samlog.bus.base import Message, Record, TopicPartition
from samlog.bus.embedded import EmbeddedBus
from samlog.cli.parse_ import command
from samlog.clock import SystemClock
from samlog.deadletter import Quota
from samlog.event import DLQ, EVENTS, H_FULL_LENGTH, Event
from samlog.journal import Journal
from samlog.loop import Loop, Stage
from samlog.metrics import Metrics
from samlog.testing import FakeClock

APPENDED_MS = 1768057200000
TP = TopicPartition("samlog.raw.enheda", 0)


def lines(serial: int, second: int = 1768050000, program: str = "/usr/bin/wget") -> list[bytes]:
    stamp = f"msg=audit({second}.123:{serial}):"
    return [
        f"type=SYSCALL {stamp} arch=c000003e syscall=59 success=yes exit=0 a0=1 a1=2 a2=3 a3=4 "
        f'items=2 ppid=100 pid={serial} auid=1000 uid=0 gid=0 euid=0 ses=3 tty=pts0 comm="wget" '
        f'exe="{program}" key="exec"'.encode(),
        f'type=EXECVE {stamp} argc=2 a0="{program}" a1="http://192.0.2.7/x"'.encode(),
        f'type=CWD {stamp} cwd="/tmp"'.encode(),
        f'type=PATH {stamp} item=0 name="{program}" inode=7 nametype=NORMAL'.encode(),
        f"type=PROCTITLE {stamp} proctitle=77676574002D71".encode(),
    ]


def messages(values: Iterable[bytes], start: int = 0) -> list[Message]:
    return [
        Message("samlog.raw.enheda", 0, offset, b"c|s", value, {}, APPENDED_MS)
        for offset, value in enumerate(values, start)
    ]


@pytest.fixture
def step(registry: Registry) -> NormalizeStep:
    return NormalizeStep(Normalizer({"enheda": {}}, registry))


def run(step: NormalizeStep, batch: Iterable[Message]) -> list[Event]:
    return decode(record for message in batch for record in step.process(message))


def decode(records: Iterable[Record]) -> list[Event]:
    return [orjson.loads(record.value) for record in records]


def test_the_records_of_one_event_become_one_event(step: NormalizeStep) -> None:
    assert run(step, messages(lines(7))) == []
    (event,) = decode(step.flush())
    assert event["event.action"] == "executed"
    assert event["process.executable"] == "/usr/bin/wget"
    assert event["process.command_line"] == "/usr/bin/wget http://192.0.2.7/x"
    assert event["process.working_directory"] == "/tmp"


def test_the_original_holds_all_records_in_order(step: NormalizeStep) -> None:
    run(step, messages(lines(7)))
    (event,) = decode(step.flush())
    assert event["event.original"].encode().split(b"\n") == lines(7)


def test_the_third_record_of_the_host_ends_a_whole_event(step: NormalizeStep) -> None:
    assert run(step, messages([*lines(7), *lines(8)[:2]])) == []
    (event,) = run(step, messages(lines(8)[2:3], start=7))
    assert event["auditd.log.sequence"] == 7


def test_eoe_may_come_among_the_records_of_another_event(step: NormalizeStep) -> None:
    end = b"type=EOE msg=audit(1768050000.123:7): "
    (event,) = run(step, messages([*lines(7), lines(8)[0], end]))
    assert event["event.original"].endswith(end.decode())


def test_eoe_ends_an_event_at_once(step: NormalizeStep) -> None:
    end = b"type=EOE msg=audit(1768050000.123:7): "
    (event,) = run(step, messages([*lines(7), end]))
    assert event["event.original"].endswith("type=EOE msg=audit(1768050000.123:7): ")
    assert step.held() == {}


def test_interleaved_events_are_told_apart(step: NormalizeStep) -> None:
    mixed = [line for pair in zip(lines(7), lines(8), strict=True) for line in pair]
    events = run(step, messages(mixed)) + decode(step.flush())
    assert sorted(event["auditd.log.sequence"] for event in events) == [7, 8]
    assert all(event["process.args_count"] == 2 for event in events)


def test_events_of_two_hosts_with_one_id_are_told_apart(step: NormalizeStep) -> None:
    one = [b"node=web1 " + line for line in lines(7)]
    two = [b"node=web2 " + line for line in lines(7)]
    mixed = [line for pair in zip(one, two, strict=True) for line in pair]
    events = run(step, messages(mixed)) + decode(step.flush())
    assert [event["host.name"] for event in events] == ["web1", "web2"]


def test_a_lone_record_becomes_an_event(step: NormalizeStep) -> None:
    run(step, messages(lines(7)[:1]))
    (event,) = decode(step.flush())
    assert event["auditd.log.record_type"] == "SYSCALL"


def test_a_record_of_user_space_is_not_held(step: NormalizeStep) -> None:
    line = (
        b"type=USER_CMD msg=audit(1768050000.123:9): pid=5 uid=1000 msg='cwd=\"/\" cmd=6C73 res=1'"
    )
    (event,) = run(step, messages([line]))
    assert event["event.action"] == "ran-command"
    assert step.held() == {}


def test_a_younger_record_ends_what_waits_for_the_rest(step: NormalizeStep) -> None:
    (event,) = run(step, messages([lines(7)[0], lines(8, second=1768050004)[0]]))
    assert event["auditd.log.sequence"] == 7


def test_silence_ends_an_event(step: NormalizeStep) -> None:
    now = FakeClock().now()
    run(step, messages(lines(7)[:2]))
    assert list(step.tick(now)) == []
    assert list(step.tick(now + timedelta(seconds=2))) == []
    assert len(list(step.tick(now + timedelta(seconds=3)))) == 1


def test_the_position_stays_before_the_oldest_held_record(step: NormalizeStep) -> None:
    run(step, messages(lines(7)[:3], start=40))
    assert step.held() == {TP: 40}


def test_the_position_never_stays_within_an_event_that_was_released(step: NormalizeStep) -> None:
    first, second = lines(7), lines(8)
    run(step, messages([first[0], second[0], *first[1:], second[1]]))
    assert step.held() == {TP: 0}


def test_after_a_crash_the_same_events_come_again(registry: Registry) -> None:
    first, second, third = lines(7), lines(8), lines(9)
    whole = messages([first[0], second[0], *first[1:], *second[1:], *third])
    for crash in range(1, len(whole)):
        step = NormalizeStep(Normalizer({"enheda": {}}, registry))
        before = run(step, whole[:crash])
        resume = step.held().get(TP, crash)
        again = NormalizeStep(Normalizer({"enheda": {}}, registry))
        after = run(again, whole[resume:]) + decode(again.flush())
        stored = {event["event.id"]: event for event in [*before, *after]}
        assert sorted(e["auditd.log.sequence"] for e in stored.values()) == [7, 8, 9], crash


def test_a_replay_gives_the_same_bytes(registry: Registry) -> None:
    values = [line for n in range(20) for line in lines(n)]
    random.Random(1).shuffle(values)
    made = []
    for _ in range(2):
        step = NormalizeStep(Normalizer({"enheda": {}}, registry))
        records = [r for message in messages(values) for r in step.process(message)]
        made.append([r.value for r in [*records, *step.flush()]])
    assert made[0] == made[1]


def test_batches_do_not_change_what_comes_out(registry: Registry) -> None:
    whole = messages([line for n in range(6) for line in lines(n)])
    ids = []
    for size in (1, 3, 30):
        step = NormalizeStep(Normalizer({"enheda": {}}, registry))
        events = []
        for at in range(0, len(whole), size):
            events += run(step, whole[at : at + size])
            assert list(step.settle()) == []
            step.held()
        ids.append([event["event.id"] for event in [*events, *decode(step.flush())]])
    assert ids[0] == ids[1] == ids[2]


def test_records_that_syslog_carried_are_joined(step: NormalizeStep) -> None:
    head = b"<30>Jan 10 13:40:00 web1 audispd: "
    run(step, messages(head + line for line in lines(7)))
    (event,) = decode(step.flush())
    assert event["host.name"] == "web1"
    assert event["process.name"] == "wget"
    assert event["process.args_count"] == 2


def test_records_are_joined_whichever_parser_of_ours_read_them(step: NormalizeStep) -> None:
    head = b"Jan 10 13:37:01 web1 kernel: audit: "
    batch = [
        Message(
            "samlog.raw.enheda", 0, offset, b"k", head + line, {"source": b"kernel"}, APPENDED_MS
        )
        for offset, line in enumerate(lines(1))
    ]
    assert run(step, batch) == []
    (event,) = decode(step.flush())
    assert event["samlog.parser"].startswith("kernel/")
    assert event["event.action"] == "executed"


def test_records_in_an_agents_envelope_are_joined(step: NormalizeStep) -> None:
    agent = {"@timestamp": "2026-01-10T12:40:00.000Z", "agent": {"type": "filebeat"}}
    wrapped = [orjson.dumps(agent | {"message": line.decode()}) for line in lines(7)]
    run(step, messages(wrapped))
    (event,) = decode(step.flush())
    assert event["event.original"].encode().split(b"\n") == lines(7)
    assert event["process.args"] == ["/usr/bin/wget", "http://192.0.2.7/x"]


def test_a_record_that_was_cut_is_not_joined(step: NormalizeStep) -> None:
    (cut,) = messages(lines(7)[:1])
    (event,) = run(step, [cut._replace(headers={H_FULL_LENGTH: b"2000000"})])
    assert event["auditd.log.sequence"] == 7


def test_a_contradicted_unit_is_refused_alone(step: NormalizeStep) -> None:
    good = messages(lines(7))
    bad = good[2]._replace(headers={"unit": b"enhedb"}, offset=99)
    with pytest.raises(Exception, match="wrong_unit"):
        run(step, [bad])
    run(step, good)
    assert len(decode(step.flush())) == 1


def test_what_is_held_is_forgotten_on_reset(step: NormalizeStep) -> None:
    run(step, messages(lines(7)))
    step.reset()
    assert step.held() == {}
    assert list(step.flush()) == []


def test_open_events_of_a_host_are_bounded() -> None:
    joiner, released = Joiner(), 0
    for message in messages([b"x"] * 1_000):
        _, groups = joiner.take(message, ("u", "h"), "SYSCALL", 1.0, str(message.offset))
        released += len(groups)
    assert released == 1_000 - join.MAX_OPEN


def test_hosts_are_bounded() -> None:
    joiner, released = Joiner(), 0
    for message in messages([b"x"] * 3_000):
        _, groups = joiner.take(message, ("u", str(message.offset)), "SYSCALL", 1.0, "1")
        released += len(groups)
    assert released == 3_000 - join.MAX_HOSTS


def test_records_of_an_event_are_bounded() -> None:
    joiner, sizes = Joiner(), []
    for message in messages([b"x"] * 2_000):
        _, groups = joiner.take(message, ("u", "h"), "PATH", 1.0, "1")
        sizes += [len(group.messages) for group in groups]
    assert sizes == [join.MAX_RECORDS] * 3


def test_bytes_of_an_event_are_bounded() -> None:
    joiner, sizes = Joiner(), []
    for message in messages([b"x" * 100_000] * 9):
        _, groups = joiner.take(message, ("u", "h"), "PATH", 1.0, "1")
        sizes += [group.size for group in groups]
    assert sizes == [300_000] * 3


def test_bytes_of_all_events_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(join, "MAX_HELD_BYTES", 10_000)
    joiner, released = Joiner(), 0
    for message in messages([b"x" * 1_000] * 100):
        _, groups = joiner.take(message, ("u", str(message.offset % 50)), "PATH", 1.0, "1")
        released += sum(group.size for group in groups)
    assert 100_000 - released <= 10_000


def test_lines_of_several_events_in_one_record_are_told_apart(step: NormalizeStep) -> None:
    mixed = [line for pair in zip(lines(7), lines(8), strict=True) for line in pair]
    run(step, messages([b"\n".join(mixed)]))
    events = decode(step.flush())
    assert [event["auditd.log.sequence"] for event in events] == [7, 8]
    assert events[0]["event.id"] != events[1]["event.id"]


def test_a_file_is_parsed_with_its_events_whole(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    path.write_bytes(b"\n".join([*lines(7), *lines(8)]) + b"\n")
    result = CliRunner().invoke(command, [str(path)])
    assert [orjson.loads(line)["process.args_count"] for line in result.stdout.splitlines()] == [
        2,
        2,
    ]


def test_half_an_event_survives_the_end_of_a_process(tmp_path: Path, registry: Registry) -> None:
    raw = "samlog.raw.enheda"
    bus = EmbeddedBus(tmp_path, clock=SystemClock())
    bus.create_topics([raw, EVENTS, DLQ])
    producer = bus.producer("test")

    def loop() -> Loop:
        step = NormalizeStep(Normalizer({"enheda": {}}, registry))
        stage = Stage(step, "samlog.normalize", [raw], batch=3)
        journal = Journal(tmp_path / "normalize.note")
        return Loop(stage, bus, journal, SystemClock(), Metrics(), Quota(10))

    for line in lines(7):
        producer.send(Record(raw, line, b"k"))
    producer.flush()
    first = loop()
    assert first.turn() == 3
    assert sum(bus.lag("samlog.normalize", [raw]).values()) == 5
    first.close()
    second = loop()
    second.run(lambda: True, lambda: False)
    consumer = bus.consumer("look", [EVENTS])
    (written,) = consumer.poll(timeout_s=0.2)

    assert orjson.loads(written.value)["event.original"].encode().split(b"\n") == lines(7)
    assert sum(bus.lag("samlog.normalize", [raw]).values()) == 0
    for opened in (second, consumer, producer, bus):
        opened.close()


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 4)), max_size=40))
def test_every_record_is_in_exactly_one_event(picks: Sequence[tuple[int, int]]) -> None:
    step = NormalizeStep(Normalizer({"enheda": {}}, Registry()))
    values = [lines(serial)[kind] for serial, kind in picks]
    events = run(step, messages(values)) + decode(step.flush())
    originals = [line for event in events for line in event["event.original"].split("\n")]
    assert sorted(originals) == sorted(value.decode() for value in values)
