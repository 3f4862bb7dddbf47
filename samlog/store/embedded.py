"""The event store that needs no server: one Tantivy index a day of receipt, below one folder.

`EmbeddedStore` meets `samlog.store.base.EventStore`. The day is that of the injected clock when a
document is written, so that retention drops whole days. One process writes at a time, any number
read. A crash loses what was begun and not committed, and nothing else.
"""

import os
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path

import orjson

from samlog.clock import Clock
from samlog.store import embedded_search
from samlog.store.base import (
    Answers,
    Bucket,
    Document,
    Outcome,
    Page,
    Query,
    StoreHealth,
    WriteResult,
)
from samlog.store.embedded_current import CurrentDay, Key, Prepared
from samlog.store.embedded_day import DayReader
from samlog.store.embedded_folder import Folder, disk_errors, first_line, panics
from samlog.store.embedded_schema import Stored, unit_of
from samlog.store.embedded_terms import KnownTerms, Refused, index_event
from samlog.store.fields import TIME_OF_RECEIPT

MAX_ID_BYTES = 512
"""As in Elasticsearch."""

_CREATED = WriteResult(Outcome.CREATED)
_EXISTS = WriteResult(Outcome.EXISTS)

CLOCK_ERROR = timedelta(days=1)
"""How wrong a source's clock may be before a repeat could be missed in an older day's index."""


