"""One condition of a query: a field and what is asked of it. Raises ValueError with a sentence."""

from collections.abc import Callable

from samlog.store.fields import Kind, caseless, kind
from samlog.store.query_pattern import MAX_PATTERN, MAX_REPEAT, regex, unescape, wildcard
from samlog.store.query_tree import (
    Between,
    Exists,
    Gap,
    Is,
    Like,
    Matches,
    Node,
    Nothing,
    Words,
)
from samlog.store.query_values import (
    address_span,
    boolean_value,
    date_span,
    double_value,
    long_value,
)

Span = tuple[int, int]

_SPANS: dict[Kind, Callable[[str], Span]] = {Kind.IP: address_span, Kind.DATE: date_span}
_VALUES: dict[Kind, Callable[[str], int | float | bool]] = {
    Kind.LONG: long_value,
    Kind.DOUBLE: double_value,
    Kind.BOOLEAN: boolean_value,
}
_REFUSED = {
    Kind.STORED: "is kept and not indexed: search message or the fields made from it",
    Kind.OBJECT: "holds fields and no value: name one of them",
    Kind.GEO: "is a place: only {field}:* can be asked",
}


def word(field: str, text: str, longest: int = MAX_PATTERN) -> Node:
    """Returns the condition of a term without quotes; its wildcards work."""
    pattern = wildcard(text, longest)
    if pattern and all(part is Gap.MANY for part in pattern):
        return Exists(field)
    if not any(isinstance(part, Gap) for part in pattern):
        return exactly(field, unescape(text))
    its = kind(field)
    if its is Kind.IP:
        return _octets(field, text)
    if its not in (Kind.KEYWORD, Kind.TEXT):
        raise _wrong(field, its, "takes no wildcards")
    if its is Kind.TEXT and any(" " in part for part in pattern if isinstance(part, str)):
        raise ValueError(f"{field} holds words: a wildcard stands within one, without spaces")
    return Like(field, pattern)


def exactly(field: str, text: str, *, phrase: bool = False) -> Node:
    """Returns the condition of a value without wildcards; ``phrase`` when it was quoted."""
    its = kind(field)
    if its in (Kind.KEYWORD, Kind.FLATTENED) and not _is_root(field, its):
        return Is(field, caseless(text))
    if its is Kind.TEXT:
        return Words(field, text, phrase)
    try:
        if its in _SPANS:
            return Between(field, *_SPANS[its](text))
        if its in _VALUES:
            return Is(field, _VALUES[its](text))
    except ValueError as error:
        raise ValueError(f"{field} is {error}, not {text!r}") from error
    raise _wrong(field, its, "cannot be searched as a whole: name a field below it")


def expression(field: str, text: str, longest: int = MAX_PATTERN, repeat: int = MAX_REPEAT) -> Node:
    """Returns the condition of a regular expression."""
    its = kind(field)
    if its not in (Kind.KEYWORD, Kind.TEXT):
        raise _wrong(field, its, "takes no regular expressions")
    return Matches(field, regex(text, longest, repeat))


def between(
    field: str, low: str | None, high: str | None, *, with_low: bool, with_high: bool
) -> Node:
    """Returns the condition of a range; None is an open end."""
    if low is None and high is None:
        return Exists(field)
    its = kind(field)
    if its is Kind.KEYWORD:
        return _keyword_range(field, low, high, with_low, with_high)
    try:
        if its in _SPANS:
            span = _SPANS[its]
            first = None if low is None else span(low)[0] if with_low else span(low)[1] + 1
            last = None if high is None else span(high)[1] if with_high else span(high)[0] - 1
            return _closed(field, first, last)
        if its is Kind.LONG:
            first = None if low is None else long_value(low) + (not with_low)
            last = None if high is None else long_value(high) - (not with_high)
            return _closed(field, first, last)
        if its is Kind.DOUBLE:
            lower = None if low is None else double_value(low)
            upper = None if high is None else double_value(high)
            return Between(field, lower, upper, with_low, with_high)
    except ValueError as error:
        raise ValueError(f"{field} is {error}; the range is {low} to {high}") from error
    raise _wrong(field, its, "takes no ranges")


def _closed(field: str, first: int | None, last: int | None) -> Node:
    if first is not None and last is not None and first > last:
        return Nothing()
    return Between(field, first, last)


def _keyword_range(
    field: str, low: str | None, high: str | None, with_low: bool, with_high: bool
) -> Node:
    bounds = [bound for bound in (low, high) if bound is not None]
    if all(_is_number(bound) for bound in bounds):
        # "10" is less than "9" there: an answer that looks right and is not.
        raise ValueError(
            f"{field} is compared as text, so a range of numbers would be wrong: "
            f"name the values, {field}:({' OR '.join(bounds)})"
        )
    lower = None if low is None else caseless(low)
    upper = None if high is None else caseless(high)
    return Between(field, lower, upper, with_low, with_high)


def _is_number(text: str) -> bool:
    try:
        double_value(text)
    except ValueError:
        return False
    return True


def _octets(field: str, text: str) -> Node:
    """Returns the network of an address whose last parts are wildcards (``10.1.*``)."""
    parts = text.split(".")
    given = [part for part in parts if part.isdigit()]
    rest = parts[len(given) :]
    if not 1 <= len(given) <= 3 or len(parts) > 4 or any(part != "*" for part in rest):
        raise ValueError(f"{field} is an address: write 10.1.* or a network like 10.1.0.0/16")
    network = ".".join(given + ["0"] * (4 - len(given)))
    return Between(field, *address_span(f"{network}/{8 * len(given)}"))


def _is_root(field: str, its: Kind) -> bool:
    """Tells whether a flattened field is asked as a whole, not one of its leaves."""
    return its is Kind.FLATTENED and kind(field.rpartition(".")[0]) is not Kind.FLATTENED


def _wrong(field: str, its: Kind, otherwise: str) -> ValueError:
    reason = _REFUSED.get(its, otherwise).format(field=field)
    return ValueError(f"{field} {reason}")
