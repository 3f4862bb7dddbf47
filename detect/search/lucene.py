"""A rule's condition in Lucene's query syntax, for samlog's data streams.

Understood alike by Elasticsearch's ``query_string`` (Kibana's Lucene box) and by samlog's own
store. What a field's type allows follows from `samlog.store.fields`: keywords are compared in their
sub-field ``.caseless``, and where case counts (``cased``, ``re``) in the field itself. Everything
is in parentheses and nothing relies on precedence, which Lucene's classic syntax does not have.
"""

import re
from collections.abc import Callable, Mapping, Sequence

from detect.condition import And, FieldTest, Node, Not, Or, Pattern
from detect.evaluate import keyword_text
from detect.search.network import address_forms
from detect.search.regex import alternatives, lucene_regex
from detect.search.syntax import (
    EVERYTHING,
    NOTHING,
    joined,
    name_text,
    not_searchable,
    quoted,
    with_gaps,
)
from detect.search.typed import address, leaf, number, refused, truth
from detect.text import Slot
from samlog.errors import RuleError
from samlog.store.fields import Kind, kind

_STRINGS = frozenset({"eq", "contains", "starts", "ends", "glob"})
_CASED = frozenset(f"c{op}" for op in _STRINGS)
_CASE_COUNTS = _CASED | {"re"}
_LISTED = _STRINGS | _CASED | {"num", "cidr"}
"""Tests whose values may share one ``field:(a OR b)``."""
_OWN_TEXTS = frozenset({"event.code"})
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


def lucene(node: Node, anywhere: Sequence[str], *, widen: bool = False) -> str:
    """Returns the query for a condition whose slots are keys of events.

    Args:
        node: A condition as `detect.condition.relocated` returns it.
        anywhere: Beginnings of names in which keywords are looked for, without wildcards.
        widen: What cannot be said, or not to a store that ignores case, becomes a wider query
            instead of an error: the hits are candidates that have to be looked at again.

    Raises `RuleError` (``not_searchable``).
    """
    return _Writer(anywhere, widen).node(node, True)


class _Writer:
    def __init__(self, anywhere: Sequence[str], widen: bool) -> None:
        self._anywhere = anywhere
        self._widen = widen

    def node(self, node: Node, positive: bool) -> str:
        """Writes a condition; ``positive`` tells that it is under an even number of negations."""
        if isinstance(node, Not):
            return f"(NOT {self.node(node.node, not positive)})"
        word = "AND" if isinstance(node, And) else "OR"
        nodes = node.nodes if isinstance(node, And | Or) else (node,)
        if self._widen and sum(getattr(part, "slot", "") is None for part in nodes) >= MANY:
            # Each keyword is asked of every field: a server refuses so many clauses.
            return EVERYTHING if positive else NOTHING
        parts: list[str] = []
        groups: dict[tuple[Slot, bool], list[FieldTest]] = {}
        for part in nodes:
            if isinstance(part, FieldTest) and _may_share(part, word):
                key = (part.slot, part.op in _CASED)
                groups.setdefault(key, []).append(part)  # type: ignore[arg-type]  # not None
            elif isinstance(part, FieldTest):
                parts.append(self.either_place(part.slot, [part], word, positive))
            else:
                parts.append(self.node(part, positive))
        for (slot, _), tests in groups.items():
            parts.append(self.either_place(slot, tests, word, positive))
        return joined(parts, word)

    def either_place(
        self, slot: Slot | None, tests: Sequence[FieldTest], word: str, positive: bool
    ) -> str:
        """Writes tests of one slot; see `detect.text.Slot`."""
        op = tests[0].op
        if slot is None:
            return self.keyword(tests[0], positive)
        if isinstance(slot, str):
            return self.field(slot, tests, word, positive)
        places = sorted(slot) if isinstance(slot, frozenset) else slot
        each = [self.field(place, tests, word, positive) for place in places]
        if op == "null" or (op == "exists" and not tests[0].arg):
            return joined(each, "AND")
        if isinstance(slot, frozenset) or op in ("any", "exists"):
            return joined(each, "OR")
        absent = [f"(NOT _exists_:{name_text(place)})" for place in places]
        return joined(
            [joined([*absent[:i], text], "AND") for i, text in enumerate(each)],
            "OR",
        )

    def field(self, field: str, tests: Sequence[FieldTest], word: str, positive: bool) -> str:
        """Writes tests of one field."""
        if self._widen and not positive and any(test.op in _CASE_COUNTS for test in tests):
            return NOTHING
        try:
            if tests[0].op in _PRESENCE:
                return _PRESENCE[tests[0].op](name_text(field), tests[0])
            if kind(field) is Kind.TEXT:
                if self._widen and not positive:
                    return NOTHING
                return _words(field, tests, word, self._widen)
            return _WRITERS.get(kind(field), refused)(field, tests, word)
        except RuleError:
            if not self._widen:
                raise
            return EVERYTHING if positive else NOTHING

    def keyword(self, test: FieldTest, positive: bool) -> str:
        """Writes a keyword: anywhere in the vendor's and ECS's fields, or as words of message."""
        if test.op == "any":
            return EVERYTHING
        if test.op not in _STRINGS:
            if not self._widen:
                raise not_searchable(f"the keyword {keyword_text(test)!r}", test.op)
            return EVERYTHING if positive else NOTHING
        value = _string_value(test)
        parts = [f"{name_text(place)}.\\*.caseless:{value}" for place in self._anywhere]
        if self._widen and not positive:
            return NOTHING
        return joined([*parts, _words("message", [test], "AND", self._widen)], "OR")


