"""The step: messages of raw topics in, records for samlog.events out."""

import orjson
import pytest

from normalize.frame import Normalizer
from normalize.registry import Registry
from normalize.step import NormalizeStep, encode_event
from samlog.bus.base import Message
from samlog.errors import BadEvent
from samlog.event import EVENTS, H_POSITION, H_REPLACE, H_TOPIC, REPLAY, raw_topic
from samlog.replay import raw_again

LINE = b"Jan 10 13:37:01 web1 sshd[811]: Invalid user x from 203.0.113.7 port 1"
APPENDED_MS = 1768057200000


def message(value: bytes, **headers: bytes) -> Message:
    return Message("samlog.raw.enheda", 0, 7, b"c|s", value, headers, APPENDED_MS)


@pytest.fixture
def step(registry: Registry) -> NormalizeStep:
    return NormalizeStep(Normalizer({"enheda": {}}, registry))


def test_events_of_one_host_share_a_key(step: NormalizeStep) -> None:
    (record,) = step.process(message(LINE))
    assert record.topic == EVENTS
    assert record.key == b"enheda|web1"
    assert record.headers["samlog-v"] == b"1"


def test_the_value_is_the_flat_event(step: NormalizeStep) -> None:
    (record,) = step.process(message(LINE))
    assert orjson.loads(record.value)["source.ip"] == "203.0.113.7"


def test_the_unit_is_that_of_the_topic(step: NormalizeStep) -> None:
    (record,) = step.process(message(LINE))
    assert orjson.loads(record.value)["samlog.unit"] == "enheda"


def test_the_time_of_receipt_is_the_append_time(step: NormalizeStep) -> None:
    (record,) = step.process(message(LINE))
    assert orjson.loads(record.value)["samlog.received"] == "2026-01-10T15:00:00.000Z"


def test_a_replayed_record_has_the_unit_and_the_id_of_its_first_time(step: NormalizeStep) -> None:
    first = Message(raw_topic("enheda"), 2, 9, b"c|s", LINE, {}, APPENDED_MS)
    again = Message(REPLAY, 0, 1, first.key, LINE, raw_again(first, replace=True).headers, 0)

    (before,), (after,) = step.process(first), step.process(again)

    assert after.value == before.value
    assert H_REPLACE in after.headers
    assert H_REPLACE not in before.headers


@pytest.mark.parametrize("topic", ["", "samlog.events", "samlog.rawx"])
def test_a_replayed_record_of_no_unit_is_refused(step: NormalizeStep, topic: str) -> None:
    with pytest.raises(BadEvent, match="not_a_raw_record"):
        step.process(Message(REPLAY, 0, 1, None, LINE, {H_TOPIC: topic.encode()}, 0))


def test_a_unit_cannot_say_that_its_record_is_a_replay(step: NormalizeStep) -> None:
    forged = {H_REPLACE: b"1", H_POSITION: b"0/7", H_TOPIC: b"samlog.raw.enhedb"}

    (honest,) = step.process(Message(raw_topic("enheda"), 0, 7, None, LINE, {}, APPENDED_MS))
    (lying,) = step.process(Message(raw_topic("enheda"), 0, 8, None, LINE, forged, APPENDED_MS))

    assert H_REPLACE not in lying.headers
    one, other = orjson.loads(honest.value), orjson.loads(lying.value)
    assert other["event.id"] != one["event.id"]
    assert other["samlog.unit"] == "enheda"


def test_a_batch_becomes_as_many_records(step: NormalizeStep) -> None:
    assert len(list(step.process(message(b'[{"a":1},{"a":2},{"a":3}]')))) == 3
    assert step.events["enheda"] == 3


def test_unparsed_events_are_counted_by_unit_and_dataset(step: NormalizeStep) -> None:
    list(step.process(message(b"who knows")))
    assert step.unparsed == {("enheda", "samlog.text"): 1}


def test_a_bad_record_is_raised_to_the_loop(step: NormalizeStep) -> None:
    with pytest.raises(BadEvent, match="wrong_unit"):
        step.process(message(LINE, unit=b"enhedb"))


def test_nothing_is_held_back(step: NormalizeStep) -> None:
    list(step.process(message(LINE)))
    assert step.held() == {}
    assert list(step.flush()) == []


def test_what_json_cannot_hold_is_written_as_text() -> None:
    deep: object = 1
    for _ in range(400):
        deep = [deep]
    written = orjson.loads(encode_event({"a": 2**70, "b": deep, "c": "\ud800", "d": 1}))
    assert written["a"] == str(2**70)
    assert written["d"] == 1
    assert set(written) == {"a", "b", "c", "d"}
