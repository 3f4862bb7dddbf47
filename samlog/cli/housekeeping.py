"""Applies retention now and then, between two turns of the store stage's loop."""

from collections.abc import Callable
from pathlib import Path

from samlog import log
from samlog.clock import Clock
from samlog.errors import Unavailable

EVERY_S = 600.0
JUMP_S = 7 * 86_400.0
"""So far beyond the last time, the machine was off for long, or its clock is wrong."""
HOLD_S = 86_400.0


class Housekeeping:
    """Calls ``keep`` (which returns documents deleted) at the first turn and every ten minutes.

    What cannot be done now is tried again the next time. When the clock says that the last time was
    more than a week ago, nothing is deleted for a day and a line says why: a clock that is years
    ahead would delete everything. ``note`` holds the last time, seconds since 1970.
    """

    def __init__(self, keep: Callable[[], int], clock: Clock, note: Path) -> None:
        self._keep = keep
        self._clock = clock
        self._note = note
        self._due_s = self._began_s = clock.monotonic_s()
        self._log = log.get("housekeeping")

    def turn(self) -> None:
        """Does what is due; returns at once when nothing is."""
        if self._clock.monotonic_s() < self._due_s:
            return
        self._due_s = self._clock.monotonic_s() + EVERY_S
        if not self._may_trust_the_clock():
            return
        try:
            deleted = self._keep()
        except Unavailable as problem:
            self._log.warning("retention_put_off", why=str(problem))
            return
        if deleted:
            self._log.info("retention_applied", documents_deleted=deleted)

    def _may_trust_the_clock(self) -> bool:
        now = self._clock.now().timestamp()
        passed = now - self._last(now)
        if passed > JUMP_S and self._clock.monotonic_s() - self._began_s < HOLD_S:
            self._log.error(
                "retention_put_off",
                why=f"by this machine's clock retention was last applied {passed / 86400:.0f} days "
                f"ago; unless the clock is set back, it is applied {HOLD_S / 3600:.0f} hours after "
                "this start",
                next="timedatectl status",
            )
            return False
        try:
            self._note.write_text(f"{now:.0f}\n", "ascii")
        except OSError as problem:
            self._log.warning("retention_not_noted", why=str(problem))
        return True

    def _last(self, now: float) -> float:
        try:
            return float(self._note.read_text("ascii"))
        except (OSError, ValueError):
            return now
