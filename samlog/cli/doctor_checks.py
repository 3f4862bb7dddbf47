"""The checks of `samlog doctor`. Each looks at one thing and returns findings, good ones too."""

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click

from samlog import pipeline, status
from samlog.bus.base import Bus
from samlog.clock import Clock
from samlog.config import EmbeddedBusConfig, EmbeddedStoreConfig, Settings
from samlog.errors import ConfigError, Exit, SamlogError, Unavailable
from samlog.event import DLQ
from samlog.health import TURNED_WITHIN_S

LOW_DISK_BYTES = 1 << 30
CLOCK_OFF_S = 10.0
LAG_RECORDS = 10_000


@dataclass(frozen=True)
class Finding:
    """``what`` is the cause, ``next`` what to type; ``exit`` DONE means healthy."""

    about: str
    what: str
    next: str = ""
    exit: Exit = Exit.DONE

    def row(self) -> dict[str, Any]:
        """Returns the finding with stable keys, for ``--json``."""
        return asdict(self) | {"ok": self.exit == Exit.DONE, "exit": int(self.exit)}

    def mark(self) -> str:
        return click.style("FAIL", fg="red") if self.exit != Exit.FAILED else click.style("warn")


class Surroundings:
    """What the checks look at; the bus is opened once, by the first that needs it."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self.settings = settings
        self.clock = clock
        self._bus: Bus | None = None

    def bus(self) -> Bus:
        if self._bus is None:
            self._bus = pipeline.open_bus(self.settings, self.clock)
        return self._bus

    def close(self) -> None:
        if self._bus is not None:
            self._bus.close()


Check = Callable[[Surroundings], Iterator[Finding]]


def _exit_of(error: SamlogError) -> Exit:
    if isinstance(error, Unavailable):
        return Exit.UNAVAILABLE
    return Exit.CONFIG if isinstance(error, ConfigError) else Exit.FAILED


def check_folders(around: Surroundings) -> Iterator[Finding]:
    """State and data folders: writable, and with room."""
    settings = around.settings
    folders = {"state": settings.state_path}
    if isinstance(settings.bus, EmbeddedBusConfig):
        folders["bus"] = settings.bus.path
    if isinstance(settings.store, EmbeddedStoreConfig):
        folders["store"] = settings.store.path
    for name, folder in folders.items():
        there = _existing(folder)
        if not os.access(there, os.W_OK | os.X_OK):
            yield Finding(
                "disk",
                f"{name} folder {folder} cannot be written by this user",
                f"give {there} to the user that runs samlog, or set another path in the config",
                Exit.CONFIG,
            )
            continue
        free = shutil.disk_usage(there).free
        if free < LOW_DISK_BYTES:
            yield Finding(
                "disk",
                f"{name} folder {folder}: only {free >> 20} MiB are free",
                "make room, or lower retention.bus_hours and retention.events_days",
                Exit.FAILED,
            )
        else:
            yield Finding("disk", f"{name} folder {folder}: writable, {free >> 30} GiB free")


def _existing(folder: Path) -> Path:
    while not folder.exists():
        folder = folder.parent
    return folder


def check_bus(around: Surroundings) -> Iterator[Finding]:
    """The bus: reached, logged in, every topic there."""
    try:
        present = around.bus().topics()
    except SamlogError as error:
        step = "start the broker, or correct bus.brokers; then: samlog doctor"
        if isinstance(error, ConfigError):
            step = "correct bus: in the configuration; then: samlog check --connect"
        yield Finding("bus", str(error), step, _exit_of(error))
        return
    missing = sorted(set(pipeline.all_topics(around.settings)) - present)
    if missing:
        yield Finding(
            "bus",
            f"{len(missing)} topics are missing: {', '.join(missing[:5])}",
            "samlog setup",
            Exit.FAILED,
        )
    else:
        yield Finding("bus", f"{around.settings.bus.type}: reached, {len(present)} topics")
        yield from _check_lag(around)


def _check_lag(around: Surroundings) -> Iterator[Finding]:
    """Stages that are behind, and dead letters nobody has looked at."""
    for stage, topics in pipeline.stage_topics(around.settings).items():
        behind = sum(around.bus().lag(f"samlog.{stage}", topics).values())
        if behind > LAG_RECORDS:
            yield Finding(
                "lag",
                f"stage {stage} is {behind:,} records behind",
                f"samlog run {stage}   (on Kafka: one more process; embedded: is it running?)",
                Exit.FAILED,
            )
        else:
            yield Finding("lag", f"stage {stage}: {behind:,} records to do")
    letters = sum(around.bus().lag("samlog.dlq.ls", [DLQ]).values())
    if letters:
        yield Finding(
            "dlq", f"{letters:,} dead letters nobody has looked at", "samlog dlq ls", Exit.FAILED
        )


def check_store(around: Surroundings) -> Iterator[Finding]:
    """The event store: reached, templates as this release writes them, clock alike."""
    try:
        store = pipeline.open_store(around.settings, around.clock)
    except SamlogError as error:
        yield Finding("store", str(error), "correct store: in the config", _exit_of(error))
        return
    try:
        health = store.check()
    finally:
        store.close()
    refused = health.detail.get("status") in (401, 403)
    for problem in health.problems:
        if not health.reachable:
            code = Exit.CONFIG if refused else Exit.UNAVAILABLE
            step = "correct the user or key below store:" if refused else "start Elasticsearch"
            yield Finding("store", problem, f"{step}; then: samlog doctor", code)
        else:
            step = "samlog setup" if "template" in problem else "see the cause"
            yield Finding("store", problem, step, Exit.FAILED)
    if not health.problems:
        yield Finding("store", f"{around.settings.store.type} {health.version}: reached")
    yield from _check_clock(around, health.detail.get("server_time"))


def _check_clock(around: Surroundings, server_time: float | None) -> Iterator[Finding]:
    """This machine's clock against the store's, or against what the bus has seen already."""
    now = around.clock.now().timestamp()
    other, who = server_time, "Elasticsearch"
    if other is None:
        other, who = _latest_status(around), "an earlier run of samlog"
    if other is None:
        return
    ahead = other - now
    wrong = abs(ahead) > CLOCK_OFF_S if server_time is not None else ahead > CLOCK_OFF_S
    if wrong:
        yield Finding(
            "clock",
            f"this machine's clock is {abs(ahead):.0f} s {'behind' if ahead > 0 else 'ahead of'} "
            f"{who}",
            "synchronise it: timedatectl set-ntp true",
            Exit.FAILED,
        )
    else:
        yield Finding("clock", f"agrees with {who}")


def _latest_status(around: Surroundings) -> float | None:
    states = status.read_all(around.settings.state_path).values()
    return max((float(state["at"]) for state in states), default=None)


def check_rules(around: Surroundings) -> Iterator[Finding]:
    """Rules: there are some, and none is refused silently."""
    for folder in pipeline.rule_paths(around.settings):
        if not folder.exists():
            yield Finding(
                "rules", f"{folder} is not there", "correct rules: in the config", Exit.CONFIG
            )
            return
    report = pipeline.load_rules(around.settings).report
    if not report.loaded:
        yield Finding(
            "rules",
            f"no rule could be loaded from {', '.join(around.settings.rules)}",
            "samlog rules lint " + " ".join(around.settings.rules),
            Exit.CONFIG,
        )
    for error in report.refused[:5]:
        yield Finding("rules", f"refused: {error}", "samlog rules lint", Exit.FAILED)
    if report.loaded and not report.refused:
        told = f", {len(report.unmapped)} have no mapping yet" if report.unmapped else ""
        yield Finding("rules", f"{len(report.loaded)} loaded{told}")


def check_sinks(around: Surroundings) -> Iterator[Finding]:
    """Sinks: usable now, and not behind."""
    for problem in pipeline.check_sinks(around.settings):
        yield Finding("sink", problem, "alerts wait and are sent later", Exit.FAILED)
    try:
        waiting = pipeline.waiting_alerts(around.settings)
    except Unavailable:
        return
    for sink, (count, problem) in waiting.items():
        if count and problem:
            yield Finding(
                "sink", f"{sink}: {count} alert revisions wait: {problem}", "", Exit.FAILED
            )


def check_stages(around: Surroundings) -> Iterator[Finding]:
    """Stages that ran here and stopped turning."""
    now = around.clock.now().timestamp()
    for stage, state in status.read_all(around.settings.state_path).items():
        silent = now - float(state["at"])
        if state.get("finished"):
            continue
        if silent > TURNED_WITHIN_S:
            yield Finding(
                "stage",
                f"{stage} gave no sign of life for {silent:.0f} s",
                "samlog run",
                Exit.FAILED,
            )
        elif state.get("problem"):
            yield Finding("stage", f"{stage}: {state['problem']}", "", Exit.UNAVAILABLE)
        else:
            yield Finding("stage", f"{stage}: running (pid {state['pid']})")


CHECKS: Sequence[Check] = (
    check_folders,
    check_bus,
    check_store,
    check_rules,
    check_sinks,
    check_stages,
)
