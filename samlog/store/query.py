"""The query language: Lucene syntax, with one meaning in every event store.

A term without a field is looked for in `DEFAULT_FIELDS`. Terms side by side must all be there;
AND binds tighter than OR, and OR tighter than side by side: ``a OR b c`` is ``(a OR b) AND c``;
``&&`` and ``||`` are AND and OR. What Lucene reads in a way that nobody means is refused: ``and``
in small letters, paths without quotation marks, single backslashes.
Case never matters. A keyword is compared as a whole, so parts need wildcards; ``message`` holds
words. Addresses take networks (``source.ip:10.0.0.0/8``), numbers and times take ranges
(``[a TO b]``, ``{a TO b}``, ``>=``), and a time as exact as it is written (a day is a whole day).
``_exists_:field`` and ``field:*`` ask for any value.

Fuzzy terms, proximity and boosts are refused: there is no score, hits are sorted by time.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from luqum import tree
from luqum.exceptions import ParseError
from luqum.thread import parse as luqum_parse

from samlog.errors import ConfigError
from samlog.store import query_terms as terms
from samlog.store.fields import DECLARED, DEFAULT_FIELDS, Kind, kind
from samlog.store.query_pattern import MAX_PATTERN, MAX_REPEAT, regex, unescape, wildcard
from samlog.store.query_tree import All, And, Below, Exists, Gap, Like, Matches, Node, Not, Or

MAX_LENGTH = 4096
"""Longest query that people type, in characters."""
MAX_DEPTH = 32
MAX_CLAUSES = 1024
"""Most conditions of a query; a term without a field counts once for each default field."""
MAX_PATTERNS = 64
"""Most wildcards and regular expressions, counted likewise; each reads a field's dictionary."""


class Limits(NamedTuple):
    """What a query may cost: see the constants above, and those of `samlog.store.query_pattern`."""

    length: int
    depth: int
    clauses: int
    patterns: int
    pattern: int
    repeat: int


PEOPLE = Limits(MAX_LENGTH, MAX_DEPTH, MAX_CLAUSES, MAX_PATTERNS, MAX_PATTERN, MAX_REPEAT)
RULES = Limits(1_000_000, 150, 50_000, 20_000, 100_000, 10_000)
"""For queries made of rules, which are read by their owners before: the largest of SigmaHQ takes
250 kB."""

_UNSUPPORTED = {
    tree.Fuzzy: "a fuzzy term (~)",
    tree.Proximity: "proximity (~)",
    tree.Boost: "a boost (^)",
}
_SIGNS = (tree.Prohibit, tree.Plus)
_SYMBOLS = re.compile(
    r"""(?x) "(?:\\.|[^"\\])*" | /(?:\\.|[^/\\])*/ | \\. | (?<![^\s()]) (&&|\|\|) (?![^\s()])"""
)
_WORDS = {"&&": "AND", "||": "OR"}
_BARE = re.compile(r"(?<!\\)(?:\\\\)*\\[^\W_]")
"""A backslash before a letter or digit: in Lucene it is dropped, people mean a path."""


def parse(text: str, limits: Limits = PEOPLE) -> Node:
    r"""Returns the meaning of ``text``; "" and "*" are everything.

    Within `RULES` a name may end in ``.\*``: one of the keywords below it.

    Raises `ConfigError` for what cannot be read or is not supported, saying where.
    """
    if len(text) > limits.length:
        raise ConfigError(f"a query has at most {limits.length} characters, this one {len(text)}")
    if not text.strip():
        return All()
    if limits is PEOPLE:
        text = _SYMBOLS.sub(lambda found: _WORDS.get(found[1], found[0]), text)
    try:
        parsed = luqum_parse(text)
    except (ArithmeticError, ValueError) as error:
        raise ConfigError(f"the query cannot be read: {_cause(error, text)}") from error
    return _Reader(text, limits).node(parsed, None, 0)


def _cause(error: Exception, text: str) -> str:
    if not isinstance(error, ParseError):
        # luqum lets through what Decimal raises on "a~.".
        return "what follows ~ or ^ is no number"
    message = str(error).removeprefix("Syntax error in input : ").rstrip("!")
    if message.startswith("Illegal character"):
        return f"a quotation mark or slash is not closed: {text[_position(message) :][:40]!r}"
    return " ".join(message.split())


def _position(message: str) -> int:
    digits = message.rpartition(" ")[2]
    return int(digits) if digits.isdigit() else 0


