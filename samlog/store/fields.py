"""How every field of an event is indexed: the decisions that both event stores share.

The type of a field follows from its name alone, never from a value that happened to come first,
so that no event can spoil the mapping for the next one. ECS fields have ECS's type; ours and
vendors' fields (``winlog.event_data.*``, ``zeek.conn.*``) are keywords, whatever the value; JSON
of unknown origin is one flattened field.

Every store uses only types that each Elasticsearch server has, hence no ``wildcard``,
``match_only_text``, ``constant_keyword`` or ``nested``: an array of objects is indexed as arrays
of its leaves.
"""

from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Any

import orjson

from samlog.ecs import FIELDS
from samlog.event import Event
from samlog.remember import remembered


class Kind(Enum):
    """How a field is indexed, and so what can be asked of it.

    ``KEYWORD``: the whole value; compared in any case (Elasticsearch: sub-field ``.caseless``),
    shown and counted in its own. ``TEXT``: words, in any case. ``FLATTENED``: every leaf below it
    as a keyword, exact value only. ``STORED``: kept, cannot be searched. ``OBJECT``: has no value
    of its own, only fields below it.
    """

    KEYWORD = "keyword"
    TEXT = "text"
    IP = "ip"
    DATE = "date"
    LONG = "long"
    DOUBLE = "double"
    BOOLEAN = "boolean"
    GEO = "geo_point"
    FLATTENED = "flattened"
    STORED = "stored"
    OBJECT = "object"


IGNORE_ABOVE = 8191
"""Longest keyword that can be searched, in UTF-16 units as Elasticsearch counts them.

A term of Lucene holds 32,766 bytes; 8,191 units are at most 24,573 bytes of UTF-8. Longer values
are kept in the source, and the event is tagged `SEARCH_TRUNCATED`.
"""

SEARCH_TRUNCATED = "search_truncated"

TIME_OF_RECEIPT = frozenset(("time_from_receipt", "time_invalid"))
"""Tags of an event whose ``@timestamp`` is when it was received, and so differs in a repeat."""

UNKNOWN_JSON = "samlog.json"
"""The one field that takes JSON of unknown origin, as an object."""

DEFAULT_FIELDS = (
    "message",
    "event.action",
    "event.code",
    "event.id",
    "file.name",
    "file.path",
    "host.name",
    "process.command_line",
    "process.executable",
    "process.name",
    "related.hash",
    "related.hosts",
    "related.ip",
    "related.user",
    "rule.name",
    "url.domain",
    "url.original",
    "user.name",
)
"""Where a search term without a field is looked for; one of them is enough.

A short list, because Elasticsearch makes a clause of every field: all 2,600 would be refused.
``related.*`` holds every address, user, host and hash of an event.
"""

_KIND_OF_ECS_TYPE = {
    "keyword": Kind.KEYWORD,
    "wildcard": Kind.KEYWORD,
    "constant_keyword": Kind.KEYWORD,
    "match_only_text": Kind.TEXT,
    "ip": Kind.IP,
    "date": Kind.DATE,
    "long": Kind.LONG,
    "integer": Kind.LONG,
    "float": Kind.DOUBLE,
    "double": Kind.DOUBLE,
    "scaled_float": Kind.DOUBLE,
    "boolean": Kind.BOOLEAN,
    "geo_point": Kind.GEO,
    "flattened": Kind.FLATTENED,
    "object": Kind.OBJECT,
    "nested": Kind.OBJECT,
}


_OTHERS = {
    UNKNOWN_JSON: Kind.FLATTENED,
    # A whole soc-alert/1 beside the fields made from it.
    "samlog.alert.envelope": Kind.FLATTENED,
    # samlog.invalid.host and samlog.invalid.host.name may both be there.
    "samlog.invalid": Kind.FLATTENED,
    # The bytes as they came are evidence; their words are in the fields made from them.
    "event.original": Kind.STORED,
    # ECS types these as nested and describes them as lists of words.
    "gen_ai.request.encoding_formats": Kind.KEYWORD,
    "gen_ai.request.stop_sequences": Kind.KEYWORD,
    "gen_ai.response.finish_reasons": Kind.KEYWORD,
}


def _declared() -> dict[str, Kind]:
    kinds = {name: _KIND_OF_ECS_TYPE[es_type] for name, es_type in FIELDS.items()}
    for name in FIELDS:
        parent = name.rpartition(".")[0]
        while parent:
            kinds.setdefault(parent, Kind.OBJECT)
            parent = parent.rpartition(".")[0]
    return kinds | _OTHERS


DECLARED: Mapping[str, Kind] = _declared()
"""Every field whose kind is fixed, and the objects that hold them. All others are keywords."""


def kind(name: str) -> Kind:
    """Returns how the field ``name`` is indexed, for any name whatever."""
    found = DECLARED.get(name)
    return _kind(name) if found is None else found


@remembered(65_536)
def _kind(name: str) -> Kind:
    parent = name.rpartition(".")[0]
    while parent:
        above = DECLARED.get(parent)
        if above in (Kind.FLATTENED, Kind.GEO):
            return above
        parent = parent.rpartition(".")[0]
    return Kind.KEYWORD


def caseless(text: str) -> str:
    """Returns ``text`` in the case that comparisons use: Lucene's, character by character.

    Python differs in two letters: it makes two characters of the Turkish capital I with a dot, and
    a sigma at a word's end another letter.
    """
    if not text.isascii():
        text = text.replace("\u0130", "i").replace("\u03a3", "\u03c3")
    return text.lower()


def keyword_text(value: Any) -> str:
    """Returns a scalar as a keyword: strings as they are, others as JSON writes them."""
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def searchable(text: str) -> bool:
    """Tells whether a keyword is short enough to be indexed (`IGNORE_ABOVE`)."""
    length = len(text)
    if length * 2 <= IGNORE_ABOVE:
        return True
    # Encoding takes 2 µs where counting in Python took 100 µs for a long value.
    return (
        length <= IGNORE_ABOVE
        and len(text.encode("utf-16-le", "surrogatepass")) <= 2 * IGNORE_ABOVE
    )


def tag_truncated(event: Event) -> bool:
    """Adds the tag `SEARCH_TRUNCATED` when a keyword of ``event`` is too long to be searched.

    Called by every store on each event before it is written; in place, idempotent.
    """
    if not any(
        kind(name) in (Kind.KEYWORD, Kind.FLATTENED) and not searchable(value)
        for name, value in _long_strings(event)
    ):
        return False
    tags = event.get("tags") or []
    tags = tags if isinstance(tags, list) else [tags]
    if SEARCH_TRUNCATED not in tags:
        event["tags"] = [*tags, SEARCH_TRUNCATED]
    return True


def _long_strings(event: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    stack: list[tuple[str, Any]] = list(event.items())
    while stack:
        name, value = stack.pop()
        if type(value) is str:
            if len(value) * 2 > IGNORE_ABOVE:
                yield name, value
        elif type(value) is list:
            stack += [(name, item) for item in value]
        elif type(value) is dict:
            stack += [(f"{name}.{key}", item) for key, item in value.items()]
