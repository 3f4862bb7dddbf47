"""Applies retention now and then, between two turns of the store stage's loop."""

from collections.abc import Callable

from samlog import log
from samlog.clock import Clock
from samlog.errors import Unavailable

EVERY_S = 600.0


class Housekeeping:
    """Calls ``keep`` (which returns documents deleted) at the first turn and every ten minutes.

    What cannot be done now is tried again the next time.
    """

    def __init__(self, keep: Callable[[], int], clock: Clock) -> None:
        self._keep = keep
        self._clock = clock
        self._due_s = clock.monotonic_s()

    def turn(self) -> None:
        """Does what is due; returns at once when nothing is."""
        if self._clock.monotonic_s() < self._due_s:
            return
        self._due_s = self._clock.monotonic_s() + EVERY_S
        try:
            deleted = self._keep()
        except Unavailable as problem:
            log.get("housekeeping").warning("retention_put_off", why=str(problem))
            return
        if deleted:
            log.get("housekeeping").info("retention_applied", documents_deleted=deleted)