class EmbeddedStore:
    """Keeps events in folders ``<path>/events.v3/<day>``.

    Args:
        path: Folder of the store; made when something is written.
        clock: Decides the day of receipt.
        writer: Takes the writer's lock now and raises `Unavailable` when another process has it;
            else it is taken when something is first written.
    """

    def __init__(self, path: Path, *, clock: Clock, writer: bool = False) -> None:
        self._folder = Folder(path)
        self._clock = clock
        self._current = CurrentDay(self._folder, clock)
        self._known = KnownTerms()
        if writer:
            self._folder.lock()

    @property
    def uncommitted(self) -> bool:
        """Whether documents wait for `commit`."""
        return self._current.uncommitted

    def setup(self, units: Sequence[str], *, dry_run: bool = False) -> Sequence[str]:
        """Makes the folder; units need nothing of their own."""
        path = self._folder.days_path
        if path.is_dir():
            return ()
        if not dry_run:
            with disk_errors(f"make the folder {path}"):
                path.mkdir(parents=True, exist_ok=True)
        return (f"folder {path}",)

    def write(
        self, documents: Sequence[Document], *, maybe_seen: bool = False
    ) -> Sequence[WriteResult]:
        """Creates documents that do not exist; ``maybe_seen`` changes nothing here."""
        answers = self.begin(documents)
        self.commit()
        return answers()

    def begin(self, documents: Sequence[Document], *, maybe_seen: bool = False) -> Answers:
        """Writes documents that do not exist, at once and without a commit.

        A commit makes a segment, and segments have to be merged: few large ones are cheaper.

        A document is looked up in each day's index that may hold it (10 µs, 50k events a day): one
        that happened today can only be in today's, see `_first_days`; and an index that was begun
        by this process knows its ids, see `CurrentDay.possible`.
        """
        self._folder.lock()
        known = self._stored(documents)
        fresh: dict[Key, Prepared] = {}
        results: list[WriteResult] = []
        for document in documents:
            key = (document.stream, document.id)
            if key in self._current.recent or key in known or key in fresh:
                results.append(_EXISTS)
                continue
            try:
                fresh[key] = self._prepared(document)
                results.append(_CREATED)
            except Refused as refusal:
                results.append(WriteResult(Outcome.REFUSED, str(refusal)))
        if fresh:
            self._current.add(fresh)
        return lambda: results

    def commit(self, *, wait: bool = True) -> None:
        """Makes what was written since the last commit durable, and found by every process."""
        self._current.commit(wait=wait)

    def is_committed(self, *, wait: bool = False) -> bool:
        """Tells whether the last commit is over."""
        return self._current.is_committed(wait=wait)

    def replace(self, documents: Sequence[Document]) -> Sequence[WriteResult]:
        """Writes documents over what has their id in any dataset of their unit, of any day.

        The new ones count as received today. A refused one leaves the old one as it is.
        """
        self._folder.lock()
        self.commit()
        prepared: dict[Key, Prepared] = {}
        results: list[WriteResult] = []
        for document in documents:
            try:
                prepared[unit_of(document.stream), document.id] = self._prepared(document)
                results.append(_CREATED)
            except Refused as refusal:
                results.append(WriteResult(Outcome.REFUSED, str(refusal)))
        if prepared:
            self._current.recent.clear()
            with self._current.writing():
                self._write_over(prepared)
        return results

    def _write_over(self, prepared: dict[Key, Prepared]) -> None:
        ids = [id_ for _, id_ in prepared]
        old: dict[date, list[Key]] = {}
        for day, reader in self._folder.readers().items():
            present = reader.present(ids)
            old[day] = [(s, id_) for s, id_ in present if (unit_of(s), id_) in prepared]
        today = self._current.writer()
        today.delete(old.pop(self._current.day(), []))
        today.add(list(prepared.values()))
        today.commit()
        # After the new ones are safe: a crash in between leaves both, and the repeat cleans up.
        for day, keys in old.items():
            if keys:
                with self._current.opened(day) as writer:
                    writer.delete(keys)
                    writer.commit()

    def refresh(self) -> None:
        """Commits: then it is found by every process."""
        self.commit()

    def search(
        self, query: Query, *, limit: int = 100, cursor: str = "", newest_first: bool = True
    ) -> Page:
        """Returns one page; see `samlog.store.base.EventStore.search`."""
        with disk_errors("search the store"):
            return embedded_search.search(
                self._folder.readers(),
                query,
                limit=limit,
                cursor=cursor,
                newest_first=newest_first,
            )

    def count(self, query: Query) -> int:
        """Returns the exact number of hits."""
        with disk_errors("search the store"):
            return embedded_search.count(self._folder.readers(), query)

    def terms(self, query: Query, field: str, *, size: int = 10) -> Sequence[Bucket]:
        """Returns the most frequent values of ``field``."""
        with disk_errors("search the store"):
            return embedded_search.terms(self._folder.readers(), query, field, size=size)

    def histogram(self, query: Query, *, interval_s: int) -> Sequence[Bucket]:
        """Returns counts per interval of ``@timestamp``."""
        with disk_errors("search the store"):
            return embedded_search.histogram(self._folder.readers(), query, interval_s=interval_s)

    def delete_before(self, moment: datetime, units: Sequence[str]) -> int:
        """Deletes the documents of ``units`` that were received on days that ended by ``moment``.

        The folder of a day goes when no other unit has documents in it.
        """
        self._folder.lock()
        self.commit()
        chosen = set(units)
        deleted = 0
        with self._current.writing():
            for day, reader in self._folder.readers().items():
                if datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=1) > moment:
                    continue
                counts = reader.unit_counts()
                deleted += sum(number for unit, number in counts.items() if unit in chosen)
                if counts.keys() <= chosen:
                    self._current.release(day)
                    self._folder.drop(day)
                elif not counts.keys().isdisjoint(chosen):
                    with self._current.opened(day) as writer:
                        writer.delete_units(chosen)
                        writer.commit()
        self._current.recent.clear()
        return deleted

    def rollover(self) -> None:
        """Waits until the writer has merged its segments; days roll over by themselves."""
        self._current.release(merge=True)

    def check(self) -> StoreHealth:
        """Opens every day's index and reads a document of it."""
        health = StoreHealth(reachable=True, version=f"tantivy {version('tantivy')}")
        folder = self._folder
        for other in folder.path.glob("events.v*"):
            if other != folder.days_path:
                health.problems.append(
                    f"{other} was written by another version of samlog and is not searched: "
                    "replay the events from the bus, or delete it"
                )
        documents = 0
        days = folder.days()
        for day in days:
            try:
                with panics():
                    documents += sum(DayReader(folder.day_path(day)).probe().values())
            except (OSError, ValueError) as error:
                if not os.access(folder.day_path(day), os.R_OK | os.W_OK | os.X_OK):
                    health.problems.append(
                        f"the index of {day} in {folder.day_path(day)} cannot be opened with the "
                        "rights of this user; reading takes a lock file there"
                    )
                    continue
                health.problems.append(
                    f"the index of {day} in {folder.day_path(day)} is damaged "
                    f"({first_line(error)}): move it away and replay that day from the bus"
                )
        health.detail = {"days": len(days), "documents": documents}
        if folder.days_path.exists() and not os.access(folder.days_path, os.W_OK):
            health.problems.append(f"{folder.days_path} is read-only: nothing can be stored")
        return health

    def close(self) -> None:
        """Releases the index and the lock; what was not committed is lost. Safe to call twice."""
        self._current.close()
        self._folder.close()

    def _stored(self, documents: Sequence[Document]) -> set[Key]:
        first_days = self._first_days(documents)
        known: set[Key] = set()
        with disk_errors("look up what is stored"):
            for day, reader in self._folder.readers().items():
                ids = [d.id for d, first in first_days if first <= day.isoformat()]
                if possible := self._current.possible(day, ids):
                    known |= reader.present(possible)
        return known

    def _first_days(self, documents: Sequence[Document]) -> list[tuple[Document, str]]:
        """Returns each document that needs a look-up and the first day whose index may hold it.

        An event is received after it happened; source and own clock are trusted to a day. Where
        the time is not the event's own, or in the future, any day may hold it.
        """
        latest = (self._clock.now() + CLOCK_ERROR).isoformat()
        found = []
        for document in documents:
            if (document.stream, document.id) in self._current.recent:
                continue
            happened = document.source.get("@timestamp")
            if not isinstance(happened, str) or happened > latest or _timeless(document):
                happened = ""
            found.append((document, _day_before(happened[:10])))
        return found

    def _prepared(self, document: Document) -> Prepared:
        """Returns a document as it is stored and indexed; raises `Refused` for one of neither."""
        size = len(document.id.encode("utf-8", "surrogatepass"))
        if not 1 <= size <= MAX_ID_BYTES:
            raise Refused(f"an id has 1 to {MAX_ID_BYTES} bytes, this one {size}")
        try:
            source = document.json or orjson.dumps(document.source)
            indexed = index_event(document.source, self._known, document.id)
            if indexed.truncated:
                source = orjson.dumps(document.source)
        except TypeError as error:
            raise Refused(f"the event is no JSON: {error}") from error
        return Stored(document.stream, document.id, source), indexed


def _timeless(document: Document) -> bool:
    tags = document.source.get("tags")
    return isinstance(tags, list) and not TIME_OF_RECEIPT.isdisjoint(map(str, tags))


@lru_cache(maxsize=1024)
def _day_before(day: str) -> str:
    """Returns the ISO day before; "" (before all days) for what is no day."""
    try:
        return (date.fromisoformat(day) - CLOCK_ERROR).isoformat()
    except (ValueError, OverflowError):
        return ""
