"""Starts one process per stage, keeps it running, drains on TERM, reports health.

A child learns that its input has ended, or that its supervisor is gone, by end-of-file on a pipe
that it inherits: nothing is left running when a supervisor is killed, and a child that starts
late cannot miss the message. For the same reason a child starts with HUP blocked: one that comes
while it still loads waits until it listens, and does not end it.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType

from samlog import log
from samlog.clock import Clock
from samlog.errors import Exit
from samlog.metrics import Metrics

UPSTREAM: Mapping[str, tuple[str, ...]] = {
    "collect": (),
    "normalize": ("collect",),
    "detect": ("normalize",),
    "correlate": ("detect",),
    "alerts": ("detect", "correlate"),
    "store": ("collect", "normalize", "detect", "correlate", "alerts"),
}
BACKOFF_S = (0.5, 1, 2, 5, 10, 30)
STABLE_S = 60.0
DRAIN_S = 40.0
"""More than a collector takes to deliver what it has accepted."""
GIVE_UP = 20
FOR_GOOD = {Exit.CONFIG, Exit.USAGE}
RELOADS = {"detect", "correlate"}
"""Stages that take new rules on HUP."""
DAMAGED = 75
"""Exit code of a stage that met a damaged topic; between a stage and its supervisor only."""
NOT_STARTED = 71


@dataclass
class Child:
    """One stage's process and the pipe whose closing tells it to come to an end."""

    stage: str
    process: subprocess.Popen[bytes] | None = None
    control: int = -1
    started_s: float = 0.0
    crashes: int = 0
    restart_at_s: float = float("-inf")
    finished: bool = False


