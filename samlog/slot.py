"""Numbers the processes of one stage that share a state folder: 0, 1, 2 …

A process keeps the lowest free number by a file lock, so that after a crash its successor takes
over the same number, and with it the crash note and the membership in the consumer group.
"""

import fcntl
import os
from pathlib import Path

from samlog.errors import ConfigError, Unavailable

MAX_PROCESSES = 256


class Slot:
    """One process's number; freed when the process ends, however it ends.

    Raises `Unavailable` where the state folder cannot be written.
    """

    def __init__(self, state: Path, stage: str) -> None:
        self._fd = -1
        self.number = 0
        try:
            _path(state, stage, 0).parent.mkdir(parents=True, exist_ok=True)
            for self.number in range(MAX_PROCESSES):
                if self._take(_path(state, stage, self.number)):
                    return
        except OSError as error:
            raise Unavailable(
                f"state folder {state}: {error.strerror}; make room, or give it to the user that "
                "runs samlog"
            ) from error
        raise ConfigError(
            f"{MAX_PROCESSES} processes of stage '{stage}' share {state}; use another"
        )

    def _take(self, path: Path) -> bool:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(fd, 0)
            os.pwrite(fd, b"%d" % os.getpid(), 0)
        except BlockingIOError:
            os.close(fd)
            return False
        except OSError:
            os.close(fd)
            raise
        self._fd = fd
        return True

    @property
    def suffix(self) -> str:
        """Returns "" for the first process, then ``-1``, ``-2`` …"""
        return f"-{self.number}" if self.number else ""

    def close(self) -> None:
        """Frees the number; safe to call twice."""
        if self._fd >= 0:
            os.ftruncate(self._fd, 0)
            os.close(self._fd)
            self._fd = -1


def _path(state: Path, stage: str, number: int) -> Path:
    return state / "run" / f"{stage}-{number}.lock"


def holder(state: Path, stage: str, number: int = 0) -> int:
    """Returns the process id that has this number now; 0 if none."""
    try:
        fd = os.open(_path(state, stage, number), os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return 0
    try:
        pid = int(os.pread(fd, 20, 0) or b"0")
        # The lock is tried only where a process of that id lives: while it is tried, a process
        # that starts would take the next number.
        if not pid or not Path(f"/proc/{pid}").exists():
            return 0
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return pid
    except (OSError, ValueError):
        return 0
    finally:
        os.close(fd)
    return 0
