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
from detect.search.syntax import EVERYTHING, NOTHING, joined, name_text, not_searchable, quoted
from detect.search.texts import CASED, LISTED, STRINGS, string_value, whole_values
from detect.search.typed import address, leaf, number, refused, truth
from detect.search.wide import narrower, wider
from detect.text import Slot
from samlog.store.fields import Kind, kind


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
        parts: list[str] = []
        groups: dict[tuple[Slot, bool], list[FieldTest]] = {}
        for part in nodes:
            if isinstance(part, FieldTest) and _may_share(part, word):
                key = (part.slot, part.op in CASED)
                groups.setdefault(key, []).append(part)  # type: ignore[arg-type]  # not None
            elif isinstance(part, FieldTest):
                parts.append(self.either_place(part.slot, [part], word, positive))
            else:
                parts.append(self.node(part, positive))
        for (slot, _), tests in groups.items():
            parts.append(self.either_place(slot, tests, word, positive))
        return joined(list(dict.fromkeys(parts)) if self._widen else parts, word)

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
        if not self._widen:
            return _as_written(field, tests, word, False)
        change = wider if positive else narrower
        return change(field, tests, word, lambda own: _as_written(field, own, word, True))

    def keyword(self, test: FieldTest, positive: bool) -> str:
        """Writes a keyword: anywhere in the vendor's and ECS's fields, or as words of message.

        Widened it is left to the rule: numbers, addresses and the sender's line, in which a rule
        looks too, are not searched for parts.
        """
        if test.op == "any":
            return EVERYTHING
        if self._widen:
            return EVERYTHING if positive else NOTHING
        if test.op not in STRINGS:
            raise not_searchable(f"the keyword {keyword_text(test)!r}", test.op)
        value = string_value(test)
        parts = [f"{name_text(place)}.\\*.caseless:{value}" for place in self._anywhere]
        return joined([*parts, _words("message", [test], "AND")], "OR")


def _may_share(test: FieldTest, word: str) -> bool:
    slot = test.slot
    if slot is None or test.op not in LISTED or test.arg == "":
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


def _as_written(field: str, tests: Sequence[FieldTest], word: str, widen: bool) -> str:
    if tests[0].op in _PRESENCE:
        return _PRESENCE[tests[0].op](name_text(field), tests[0])
    if kind(field) is Kind.TEXT:
        return _words(field, tests, word, widen)
    return _WRITERS.get(kind(field), refused)(field, tests, word)


_PRESENCE: Mapping[str, Callable[[str, FieldTest], str]] = dict.fromkeys(
    ("any", "null", "exists"), _exists
)


def _words(field: str, tests: Sequence[FieldTest], word: str, widen: bool = False) -> str:
    """Writes parts of a text that is indexed by words.

    A part within one word is found exactly, one of several words as a phrase: begun and ended words
    are not found. Widened, its words are looked for in any order, and they may go on.
    """
    return joined([_words_of(field, test, widen) for test in tests], word)


def _words_of(field: str, test: FieldTest, widen: bool) -> str:
    name = name_text(field)
    if test.op not in STRINGS | CASED:
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
    Kind.KEYWORD: whole_values,
    Kind.IP: address,
    Kind.LONG: number,
    Kind.DOUBLE: number,
    Kind.BOOLEAN: truth,
    Kind.FLATTENED: leaf,
}
