"""The exception tree. The type says what happens to the event and to the process.

SamlogError
├── BadEvent       this event is bad: it becomes a dead letter, the stage goes on
├── Unavailable    the other side is down or busy: retried with back-off, nothing lost
├── ConfigError    we are wrong: the process stops with exit code 78
│   └── RuleError  one Sigma rule is wrong: it is refused by name, the others run
└── BusError       the bus was misused or its data is damaged: the process stops, exit code 1
"""

from enum import IntEnum


class Exit(IntEnum):
    """Exit codes of every samlog command; part of the contract with scripts."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    UNAVAILABLE = 69
    CONFIG = 78
    INTERRUPTED = 130
    TERMINATED = 143


class SamlogError(Exception):
    """Root of everything samlog raises on purpose."""


class BadEvent(SamlogError):
    """One event cannot be processed. It becomes a dead letter with this reason.

    ``reason`` is a constant snake_case word (it becomes a metric label), ``detail`` a sentence for
    people. Log content in ``detail`` is cut and escaped where it is shown, not here.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail


class Unavailable(SamlogError):
    """A server, disk or file is not there now. The caller keeps its position and tries again."""

    def __init__(self, message: str, *, retry_after_s: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class ConfigError(SamlogError):
    """The configuration is wrong. The message says what was found, expected, and what to type."""

    def __init__(self, message: str, *, path: str = "", line: int = 0) -> None:
        where = f"{path}:{line}: " if path and line else f"{path}: " if path else ""
        super().__init__(where + message)
        self.path = path
        self.line = line


class RuleError(ConfigError):
    """One Sigma rule is refused. ``reason`` is a constant snake_case word, used for counting."""

    def __init__(
        self, message: str, *, reason: str, path: str = "", line: int = 0, rule_id: str = ""
    ) -> None:
        super().__init__(message, path=path, line=line)
        self.reason = reason
        self.rule_id = rule_id


class BusError(SamlogError):
    """The bus was misused (a second consumer of a group) or its files are damaged."""
