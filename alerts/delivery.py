"""Carries alert revisions to one sink in its own thread: a sink that is down delays nobody."""

import threading
from collections.abc import Sequence
from pathlib import Path

from alerts.database import Database
from alerts.outbox import Outbox, Revision
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
        """Ends the thread after the batch under way; what is unsent is sent after the restart."""
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
        """Sends what is due; returns the seconds to wait before the next turn (0: more to do)."""
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
        self._failures = 0
        return 0.0

    def _send(self, outbox: Outbox, revisions: Sequence[Revision]) -> None:
        wanted = [r for r in revisions if r.priority <= self._floor]
        try:
            if wanted:
                self._sink.send([r.body for r in wanted])
            outbox.sent(self.label, revisions[-1].number)
            self._metrics.count("alerts_sent_total", len(wanted), sink=self.label, outcome="sent")
        except BadEvent:
            self._send_singly(outbox, revisions)

    def _send_singly(self, outbox: Outbox, revisions: Sequence[Revision]) -> None:
        """One of them is refused for good: finds it, notes it, sends the others."""
        for revision in revisions:
            refused = ""
            if revision.priority <= self._floor:
                try:
                    self._sink.send([revision.body])
                except BadEvent as bad:
                    refused = bad.detail or bad.reason
                    log.get("delivery", sink=self.label).error(
                        "alert_refused", alert=revision.alert, why=refused
                    )
                outcome = "refused" if refused else "sent"
                self._metrics.count("alerts_sent_total", sink=self.label, outcome=outcome)
            outbox.sent(self.label, revision.number, refused=refused)

    def _trouble(self, outbox: Outbox, problem: SamlogError, wait_s: float) -> float:
        self._failures += 1
        self._metrics.count("alerts_sent_total", sink=self.label, outcome="retried")
        if self._failures in (1, 10) or self._failures % 100 == 0:
            log.get("delivery", sink=self.label).warning(
                "sink_unavailable", why=str(problem), failures=self._failures
            )
        try:
            outbox.troubled(self.label, str(problem))
        except Unavailable:
            return MAX_WAIT_S
        wait: float = wait_s * 2 ** min(self._failures - 1, 5)
        return min(MAX_WAIT_S, wait)
