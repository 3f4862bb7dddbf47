"""The checks of `samlog doctor` that look at this machine. Good findings are returned too."""

import glob
import os
import socket
from collections.abc import Iterator, Sequence
from pathlib import Path

from detect.ledger import Books
from detect.overlay import Entry, Overlays
from ingest.listen import bind
from samlog import pipeline, status
from samlog.address import parse_listen
from samlog.cli.doctor_sinks import check_sinks
from samlog.cli.finding import Check, Finding, Surroundings
from samlog.config import EmbeddedBusConfig, EmbeddedStoreConfig, Settings
from samlog.errors import ConfigError, Exit, Unavailable
from samlog.health import TURNED_WITHIN_S
from samlog.slot import holder

LOW_DISK_BYTES = 1 << 30


def check_disk(around: Surroundings) -> Iterator[Finding]:
    """State and data folders: writable, and with room."""
    settings = around.settings
    folders = {settings.state_path: ["state"]}
    if isinstance(settings.bus, EmbeddedBusConfig):
        folders.setdefault(settings.bus.path, []).append("bus")
    if isinstance(settings.store, EmbeddedStoreConfig):
        folders.setdefault(settings.store.path, []).append("store")
    for folder, users in folders.items():
        yield _folder(around, folder, " and ".join(users))


def _folder(around: Surroundings, folder: Path, users: str) -> Finding:
    there = _existing(folder)
    if not os.access(there, os.W_OK | os.X_OK):
        return Finding(
            "disk",
            f"{folder} ({users}) cannot be written by user {os.geteuid()}",
            f"chown the folder to that user, or mount -o remount,rw {there}, or set another path",
            Exit.CONFIG,
        )
    free = around.free(there)
    if free < LOW_DISK_BYTES:
        return Finding(
            "disk",
            f"{folder} ({users}): the disk is nearly full, {free >> 20} MiB are free; samlog stops "
            "taking records before nothing is left, and loses none",
            f"du -sh {folder}/*; make room, or lower retention.bus_hours and events_days",
            Exit.FAILED,
        )
    return Finding("disk", f"{folder} ({users}): writable, {free >> 30} GiB free")


def _existing(folder: Path) -> Path:
    while not folder.exists():
        folder = folder.parent
    return folder


def check_sources(around: Surroundings) -> Iterator[Finding]:
    """Sources: their ports can be had, their files read, unless the collector has them already."""
    settings = around.settings
    collecting = holder(settings.state_path, "collect")
    for source in settings.sources:
        if listen := getattr(source, "listen", ""):
            if not collecting:
                yield from _port(source.type, listen, getattr(source, "protocol", "tcp"))
        elif paths := getattr(source, "paths", ()):
            yield from _paths(paths)
    if not settings.sources:
        yield Finding(
            "source",
            "none is configured; that is right only where agents write to Kafka themselves",
        )
    if not holder(settings.state_path, "run"):
        yield from _port("http.listen", settings.http.listen, "tcp")


def _port(what: str, listen: str, protocol: str) -> Iterator[Finding]:
    kinds = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}
    for name in ("udp", "tcp") if protocol == "both" else (protocol,):
        try:
            host, port = parse_listen(listen)
            bind((host, port), kinds[name]).close()
        except Unavailable as error:
            step = f"ss -lnp 'sport = :{port}'; stop that program, or set another listen:"
            yield Finding("port", f"{what} {listen} ({name}): {error}", step, Exit.FAILED)
        except (ConfigError, ValueError) as error:
            step = "correct listen: in the configuration; then: samlog check"
            yield Finding("port", f"{what} {listen} ({name}): {error}", step, Exit.CONFIG)


def _paths(paths: Sequence[str]) -> Iterator[Finding]:
    for pattern in paths:
        found = glob.glob(pattern, recursive=True)  # noqa: PTH207 - patterns may be absolute
        closed = [path for path in found if not os.access(path, os.R_OK)]
        if closed:
            step = f"setfacl -m u:{os.geteuid()}:r {closed[0]}, or run samlog as a user that may"
            yield Finding("source", f"{closed[0]} cannot be read", step, Exit.FAILED)
        elif not found:
            step = f"ls -l {pattern}; correct paths: if it is misspelt"
            yield Finding("source", f"{pattern} matches no file yet", step, Exit.FAILED)


