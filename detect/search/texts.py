"""Tests of fields that are kept as text, each value whole: keywords.

They are compared in their sub-field ``.caseless``, and where case counts (``cased``, ``re``) in
the field itself.
"""

import re
from collections.abc import Sequence

from detect.condition import FieldTest, Pattern
from detect.search.network import address_forms
from detect.search.regex import alternatives, lucene_regex
from detect.search.syntax import joined, name_text, not_searchable, quoted, with_gaps

STRINGS = frozenset({"eq", "contains", "starts", "ends", "glob"})
CASED = frozenset(f"c{op}" for op in STRINGS)
LISTED = STRINGS | CASED | {"num", "cidr"}
"""Tests whose values may share one ``field:(a OR b)``."""
OWN_TEXTS = frozenset({"event.code"})
"""Fields whose numbers samlog itself wrote, in decimal."""
MANY = 40
"""From so many alternatives on they become regular expressions, which are harder to read."""
MAX_MERGED = 200
"""Longer texts stay wildcards."""
_AROUND = {"contains": (".*", ".*"), "starts": ("", ".*"), "ends": (".*", "")}
_AROUND |= {f"c{op}": around for op, around in _AROUND.items()}
_HASH_LISTS = frozenset({"winlog.event_data.Hashes", "winlog.event_data.Hash"})
"""Lists of hashes in one text (``MD5=..,SHA256=..``); normalise also has each in `_HASHES`."""
_HASHES = "related.hash"
_HASH = re.compile(
    r"(?:(?:md5|imphash)=([0-9a-f]{32})|sha1=([0-9a-f]{40})|sha256=([0-9a-f]{64}))\Z"
)


def whole_values(field: str, tests: Sequence[FieldTest], word: str) -> str:
    """Writes tests of one keyword field, several of `LISTED` joined by ``word``."""
    hashes = {test: found for test in tests if (found := listed_hash(field, test))}
    if hashes:
        # 2,216 wildcards over the lists (vulnerable drivers) took a server of 1 GB down.
        rest = [test for test in tests if test not in hashes]
        parts = [whole_values(field, rest, word)] if rest else []
        listed = joined([quoted(text) for text in hashes.values()], word)
        return joined([*parts, f"{_HASHES}.caseless:{listed}"], word)
    test = tests[0]
    name = name_text(field)
    if test.op == "re":
        expression, lowered = lucene_regex(*test.arg)
        return f"{name}{'.caseless' if lowered else ''}:/{expression}/"
    if test.arg == "":
        empty = f"(_exists_:{name} AND (NOT {name}:?*))"
        return empty if test.op.endswith("eq") else f"_exists_:{name}"
    if test.op not in LISTED:
        raise not_searchable(f"{field}, which is kept as text,", test.op)
    if test.op not in CASED:
        name += ".caseless"
    if word == "AND":
        each = [joined(_values(part, field), "OR") for part in tests]
        return f"{name}:{joined(each, 'AND')}"
    merged, others = _merged(tests)
    values = [text for part in others for text in _values(part, field)]
    return f"{name}:{joined([*merged, *values], 'OR')}"


def _merged(tests: Sequence[FieldTest]) -> tuple[list[str], Sequence[FieldTest]]:
    """Returns expressions that each stand for many alternatives, and the tests left over.

    Elasticsearch builds an automaton of some 40 kB of every wildcard, in every index at once: 6,000
    of them (emojis in command lines) took a server of 1 GB down.
    """
    found: list[str] = []
    by_op: dict[str, list[str]] = {}
    for test in tests:
        if _may_merge(test):
            by_op.setdefault(test.op, []).append(test.arg)
    many = {op: texts for op, texts in by_op.items() if len(texts) >= MANY}
    for op, texts in many.items():
        before, behind = _AROUND[op]
        listed = alternatives(texts, anywhere=bool(before and behind))
        found += [f"/{before}{text}{behind}/" for text in listed]
    others = [test for test in tests if test.op not in many or not _may_merge(test)]
    return found, others


def _may_merge(test: FieldTest) -> bool:
    return test.op in _AROUND and len(test.arg) <= MAX_MERGED


def listed_hash(field: str, test: FieldTest) -> str:
    """Returns the whole hash that a test looks for in a list, else ""; zeros are in no list."""
    is_list = field in _HASH_LISTS and test.op == "contains"
    match = _HASH.match(test.arg) if is_list else None
    found = next(filter(None, match.groups())) if match else ""
    return found if found.strip("0") else ""


def _values(test: FieldTest, field: str) -> list[str]:
    if test.op == "cidr":
        return [_form(text) for text in address_forms(test.arg)]
    if test.op == "num":
        return _number_values(test.arg, field)
    return [string_value(test)]


def _number_values(arg: float, field: str) -> list[str]:
    """Returns how a number may be written: in decimal, or in hex as Windows writes masks."""
    texts = [quoted(str(arg))]
    if isinstance(arg, int) and arg >= 0 and field not in OWN_TEXTS:
        texts.append(quoted(f"{arg:#x}"))
    return texts


def _form(text: str) -> str:
    if "*" not in text and "?" not in text:
        return quoted(text)
    return "".join(char if char in "*?" else with_gaps(char) for char in text)


def string_value(test: FieldTest) -> str:
    """Returns what a test of a string asks, as a value or a wildcard term."""
    op = test.op.removeprefix("c") if test.op in CASED else test.op
    if op == "glob":
        return _glob(test.arg)
    if op == "eq" and test.slot is not None:
        return quoted(test.arg)
    text = with_gaps(test.arg)
    before = "*" if op in ("contains", "ends") or test.slot is None else ""
    behind = "*" if op in ("contains", "starts") or test.slot is None else ""
    return before + text + behind


def _glob(pattern: Pattern) -> str:
    pieces = (
        "".join("?" if p is None else with_gaps(p) for p in piece) for piece in pattern.pieces
    )
    before = "" if pattern.from_start else "*"
    behind = "" if pattern.to_end else "*"
    return before + "*".join(pieces) + behind
