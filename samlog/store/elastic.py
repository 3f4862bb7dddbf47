"""The event store on Elasticsearch 8 or 9: one data stream per dataset and unit.

`ElasticsearchStore` meets `samlog.store.base.EventStore`. A document is created under its id, so a
repeat is refused by the server, but only within a stream's current backing index. What may have
been stored before (``maybe_seen``), and what happened before the stream's last rollover, is
therefore looked up first (`samlog.store.elastic_streams.History`).
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

from samlog.clock import Clock
from samlog.config import ElasticsearchStoreConfig
from samlog.errors import ConfigError, SamlogError, Unavailable
from samlog.secrets import read_secret
from samlog.store import elastic_search
from samlog.store.base import (
    PLATFORM_UNIT,
    Answers,
    Bucket,
    Document,
    Outcome,
    Page,
    Query,
    StoreHealth,
    WriteResult,
)
from samlog.store.elastic_bulk import (
    Line,
    Patience,
    create_line,
    delete_line,
    index_line,
    send,
    split,
)
from samlog.store.elastic_client import Missing, Server
from samlog.store.elastic_setup import health, set_up
from samlog.store.elastic_streams import (
    STREAM,
    Backing,
    History,
    backing_indices,
    pattern,
    stream_of,
)

MAX_ID_BYTES = 512
"""Elasticsearch's limit of ``_id``."""

INDEX_BYTES = "50gb"
"""A backing index is rolled over when it is larger (Elastic's advice: 10 to 50 GB a shard)."""

MAX_NAMED = 20
"""Streams named in one address, which a server takes up to 4 kB of."""

_CREATED = WriteResult(Outcome.CREATED)
_EXISTS = WriteResult(Outcome.EXISTS)

Part = Future[dict[int, WriteResult]]
"""A bulk request that is under way."""


