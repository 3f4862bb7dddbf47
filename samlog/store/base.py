"""What an event store is: the contract that Tantivy and Elasticsearch both meet.

Semantics, proved by ``tests/contract/test_store.py`` over every implementation:

*Identity.* A document is (stream, id); writing it again changes nothing and answers
``EXISTS``. Across a rollover and across midnight this holds for batches that are written with
``maybe_seen=True`` (after a restart, a rebalance, a replay, a lost answer), which costs a refresh
and a look-up; without it the store may trust its cheap check.

*Streams.* ``logs-<dataset>-<unit>``. A search names the units it may see and sees no other.

*Per item.* A bad document (mapping conflict) is reported in its own `WriteResult` and does not
touch its neighbours. A busy or absent server raises `Unavailable` for the whole batch; then some
documents may have been written, and the batch is to be repeated with ``maybe_seen=True``.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Any, NamedTuple, Protocol

from samlog.errors import ConfigError
from samlog.event import Event

DATASET = re.compile(r"[a-z0-9_][a-z0-9_.]{0,99}")
PLATFORM_UNIT = "samlog"
"""Namespace of what belongs to no unit: dead letters whose unit is unknown or not configured.

Every store takes it beside the configured units; only the platform's operators search it.
"""


def check_dataset(name: str) -> None:
    """Raises `ConfigError` for a name that could reach beyond one dataset."""
    if not DATASET.fullmatch(name):
        raise ConfigError(f"{name!r} is no dataset, such as system.auth")


class Document(NamedTuple):
    """One thing to store. ``source`` is a flat event; ``stream`` the data stream's name.

    ``json`` is the source as JSON where the caller has it, and empty where not: a store that does
    not change the source may keep it as it is.
    """

    stream: str
    id: str
    source: Event
    json: bytes = b""


class Outcome(Enum):
    CREATED = "created"
    EXISTS = "exists"
    REFUSED = "refused"


class WriteResult(NamedTuple):
    """Answer to one `Document`, in the order of the batch; ``reason`` only when refused."""

    outcome: Outcome
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Query:
    r"""A search. ``text`` is Lucene syntax; "" or "*" is everything.

    ``units`` limits what is seen; an empty sequence sees nothing. ``since`` is inclusive,
    ``until`` exclusive, both on ``@timestamp``. ``streams`` limits to dataset names
    (``system.auth``); empty = all. ``from_rule``: the text was made of a Sigma rule, so the limits
    for what people type do not apply, and names may end in ``.\*`` (any field below).
    """

    text: str
    units: Sequence[str]
    since: datetime | None = None
    until: datetime | None = None
    streams: Sequence[str] = ()
    from_rule: bool = False


@dataclass(frozen=True, slots=True)
class Hit:
    """One found document, flat; ``cursor`` continues the search after it."""

    stream: str
    id: str
    source: Event
    cursor: str = ""


@dataclass(frozen=True, slots=True)
class Page:
    """Hits sorted by ``@timestamp`` then id. ``total`` is exact. ``cursor`` is "" at the end."""

    hits: Sequence[Hit]
    total: int
    cursor: str = ""


@dataclass(frozen=True, slots=True)
class Bucket:
    """One row of an aggregation: ``key`` is a term, or an ISO time for a histogram."""

    key: str
    count: int


@dataclass(slots=True)
class StoreHealth:
    """What `EventStore.check` found; ``problems`` are sentences with what to do."""

    reachable: bool
    version: str = ""
    problems: list[str] = field(default_factory=list)
    detail: Mapping[str, Any] = field(default_factory=dict)


Answers = Callable[[], Sequence[WriteResult]]
"""One result a document, in their order; asked for once."""


class EventStore(Protocol):
    """Keeps events and answers questions about them."""

    @property
    def uncommitted(self) -> bool:
        """Whether there are documents with answers for which no commit was begun yet."""

    def setup(self, units: Sequence[str], *, dry_run: bool = False) -> Sequence[str]:
        """Creates or updates what the units need (templates, folders); returns what it did."""

    def write(
        self, documents: Sequence[Document], *, maybe_seen: bool = False
    ) -> Sequence[WriteResult]:
        """Creates documents that do not exist; durable on return; one result a document.

        Raises `Unavailable` when the store is busy or gone.
        """

    def begin(self, documents: Sequence[Document], *, maybe_seen: bool = False) -> Answers:
        """Starts what `write` does; the answers are waited for when they are asked for.

        A document is durable and can be found when it has its answer and a `commit` came after.
        Where this, the answers or `commit` raise `Unavailable`, any of the others may be there or
        not: the caller writes them again.
        """

    def commit(self, *, wait: bool = True) -> None:
        """Makes durable all documents that have their answers; with ``wait`` returns when they are.

        Else that may go on beside; one commit begins when the one before is over.
        """

    def is_committed(self, *, wait: bool = False) -> bool:
        """Tells whether the last commit that was begun is over.

        Raises `Unavailable` where it failed.
        """

    def replace(self, documents: Sequence[Document]) -> Sequence[WriteResult]:
        """Writes documents over what has their id in any dataset of the unit (replay after a fix).

        Also moves a document whose dataset changed: the old one is gone afterwards.
        """

    def refresh(self) -> None:
        """Returns when everything written before can be found by this and other processes."""

    def search(
        self, query: Query, *, limit: int = 100, cursor: str = "", newest_first: bool = True
    ) -> Page:
        """Returns one page; pass ``Page.cursor`` to get the next, to any depth.

        Raises `ConfigError` for a query that cannot be parsed, saying where.
        """

    def count(self, query: Query) -> int:
        """Returns the exact number of hits."""

    def terms(self, query: Query, field: str, *, size: int = 10) -> Sequence[Bucket]:
        """Returns the most frequent values of ``field``, most frequent first, ties by value."""

    def histogram(self, query: Query, *, interval_s: int) -> Sequence[Bucket]:
        """Returns counts per interval of ``@timestamp``, oldest first, empty intervals left out."""

    def delete_before(self, moment: datetime, units: Sequence[str]) -> int:
        """Deletes whole days (or indices) received before ``moment``; returns documents deleted."""

    def rollover(self) -> None:
        """Starts a new backing index where the store has such a thing; the writer is drained."""

    def check(self) -> StoreHealth:
        """Asks the store how it is; never raises."""

    def close(self) -> None:
        """Releases; what was begun and not committed may be lost. Safe to call twice."""