def _may_share(test: FieldTest, word: str) -> bool:
    slot = test.slot
    if slot is None or test.op not in _LISTED or test.arg == "":
        return False
    if isinstance(slot, frozenset):
        # Each of several tests may be met by another place.
        return word == "OR" and all(kind(place) is Kind.KEYWORD for place in slot)
    return all(
        kind(place) is Kind.KEYWORD for place in ((slot,) if isinstance(slot, str) else slot)
    )


def _exists(name: str, test: FieldTest) -> str:
    wanted = test.op == "any" or (test.op == "exists" and test.arg)
    return f"_exists_:{name}" if wanted else f"(NOT _exists_:{name})"


_PRESENCE: Mapping[str, Callable[[str, FieldTest], str]] = dict.fromkeys(
    ("any", "null", "exists"), _exists
)


def _keyword(field: str, tests: Sequence[FieldTest], word: str) -> str:
    hashes = {test: found for test in tests if field in _HASH_LISTS and (found := _hash(test))}
    if hashes:
        # 2,216 wildcards over the lists (vulnerable drivers) took a server of 1 GB down.
        rest = [test for test in tests if test not in hashes]
        parts = [_keyword(field, rest, word)] if rest else []
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
    if test.op not in _LISTED:
        raise not_searchable(f"{field}, which is kept as text,", test.op)
    if test.op not in _CASED:
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


def _hash(test: FieldTest) -> str:
    """Returns the whole hash that a test looks for in a list, else ""; zeros are in no list."""
    match = _HASH.match(test.arg) if test.op == "contains" else None
    found = next(filter(None, match.groups())) if match else ""
    return found if found.strip("0") else ""


def _values(test: FieldTest, field: str) -> list[str]:
    if test.op == "cidr":
        return [_form(text) for text in address_forms(test.arg)]
    if test.op == "num":
        return _number_values(test.arg, field)
    return [_string_value(test)]


def _number_values(arg: float, field: str) -> list[str]:
    """Returns how a number may be written: in decimal, or in hex as Windows writes masks."""
    texts = [quoted(str(arg))]
    if isinstance(arg, int) and arg >= 0 and field not in _OWN_TEXTS:
        texts.append(quoted(f"{arg:#x}"))
    return texts


def _form(text: str) -> str:
    if "*" not in text and "?" not in text:
        return quoted(text)
    return "".join(char if char in "*?" else with_gaps(char) for char in text)


def _string_value(test: FieldTest) -> str:
    op = test.op.removeprefix("c") if test.op in _CASED else test.op
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


def _words(field: str, tests: Sequence[FieldTest], word: str, widen: bool = False) -> str:
    """Writes parts of a text that is indexed by words.

    A part within one word is found exactly, one of several words as a phrase: begun and ended words
    are not found. Widened, its words are looked for in any order, and they may go on.
    """
    return joined([_words_of(field, test, widen) for test in tests], word)


def _words_of(field: str, test: FieldTest, widen: bool) -> str:
    name = name_text(field)
    if test.op not in _STRINGS | _CASED:
        raise not_searchable(f"{field}, which is indexed by words,", test.op)
    pieces = test.arg.pieces if isinstance(test.arg, Pattern) else ((test.arg,),)
    found: list[str] = []
    for literal in (literal for piece in pieces for literal in piece if literal):
        # Within a word what joins words is a question of its neighbours: only letters are sure.
        parts = re.findall(r"[^\W_]+", literal)
        if len(parts) > 1 and not widen:
            found.append(quoted(literal))
        else:
            found.extend(f"*{part}*" for part in parts)
    if not found:
        return f"_exists_:{name}"
    return joined([f"{name}:{text}" for text in dict.fromkeys(found)], "AND")


_WRITERS: Mapping[Kind, Callable[[str, Sequence[FieldTest], str], str]] = {
    Kind.KEYWORD: _keyword,
    Kind.IP: address,
    Kind.LONG: number,
    Kind.DOUBLE: number,
    Kind.BOOLEAN: truth,
    Kind.FLATTENED: leaf,
}
