"""Reading of one day's index: what was received on that day, of all units.

Any number of processes read, each the state that was committed when it looked last.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import tantivy

from samlog.store.embedded_query import Translator, all_of, any_of
from samlog.store.embedded_schema import (
    BLOCK_SIZE,
    Stored,
    rank,
    read_block,
    register,
    word_analyzer,
)
from samlog.store.embedded_terms import id_terms, term_of, values_of
from samlog.store.fields import keyword_text

Query = tantivy.Query


class Position(NamedTuple):
    """Where a document stands in the order of hits."""

    timestamp_ms: int
    id: str
    stream: str


class Found(NamedTuple):
    """A document as it was stored, with its position."""

    position: Position
    stored: Stored


class Candidate(NamedTuple):
    """A document that was found and not read yet; ``rank`` orders as the beginning of its id."""

    timestamp_ms: int
    rank: int
    address: tantivy.DocAddress


class DayReader:
    """Questions to one day's index. Raises `OSError` or `ValueError` when it is damaged."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._index = tantivy.Index.open(str(path))
        self._analyzer = word_analyzer()
        register(self._index)
        self._schema = self._index.schema
        self._state: tuple[int, int] | None = None
        self.refresh()

    def refresh(self) -> None:
        """Sees what was committed since; costs a look at one file when nothing was."""
        meta = (self.path / "meta.json").stat()
        state = (meta.st_mtime_ns, meta.st_ino)
        if state != self._state:
            self._index.reload()
            self._searcher = self._index.searcher()
            self._translator = Translator(self._schema, self._searcher, self._analyzer)
            self._state = state

    @property
    def translator(self) -> Translator:
        """Translates for the state that is read now."""
        return self._translator

    def streams(self, names: Iterable[str]) -> tantivy.Query:
        """Returns the condition of being in one of these data streams."""
        return Query.term_set_query(self._schema, "stream", [*names])

    def units(self, names: Iterable[str]) -> tantivy.Query:
        """Returns the condition of belonging to one of these units."""
        return Query.term_set_query(self._schema, "unit", [*names])

    def unit_counts(self) -> Mapping[str, int]:
        """Returns the units in this index with their number of documents."""
        return dict(self._searcher.terms_with_prefix("unit", "", Query.all_query()))

    def probe(self) -> Mapping[str, int]:
        """Reads one document and returns `unit_counts`; raises where the index is damaged."""
        hits = self._searcher.search(Query.all_query(), 1, count=False, order_by_field="place").hits
        if hits and hits[0][0] is not None:
            self.read([hits[0][1]])
        return self.unit_counts()

    def count(self, query: tantivy.Query) -> int:
        """Returns the exact number of documents."""
        found: Any = self._searcher.search(query, limit=1, count=True)
        return int(found.count)

    def terms(self, path: str, query: tantivy.Query) -> Iterable[tuple[str, int]]:
        """Returns terms that begin with ``path`` and in how many found documents they are."""
        return self._searcher.terms_with_prefix("terms", path, query)

    def written(self, term: str, field: str) -> str | None:
        """Returns the value of a term as an event that has it wrote it; None if none does."""
        hits = self._searcher.search(Query.term_query(self._schema, "terms", term), 1).hits
        for found in self.read([address for _, address in hits]):
            for value in values_of(orjson.loads(found.stored.source), field):
                if term_of(field, value) == term:
                    return keyword_text(value)
        return None

    def times(self, query: tantivy.Query, interval_ms: int) -> Iterator[tuple[int, int]]:
        """Yields starts of intervals and how many found documents are in them, oldest first."""
        histogram = {"field": "ts", "interval": interval_ms, "min_doc_count": 1}
        first = self._oldest(query)
        while first is not None:
            # Tantivy makes at most 65,000 buckets.
            start = first // interval_ms * interval_ms
            end = start + 50_000 * interval_ms
            part = all_of([query, self._translator.time_range(start, end - 1)])
            answer = self._searcher.aggregate(part, {"times": {"histogram": histogram}})
            for row in answer["times"]["buckets"]:
                yield int(row["key"]), row["doc_count"]
            first = self._oldest(all_of([query, self._translator.time_range(end, None)]))

    def _oldest(self, query: tantivy.Query) -> int | None:
        hits = self._searcher.search(
            query, 1, count=False, order_by_field="ts", order=tantivy.Order.Asc
        ).hits
        return int(hits[0][0]) if hits else None

    def first(
        self, query: tantivy.Query, limit: int, after: Position | None, *, newest_first: bool
    ) -> list[Candidate]:
        """Returns the first ``limit`` by time and rank, and all that equal the last one in both.

        With ``after`` only those whose time and rank are beyond its; see `same`.
        """
        if after is not None:
            later = self._beyond("ts", after.timestamp_ms, newest_first)
            tied = [
                self._only("ts", after.timestamp_ms),
                self._beyond("rank", rank(after.id), newest_first),
            ]
            query = all_of([query, any_of([later, all_of(tied)])])
        addresses = self._first(query, ("ts", "rank"), limit, newest_first)
        times = self._searcher.fast_field_values("ts", addresses)
        ranks = self._searcher.fast_field_values("rank", addresses)
        return [
            Candidate(int(moment or 0), int(rank_ or 0), address)
            for moment, rank_, address in zip(times, ranks, addresses, strict=True)
        ]

    def same(self, query: tantivy.Query, position: Position) -> list[Found]:
        """Returns the documents that have the time and the rank of ``position``."""
        tied = [self._only("ts", position.timestamp_ms), self._only("rank", rank(position.id))]
        return self.read(self._all(all_of([query, *tied])))

    def _first(
        self, query: tantivy.Query, keys: Sequence[str], limit: int, newest_first: bool
    ) -> list[tantivy.DocAddress]:
        """Returns the first ``limit`` by ``keys``, and all that equal the last one in every key."""
        if not keys:
            return self._all(query)
        order = tantivy.Order.Desc if newest_first else tantivy.Order.Asc
        hits = self._searcher.search(
            query, limit + 1, count=False, order_by_field=keys[0], order=order
        ).hits
        if len(hits) <= limit or hits[limit - 1][0] != hits[limit][0]:
            return [address for _, address in hits[:limit]]
        last = hits[limit][0]
        whole = [address for value, address in hits if value != last]
        tied = all_of([query, self._only(keys[0], last)])
        return whole + self._first(tied, keys[1:], limit - len(whole), newest_first)

    def _all(self, query: tantivy.Query) -> list[tantivy.DocAddress]:
        count = self.count(query)
        if not count:
            return []
        hits = self._searcher.search(query, count, count=False, order_by_field="rank").hits
        return [address for _, address in hits]

    def _only(self, name: str, value: int) -> tantivy.Query:
        return Query.range_query(self._schema, name, _TYPES[name], value, value)

    def _beyond(self, name: str, value: int, newest_first: bool) -> tantivy.Query:
        low, high = (None, value) if newest_first else (value, None)
        return Query.range_query(
            self._schema, name, _TYPES[name], low, high, low is None, high is None
        )

    def read(self, addresses: Sequence[tantivy.DocAddress]) -> list[Found]:
        """Returns the documents at these addresses, in any order."""
        times = self._searcher.fast_field_values("ts", [*addresses])
        places = self._searcher.fast_field_values("place", [*addresses])
        slots: dict[int, list[tuple[int, int]]] = defaultdict(list)
        for moment, place in zip(times, places, strict=True):
            block, slot = divmod(int(place or 0), BLOCK_SIZE)
            slots[block].append((slot, int(moment or 0)))
        found: list[Found] = []
        for block, wanted in slots.items():
            stored = self._block(block)
            for slot, moment in wanted:
                one = stored[slot]
                found.append(Found(Position(moment, one.id, one.stream), one))
        return found

    def _block(self, number: int) -> list[Stored]:
        query = Query.term_query(self._schema, "block", number, "basic")
        hits = self._searcher.search(query, limit=1, count=False).hits
        if not hits:
            raise ValueError(f"block {number} is missing")
        return read_block(bytes(self._searcher.doc(hits[0][1])["data"][0]))

    def present(self, ids: Sequence[str]) -> set[tuple[str, str]]:
        """Returns (stream, id) of the documents that have one of these ids."""
        query = Query.term_set_query(self._schema, "terms", [t for i in ids for t in id_terms(i)])
        return {(f.position.stream, f.position.id) for f in self.read(self._all(query))}

    def last_block(self) -> int:
        """Returns the highest number of a block; 0 when there is none."""
        hits = self._searcher.search(
            Query.exists_query("block"), limit=1, count=False, order_by_field="block"
        ).hits
        return int(hits[0][0]) if hits else 0


_TYPES: Mapping[str, Any] = {
    "ts": tantivy.FieldType.Integer,
    "rank": tantivy.FieldType.Unsigned,
}
