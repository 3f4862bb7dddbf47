"""The layout of one day's index, and of the compressed blocks that hold the documents.

An index holds two sorts of Tantivy documents. One per event, with its terms and with ``place``:
the number of its block and the slot in it. And one per block of up to `BLOCK_SIZE` events, with
nothing but its number and the compressed sources: together they take 0.45 kB an event, each by
itself 1.3 kB. Blocks are never deleted before the day is.
"""

from collections.abc import Sequence
from typing import NamedTuple

import orjson
import tantivy
import zstandard

from samlog.store.embedded_letters import SEPARATOR
from samlog.store.embedded_terms import Indexed
from samlog.store.fields import DECLARED, Kind

FORMAT = 3
"""Version of this layout; an index of another is refused."""

BLOCK_SIZE = 32
MAX_BLOCK_BYTES = 1 << 20
"""A block is closed beyond this; one large event makes a block of its own."""

TEXT_FIELDS = {
    name: f"words{number}"
    for number, name in enumerate(sorted(n for n, its in DECLARED.items() if its is Kind.TEXT))
}
"""Text fields and the index fields that hold their words."""

WORDS = "samlog_words"
"""Name of the tokenizer of texts."""

TERMS = "samlog_terms"
"""Name of the tokenizer that takes the terms of an event apart."""


class Stored(NamedTuple):
    """A document as blocks hold it; ``source`` is JSON."""

    stream: str
    id: str
    source: bytes


def schema() -> tantivy.Schema:
    """Returns the schema of a day's index."""
    builder = tantivy.SchemaBuilder()
    for name in ("stream", "unit", "shape"):
        builder.add_text_field(name, tokenizer_name="raw", index_option="basic")
    builder.add_text_field("terms", tokenizer_name=TERMS, index_option="basic")
    for name in TEXT_FIELDS.values():
        builder.add_text_field(name, tokenizer_name=WORDS, index_option="position")
    builder.add_integer_field("ts", fast=True)
    builder.add_unsigned_field("rank", fast=True)
    builder.add_unsigned_field("place", fast=True)
    builder.add_unsigned_field("block", indexed=True, fast=True)
    builder.add_bytes_field("data", stored=True)
    return builder.build()


def word_analyzer() -> tantivy.TextAnalyzer:
    """Returns the tokenizer for texts that `words_text` has prepared."""
    return tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.simple()).build()


def register(index: tantivy.Index) -> None:
    """Makes the tokenizers known to an index that was just opened."""
    index.register_tokenizer(WORDS, word_analyzer())
    terms = tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.whitespace()).build()
    index.register_tokenizer(TERMS, terms)


def rank(id_: str) -> int:
    """Returns a number of the same order as the id, by its first eight bytes."""
    return int.from_bytes(id_.encode()[:8].ljust(8, b"\0"))


def unit_of(stream: str) -> str:
    """Returns the unit of a data stream ``logs-<dataset>-<unit>``."""
    return stream.rpartition("-")[2]


def event_document(stream: str, id_: str, indexed: Indexed, place: int) -> tantivy.Document:
    """Returns what Tantivy indexes of one event."""
    document = tantivy.Document()
    document.add_text("stream", stream)
    document.add_text("unit", unit_of(stream))
    document.add_text("terms", SEPARATOR.join(indexed.terms))
    for shape in indexed.shapes:
        document.add_text("shape", shape)
    for name, words in indexed.texts:
        document.add_text(TEXT_FIELDS[name], words)
    document.add_integer("ts", indexed.timestamp_ms)
    document.add_unsigned("rank", rank(id_))
    document.add_unsigned("place", place)
    return document


def block_document(number: int, block: Sequence[Stored]) -> tantivy.Document:
    """Returns the document that holds a block."""
    head = orjson.dumps([[one.stream, one.id, len(one.source)] for one in block])
    body = head + b"\n" + b"".join(one.source for one in block)
    document = tantivy.Document()
    document.add_unsigned("block", number)
    document.add_bytes("data", zstandard.ZstdCompressor(level=1).compress(body))
    return document


def read_block(data: bytes) -> list[Stored]:
    """Returns what a block holds, by slot."""
    body = zstandard.ZstdDecompressor().decompress(data)
    start = body.index(b"\n") + 1
    stored: list[Stored] = []
    for stream, id_, length in orjson.loads(body[: start - 1]):
        stored.append(Stored(stream, id_, body[start : start + length]))
        start += length
    return stored
