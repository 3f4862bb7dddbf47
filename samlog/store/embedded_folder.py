"""The folder of the embedded store: which days there are, and who may write."""

import fcntl
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import IO

from samlog.errors import Unavailable
from samlog.store.embedded_day import DayReader
from samlog.store.embedded_schema import FORMAT

_LOCK = "writer.lock"
_DROPPED = ".dropped-"


class Folder:
    """Days in ``<path>/events.v3/<day>``; readers stay open and see what was committed since."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.days_path = path / f"events.v{FORMAT}"
        self._lock: IO[str] | None = None
        self._readers: dict[date, DayReader] = {}

    def day_path(self, day: date) -> Path:
        """Returns the folder of a day's index."""
        return self.days_path / day.isoformat()

    def days(self) -> list[date]:
        """Returns the days that have an index, oldest first."""
        days = []
        for meta in self.days_path.glob("*/meta.json"):
            try:
                days.append(date.fromisoformat(meta.parent.name))
            except ValueError:
                continue
        return sorted(days)

    def reader(self, day: date) -> DayReader:
        """Returns the reader of a day, in the state of now."""
        reader = self._readers.get(day)
        if reader is None:
            reader = self._readers[day] = DayReader(self.day_path(day))
        else:
            reader.refresh()
        return reader

    def readers(self) -> Mapping[date, DayReader]:
        """Returns the readers of all days, oldest first, in the state of now.

        Raises `Unavailable` when a day cannot be read: an answer without it would be wrong.
        """
        days = self.days()
        for gone in self._readers.keys() - set(days):
            del self._readers[gone]
        readers: dict[date, DayReader] = {}
        for day in days:
            try:
                with panics():
                    readers[day] = self.reader(day)
            except FileNotFoundError:
                # Retention took the day between the look and the opening.
                self._readers.pop(day, None)
            except (OSError, ValueError) as error:
                if not self.day_path(day).exists():
                    continue
                raise Unavailable(
                    f"the index of {day} cannot be read ({first_line(error)}): "
                    "samlog doctor says what to do"
                ) from error
        return readers

    def drop(self, day: date) -> None:
        """Deletes a day at once: it is renamed first, so that nobody sees half of it."""
        self._readers.pop(day, None)
        gone = self.days_path / f"{_DROPPED}{day.isoformat()}"
        shutil.rmtree(gone, ignore_errors=True)
        self.day_path(day).rename(gone)
        shutil.rmtree(gone)

    def lock(self) -> None:
        """Takes the writer's lock for this process; raises `Unavailable` when another has it.

        The system releases it when the process ends, however it ends.
        """
        if self._lock is not None:
            return
        with disk_errors(f"write to {self.path}"):
            self.days_path.mkdir(parents=True, exist_ok=True)
            lock = (self.path / _LOCK).open("a+")
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                lock.seek(0)
                holder = lock.read(20).strip() or "unknown"
                lock.close()
                raise Unavailable(
                    f"the store in {self.path} is written by process {holder}: one process writes "
                    "an embedded store; stop the other, or give this one a path of its own"
                ) from None
            lock.truncate(0)
            lock.write(str(os.getpid()))
            lock.flush()
            for dropped in self.days_path.glob(f"{_DROPPED}*"):
                shutil.rmtree(dropped, ignore_errors=True)
        self._lock = lock

    def close(self) -> None:
        """Forgets readers and releases the lock; safe to call twice."""
        self._readers.clear()
        if self._lock is not None:
            self._lock.close()
            self._lock = None


@contextmanager
def panics() -> Iterator[None]:
    """Turns a panic of Tantivy, which damaged files cause, into ValueError.

    PyO3 raises it as a BaseException whose class cannot be imported.
    """
    try:
        yield
    except BaseException as error:
        if type(error).__name__ != "PanicException":
            raise
        raise ValueError(f"Tantivy failed: {first_line(error)}") from error


@contextmanager
def disk_errors(what: str) -> Iterator[None]:
    """Turns what a disk and Tantivy raise into `Unavailable`: the caller tries again."""
    try:
        with panics():
            yield
    except (OSError, ValueError) as error:
        raise Unavailable(f"cannot {what}: {first_line(error)}") from error


def first_line(error: BaseException) -> str:
    """Returns the beginning of an error's text, for a sentence."""
    return (str(error).strip() or type(error).__name__).split("\n")[0][:300]
