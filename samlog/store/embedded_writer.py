"""Writing of one day's index."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import tantivy

from samlog.store.embedded_day import DayReader
from samlog.store.embedded_ids import Ids
from samlog.store.embedded_query import all_of
from samlog.store.embedded_schema import (
    BLOCK_SIZE,
    MAX_BLOCK_BYTES,
    Stored,
    block_document,
    event_document,
    register,
    schema,
)
from samlog.store.embedded_terms import Indexed, id_terms

Query = tantivy.Query

HEAP = 128_000_000
"""Bytes of memory in which Tantivy collects documents before it writes a segment."""


class DayWriter:
    """Adds to one day's index; the caller sees to it that there is no second one."""

    def __init__(self, path: Path) -> None:
        path.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._index = tantivy.Index(schema(), path=str(path), reuse=True)
        register(self._index)
        self._schema = self._index.schema
        self._writer = self._index.writer(HEAP, 1)
        self._block = DayReader(path).last_block()
        self.ids = None if self._block else Ids()
        """Of all documents in the index, where it was empty when this writer opened it."""

    def add(self, documents: Sequence[tuple[Stored, Indexed]]) -> None:
        """Adds documents; they count only after `commit`."""
        if self.ids is not None:
            self.ids.add(stored.id for stored, _ in documents)
        block: list[Stored] = []
        size = 0
        self._block += 1
        for stored, indexed in documents:
            if len(block) == BLOCK_SIZE or (block and size + len(stored.source) > MAX_BLOCK_BYTES):
                self._close(block)
                block, size = [], 0
            place = self._block * BLOCK_SIZE + len(block)
            self._writer.add_document(event_document(stored.stream, stored.id, indexed, place))
            block.append(stored)
            size += len(stored.source)
        if block:
            self._close(block)

    def _close(self, block: Sequence[Stored]) -> None:
        self._writer.add_document(block_document(self._block, block))
        self._block += 1

    def delete(self, pairs: Iterable[tuple[str, str]]) -> None:
        """Deletes documents by (stream, id); what is added afterwards stays."""
        for stream, id_ in pairs:
            both = [
                Query.term_set_query(self._schema, "terms", [*id_terms(id_)]),
                Query.term_query(self._schema, "stream", stream, "basic"),
            ]
            self._writer.delete_documents_by_query(all_of(both))

    def delete_units(self, units: Iterable[str]) -> None:
        """Deletes every document of these units; their blocks go with the day."""
        for unit in units:
            self._writer.delete_documents_by_term("unit", unit)

    def commit(self) -> None:
        """Returns when all that was added is durable and can be found."""
        self._writer.commit()

    def close(self, *, merge: bool = False) -> None:
        """Releases the index; with ``merge`` waits until segments are merged."""
        if merge:
            self._writer.wait_merging_threads()
        del self._writer
