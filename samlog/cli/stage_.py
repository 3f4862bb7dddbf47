"""``samlog stage NAME``: one stage in this process. Started by `samlog run`, not by people."""

import os
import select
import signal
import threading
from types import FrameType

import click

from samlog import pipeline
from samlog.cli.common import config_option
from samlog.clock import SystemClock
from samlog.config import Settings
from samlog.deadletter import Quota
from samlog.errors import Exit
from samlog.journal import Journal
from samlog.loop import Loop
from samlog.metrics import Metrics
from samlog.slot import Slot
from samlog.status import StatusFile


class Control:
    """What the supervisor wants: end-of-file on its pipe, or TERM."""

    def __init__(self, fd: int, until_idle: bool) -> None:
        self._fd = fd
        self._until_idle = until_idle
        self._ended = False
        self.stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
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


@click.command(hidden=True, help="One stage in this process; started by samlog run.")
@click.argument("name")
@config_option
@click.option("--control-fd", type=int, default=-1)
@click.option("--until-idle", is_flag=True)
def command(name: str, config: str | None, control_fd: int, until_idle: bool) -> int:
    settings = pipeline.load_settings(config).settings
    control = Control(control_fd, until_idle)
    clock = SystemClock()
    metrics = Metrics()
    slot = Slot(settings.state_path, name)
    status = StatusFile(settings.state_path, name + slot.suffix, clock)
    status.write({"started": True}, now=True)
    if name == "collect":
        run_collect(settings, control, clock, metrics, status, slot, finite=until_idle)
    else:
        run_loop(name, settings, control, clock, metrics, status, slot)
    slot.close()
    return Exit.DONE


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
    with pipeline.collector(settings, clock, metrics, slot.number, finite=finite) as collector:

        def told() -> dict[str, object]:
            counts = collector.counts
            return {"sent": counts.events, "bytes": counts.bytes, "cut": counts.cut}

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
) -> None:
    """Builds the stage and turns its loop to the end."""
    bus = pipeline.open_bus(settings, clock)
    stage = pipeline.build_stage(name, settings, clock, metrics, slot.number)
    journal = Journal(settings.state_path / "journal" / f"{name}{slot.suffix}.note")
    quota = Quota(settings.limits.dead_letters_per_minute)
    loop = Loop(stage, bus, journal, clock, metrics, quota)

    def told() -> dict[str, object]:
        counts = loop.counts
        return {
            "taken": counts.taken,
            "sent": counts.sent,
            "rejected": counts.rejected,
            "redelivered": counts.redelivered,
            "reasons": dict(counts.reasons),
            "problem": loop.problem,
            **loop.stage.step.figures(),
        }

    def stopping() -> bool:
        status.write(told())
        return control.stopping()

    try:
        loop.run(control.draining, stopping)
        status.write(told() | {"finished": True}, now=True)
    finally:
        loop.close()
        bus.close()
