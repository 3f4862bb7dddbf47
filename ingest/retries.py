"""Which body was sent before: its sender got no answer, and sends it again.

The origins of a body's events begin with its number. An equal body gets the number of one before it
only where that one's sender was told to send again, or went away without an answer. While a sender
waits, an equal body is another event: behind a proxy all agents look like one.

Who goes away at once did not wait for an answer and may send the same every time without meaning a
repetition. So its number is used for one more body and not for a third: rather twice than never.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from samlog.clock import Clock

REMEMBERED = 10_000
REMEMBERED_S = 300.0
"""Longer than the longest pause that agents make between two attempts."""
PATIENT_S = 1.0
"""Who waited so long before it went away wanted an answer."""


@dataclass(slots=True)
class Attempt:
    """One sending of a body. ``last``: who left at once has used ``origin`` before."""

    digest: bytes
    origin: str
    began_s: float
    last: bool = False


@dataclass(slots=True)
class _Left:
    digest: bytes
    origin: str
    at_s: float
    last: bool
    taken: bool = False


class Retries:
    """Remembers the bodies of which no sender has an answer. Not thread-safe."""

    def __init__(self, clock: Clock, new_origin: Callable[[], str]) -> None:
        self._clock = clock
        self._new_origin = new_origin
        self._by_age: deque[_Left] = deque()
        self._by_digest: dict[bytes, deque[_Left]] = {}

    def __len__(self) -> int:
        return sum(len(lefts) for lefts in self._by_digest.values())

    def begin(self, digest: bytes) -> Attempt:
        """Returns what one more body with this hash is called."""
        now = self._clock.monotonic_s()
        while self._by_age and now - self._by_age[0].at_s > REMEMBERED_S:
            self._forget_oldest()
        lefts = self._by_digest.get(digest)
        if not lefts:
            return Attempt(digest, self._new_origin(), now)
        left = lefts[0]
        self._take(left)
        return Attempt(digest, left.origin, now, left.last)

    def refused(self, attempt: Attempt) -> None:
        """The sender was told to send it again."""
        self._remember(attempt, last=False)

    def left(self, attempt: Attempt) -> None:
        """The sender went away without an answer."""
        patient = self._clock.monotonic_s() - attempt.began_s >= PATIENT_S
        if patient or not attempt.last:
            self._remember(attempt, last=not patient)

    def _remember(self, attempt: Attempt, *, last: bool) -> None:
        left = _Left(attempt.digest, attempt.origin, self._clock.monotonic_s(), last)
        self._by_age.append(left)
        self._by_digest.setdefault(left.digest, deque()).append(left)
        if len(self._by_age) > REMEMBERED:
            self._forget_oldest()

    def _forget_oldest(self) -> None:
        left = self._by_age.popleft()
        if not left.taken:
            self._take(left)

    def _take(self, left: _Left) -> None:
        """``left`` is the oldest of its digest."""
        left.taken = True
        lefts = self._by_digest[left.digest]
        lefts.popleft()
        if not lefts:
            del self._by_digest[left.digest]
