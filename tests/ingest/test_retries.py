import pytest
from hypothesis import given
from hypothesis import strategies as st

import ingest.retries
from ingest.retries import PATIENT_S, REMEMBERED_S, Retries
from samlog.testing import FakeClock


class Sender:
    """Sends equal bodies; ``clock`` goes on while it waits."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.numbers = 0
        self.retries = Retries(self.clock, self._new)

    def leave_after(self, seconds: float, digest: bytes = b"body") -> str:
        attempt = self.retries.begin(digest)
        self.clock.advance(seconds)
        self.retries.left(attempt)
        return attempt.origin

    def refused(self) -> str:
        attempt = self.retries.begin(b"body")
        self.retries.refused(attempt)
        return attempt.origin

    def _new(self) -> str:
        self.numbers += 1
        return str(self.numbers)


@pytest.fixture
def sender() -> Sender:
    return Sender()


def test_a_body_that_was_refused_keeps_its_number_however_often(sender: Sender) -> None:
    assert [sender.refused() for _ in range(5)] == ["1"] * 5


def test_who_waits_for_answers_that_do_not_come_keeps_the_number(sender: Sender) -> None:
    assert [sender.leave_after(PATIENT_S) for _ in range(5)] == ["1"] * 5


def test_who_leaves_at_once_uses_a_number_twice_and_not_a_third_time(sender: Sender) -> None:
    assert [sender.leave_after(0) for _ in range(5)] == ["1", "1", "2", "2", "3"]


def test_a_body_that_was_answered_is_not_remembered(sender: Sender) -> None:
    assert [sender.retries.begin(b"body").origin for _ in range(2)] == ["1", "2"]
    assert len(sender.retries) == 0


def test_two_that_wait_at_once_keep_their_two_numbers_when_both_are_refused(sender: Sender) -> None:
    first, second = sender.retries.begin(b"body"), sender.retries.begin(b"body")
    sender.retries.refused(first)
    sender.retries.refused(second)

    again = [sender.retries.begin(b"body").origin for _ in range(3)]

    assert again == [first.origin, second.origin, "3"]


def test_another_body_has_another_number(sender: Sender) -> None:
    assert sender.leave_after(0, b"one") != sender.leave_after(0, b"other")


@pytest.mark.parametrize(("seconds", "again"), [(REMEMBERED_S, "1"), (REMEMBERED_S + 1, "2")])
def test_a_body_is_remembered_for_five_minutes(sender: Sender, seconds: float, again: str) -> None:
    sender.refused()
    sender.clock.advance(seconds)

    assert sender.refused() == again


@given(st.lists(st.tuples(st.integers(0, 3), st.floats(0, 200)), max_size=60))
def test_no_more_is_remembered_than_may_be(steps: list[tuple[int, float]]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ingest.retries, "REMEMBERED", 5)
        sender = Sender()
        for digest, seconds in steps:
            sender.leave_after(seconds, b"%d" % digest)

            assert len(sender.retries) <= len(sender.retries._by_age) <= 5
