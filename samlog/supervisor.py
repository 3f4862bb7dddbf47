"""Starts one process per stage, keeps it running, drains on TERM, reports health.

A child learns that its input has ended, or that its supervisor is gone, by end-of-file on a pipe
that it inherits: nothing is left running when a supervisor is killed, and a child that starts
late cannot miss the message.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
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
    "api": ("store",),
}
BACKOFF_S = (0.5, 1, 2, 5, 10, 30)
STABLE_S = 60.0
DRAIN_S = 30.0
GIVE_UP = 20
FOR_GOOD = {Exit.CONFIG, Exit.USAGE}


@dataclass
class Child:
    """One stage's process and the pipe whose closing tells it to come to an end."""

    stage: str
    process: subprocess.Popen[bytes] | None = None
    control: int = -1
    started_s: float = 0.0
    crashes: int = 0
    restart_at_s: float = 0.0
    finished: bool = False


@dataclass
class Supervisor:
    """Runs ``stages`` until they finish (``until_idle``) or a signal comes.

    ``command`` gives the argument list of a stage's process; it gets ``--control-fd N`` and
    ``--until-idle`` appended. A child that exits with 78 or 2 ends everything; any other failure
    is started again after 0.5 to 30 s, for ever; with ``until_idle`` at most `GIVE_UP` times, since
    somebody waits for the end.
    """

    stages: Sequence[str]
    command: Callable[[str], list[str]]
    clock: Clock
    metrics: Metrics
    until_idle: bool = False
    environ: Mapping[str, str] | None = None
    children: dict[str, Child] = field(default_factory=dict)
    _signal: int = 0

    def run(self) -> int:
        """Blocks until the end; returns the exit code (`Exit`)."""
        previous = {s: signal.signal(s, self._on_signal) for s in (signal.SIGTERM, signal.SIGINT)}
        try:
            for stage in self.stages:
                self.children[stage] = Child(stage)
                self._start(self.children[stage])
            return self._watch()
        finally:
            self._end(DRAIN_S)
            for number, handler in previous.items():
                signal.signal(number, handler)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self._signal == signal.SIGINT == number:
            for child in self.children.values():
                if child.process is not None:
                    child.process.kill()
        self._signal = number

    def _watch(self) -> int:
        while not self._signal:
            for child in self.children.values():
                code = self._look_at(child)
                if code is not None:
                    return code
            if self.until_idle:
                self._pass_on_the_end()
            if all(child.finished for child in self.children.values()):
                return Exit.DONE
            self.clock.sleep(0.02)
        return Exit.TERMINATED if self._signal == signal.SIGTERM else Exit.INTERRUPTED

    def _look_at(self, child: Child) -> int | None:
        """Follows one child; returns an exit code when everything has to end because of it."""
        now = self.clock.monotonic_s()
        if child.finished:
            return None
        if child.process is None:
            if now >= child.restart_at_s:
                self._start(child)
            return None
        code = child.process.poll()
        if code is None:
            return None
        self._release(child)
        if code == Exit.DONE:
            child.finished = True
            return None
        if code in FOR_GOOD:
            return code
        self._plan_restart(child, code, now)
        return Exit.FAILED if self.until_idle and child.crashes > GIVE_UP else None

    def _plan_restart(self, child: Child, code: int, now: float) -> None:
        if now - child.started_s > STABLE_S:
            child.crashes = 0
        longest = 1 if self.until_idle else len(BACKOFF_S) - 1
        wait = BACKOFF_S[min(child.crashes, longest)]
        child.crashes += 1
        child.restart_at_s = now + wait
        self.metrics.count("restarts_total", stage=child.stage)
        log.get("supervisor").error(
            "stage_crashed", stage=child.stage, exit_code=code, restart_in_s=wait
        )

    def _pass_on_the_end(self) -> None:
        for child in self.children.values():
            above = [self.children[s] for s in UPSTREAM[child.stage] if s in self.children]
            if child.control >= 0 and all(c.finished for c in above):
                self._close_control(child)

    def _start(self, child: Child) -> None:
        read_end, child.control = os.pipe()
        ended = self.until_idle and all(
            self.children[s].finished for s in UPSTREAM[child.stage] if s in self.children
        )
        argv = [*self.command(child.stage), "--control-fd", str(read_end)]
        child.process = subprocess.Popen(
            argv + (["--until-idle"] if self.until_idle else []),
            pass_fds=(read_end,),
            stdin=None if child.stage == "collect" else subprocess.DEVNULL,
            env=dict(self.environ) if self.environ is not None else None,
            start_new_session=True,
        )
        os.close(read_end)
        child.started_s = self.clock.monotonic_s()
        if ended:
            self._close_control(child)

    def _close_control(self, child: Child) -> None:
        if child.control >= 0:
            os.close(child.control)
            child.control = -1

    def _release(self, child: Child) -> None:
        self._close_control(child)
        child.process = None

    def _end(self, timeout_s: float) -> None:
        """Asks all children to drain and stop, collectors first; kills what does not."""
        order = [c for s in UPSTREAM if (c := self.children.get(s)) and c.process]
        for child in order:
            if child.process is not None:
                child.process.terminate()
        deadline = self.clock.monotonic_s() + timeout_s
        for child in order:
            if child.process is None:
                continue
            try:
                child.process.wait(max(0.1, deadline - self.clock.monotonic_s()))
            except subprocess.TimeoutExpired:
                log.get("supervisor").error("stage_killed", stage=child.stage, after_s=timeout_s)
                child.process.kill()
                child.process.wait()
            self._release(child)


def stage_command(config: str, verbosity: int) -> Callable[[str], list[str]]:
    """Returns the argument list by which a stage's process is started."""
    flags = ["-v"] * verbosity if verbosity > 0 else ["-q"] * -verbosity

    def command(stage: str) -> list[str]:
        return [sys.executable, "-m", "samlog", *flags, "stage", stage, "--config", config]

    return command
