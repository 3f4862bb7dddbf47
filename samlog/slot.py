"""Numbers the processes of one stage that share a state folder: 0, 1, 2 …

A process keeps the lowest free number by a file lock, so that after a crash its successor takes
over the same number, and with it the crash note and the membership in the consumer group.
"""

import fcntl
import os
from pathlib import Path

from samlog.errors import ConfigError

MAX_PROCESSES = 256


class Slot:
    """One process's number; freed when the process ends, however it ends."""

    def __init__(self, state: Path, stage: str) -> None:
        folder = state / "run"
        folder.mkdir(parents=True, exist_ok=True)
        for number in range(MAX_PROCESSES):
            fd = os.open(folder / f"{stage}-{number}.lock", os.O_RDWR | os.O_CREAT, 0o600)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                os.close(fd)
                continue
            self.number = number
            self._fd = fd
            return
        raise ConfigError(
            f"{MAX_PROCESSES} processes of stage '{stage}' share {state}; use another"
        )

    @property
    def suffix(self) -> str:
        """Returns "" for the first process, then ``-1``, ``-2`` …"""
        return f"-{self.number}" if self.number else ""

    def close(self) -> None:
        """Frees the number; safe to call twice."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
