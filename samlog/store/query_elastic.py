"""A query as Elasticsearch takes it: filters only, as nothing is scored.

Not its ``query_string``: that finds other things than the embedded store in the corners, and lets
a user name settings. Keywords are asked in their sub-field ``.caseless``, whose values are in the
case of comparison.
"""

from typing import Any

from samlog.store.fields import Kind, kind
from samlog.store.query import parse
from samlog.store.query_tree import (
    All,
    And,
    Below,
    Between,
    CharSet,
    Exists,
    Gap,
    Is,
    Like,
    Literal,
    Matches,
    Node,
    Not,
    Nothing,
    Or,
    RegexToken,
    Wildcard,
    Words,
)
from samlog.store.query_values import address_text

_RESERVED = frozenset('.?+*|{}[]()"\\#@&<>~^$-/')


def to_elastic(text: str) -> dict[str, Any]:
    """Returns the clause for a query's text; raises `ConfigError` where it cannot be read."""
    return to_elasticsearch(parse(text))


def to_elasticsearch(node: Node) -> dict[str, Any]:
    """Returns the clause for a parsed query."""
    match node:
        case All():
            return {"match_all": {}}
        case Nothing():
            return {"match_none": {}}
        case And(parts):
            return {"bool": {"filter": [to_elasticsearch(part) for part in parts]}}
        case Or(parts):
            should = [to_elasticsearch(part) for part in parts]
            return {"bool": {"should": should, "minimum_should_match": 1}}
        case Not(part):
            return {"bool": {"must_not": [to_elasticsearch(part)]}}
        case Exists(field):
            return _exists(field)
        case Is(field, value):
            return _is(field, value)
        case Between():
            return _between(node)
        case Words(field, words, phrase):
            if phrase:
                return {"match_phrase": {field: {"query": words}}}
            return {"match": {field: {"query": words, "operator": "and"}}}
        case Like(field, pattern):
            return {"wildcard": {_name(field): {"value": _form(pattern, "*?\\")}}}
        case Below(beginning, pattern):
            fields = [f"{beginning}.*.caseless"]
            return {"query_string": {"query": _form(pattern, _RESERVED | {" "}), "fields": fields}}
        case Matches(field, tokens):
            form = "".join(map(_token, tokens))
            return {"regexp": {_name(field): {"value": form, "flags": "NONE"}}}


def _form(pattern: Wildcard, reserved: str | frozenset[str]) -> str:
    return "".join(p.value if isinstance(p, Gap) else _escaped(p, reserved) for p in pattern)


def _name(field: str) -> str:
    return f"{field}.caseless" if kind(field) is Kind.KEYWORD else field


def _exists(field: str) -> dict[str, Any]:
    if kind(field) not in (Kind.KEYWORD, Kind.OBJECT):
        return {"exists": {"field": field}}
    # Names are kept whole, so what is below a name is found by its form only.
    should = [{"exists": {"field": field}}, {"exists": {"field": f"{field}.*"}}]
    return {"bool": {"should": should, "minimum_should_match": 1}}


def _is(field: str, value: str | int | float | bool) -> dict[str, Any]:
    if kind(field) is Kind.FLATTENED:
        return {"term": {field: {"value": value, "case_insensitive": True}}}
    return {"term": {_name(field): {"value": value}}}


def _between(node: Between) -> dict[str, Any]:
    bounds: dict[str, Any] = {}
    if node.low is not None:
        bounds["gte" if node.with_low else "gt"] = node.low
    if node.high is not None:
        bounds["lte" if node.with_high else "lt"] = node.high
    its = kind(node.field)
    if its is Kind.IP:
        bounds = {key: address_text(bound) for key, bound in bounds.items()}
    elif its is Kind.DATE:
        bounds["format"] = "epoch_millis"
    return {"range": {_name(node.field): bounds}}


def _token(token: RegexToken) -> str:
    if isinstance(token, Literal):
        return _escaped(token.char, _RESERVED)
    if isinstance(token, CharSet):
        ranges = "".join(_range(low, high) for low, high in token.ranges)
        return f"[{'^' * token.negated}{ranges}]"
    return token


def _range(low: str, high: str) -> str:
    first = _escaped(low, _RESERVED)
    return first if low == high else f"{first}-{_escaped(high, _RESERVED)}"


def _escaped(text: str, reserved: str | frozenset[str]) -> str:
    return "".join(f"\\{character}" if character in reserved else character for character in text)
