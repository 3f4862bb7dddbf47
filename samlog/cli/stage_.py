"""``samlog stage NAME``: one stage in this process. Started by `samlog run`, not by people."""

import gc
import os
import select
import signal
import threading
import time
from types import FrameType

import click

from samlog import log, pipeline
from samlog.bus.base import Bus
from samlog.bus.embedded_errors import DamagedTopic
from samlog.cli.common import config_option, summary
from samlog.cli.housekeeping import Housekeeping
from samlog.clock import SystemClock
from samlog.config import Settings
from samlog.deadletter import Quota
from samlog.errors import Exit, Unavailable
from samlog.event import DETECTIONS
from samlog.journal import Journal
from samlog.loop import Loop
from samlog.metrics import Metrics
from samlog.slot import Slot
from samlog.status import StatusFile
from samlog.store.step import StoreStep
from samlog.supervisor import DAMAGED

SLICE_S = 0.1
GC_THRESHOLDS = (200_000, 20, 100)
"""Batches are many small objects without cycles: with Python's own, collecting takes a quarter of
the CPU."""


class StageClock(SystemClock):
    """The machine's clock; who waits for a server is woken when the stage is to stop."""

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop

    def sleep(self, seconds: float) -> None:
        # Not Event.wait: the signal's handler sets the event, in this same thread.
        end = time.monotonic() + (min(seconds, SLICE_S) if self._stop.is_set() else seconds)
        while (left := end - time.monotonic()) > 0:
            time.sleep(min(left, SLICE_S))
            if self._stop.is_set():
                return


class Control:
    """What the supervisor wants: end-of-file on its pipe, or TERM."""

    def __init__(self, fd: int, until_idle: bool) -> None:
        self._fd = fd
        self._until_idle = until_idle
        self._ended = False
        self._signal = 0
        self.stop = threading.Event()
        self._asked_to_reload = False
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)
        signal.signal(signal.SIGHUP, self._on_hup)
        # The supervisor starts its children with HUP blocked; one that came since is taken now.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})

    def _on_hup(self, number: int, frame: FrameType | None) -> None:
        self._asked_to_reload = True

    def take_reload(self) -> bool:
        """Tells once whether HUP came: new rules are wanted."""
        asked, self._asked_to_reload = self._asked_to_reload, False
        return asked

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._signal = number
        self.stop.set()

    def _input_ended(self) -> bool:
        if not self._ended and self._fd >= 0:
            readable, _, _ = select.select([self._fd], [], [], 0)
            self._ended = bool(readable) and os.read(self._fd, 1) == b""
        return self._ended

    def draining(self) -> bool:
        """Tells whether nothing will be added to the input any more."""
        return self._until_idle and self._input_ended()

    def stopping(self) -> bool:
        """Tells whether to stop after the batch under way."""
        return self.stop.is_set() or (not self._until_idle and self._input_ended())

    def exit_code(self) -> int:
        """Returns 0, or 130 or 143 after a signal: then there may be work left."""
        return 128 + self._signal if self._signal else Exit.DONE


@click.command(hidden=True, help="One stage in this process; started by samlog run.")
@click.argument("name")
@config_option
@click.option("--control-fd", type=int, default=-1)
@click.option("--until-idle", is_flag=True)
@click.option("--finish", is_flag=True)
def command(name: str, config: str | None, control_fd: int, until_idle: bool, finish: bool) -> int:
    settings = pipeline.load_settings(config).settings
    control = Control(control_fd, until_idle)
    gc.set_threshold(*GC_THRESHOLDS)
    clock = SystemClock()
    metrics = Metrics()
    slot = Slot(settings.state_path, name)
    status = StatusFile(settings.state_path, name, clock, suffix=slot.suffix)
    status.write({"starting": True}, now=True)
    try:
        if name == "collect":
            run_collect(settings, control, clock, metrics, status, slot, finite=until_idle)
        else:
            waking = StageClock(control.stop)
            run_loop(name, settings, control, waking, metrics, status, slot, finish=finish)
    except DamagedTopic as damage:
        summary(f"samlog: {damage}")
        return DAMAGED
    slot.close()
    return control.exit_code()


