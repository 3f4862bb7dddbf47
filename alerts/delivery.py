"""Carries alert revisions to one sink in its own thread: a sink that is down delays nobody."""

import threading
from collections.abc import Sequence
from pathlib import Path

from alerts.database import Database
from alerts.outbox import LEASE_S, Outbox, Revision
from alerts.priority import CODES
from alerts.sink import Sink, SinkConfig
from samlog import log
from samlog.clock import Clock
from samlog.errors import BadEvent, SamlogError, Unavailable
from samlog.metrics import Metrics

MAX_WAIT_S = 60.0


class Delivery:
    """One sink's thread. `nudge` wakes it, `stop` ends it after what it is sending."""

    def __init__(
        self,
        folder: Path,
        config: SinkConfig,
        sink: Sink,
        holder: str,
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        self.label = config.label
        self._folder = folder
        self._floor = CODES[config.min_priority]
        self._batch = config.batch
        self._sink = sink
        self._holder = holder
        self._clock = clock
        self._metrics = metrics
        self._wake = threading.Event()
        self._nudges = 0
        self._answered = threading.Condition()
        self._answered_upto = 0
        self._stopping = False
        self._failures = 0
        self._not_before_s = clock.monotonic_s()
        self._thread = threading.Thread(target=self._run, name=f"sink-{self.label}", daemon=True)

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def alive(self) -> bool:
        """Tells whether the thread still runs; it ends by itself only through a bug."""
        return self._thread.is_alive()

    def nudge(self) -> int:
        """Says that there may be something to send; returns a number for `wait`."""
        with self._answered:
            self._nudges += 1
            number = self._nudges
        self._wake.set()
        return number

    def wait(self, number: int, timeout_s: float) -> bool:
        """Blocks until everything from before nudge ``number`` was sent, or the sink has trouble.

        Returns False when that took longer than ``timeout_s``.
        """
        with self._answered:
            return self._answered.wait_for(lambda: self._answered_upto >= number, timeout_s)

    def _answer(self, number: int) -> None:
        with self._answered:
            self._answered_upto = max(self._answered_upto, number)
            self._answered.notify_all()

    def stop(self, timeout_s: float = 15.0) -> None:
        """Ends the thread after what it is sending; what is unsent is sent after the restart."""
        self._stopping = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def _run(self) -> None:
        database = Database(self._folder)
        outbox = Outbox(database)
        try:
            while not self._stopping:
                asked = self._nudges
                wait = self.turn(outbox)
                if wait:
                    self._answer(asked)
                    self._wake.wait(wait)
                    self._wake.clear()
        finally:
            self._sink.close()
            database.close()

    def turn(self, outbox: Outbox) -> float:
        """Sends what is due; returns the seconds to wait before the next turn (0: more to do).

        After trouble nothing is tried before its time, however often there is more to send: a
        receiver that says when to come again is asked then.
        """
        rest_s = self._not_before_s - self._clock.monotonic_s()
        if rest_s > 0:
            return rest_s
        try:
            revisions = outbox.take(self.label, self._holder, self._clock.now())
            if not revisions:
                return 1.0
            self._send(outbox, revisions)
        except Unavailable as problem:
            return self._trouble(outbox, problem, problem.retry_after_s)
        except SamlogError as problem:
            # A wrong password may be mended on the other side: alerts wait, doctor tells.
            return self._trouble(outbox, problem, MAX_WAIT_S)
        return 0.0

    def _send(self, outbox: Outbox, revisions: Sequence[Revision]) -> None:
        """Sends in parts as large as the sink takes at once, and notes each that was accepted."""
        began_s = self._clock.monotonic_s()
        wanted = [r for r in revisions if r.priority <= self._floor]
        for start in range(0, len(wanted), self._batch):
            if not self._send_part(outbox, wanted[start : start + self._batch]):
                return
            # Whoever is slow takes the lease anew before another process may have it.
            if self._stopping or self._clock.monotonic_s() - began_s > LEASE_S / 2:
                return
        if not wanted or wanted[-1] is not revisions[-1]:
            outbox.sent(self.label, self._holder, revisions[-1].number)

    def _send_part(self, outbox: Outbox, part: Sequence[Revision]) -> bool:
        """Sends some at once; returns whether the sink's place in the outbox is still ours."""
        refused = ""
        try:
            self._sink.send([revision.body for revision in part])
        except BadEvent as bad:
            if len(part) > 1:
                # One of them is refused for good; one at a time tells which.
                return all(self._send_part(outbox, [revision]) for revision in part)
            refused = bad.detail or bad.reason
            log.get("delivery", sink=self.label).error(
                "alert_refused", alert=part[0].alert, why=refused
            )
        self._failures = 0
        outcome = "refused" if refused else "sent"
        self._metrics.count("alerts_sent_total", len(part), sink=self.label, outcome=outcome)
        return outbox.sent(self.label, self._holder, part[-1].number, refused=refused)

    def _trouble(self, outbox: Outbox, problem: SamlogError, wait_s: float) -> float:
        self._failures += 1
        self._metrics.count("alerts_sent_total", sink=self.label, outcome="retried")
        if self._failures in (1, 10) or self._failures % 100 == 0:
            log.get("delivery", sink=self.label).warning(
                "sink_unavailable", why=str(problem), failures=self._failures
            )
        growing_s: float = wait_s * 2 ** min(self._failures - 1, 5)
        pause_s = max(wait_s, min(MAX_WAIT_S, growing_s))
        self._not_before_s = self._clock.monotonic_s() + pause_s
        try:
            outbox.troubled(self.label, str(problem))
        except Unavailable as locked:
            log.get("delivery", sink=self.label).warning("problem_not_noted", why=str(locked))
        return pause_s