def check_countable(field: str) -> None:
    """Raises `ConfigError` for a field whose values cannot be counted."""
    its = kind(field)
    if its in (Kind.TEXT, Kind.STORED, Kind.GEO) or DECLARED.get(field) in (
        Kind.OBJECT,
        Kind.FLATTENED,
    ):
        raise ConfigError(
            f"the values of {field} cannot be counted: it is {its.value}; name a keyword, number, "
            "address or time, as winlog.event_data.Image or source.ip"
        )


class _Reader:
    """Turns luqum's tree into ours and counts what it costs."""

    def __init__(self, text: str, limits: Limits) -> None:
        self._text = text
        self._limits = limits
        self._clauses = 0
        self._patterns = 0

    def node(self, item: Any, field: str | None, depth: int) -> Node:
        if depth > self._limits.depth:
            raise ConfigError(f"a query is nested at most {self._limits.depth} deep")
        match item:
            case tree.SearchField():
                return self._search_field(item, field, depth)
            case tree.BaseGroup():
                return self.node(item.expr, field, depth + 1)
            case tree.OrOperation():
                return self._alternatives(item, field, depth)
            case tree.AndOperation() | tree.UnknownOperation():
                return self._all(item.children, field, depth)
            case tree.Not() | tree.Prohibit():
                return Not(self.node(item.a, field, depth + 1))
            case tree.Plus():
                return self.node(item.a, field, depth + 1)
            case tree.Word() if item.value.startswith("!") and len(item.value) > 1:
                return Not(self._leaf(tree.Word(item.value[1:], pos=item.pos), field))
        return self._leaf(item, field)

    def _search_field(self, item: Any, outer: str | None, depth: int) -> Node:
        name = unescape(item.name)
        if outer is not None:
            raise self._error(
                item, f"{name}: stands below {outer}: escape the colon (\\:) or quote the value"
            )
        if name.startswith("!"):
            return Not(self._in_field(item, name[1:], depth))
        return self._in_field(item, name, depth)

    def _in_field(self, item: Any, name: str, depth: int) -> Node:
        inner = item.expr
        if name == "_exists_" and isinstance(inner, tree.Word | tree.Phrase):
            if isinstance(inner, tree.Word) and any(
                isinstance(p, Gap) for p in wildcard(inner.value)
            ):
                text = "a field's name takes no wildcards; _exists_:user asks for all below user"
                raise self._error(inner, text)
            return self._count(Exists(_plain(inner)))
        if name == "*":
            return self.node(inner, None, depth + 1)
        beginning = name.removesuffix(".caseless").removesuffix(".*")
        is_below = self._limits is RULES and f"{beginning}.*.caseless" == name
        if "*" in (beginning if is_below else name) or "?" in name:
            raise self._error(item, f"{name}: a field's name takes no wildcards")
        if isinstance(inner, _SIGNS) and isinstance(inner.a, tree.Word):
            # A sign right after the colon belongs to the value: -5, -enc.
            sign = "-" if isinstance(inner, tree.Prohibit) else "+"
            inner = tree.Word(sign + inner.a.value, pos=inner.pos)
        return self.node(inner, name.removesuffix(".caseless"), depth + 1)

    def _all(self, items: Sequence[Any], field: str | None, depth: int) -> Node:
        """All must match."""
        parts: list[Node] = []
        negate = False
        for item in items:
            word = item.value if isinstance(item, tree.Word) else ""
            if word == "!":
                negate = True
                continue
            if self._limits is PEOPLE and word in ("and", "or", "not"):
                text = (
                    f"write {word.upper()} in capitals, or in quotation marks if it is looked for"
                )
                raise self._error(item, text)
            part = self._any([item], field, depth)
            parts.append(Not(part) if negate else part)
            negate = False
        if negate:
            raise self._error(items[-1], "! has nothing after it")
        return parts[0] if len(parts) == 1 else And(tuple(parts))

    def _alternatives(self, item: Any, field: str | None, depth: int) -> Node:
        """One must match. In ``a OR b -c`` luqum reads ``b -c`` as one; it is ``(a OR b) -c``."""
        groups: list[list[Any]] = [[]]
        for child in item.children:
            if isinstance(child, tree.AndOperation) and _is_side_by_side(child.children[-1]):
                raise self._error(child, "AND, OR and a term side by side need brackets")
            first, *others = child.children if _is_side_by_side(child) else [child]
            groups[-1].append(first)
            groups += [[other] for other in others]
        parts = tuple(self._any(group, field, depth) for group in groups)
        return parts[0] if len(parts) == 1 else And(parts)

    def _any(self, items: Sequence[Any], field: str | None, depth: int) -> Node:
        """One must match; of ``+a b -c`` all with + must, and none with -."""
        optional: list[Node] = []
        required: list[Node] = []
        for item in items:
            part = self.node(item, field, depth + 1)
            signed = len(items) > 1 and isinstance(item, _SIGNS)
            (required if signed else optional).append(part)
        must = any(isinstance(item, tree.Plus) for item in items) and len(items) > 1
        if optional and not must:
            required.append(optional[0] if len(optional) == 1 else Or(tuple(optional)))
        return required[0] if len(required) == 1 else And(tuple(required))

    def _leaf(self, item: Any, field: str | None) -> Node:
        if type(item) in _UNSUPPORTED:
            raise self._error(item, f"{_UNSUPPORTED[type(item)]} is not supported")
        if self._limits is PEOPLE:
            self._check_meant(item)
        try:
            if field is None:
                return self._anywhere(item)
            return self._count(self._condition(item, field))
        except ValueError as error:
            raise self._error(item, str(error)) from error

    def _check_meant(self, item: Any) -> None:
        """Raises `ConfigError` for a path that Lucene takes for something else, without a word."""
        if isinstance(item, tree.Regex):
            behind = self._text[item.pos + len(item.value) :][:1]
            if behind and not behind.isspace() and behind != ")":
                text = 'a path with slashes needs quotation marks: field:"/etc/passwd"'
                raise self._error(item, text)
        elif isinstance(item, tree.Word | tree.Phrase) and _BARE.search(item.value):
            raise self._error(item, "a backslash is written \\\\, as in C:\\\\Windows")

    def _anywhere(self, item: Any) -> Node:
        """Looks in the default fields; those that cannot hold such a value are left out."""
        if isinstance(item, tree.Word):
            if item.value == "*":
                return All()
            wildcard(item.value, self._limits.pattern)
        elif isinstance(item, tree.Regex):
            regex(_expression(item), self._limits.pattern, self._limits.repeat)
        elif not isinstance(item, tree.Phrase):
            raise ValueError("a range needs a field: field:[a TO b]")
        return Or(tuple(self._count(part) for part in self._wherever(item)))

    def _wherever(self, item: Any) -> Iterator[Node]:
        for name in DEFAULT_FIELDS:
            try:
                yield self._condition(item, name)
            except ValueError:
                continue

    def _condition(self, item: Any, field: str) -> Node:
        match item:
            case tree.Word():
                if field.endswith(".*"):
                    return Below(field[:-2], wildcard(item.value, self._limits.pattern))
                return terms.word(field, item.value, self._limits.pattern)
            case tree.Phrase():
                return terms.exactly(field, _plain(item), phrase=True)
            case tree.Regex():
                return terms.expression(
                    field, _expression(item), self._limits.pattern, self._limits.repeat
                )
            case tree.Range():
                return terms.between(
                    field,
                    _bound(item.low),
                    _bound(item.high),
                    with_low=item.include_low,
                    with_high=item.include_high,
                )
            case tree.From():
                low = _bound(item.a)
                return terms.between(field, low, None, with_low=item.include, with_high=True)
            case tree.To():
                high = _bound(item.a)
                return terms.between(field, None, high, with_low=True, with_high=item.include)
        raise ValueError(f"{str(item)[:40]!r} is not supported")

    def _count(self, part: Node) -> Node:
        self._clauses += 1
        self._patterns += isinstance(part, Below | Like | Matches)
        if self._clauses > self._limits.clauses:
            raise ConfigError(f"a query has at most {self._limits.clauses} conditions")
        if self._patterns > self._limits.patterns:
            raise ConfigError(
                f"a query has at most {self._limits.patterns} wildcards and regular expressions; "
                "one without a field counts for each default field"
            )
        return part

    def _error(self, item: Any, message: str) -> ConfigError:
        where = f" at position {item.pos}" if item.pos is not None else ""
        return ConfigError(f"the query cannot be answered{where}: {message}")


def _is_side_by_side(item: Any) -> bool:
    """Tells whether terms stand without a word between them, and without brackets around."""
    return isinstance(item, tree.UnknownOperation)


def _plain(item: Any) -> str:
    text: str = item.value
    return unescape(text[1:-1] if isinstance(item, tree.Phrase) else text)


def _expression(item: Any) -> str:
    text: str = item.value
    return text[1:-1].replace("\\/", "/")


def _bound(item: Any) -> str | None:
    if isinstance(item, _SIGNS):
        return ("-" if isinstance(item, tree.Prohibit) else "") + _plain(item.a)
    return None if isinstance(item, tree.Word) and item.value == "*" else _plain(item)