class ElasticsearchStore:
    """Keeps events in the data streams ``logs-<dataset>-<unit>`` of one cluster.

    Bulk requests run on ``connections`` threads of its own; the store itself belongs to one
    thread.

    Args:
        urls: Addresses of nodes.
        units: The units that this process may write; reading names its units itself.
        clock: Time and pauses.
        api_key: Encoded API key; else ``user`` and ``password``; else no authentication.
        user: Name of a user.
        password: The user's password.
        ca: File with the certificates of the authority; empty = the system's.
        retention: Where the server has a data stream life cycle, it deletes what is older.
        connections: Bulk requests under way at once.
        patience_s: How long a busy cluster is asked again before a batch is given up.
    """

    uncommitted = False

    def __init__(
        self,
        urls: Sequence[str],
        *,
        units: Sequence[str],
        clock: Clock,
        api_key: str = "",
        user: str = "",
        password: str = "",
        ca: str = "",
        retention: timedelta | None = None,
        connections: int = 4,
        patience_s: float = 30.0,
    ) -> None:
        self._server = Server(
            urls,
            api_key=api_key,
            user=user,
            password=password,
            ca=ca,
            connections=connections,
        )
        self._units = _with_platform(units)
        self._clock = clock
        self._keep_days = retention.days if retention else 0
        self._connections = connections
        self._patience = Patience(clock, patience_s)
        self._history = History(self._server, self._units, clock)
        self._threads = ThreadPoolExecutor(connections, thread_name_prefix="elasticsearch")

    @classmethod
    def from_config(
        cls,
        config: ElasticsearchStoreConfig,
        *,
        units: Sequence[str],
        clock: Clock,
        retention: timedelta | None = None,
    ) -> Self:
        """Opens the configured store; secrets are read from their files.

        Raises `ConfigError` for a file that cannot be read.
        """
        return cls(
            config.urls,
            units=units,
            clock=clock,
            api_key=_secret(config.api_key_file, "store.api_key_file"),
            user=config.username or "",
            password=_secret(config.password_file, "store.password_file"),
            ca=str(config.ca_file or ""),
            retention=retention,
            connections=config.connections,
        )

    def setup(self, units: Sequence[str], *, dry_run: bool = False) -> Sequence[str]:
        """Creates or updates the units' index templates and rolls streams over to a new mapping.

        Idempotent. Returns a line for each thing that was, or with ``dry_run`` would be, done.
        """
        wanted = _with_platform(units)
        done = set_up(self._server, wanted, keep_days=self._keep_days, dry_run=dry_run)
        self._history.forget()
        return done

    def write(
        self, documents: Sequence[Document], *, maybe_seen: bool = False
    ) -> Sequence[WriteResult]:
        """Creates documents; see `samlog.store.base.EventStore.write`."""
        return self.begin(documents, maybe_seen=maybe_seen)()

    def begin(self, documents: Sequence[Document], *, maybe_seen: bool = False) -> Answers:
        """Sends documents; what is answered is durable: it is in the translog."""
        results: dict[int, WriteResult] = {}
        seen = self._seen(documents, maybe_seen=maybe_seen)
        first: dict[tuple[str, str], int] = {}

        def lines() -> Iterator[Line]:
            for place, document in enumerate(documents):
                name = (document.stream, document.id)
                if name in seen:
                    results[place] = _EXISTS
                elif first.setdefault(name, place) == place:
                    yield from self._lines(results, place, document, create_line)

        size = sum(len(document.json or b"") for document in documents)
        under_way = self._started(lines(), size)

        def answers() -> Sequence[WriteResult]:
            results.update(_joined(under_way))
            for place, document in enumerate(documents):
                if place not in results:
                    its_first = results[first[document.stream, document.id]]
                    results[place] = _EXISTS if its_first == _CREATED else its_first
            return [results[place] for place in range(len(documents))]

        return answers

    def commit(self, *, wait: bool = True) -> None:
        """Nothing to do: what has its answer is durable."""

    def is_committed(self, *, wait: bool = False) -> bool:
        """Nothing is ever under way."""
        return True

    def _lines(
        self,
        results: dict[int, WriteResult],
        place: int,
        document: Document,
        made: Callable[[int, Document], Line],
    ) -> Iterator[Line]:
        """Yields the action for a document; notes why there is none."""
        reason = self._refusal(document)
        if not reason:
            try:
                yield made(place, document)
                return
            except (TypeError, ValueError) as problem:
                reason = f"JSON cannot hold it: {problem}"
        results[place] = WriteResult(Outcome.REFUSED, reason)

    def _refusal(self, document: Document) -> str:
        name = STREAM.fullmatch(document.stream)
        if name is None:
            return f"{document.stream!r} is no data stream: logs-<dataset>-<unit>"
        if name.group(2) not in self._units:
            return f"unit {name.group(2)} is not configured here"
        if not 0 < len(document.id.encode("utf-8", "surrogatepass")) <= MAX_ID_BYTES:
            return f"the id is empty or longer than {MAX_ID_BYTES} bytes"
        return ""

    def _seen(
        self, documents: Sequence[Document], *, maybe_seen: bool
    ) -> frozenset[tuple[str, str]]:
        """Returns (stream, id) of what is stored already, as far as it can be suspected."""
        self._history.read()
        wanted: dict[str, list[str]] = defaultdict(list)
        for document in documents:
            if self._refusal(document):
                continue
            if maybe_seen or self._history.may_hold(document.stream, document.source):
                wanted[document.stream].append(document.id)
        if maybe_seen:
            self._refresh(wanted if len(wanted) <= MAX_NAMED else [pattern(self._units)])
        return frozenset(
            (stream_of(hit["_index"]), hit["_id"])
            for hit in elastic_search.find_ids(self._server, wanted)
        )

    def _started(self, lines: Iterable[Line], size: int) -> Sequence[Part]:
        parts = split(lines, size, self._connections)
        return [self._threads.submit(send, self._server, p, self._patience) for p in parts]

    def replace(self, documents: Sequence[Document]) -> Sequence[WriteResult]:
        """Writes documents over those with their id in any dataset of the unit.

        One in the same stream is overwritten in place; one in another stream is deleted after the
        new one is there. If something is in the way, `Unavailable` asks for a repeat.
        """
        newest = {(d.stream, d.id): place for place, d in enumerate(documents)}
        old = self._old(documents)
        results: dict[int, WriteResult] = dict.fromkeys(range(len(documents)), _CREATED)
        lines: list[Line] = []
        stale: list[dict[str, Any]] = []
        for place, document in enumerate(documents):
            if newest[document.stream, document.id] != place:
                continue
            hits = old.pop(document.id, [])
            here = next((h for h in hits if _is_in(h, document.stream)), None)
            stale += [hit for hit in hits if hit is not here]
            lines += self._lines(results, place, document, _writer(here))
        results |= _joined(self._started(lines, sum(len(line.data) for line in lines)))
        if any(results[line.place].outcome is Outcome.EXISTS for line in lines):
            raise Unavailable("a document was changed while it was being replaced")
        _joined(self._started([delete_line(n, hit) for n, hit in enumerate(stale)], 0))
        return [results[place] for place in range(len(documents))]

    def _old(self, documents: Sequence[Document]) -> dict[str, list[dict[str, Any]]]:
        wanted: dict[str, list[str]] = defaultdict(list)
        for document in documents:
            if not self._refusal(document):
                wanted[pattern([document.stream.rpartition("-")[2]])].append(document.id)
        self._refresh(wanted)
        found: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for hit in elastic_search.find_ids(self._server, wanted):
            found[hit["_id"]].append(hit)
        return found

    def refresh(self) -> None:
        """Returns when everything written before can be found."""
        self._refresh([pattern(self._units)])

    def _refresh(self, indices: Iterable[str]) -> None:
        names = quote(",".join(indices), safe=",*")
        if names:
            self._server.call("POST", f"/{names}/_refresh", params={"ignore_unavailable": "true"})

    def search(
        self, query: Query, *, limit: int = 100, cursor: str = "", newest_first: bool = True
    ) -> Page:
        """Returns one page; see `samlog.store.base.EventStore.search`."""
        return elastic_search.search(
            self._server, query, limit=limit, cursor=cursor, newest_first=newest_first
        )

    def count(self, query: Query) -> int:
        """Returns the exact number of hits."""
        return elastic_search.count(self._server, query)

    def terms(self, query: Query, field: str, *, size: int = 10) -> Sequence[Bucket]:
        """Returns the most frequent values of ``field``; exact up to 10,000 different ones."""
        return elastic_search.terms(self._server, query, field, size=size)

    def histogram(self, query: Query, *, interval_s: int) -> Sequence[Bucket]:
        """Returns counts per interval of ``@timestamp``, oldest first."""
        return elastic_search.histogram(self._server, query, interval_s=interval_s)

    def find_doubles(self, unit: str, *, limit: int = 1_000) -> Sequence[tuple[str, int]]:
        """Returns ids that ``unit`` holds more than once, with how often; reads all of them."""
        found: list[tuple[str, int]] = []
        for double in elastic_search.doubles(self._server, Query("*", [unit])):
            found.append(double)
            if len(found) >= limit:
                break
        return found

    def delete_before(self, moment: datetime, units: Sequence[str]) -> int:
        """Deletes backing indices that took nothing after ``moment``; returns their documents.

        Never the one being written. So that there is something to delete, an index is rolled over
        when it is older than a tenth of the time that is kept, or large: events live up to a tenth
        longer than asked for.
        """
        kept = max(timedelta(0), self._clock.now() - moment)
        conditions = {
            "max_age": f"{int((kept / 10).total_seconds())}s",
            "max_primary_shard_size": INDEX_BYTES,
            "min_docs": 1,
        }
        self._roll_over(backing_indices(self._server, units), {"conditions": conditions})
        deleted = 0
        for indices in backing_indices(self._server, units):
            for index, successor in zip(indices, indices[1:], strict=False):
                if successor.created_ms <= moment.timestamp() * 1000:
                    deleted += self._delete(index)
        self._history.forget()
        return deleted

    def _delete(self, index: Backing) -> int:
        try:
            self._refresh([index.name])
            documents = self._server.call("GET", f"/{index.name}/_count")["count"]
            self._server.call("DELETE", f"/{index.name}")
        except Missing:  # the server's own life cycle was faster
            return 0
        return int(documents)

    def rollover(self) -> None:
        """Starts a new backing index in every stream of the units; the writer is drained."""
        self.refresh()
        self._roll_over(backing_indices(self._server, self._units), {})
        self._history.forget()

    def _roll_over(self, streams: Iterable[Sequence[Backing]], body: dict[str, Any]) -> None:
        for indices in streams:
            self._server.call("POST", f"/{quote(indices[0].stream)}/_rollover", body)

    def check(self) -> StoreHealth:
        """Asks the cluster how it is; never raises."""
        return health(self._server, self._units, keep_days=self._keep_days)

    def close(self) -> None:
        """Releases connections and threads; safe to call twice."""
        self._threads.shutdown()
        self._server.close()


def _with_platform(units: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*units, PLATFORM_UNIT)))


def _secret(file: Path | None, key: str) -> str:
    return "" if file is None else read_secret(file, key)


def _joined(futures: Sequence[Part]) -> dict[int, WriteResult]:
    """Waits for all parts' answers; a wrong configuration is told before a busy server."""
    wait(futures)
    problems = [problem for f in futures if isinstance(problem := f.exception(), SamlogError)]
    for problem in sorted(problems, key=lambda p: not isinstance(p, ConfigError)):
        raise problem
    results: dict[int, WriteResult] = {}
    for future in futures:
        results |= future.result()
    return results


def _is_in(hit: dict[str, Any], stream: str) -> bool:
    return stream_of(hit["_index"]) == stream


def _writer(here: dict[str, Any] | None) -> Callable[[int, Document], Line]:
    if here is None:
        return create_line
    return lambda place, document: index_line(place, document, here)
