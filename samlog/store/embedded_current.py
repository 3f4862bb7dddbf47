"""The day on which documents are received now: what is added to it, and its commits."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, date

from samlog.clock import Clock
from samlog.errors import Unavailable
from samlog.store.embedded_folder import Folder, first_line, panics
from samlog.store.embedded_schema import Stored
from samlog.store.embedded_terms import Indexed
from samlog.store.embedded_writer import DayWriter

RECENT_IDS = 100_000
"""Documents of today that a repeat is recognised by without a look-up."""

Key = tuple[str, str]
Prepared = tuple[Stored, Indexed]


class CurrentDay:
    """Adds documents to the index of the day of receipt, and commits beside the caller.

    A commit takes 30 to 50 µs a document, in which Tantivy neither takes documents nor holds
    Python's lock: meanwhile the caller prepares the next ones, and one batch of them waits here.
    After a failure nothing since the last commit counts: Tantivy's writer is thrown away.
    """

    def __init__(self, folder: Folder, clock: Clock) -> None:
        self._folder = folder
        self._clock = clock
        self._writer: tuple[date, DayWriter] | None = None
        self._thread = ThreadPoolExecutor(1, "commit")
        self._commit: Future[None] | None = None
        self._ahead: list[Prepared] = []
        self.recent: dict[Key, None] = {}
        self.uncommitted = False
        """Whether documents wait for a commit to begin."""

    def add(self, documents: Mapping[Key, Prepared]) -> None:
        """Adds documents; raises `Unavailable`."""
        prepared = list(documents.values())
        with self.writing():
            if self.is_committed(wait=bool(self._ahead)):
                self.writer().add(prepared)
            else:
                self._ahead = prepared
            self.uncommitted = True
        self.recent.update(dict.fromkeys(documents))
        while len(self.recent) > RECENT_IDS:
            del self.recent[next(iter(self.recent))]

    def commit(self, *, wait: bool = True) -> None:
        """Begins to make durable what was added, one commit after the other; see `is_committed`."""
        with self.writing():
            self.is_committed(wait=True)
            if self._writer is not None and self.uncommitted:
                self._commit = self._thread.submit(self._writer[1].commit)
                self.uncommitted = False
            if wait:
                self.is_committed(wait=True)

    def is_committed(self, *, wait: bool = False) -> bool:
        """Tells whether the last commit is over; raises `Unavailable` where it failed."""
        with self.writing():
            if self._commit is not None and (wait or self._commit.done()):
                self._commit.result()
                self._commit = None
                ahead, self._ahead = self._ahead, []
                if ahead:
                    self.writer().add(ahead)
                    self.uncommitted = True
        return self._commit is None

    def writer(self) -> DayWriter:
        """Returns today's writer, to be used while no commit is under way."""
        day = self.day()
        if self._writer is not None and self._writer[0] != day:
            self.release()
        if self._writer is None:
            self._writer = (day, DayWriter(self._folder.day_path(day)))
        return self._writer[1]

    def possible(self, day: date, ids: Sequence[str]) -> Sequence[str]:
        """Returns those of ``ids`` that the index of ``day`` may hold."""
        if self._writer is None or self._writer[0] != day or self._writer[1].ids is None:
            return ids
        return self._writer[1].ids.possible(ids)

    def day(self) -> date:
        """Returns the day of receipt (UTC)."""
        return self._clock.now().astimezone(UTC).date()

    @contextmanager
    def opened(self, day: date) -> Iterator[DayWriter]:
        """Lends the writer of any day."""
        if self._writer is not None and self._writer[0] == day:
            yield self._writer[1]
            return
        writer = DayWriter(self._folder.day_path(day))
        try:
            yield writer
        finally:
            writer.close()

    def release(self, day: date | None = None, *, merge: bool = False) -> None:
        """Commits and gives the index back, where it is that of ``day``.

        With ``merge`` waits until segments are merged.
        """
        self.commit()
        if self._writer is not None and day in (None, self._writer[0]):
            with self.writing():
                self._writer[1].close(merge=merge)
                self._writer = None

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Turns what Tantivy and the disk raise into `Unavailable`."""
        try:
            with panics():
                yield
        except (OSError, ValueError) as error:
            self._forget()
            raise Unavailable(
                f"cannot write to the store in {self._folder.path}: {first_line(error)}; "
                "see that the disk has room and the folder can be written"
            ) from error

    def _forget(self) -> None:
        self._writer = self._commit = None
        self._ahead = []
        self.uncommitted = False
        self.recent.clear()

    def close(self) -> None:
        """Releases the index; what no commit was begun for is lost. Safe to call twice."""
        self._thread.shutdown()
        self._forget()