def run_collect(
    settings: Settings,
    control: Control,
    clock: SystemClock,
    metrics: Metrics,
    status: StatusFile,
    slot: Slot,
    *,
    finite: bool,
) -> None:
    """Collects until told to stop, or until finite sources have ended."""
    began = clock.now().timestamp()
    with pipeline.collector(settings, clock, metrics, slot.number, finite=finite) as collector:

        def told() -> dict[str, object]:
            counts = collector.counts
            return {
                "sent": counts.events,
                "bytes": counts.bytes,
                "cut": counts.cut,
                "problem": collector.problem,
                "began": began,
                "ended": clock.now().timestamp(),
                "cpu_s": time.process_time(),
            }

        def on_turn() -> None:
            status.write(told())
            if control.stopping():
                control.stop.set()

        collector.run(control.stop, until_idle=finite, on_turn=on_turn)
        status.write(told() | {"finished": True}, now=True)


def run_loop(
    name: str,
    settings: Settings,
    control: Control,
    clock: SystemClock,
    metrics: Metrics,
    status: StatusFile,
    slot: Slot,
    *,
    finish: bool = False,
) -> None:
    """Builds the stage and turns its loop to the end."""
    bus = pipeline.open_bus(settings, clock)
    stage = pipeline.build_stage(name, settings, clock, metrics, slot.number, finish=finish)
    journal = Journal(settings.state_path / "journal" / f"{name}{slot.suffix}.note")
    quota = Quota(settings.limits.dead_letters_per_minute)
    loop = Loop(stage, bus, journal, clock, metrics, quota)
    house = _housekeeping(loop, settings, clock, bus)
    if name == "normalize":
        _tell_left_behind(settings, bus)
    reloader = None
    if name in ("detect", "correlate"):
        reloader = pipeline.rule_reloader(settings, stage.step, clock, metrics)

    def told() -> dict[str, object]:
        counts = loop.counts
        return {
            "taken": counts.taken,
            "sent": counts.sent,
            "rejected": counts.rejected,
            "detections": counts.by_topic[DETECTIONS],
            "redelivered": counts.redelivered,
            "batches": counts.batches,
            "reasons": dict(counts.reasons),
            "problem": loop.problem,
            "began": counts.began,
            "ended": counts.ended,
            "cpu_s": time.process_time(),
            **loop.stage.step.figures(),
            **(reloader.told() if reloader else {}),
        }

    noted = 0

    def stopping() -> bool:
        nonlocal noted
        # At once: a process that is killed within the second would take the count with it.
        status.write(told(), now=loop.counts.redelivered > noted)
        noted = loop.counts.redelivered
        if house is not None:
            house.turn()
        asked = control.take_reload()
        if reloader is not None:
            reloader.turn(asked=asked)
        return control.stopping()

    try:
        loop.run(control.draining, stopping)
        status.write(told() | {"finished": True}, now=True)
    finally:
        loop.close()
        bus.close()


def _tell_left_behind(settings: Settings, bus: Bus) -> None:
    try:
        waiting = pipeline.left_behind(settings, bus)
    except Unavailable:
        return  # the loop tells it
    for unit, count in waiting.items():
        next_ = f"put '{unit}' back below units: until samlog doctor says that none is left"
        log.get("normalize").error(
            "records_of_no_configured_unit", unit=unit, records=count, next=next_
        )


def _housekeeping(
    loop: Loop, settings: Settings, clock: SystemClock, bus: Bus
) -> Housekeeping | None:
    """The store stage deletes what is old: it alone may write to an embedded store."""
    step = loop.stage.step
    if not isinstance(step, StoreStep):
        return None
    note = settings.state_path / "retention.note"
    return Housekeeping(lambda: pipeline.keep_house(settings, clock, bus, step.store), clock, note)
