"""What a sink's thread sends, notes and waits for."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest

from alerts.database import Database
from alerts.delivery import Delivery
from alerts.outbox import LEASE_S, Outbox
from alerts.sink import SinkConfig
from samlog.errors import BadEvent, Unavailable
from samlog.metrics import Metrics
from samlog.testing import FakeClock


class Each(SinkConfig):
    """A sink that makes a request for each alert."""

    type: str = "receiver"
    batch: ClassVar[int] = 1


class AtOnce(SinkConfig):
    """A sink that writes many alerts at once."""

    type: str = "receiver"


class Receiver:
    """Takes what ``answer`` does not refuse; ``got`` are the alerts that it accepted."""

    def __init__(self, answer: Callable[[bytes], None] = lambda alert: None) -> None:
        self.got: list[bytes] = []
        self.asked = 0
        self._answer = answer

    def send(self, alerts: Sequence[bytes]) -> None:
        for alert in alerts:
            self.asked += 1
            self._answer(alert)
            self.got.append(alert)

    def check(self) -> str:
        return ""

    def close(self) -> None:
        return


@pytest.fixture
def outbox(database: Database) -> Outbox:
    made = Outbox(database)
    made.join("receiver")
    return made


@pytest.fixture
def waiting(database: Database, outbox: Outbox) -> Callable[[int], None]:
    """Puts revisions of priority 1 and 3 in turn into the outbox."""

    def put(count: int) -> None:
        with database.transaction() as db:
            for number in range(count):
                db.execute(
                    "INSERT INTO revisions (alert, unit, priority, body, made_at)"
                    " VALUES ('a', 'enheda', ?, ?, 0)",
                    (1 + 2 * (number % 2), b"%d" % number),
                )

    return put


@pytest.fixture
def delivery(tmp_path: Path, clock: FakeClock) -> Callable[..., Delivery]:
    def make(sink: Receiver, config: SinkConfig | None = None) -> Delivery:
        return Delivery(tmp_path, config or Each(), sink, "me", clock, Metrics())

    return make


def rate_limited(clock: FakeClock, a_minute: int) -> Callable[[bytes], None]:
    """Returns answers of a receiver that takes so many in each minute."""
    taken: dict[int, int] = {}

    def answer(alert: bytes) -> None:
        minute = int(clock.monotonic_s() // 60)
        if taken.get(minute, 0) == a_minute:
            raise Unavailable("429", retry_after_s=60)
        taken[minute] = taken.get(minute, 0) + 1

    return answer


def test_a_receiver_with_a_rate_limit_gets_every_alert_once(
    waiting: Callable[[int], None], outbox: Outbox, delivery: Any, clock: FakeClock
) -> None:
    waiting(100)
    receiver = Receiver(rate_limited(clock, 60))
    sending = delivery(receiver)

    for _ in range(5):
        clock.advance(sending.turn(outbox))

    assert receiver.got == [b"%d" % number for number in range(100)]
    assert outbox.waiting()["receiver"] == (0, "")


def test_a_receiver_is_not_asked_before_the_time_it_named_however_many_alerts_come(
    waiting: Callable[[int], None], outbox: Outbox, delivery: Any, clock: FakeClock
) -> None:
    def refuse(alert: bytes) -> None:
        raise Unavailable("503", retry_after_s=900)

    waiting(1)
    receiver = Receiver(refuse)
    sending = delivery(receiver)
    sending.turn(outbox)

    clock.advance(899)
    sending.nudge()
    left = sending.turn(outbox)
    asked_early = receiver.asked
    clock.advance(left)
    sending.turn(outbox)

    assert (left, asked_early, receiver.asked) == (1, 1, 2)


def test_a_receiver_that_stays_down_is_asked_less_and_less_often(
    waiting: Callable[[int], None], outbox: Outbox, delivery: Any, clock: FakeClock
) -> None:
    def refuse(alert: bytes) -> None:
        raise Unavailable("down", retry_after_s=5)

    waiting(1)
    sending = delivery(Receiver(refuse))
    pauses = []
    for _ in range(6):
        pauses.append(sending.turn(outbox))
        clock.advance(pauses[-1])

    assert pauses == [5, 10, 20, 40, 60, 60]


@pytest.mark.parametrize("config", [Each(), AtOnce()])
def test_an_alert_that_is_refused_for_good_is_noted_and_the_others_arrive(
    waiting: Callable[[int], None],
    outbox: Outbox,
    delivery: Any,
    database: Database,
    config: SinkConfig,
) -> None:
    def answer(alert: bytes) -> None:
        if alert == b"2":
            raise BadEvent("sink_refused", "413")

    waiting(5)
    receiver = Receiver(answer)
    delivery(receiver, config).turn(outbox)

    assert set(receiver.got) == {b"0", b"1", b"3", b"4"}
    assert outbox.waiting()["receiver"][0] == 0
    refused = database.sql.execute("SELECT sink, number, reason FROM refusals").fetchall()
    assert refused == [("receiver", 3, "413")]


def test_a_request_is_not_repeated_where_another_alert_is_refused(
    waiting: Callable[[int], None], outbox: Outbox, delivery: Any
) -> None:
    def answer(alert: bytes) -> None:
        if alert == b"2":
            raise BadEvent("sink_refused", "413")

    waiting(5)
    receiver = Receiver(answer)
    delivery(receiver).turn(outbox)

    assert receiver.asked == 5


def test_alerts_below_the_priority_do_not_wait_for_ever(
    waiting: Callable[[int], None], outbox: Outbox, delivery: Any
) -> None:
    waiting(4)
    receiver = Receiver()
    delivery(receiver, AtOnce(min_priority="kritisk")).turn(outbox)

    assert receiver.got == [b"0", b"2"]
    assert outbox.waiting()["receiver"] == (0, "")


def test_a_slow_receiver_keeps_its_lease(
    waiting: Callable[[int], None], outbox: Outbox, delivery: Any, clock: FakeClock
) -> None:
    def slow(alert: bytes) -> None:
        clock.advance(LEASE_S / 4)
        assert outbox.take("receiver", "another", clock.now()) == []

    waiting(10)
    receiver = Receiver(slow)
    sending = delivery(receiver)
    while sending.turn(outbox) == 0:
        continue

    assert receiver.got == [b"%d" % number for number in range(10)]


def test_whoever_lost_the_lease_stops_and_notes_nothing(
    waiting: Callable[[int], None], outbox: Outbox, delivery: Any, clock: FakeClock
) -> None:
    def stalled(alert: bytes) -> None:
        if alert == b"1":
            clock.advance(LEASE_S + 1)
            outbox.take("receiver", "another", clock.now())

    waiting(10)
    receiver = Receiver(stalled)
    delivery(receiver).turn(outbox)

    assert receiver.got == [b"0", b"1"]
    assert outbox.waiting()["receiver"][0] == 9
