"""A parsed query as Tantivy takes it.

Conditions on values are conditions on terms ``path=value NUL capitals`` (`embedded_terms`):
wildcards and regular expressions run over the part of the dictionary that begins with the path.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import re2
import tantivy

from samlog.errors import ConfigError
from samlog.store.embedded_letters import END, plain, spelt, spelt_set
from samlog.store.embedded_schema import TEXT_FIELDS
from samlog.store.embedded_terms import double_key, ip_key, long_key, prefix
from samlog.store.embedded_words import joiners_within, within_word, words_text
from samlog.store.fields import Kind, kind
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
    Words,
)

MAX_EXPANSION = 200_000
"""Most values that a text range, or a pattern too large for Tantivy, may stand for."""

_ANY = "(?s:.)"
_TIMESTAMP = "@timestamp"
_WIDTH = {Kind.LONG: 16, Kind.DATE: 16, Kind.DOUBLE: 16, Kind.IP: 32}

Query = tantivy.Query


class Translator:
    """Translates for one state of one day's index.

    Args:
        schema: The index's schema.
        searcher: Its state; used where a condition stands for terms that must be found first.
        analyzer: Splits texts into words as the index does.
    """

    def __init__(
        self, schema: tantivy.Schema, searcher: tantivy.Searcher, analyzer: tantivy.TextAnalyzer
    ) -> None:
        self._schema = schema
        self._searcher = searcher
        self._analyzer = analyzer

    def query(self, node: Node) -> tantivy.Query:
        """Returns Tantivy's query; raises `ConfigError` for one that stands for too much."""
        match node:
            case All():
                return Query.all_query()
            case Nothing():
                return Query.empty_query()
            case And(parts):
                return all_of([self.query(part) for part in parts])
            case Or(parts):
                return any_of([self.query(part) for part in parts])
            case Not(part):
                excluded = (tantivy.Occur.MustNot, self.query(part))
                return Query.boolean_query([(tantivy.Occur.Must, Query.all_query()), excluded])
            case Exists(field):
                return self._exists(field)
            case Is(field, value):
                return self._is(field, value)
            case Between():
                return self._between(node)
            case Words(field, text, phrase):
                return self._words(TEXT_FIELDS[field], text, phrase)
            case Like(field, pattern):
                is_text = kind(field) is Kind.TEXT
                return self._matching(field, "".join(_form(part, is_text) for part in pattern))
            case Below(beginning, pattern):
                # A name within a term holds no "=": it is spelt otherwise.
                names = f"{_quoted(prefix(beginning)[:-1])}\\.[^=]*="
                return self._forms(names, "".join(_form(part, False) for part in pattern))
            case Matches(field, tokens):
                is_text = kind(field) is Kind.TEXT
                return self._matching(field, "".join(_token(token, is_text) for token in tokens))

    def _exists(self, field: str) -> tantivy.Query:
        name = _quoted(field)
        form = f"{_ANY}*\\x1f{name}(\\.[^\\x1f]*)?\\x1f{_ANY}*"
        return Query.regex_query(self._schema, "shape", form)

    def _is(self, field: str, value: str | int | float | bool) -> tantivy.Query:
        its = kind(field)
        path = prefix(field)
        if its in _WIDTH:
            return self._term(f"{path}{_key(its, value)}{END}")
        if isinstance(value, bool):
            return self._term(f"{path}{'true' if value else 'false'}{END}")
        # The ways in which the value was written are a term each.
        return self._terms(self._beginning(f"{path}{spelt(str(value))}{END}"))

    def _between(self, node: Between) -> tantivy.Query:
        its = kind(node.field)
        if node.field == _TIMESTAMP:
            return self.time_range(node.low, node.high)
        if its is Kind.KEYWORD:
            return self._keyword_range(node)
        width = _WIDTH[its]
        low = 0 if node.low is None else int(_key(its, node.low), 16) + (not node.with_low)
        top = 16**width - 1
        high = top if node.high is None else int(_key(its, node.high), 16) - (not node.with_high)
        if low > high:
            return Query.empty_query()
        if low == high:
            return self._term(f"{prefix(node.field)}{low:0{width}x}{END}")
        form = hex_range(f"{low:0{width}x}", f"{high:0{width}x}")
        pattern = f"{_quoted(prefix(node.field))}(?:{form})\\x00"
        return Query.regex_query(self._schema, "terms", pattern)

    def time_range(self, first: Any, last: Any) -> tantivy.Query:
        """Returns the condition that ``@timestamp`` is from ``first`` to ``last``, in ms."""
        if first is None and last is None:
            return Query.all_query()
        return Query.range_query(self._schema, "ts", tantivy.FieldType.Integer, first, last)

    def _keyword_range(self, node: Between) -> tantivy.Query:
        path = prefix(node.field)
        low = None if node.low is None else plain(spelt(str(node.low)))
        high = None if node.high is None else plain(spelt(str(node.high)))

        def within(term: str) -> bool:
            value = plain(term[len(path) :].partition(END)[0])
            above = low is None or value > low or (node.with_low and value == low)
            return above and (high is None or value < high or (node.with_high and value == high))

        return self._terms(filter(within, self._beginning(path)))

    def _words(self, field: str, text: str, phrase: bool) -> tantivy.Query:
        words: list[str | tuple[int, str]] = [*self._analyzer.analyze(words_text(text))]
        if not words:
            return Query.empty_query()
        if phrase and len(words) > 1:
            return Query.phrase_query(self._schema, field, words)
        return all_of([Query.term_query(self._schema, field, word) for word in words])

    def _matching(self, field: str, form: str) -> tantivy.Query:
        name = TEXT_FIELDS.get(field)
        if name is None:
            path = prefix(field)
            return self._forms(_quoted(path), form, path)
        return self._regex(name, form, "")

    def _forms(self, names: str, form: str, path: str = "") -> tantivy.Query:
        """Matches terms whose paths are ``names``; ``path`` is what all of these begin with."""
        return self._regex("terms", f"{names}(?:{form})\\x00{_ANY}*", path)

    def _regex(self, name: str, form: str, path: str) -> tantivy.Query:
        try:
            return Query.regex_query(self._schema, name, form)
        except ValueError:
            # Tantivy builds at most 1,000 states; RE2 reads the values one by one.
            try:
                expression = re2.compile(form)
            except re2.error as error:
                raise ConfigError("a pattern of the query is too large: make it shorter") from error
            return self._terms(filter(expression.fullmatch, self._beginning(path, name)), name)

    def _beginning(self, path: str, name: str = "terms") -> Iterable[str]:
        return (term for term, _ in self._searcher.terms_with_prefix(name, path))

    def _terms(self, found: Iterable[str], name: str = "terms") -> tantivy.Query:
        terms: list[str] = []
        for term in found:
            terms.append(term)
            if len(terms) > MAX_EXPANSION:
                raise ConfigError(
                    f"the query stands for more than {MAX_EXPANSION} values: narrow it"
                )
        if len(terms) == 1:
            return self._term(terms[0], name)
        return Query.term_set_query(self._schema, name, terms) if terms else Query.empty_query()

    def _term(self, term: str, name: str = "terms") -> tantivy.Query:
        return Query.term_query(self._schema, name, term, "basic")