def check_rules(around: Surroundings) -> Iterator[Finding]:
    """Rules: there are some, and none is refused silently."""
    settings = around.settings
    for name, folder in zip(settings.rules, pipeline.rule_paths(settings), strict=True):
        if not folder.exists():
            yield Finding("rules", f"{name} is not there", missing_rules(name), Exit.FAILED)
    rules = pipeline.load_rule_set(settings)
    report = rules.engine.report
    if not report.loaded:
        yield Finding(
            "rules",
            f"no rule could be loaded from {', '.join(settings.rules)}: nothing will be detected",
            "set rules: [builtin], or put a SigmaHQ checkout where rules: points",
            Exit.CONFIG,
        )
        return
    missing = {str(Path(name)) for name in settings.rules if not Path(name).exists()}
    refused = [error for error in report.refused if error.path not in missing]
    for error in refused[:5]:
        step = f"samlog rules lint {error.path}"
        yield Finding("rules", f"refused: {error}", step, Exit.FAILED)
    if len(refused) > 5:
        step = f"samlog rules lint {' '.join(settings.rules)}"
        yield Finding("rules", f"{len(refused) - 5} more are refused", step, Exit.FAILED)
    told = f", {len(report.unmapped)} have no mapping yet" if report.unmapped else ""
    yield Finding("rules", f"{len(report.loaded)} loaded{told}")
    yield from _overlays(around, rules.overlays)
    yield from _rules_in_force(settings)


def _overlays(around: Surroundings, overlays: Overlays) -> Iterator[Finding]:
    for error in overlays.refused:
        step = "correct that entry: it does nothing, so its matches are told; then: samlog check"
        yield Finding("overlay", f"refused: {error}", step, Exit.FAILED)
    expired = overlays.expired(around.clock.now().date())
    for entry in expired:
        step = "take it out, or have its owner look at it again and date it anew"
        yield Finding("overlay", expired_entry(entry), step, Exit.FAILED)
    if overlays.entries and not expired:
        yield Finding("overlay", f"{len(overlays.entries)} entries, none expired")


def expired_entry(entry: Entry) -> str:
    """Returns a sentence about an overlay entry that does nothing any more."""
    return (
        f"{entry.path}:{entry.line}: {entry.action} of unit {entry.unit} expired on "
        f"{entry.expires} (owner {entry.owner}: {entry.reason})"
    )


def _rules_in_force(settings: Settings) -> Iterator[Finding]:
    """What running detect stages work with: a refused reload, rules that are set aside."""
    for name, told in status.read_all(settings.state_path).items():
        if problem := told.get("rules_problem"):
            what = f"{name} goes on with the rules it had: {problem}"
            step = "correct that and save the file, or send HUP to samlog run"
            yield Finding("rules", what, step, Exit.FAILED)
    books = Books(settings.state_path)
    for rule, title, why in books.rows("SELECT rule, title, why FROM aside"):
        step = f"mend the rule ({rule}), then send HUP to samlog run; see: samlog rules stats"
        yield Finding("rules", f"{title} is not asked any more: {why}", step, Exit.FAILED)


def missing_rules(name: str) -> str:
    """Returns what to do where a rule folder of the configuration is not there."""
    return f"put a SigmaHQ checkout at {name}, or take it out of rules:"


def check_stages(around: Surroundings) -> Iterator[Finding]:
    """Stages that ran here and stopped turning."""
    state = around.settings.state_path
    now = around.clock.now().timestamp()
    for name, told in status.read_all(state).items():
        stage, _, number = name.partition("-")
        pid = holder(state, stage, int(number) if number.isdecimal() else 0)
        silent = now - float(told["at"])
        if pid and silent > TURNED_WITHIN_S:
            what = f"{name} (process {pid}) gave no sign of life for {silent:.0f} s"
            step = f"kill {pid}; samlog run starts it again where it was"
            yield Finding("stage", what, step, Exit.FAILED)
        elif pid and told.get("problem"):
            step = "mend that; the stage tries again by itself and loses nothing"
            yield Finding("stage", f"{name}: {told['problem']}", step, Exit.UNAVAILABLE)
        elif pid:
            yield Finding("stage", f"{name}: running (process {pid})")
        elif not told.get("finished"):
            what = f"{name} is not running; its last sign of life was {silent:.0f} s ago"
            step = f"samlog run {stage}; what it said last: journalctl -u 'samlog*' -n 50"
            yield Finding("stage", what, step, Exit.FAILED)


CHECKS: Sequence[Check] = (check_disk, check_sources, check_rules, check_sinks, check_stages)
