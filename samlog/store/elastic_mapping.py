"""The index template of a unit's data streams, made from `samlog.store.fields` for every server.

A field's type follows from its name: nearly all are found by dynamic templates when they first
occur, so that an index declares the fields it holds and not ECS's 2,600. ``subobjects: false``
keeps dotted names as they are; ``a`` beside ``a.b`` is then no conflict. Only flattened and
geographic fields, whose values are objects, are declared before.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

import orjson

from samlog.store.fields import DECLARED, DEFAULT_FIELDS, IGNORE_ABOVE, Kind, kind

DOCUMENT_ID = "samlog.document_id"
"""Holds a document's id: ``_id`` itself cannot be sorted by. Added on writing, taken off again."""

PRIORITY = 600
"""Above 500, the highest that Elastic's own integrations use, and their ``logs-*-*`` (100)."""

FIELD_LIMIT = 5_000
"""Fields of one index, a sub-field counted. What comes beyond is kept and cannot be searched."""

FLATTENED_DEPTH = 255
"""JSON is nested at most this deep where a flattened field takes it; orjson stops at 254."""

_SCALARS = ["string", "long", "double", "boolean"]

_CASELESS = {
    "type": "keyword",
    "normalizer": "lowercase",
    "ignore_above": IGNORE_ABOVE,
    "doc_values": False,
}

_TYPES: Mapping[Kind, dict[str, Any]] = {
    Kind.KEYWORD: {
        "type": "keyword",
        "ignore_above": IGNORE_ABOVE,
        "fields": {"caseless": _CASELESS},
    },
    Kind.TEXT: {"type": "text", "norms": False},
    Kind.IP: {"type": "ip"},
    Kind.DATE: {"type": "date"},
    Kind.LONG: {"type": "long"},
    Kind.DOUBLE: {"type": "double"},
    Kind.BOOLEAN: {"type": "boolean"},
    Kind.GEO: {"type": "geo_point"},
    Kind.FLATTENED: {
        "type": "flattened",
        "ignore_above": IGNORE_ABOVE,
        "depth_limit": FLATTENED_DEPTH,
    },
    Kind.STORED: {"type": "keyword", "index": False, "doc_values": False},
}

_BY_NAME = (Kind.TEXT, Kind.IP, Kind.DATE, Kind.LONG, Kind.DOUBLE, Kind.BOOLEAN, Kind.STORED)
_BEFORE = (Kind.GEO, Kind.FLATTENED)


def mapping() -> dict[str, Any]:
    """Returns the mapping that every index has."""
    by_name = [
        {
            its.value: {
                "path_match": _names(its),
                "match_mapping_type": _SCALARS,
                "mapping": _TYPES[its],
            }
        }
        for its in _BY_NAME
    ]
    others = {"others": {"match_mapping_type": _SCALARS, "mapping": _TYPES[Kind.KEYWORD]}}
    declared = {name: _TYPES[its] for its in _BEFORE for name in _names(its)}
    return {
        "subobjects": False,
        "date_detection": False,
        "numeric_detection": False,
        "dynamic_templates": [*by_name, others],
        "properties": {
            "@timestamp": _TYPES[Kind.DATE],
            DOCUMENT_ID: {"type": "keyword", "index": False},
            **declared,
        },
    }


def template_name(unit: str) -> str:
    """Returns the name of the index template of ``unit``."""
    return f"samlog-logs-{unit}"


def template(unit: str, *, keep_days: int = 0) -> dict[str, Any]:
    """Returns the index template of ``unit``, its digest in both ``_meta``.

    With ``keep_days`` the server's own data stream life cycle deletes what is older.
    """
    index: dict[str, Any] = {
        # Else a new cluster of version 9 makes logsdb of it, which rebuilds _source.
        "mode": "standard",
        # Half the disk at the same CPU: event.original says again what the other fields say.
        "codec": "best_compression",
        # Each refresh makes segments to be merged: a fifth of Elasticsearch's CPU at one a second.
        "refresh_interval": "5s",
        "number_of_shards": 1,
        "auto_expand_replicas": "0-1",
        "mapping": {
            "total_fields": {"limit": FIELD_LIMIT, "ignore_dynamic_beyond_limit": True},
        },
        "query": {"default_field": _default_fields()},
        # A word asked of all default fields is no address, and no error either.
        "query_string": {"lenient": True},
    }
    body: dict[str, Any] = {"settings": {"index": index}, "mappings": mapping()}
    if keep_days:
        body["lifecycle"] = {"data_retention": f"{keep_days}d"}
    whole = {
        "index_patterns": [f"logs-*-{unit}"],
        "priority": PRIORITY,
        "data_stream": {},
        "template": body,
    }
    meta = {"samlog": _digest(whole)}
    whole["_meta"] = meta
    body["mappings"]["_meta"] = meta
    return whole


def _names(wanted: Kind) -> list[str]:
    return sorted(name for name, its in DECLARED.items() if its is wanted)


def _default_fields() -> list[str]:
    """Where Kibana's Lucene box looks for a word without a field: as samlog's own search does."""
    return [f"{name}.caseless" if kind(name) is Kind.KEYWORD else name for name in DEFAULT_FIELDS]


def _digest(template: Mapping[str, Any]) -> str:
    canonical = orjson.dumps(template, option=orjson.OPT_SORT_KEYS)
    return hashlib.blake2b(canonical, digest_size=8).hexdigest()
