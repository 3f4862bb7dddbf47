"""What a check found, and what checks look at. Each check looks at one thing."""

import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click

from samlog import pipeline
from samlog.bus.base import Bus
from samlog.cli.common import emit
from samlog.clock import Clock
from samlog.config import Settings
from samlog.errors import ConfigError, Exit, SamlogError, Unavailable
from samlog.log import harmless

SEVEREST = (Exit.CONFIG, Exit.UNAVAILABLE, Exit.FAILED)
_MARKS = {
    Exit.DONE: ("ok  ", "green"),
    Exit.FAILED: ("warn", "yellow"),
    Exit.UNAVAILABLE: ("DOWN", "red"),
    Exit.CONFIG: ("FAIL", "red"),
}


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


def free_bytes(folder: Path) -> int:
    """Returns how much a process without privileges may still write."""
    return shutil.disk_usage(folder).free


class Surroundings:
    """What the checks look at; the bus is opened once, by the first that needs it."""

    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        *,
        free: Callable[[Path], int] = free_bytes,
        doubles: bool = False,
    ) -> None:
        self.settings = settings
        self.clock = clock
        self.free = free
        self.doubles = doubles
        self._bus: Bus | None = None

    def bus(self) -> Bus:
        if self._bus is None:
            self._bus = pipeline.open_bus(self.settings, self.clock)
        return self._bus

    def close(self) -> None:
        if self._bus is not None:
            self._bus.close()


Check = Callable[[Surroundings], Iterator[Finding]]


def exit_of(error: SamlogError) -> Exit:
    """Returns what an error means for the exit code."""
    if isinstance(error, Unavailable):
        return Exit.UNAVAILABLE
    return Exit.CONFIG if isinstance(error, ConfigError) else Exit.FAILED


def look(checks: Iterable[Check], around: Surroundings) -> list[Finding]:
    """Runs checks; one that cannot be finished is a finding, and the others go on."""
    findings = []
    for check in checks:
        try:
            findings += list(check(around))
        except SamlogError as error:
            about = check.__name__.removeprefix("check_")
            findings.append(
                Finding(about, str(error), "see the cause; then: samlog doctor", exit_of(error))
            )
        except OSError as error:
            about = check.__name__.removeprefix("check_")
            what = f"{error.filename or 'a file'} cannot be looked at: {error.strerror or error}"
            step = "run samlog doctor as the user that runs samlog, or give this one the rights"
            findings.append(Finding(about, what, step, Exit.CONFIG))
    return findings


def tell(findings: Iterable[Finding], *, as_json: bool) -> None:
    """Prints findings, for people or as NDJSON."""
    if as_json:
        emit(finding.row() for finding in findings)
        return
    for finding in findings:
        mark, colour = _MARKS[finding.exit]
        what = harmless(finding.what, 1_000)
        click.echo(f"{click.style(mark, fg=colour)} {finding.about:8} {what}")
        if finding.next:
            click.echo(f"{'':13} → {finding.next}")


def verdict(findings: Iterable[Finding]) -> Exit:
    """Returns the exit code of the severest finding."""
    codes = {finding.exit for finding in findings}
    return next((code for code in SEVEREST if code in codes), Exit.DONE)