@dataclass
class Supervisor:
    """Runs ``stages`` until they finish (``until_idle``) or a signal comes.

    ``command`` gives the argument list of a stage's process; it gets ``--control-fd N`` and
    ``--until-idle`` appended. A child that exits with 78 or 2 ends everything; any other failure,
    a process that cannot be started and a stage that somebody else stopped by signal are started
    again after 0.5 to 30 s, for ever; with ``until_idle`` at most `GIVE_UP` times in a row, since
    somebody waits for the end. After a child exits with `DAMAGED` all are drained, ``repair`` runs
    while none of them has a topic open, and all start again. ``ended`` is told each process id
    that is no more.
    """

    stages: Sequence[str]
    command: Callable[[str], list[str]]
    clock: Clock
    metrics: Metrics
    until_idle: bool = False
    environ: Mapping[str, str] | None = None
    repair: Callable[[], None] = lambda: None
    ended: Callable[[int], None] = lambda pid: None
    children: dict[str, Child] = field(default_factory=dict)
    pids: set[int] = field(default_factory=set)
    restarts: int = 0
    _signal: int = 0
    _hup: bool = False

    def run(self) -> int:
        """Blocks until the end; returns the exit code (`Exit`)."""
        with self._signals():
            try:
                self.repair()
                for stage in self.stages:
                    self.children[stage] = Child(stage)
                return self._watch()
            finally:
                self._stop(DRAIN_S)

    @contextmanager
    def _signals(self) -> Iterator[None]:
        previous = {s: signal.signal(s, self._on_signal) for s in (signal.SIGTERM, signal.SIGINT)}
        # On a terminal HUP says that it was closed, which means what it meant before: the end.
        on_hup = self._on_signal if sys.stdin is not None and sys.stdin.isatty() else self._on_hup
        previous[signal.SIGHUP] = signal.signal(signal.SIGHUP, on_hup)
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        """The first TERM or INT drains; an INT after it aborts."""
        if self._signal and number == signal.SIGINT:
            for child in self.children.values():
                if child.process is not None:
                    child.process.kill()
        self._signal = self._signal or number

    def _on_hup(self, number: int, frame: FrameType | None) -> None:
        self._hup = True

    def _pass_on_hup(self) -> None:
        self._hup = False
        for child in self.children.values():
            if child.stage in RELOADS and child.process is not None:
                child.process.send_signal(signal.SIGHUP)

    def _watch(self) -> int:
        while not self._signal:
            if self._hup:
                self._pass_on_hup()
            for child in self.children.values():
                code = self._look_at(child)
                if code is not None:
                    return code
            if self.until_idle:
                self._pass_on_the_end()
            if all(child.finished for child in self.children.values()):
                return Exit.DONE
            self.clock.sleep(0.02)
        return Exit.INTERRUPTED if self._signal == signal.SIGINT else Exit.TERMINATED

    def _look_at(self, child: Child) -> int | None:
        """Follows one child; returns an exit code when everything has to end because of it."""
        if child.finished:
            return None
        if child.process is None:
            due = self.clock.monotonic_s() >= child.restart_at_s
            return self._start(child) if due else None
        code = child.process.poll()
        if code is None:
            return None
        self._release(child)
        if code == Exit.DONE:
            child.finished = True
            return None
        if code in FOR_GOOD:
            return code
        if code == DAMAGED:
            self._stop_all_and_repair(child)
        return self._plan_restart(child, code)

    def _plan_restart(self, child: Child, code: int) -> int | None:
        now = self.clock.monotonic_s()
        if now - child.started_s > STABLE_S:
            child.crashes = 0
        longest = 1 if self.until_idle else len(BACKOFF_S) - 1
        wait = BACKOFF_S[min(child.crashes, longest)]
        child.crashes += 1
        if self.until_idle and child.crashes > GIVE_UP:
            log.get("supervisor").error("gave_up", stage=child.stage, crashes=child.crashes)
            return Exit.UNAVAILABLE if code == Exit.UNAVAILABLE else Exit.FAILED
        child.restart_at_s = now + wait
        self.restarts += 1
        self.metrics.count("restarts_total", stage=child.stage)
        log.get("supervisor").error(
            "stage_ended", stage=child.stage, by=_told(code), restart_in_s=wait
        )
        return None

    def _stop_all_and_repair(self, damaged: Child) -> None:
        log.get("supervisor").error(
            "bus_damaged", stage=damaged.stage, doing="stop all stages, rebuild, start again"
        )
        self._stop(DRAIN_S)
        self.repair()
        for child in self.children.values():
            child.restart_at_s = self.clock.monotonic_s()

    def _pass_on_the_end(self) -> None:
        for child in self.children.values():
            if child.control >= 0 and self._input_ended(child):
                self._close_control(child)

    def _input_ended(self, child: Child) -> bool:
        above = UPSTREAM.get(child.stage, ())
        return all(self.children[stage].finished for stage in above if stage in self.children)

    def _start(self, child: Child) -> int | None:
        read_end, child.control = os.pipe()
        argv = [*self.command(child.stage), "--control-fd", str(read_end)]
        child.started_s = self.clock.monotonic_s()
        try:
            with _hup_blocked():
                child.process = subprocess.Popen(
                    argv + (["--until-idle"] if self.until_idle else []),
                    pass_fds=(read_end,),
                    stdin=None if child.stage == "collect" else subprocess.DEVNULL,
                    env=dict(self.environ) if self.environ is not None else None,
                    start_new_session=True,
                )
        except OSError as error:
            log.get("supervisor").error("stage_not_started", stage=child.stage, why=str(error))
            self._release(child)
            return self._plan_restart(child, NOT_STARTED)
        finally:
            os.close(read_end)
        self.pids.add(child.process.pid)
        return None

    def _close_control(self, child: Child) -> None:
        if child.control >= 0:
            os.close(child.control)
            child.control = -1

    def _release(self, child: Child) -> None:
        self._close_control(child)
        if child.process is not None:
            self.ended(child.process.pid)
        child.process = None

    def _stop(self, timeout_s: float) -> None:
        """Asks all children to drain and stop, collectors first; kills what does not."""
        running = [c for s in UPSTREAM if (c := self.children.get(s)) and c.process]
        for child in running:
            if child.process is not None:
                child.process.terminate()
        deadline = self.clock.monotonic_s() + timeout_s
        for child in running:
            if child.process is None:
                continue
            try:
                code = child.process.wait(max(0.1, deadline - self.clock.monotonic_s()))
                child.finished = code == Exit.DONE
            except subprocess.TimeoutExpired:
                log.get("supervisor").error("stage_killed", stage=child.stage, after_s=timeout_s)
                child.process.kill()
                child.process.wait()
            self._release(child)


@contextmanager
def _hup_blocked() -> Iterator[None]:
    """A process that is started meanwhile inherits it, through fork and exec."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _told(code: int) -> str:
    """Returns how a process ended, for people: ``exit code 69``, ``SIGKILL``."""
    if code == NOT_STARTED:
        return "could not be started"
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"


def stage_command(
    config: str, verbosity: int, *, finish: bool = False
) -> Callable[[str], list[str]]:
    """Returns the argument list by which a stage's process is started."""
    flags = ["-v"] * verbosity if verbosity > 0 else ["-q"] * -verbosity

    def command(stage: str) -> list[str]:
        last = ["--finish"] if finish and stage == "correlate" else []
        return [sys.executable, "-m", "samlog", *flags, "stage", stage, "--config", config, *last]

    return command