def all_of(queries: Sequence[tantivy.Query]) -> tantivy.Query:
    """Returns the query that all of ``queries`` match."""
    if len(queries) == 1:
        return queries[0]
    return Query.boolean_query([(tantivy.Occur.Must, query) for query in queries])


def any_of(queries: Sequence[tantivy.Query]) -> tantivy.Query:
    """Returns the query that one of ``queries`` matches; of none it is nothing."""
    if len(queries) == 1:
        return queries[0]
    if not queries:
        return Query.empty_query()
    return Query.boolean_query([(tantivy.Occur.Should, query) for query in queries])


def hex_range(low: str, high: str) -> str:
    """Returns a regular expression for the hex numbers of one width from low to high."""
    if low == high:
        return low
    shared = 0
    while low[shared] == high[shared]:
        shared += 1
    head, width = low[:shared], len(low) - shared - 1
    if set(low[shared + 1 :]) <= {"0"} and set(high[shared + 1 :]) <= {"f"}:
        return f"{head}{_digit(low[shared], high[shared])}{_digits(width)}"
    parts = [f"{low[shared]}(?:{_at_least(low[shared + 1 :])})"]
    first, last = int(low[shared], 16) + 1, int(high[shared], 16) - 1
    if first <= last:
        parts.append(f"{_digit(f'{first:x}', f'{last:x}')}{_digits(width)}")
    parts.append(f"{high[shared]}(?:{_at_most(high[shared + 1 :])})")
    return f"{head}(?:{'|'.join(parts)})"


def _at_least(low: str) -> str:
    if set(low) <= {"0"}:
        return _digits(len(low))
    rest = f"{low[0]}(?:{_at_least(low[1:])})" if len(low) > 1 else low
    if low[0] == "f":
        return rest
    return f"{rest}|{_digit(f'{int(low[0], 16) + 1:x}', 'f')}{_digits(len(low) - 1)}"


def _at_most(high: str) -> str:
    if set(high) <= {"f"}:
        return _digits(len(high))
    rest = f"{high[0]}(?:{_at_most(high[1:])})" if len(high) > 1 else high
    if high[0] == "0":
        return rest
    return f"{rest}|{_digit('0', f'{int(high[0], 16) - 1:x}')}{_digits(len(high) - 1)}"


def _digit(low: str, high: str) -> str:
    if low == high:
        return low
    return "[" + "".join(digit for digit in "0123456789abcdef" if low <= digit <= high) + "]"


def _digits(count: int) -> str:
    return f"[0-9a-f]{{{count}}}" if count else ""


def _key(its: Kind, value: Any) -> str:
    keys: dict[Kind, Callable[[Any], str]] = {
        Kind.LONG: long_key,
        Kind.DATE: long_key,
        Kind.DOUBLE: double_key,
        Kind.IP: ip_key,
    }
    return keys[its](value)


def _quoted(text: str) -> str:
    # Tantivy's expressions know \\x{..} for every character, and few other escapes.
    return re.sub(r"[^A-Za-z0-9]", lambda found: f"\\x{{{ord(found[0]):x}}}", text)


def _form(part: str | Gap, is_text: bool) -> str:
    if part is Gap.MANY:
        return f"{_ANY}*"
    if part is Gap.ONE:
        return _ANY
    assert isinstance(part, str)  # a gap is one of the two
    return _quoted(within_word(part) if is_text else spelt(part))


def _token(token: RegexToken, is_text: bool) -> str:
    if isinstance(token, Literal):
        return _form(token.char, is_text)
    if isinstance(token, CharSet):
        if is_text:
            ranges = [f"{_quoted(low)}-{_quoted(high)}" for low, high in token.ranges]
            joiners = (joiners_within(low, high) for low, high in token.ranges)
            ranges += [_quoted(joiner) for several in joiners for joiner in several]
        else:
            several = (spelt_set(low, high) for low, high in token.ranges)
            ranges = [f"{_quoted(low)}-{_quoted(high)}" for pairs in several for low, high in pairs]
        # A value never holds the end of its term.
        return ("[^\\x00" if token.negated else "[") + "".join(ranges) + "]"
    return {".": _ANY, "(": "(?:"}.get(token, token)
