"""What is asked of a store so that no event is missed on which a rule fires.

A store compares otherwise than a rule: it ignores the case of letters one by one, where rules fold
them in full (to them ß is "ss" and ς is σ), and it knows a value only as it was written, where
to a rule 0x16 and 22.0 are 22. So where a test is asked for, `wider` asks for every event on which
it holds and maybe for others; where it is negated, `narrower` asks only for events on which it
holds for certain, because the negation takes them away.
"""

import re
from collections.abc import Callable, Iterable, Sequence

from detect.condition import FieldTest, Pattern
from detect.search.network import any_form, usual_addresses
from detect.search.regex import lucene_regex
from detect.search.syntax import EVERYTHING, NOTHING, joined, name_text
from detect.search.texts import CASED, OWN_TEXTS, STRINGS, listed_hash
from detect.text import MAX_NUMBER_TEXT
from samlog.errors import RuleError
from samlog.store.fields import Kind, kind

Write = Callable[[Sequence[FieldTest]], str]
"""Writes tests of one field as they are, joined; raises `RuleError` for what cannot be said."""

FOLDED_OTHERWISE = (
    "\u00b5\u00df\u0149\u017f\u01f0\u0345\u0390\u03b0\u03c2\u03d0-\u03d6\u03f0-\u03f5\u0587"
    "\u13f8-\u13fd\u1c80-\u1c88\u1e96-\u1e9b\u1f50-\u1ff7\uab70-\uabbf\ufb00-\ufb17"
)
"""Ranges of letters, as stores compare them, of which rules make others: ß, ς, ligatures.

But for `CAPITAL_I`, of which stores make an i and rules an i and `_DOT`.
"""
CAPITAL_I = "\u0130"
_DOT = "\u0307"
_GAP = "\0"
_WHOLE = re.compile(r"0|-?[1-9][0-9]*")


def wider(field: str, tests: Sequence[FieldTest], word: str, write: Write) -> str:
    """Returns a query for all events on which ``tests`` hold, joined by ``word``, and maybe others.

    A value that has one of `FOLDED_OTHERWISE` is a candidate for every test of letters; any other
    is folded alike by rule and store, but for the dot of `CAPITAL_I`.
    """
    own: list[FieldTest] = []
    found: list[str] = []
    for test in tests:
        instead = _instead(field, test)
        if isinstance(instead, str):
            found.append(instead)
        else:
            own.append(instead)
    if own:
        try:
            found.append(_or_odd_letters(field, own, write(own)))
        except RuleError:
            found.append(EVERYTHING)
    return joined(list(dict.fromkeys(found)), word)


def narrower(field: str, tests: Sequence[FieldTest], word: str, write: Write) -> str:
    """Returns a query for events on which ``tests`` hold for certain, maybe not for all of them."""
    networks = [test for test in tests if test.op == "cidr" and kind(field) is Kind.KEYWORD]
    found = [f"{name_text(field)}.caseless:/{text}/" for text in map(_usual, networks) if text]
    own = [test for test in tests if test not in networks and _is_exact(field, test)]
    if word == "AND" and len(found) + len(own) < len(tests):
        return NOTHING
    if own:
        try:
            found.append(_without_capital_i(field, own, write(own)))
        except RuleError:
            found.append(NOTHING)
    return joined(found, word) if found else NOTHING


def _instead(field: str, test: FieldTest) -> FieldTest | str:
    """Returns the query that is wider than a test, or the test to be written as it is."""
    name = name_text(field)
    if test.op == "exists" and test.arg:
        # To a rule a null is there; no store indexes it.
        return EVERYTHING
    if kind(field) is Kind.KEYWORD:
        if test.op == "num" and field not in OWN_TEXTS:
            return f"{name}.caseless:/{_number(test.arg)}/"
        if test.op == "cidr":
            return f"{name}.caseless:{any_form(test.arg)}"
        if test.op == "re":
            return _regex(name, *test.arg)
    if test.op not in STRINGS | CASED:
        return test
    return _loose(test) or f"_exists_:{name}"


def _loose(test: FieldTest) -> FieldTest | None:
    """Returns the test with anything for what a query cannot hold; None where nothing is left.

    That is `_DOT`, a single wildcard (an i with its dot takes two), and what is not printed: a
    line break within a term cannot be read.
    """
    is_pattern = isinstance(test.arg, Pattern)
    pieces = test.arg.pieces if is_pattern else ((test.arg,),)
    text = _GAP.join("".join(_GAP if p is None else p for p in piece) for piece in pieces)
    text = "".join(c if c.isprintable() and c != _DOT else _GAP for c in text)
    parts = tuple((part,) for part in text.split(_GAP) if part)
    if not parts or _GAP not in text:
        return test if parts else None
    from_start = test.arg.from_start if is_pattern else test.op.endswith(("eq", "starts"))
    to_end = test.arg.to_end if is_pattern else test.op.endswith(("eq", "ends"))
    ends = (from_start and text[0] != _GAP, to_end and text[-1] != _GAP)
    return test._replace(op="cglob" if test.op in CASED else "glob", arg=Pattern(parts, *ends))


def _or_odd_letters(field: str, tests: Sequence[FieldTest], text: str) -> str:
    """Adds the values of which a rule makes other letters than the store, where letters count."""
    suffix = {Kind.KEYWORD: ".caseless", Kind.TEXT: ""}.get(kind(field))
    folded = "".join(part for test in tests if test.op in STRINGS for part in _literals(test))
    if suffix is None or (folded.isascii() and not any(map(str.isalpha, folded))):
        return text
    return joined([text, f"{name_text(field)}{suffix}:/.*[{FOLDED_OTHERWISE}].*/"], "OR")


def _literals(test: FieldTest) -> Iterable[str]:
    pieces = test.arg.pieces if isinstance(test.arg, Pattern) else ((test.arg,),)
    return [literal for piece in pieces for literal in piece if literal]


def _number(wanted: float) -> str:
    """Returns an expression for all texts that write a number: decimal, hex, or with . or e.

    Which of the last are this number is left to the rule.
    """
    written = ["[0-9]+[.e].*"]
    if wanted == wanted // 1 and (whole := abs(int(wanted))) < 10**MAX_NUMBER_TEXT:
        written = [f"0*{whole}", f"0x0*{whole:x}", *written]
    return f"[+\\-]?({'|'.join(written)})"


def _regex(name: str, source: str, flags: str) -> str:
    try:
        expression, lowered = lucene_regex(source, flags, any_case=True)
    except RuleError:
        return f"_exists_:{name}"
    if not lowered:
        return f"{name}:/{expression}/"
    return f"{name}.caseless:(/{expression}/ OR /.*[{FOLDED_OTHERWISE}].*/)"


def _is_exact(field: str, test: FieldTest) -> bool:
    """Tells whether the rule's test holds wherever the query for it does.

    Of texts that is what is printable ASCII; where case counts a store that ignores it has more.
    """
    its = kind(field)
    if its is Kind.TEXT or test.op in CASED or (test.op == "exists" and not test.arg):
        return False
    if test.op not in STRINGS:
        return test.op != "re"
    if isinstance(test.arg, Pattern) and any(None in piece for piece in test.arg.pieces):
        return False
    if not all(part.isascii() and part.isprintable() for part in _literals(test)):
        return False
    if its is Kind.KEYWORD:
        return not listed_hash(field, test)
    return _is_usual(its, test)


def _is_usual(its: Kind, test: FieldTest) -> bool:
    """Tells whether the value of a typed field that a text is equal to was written as this text."""
    if its is Kind.LONG and test.op == "eq":
        return _WHOLE.fullmatch(test.arg) is not None
    if its is Kind.IP and test.op == "eq":
        return _usual(test) != ""
    return its is not Kind.DOUBLE


def _usual(test: FieldTest) -> str:
    """Returns an expression for the IPv4 addresses meant, as they are usually written."""
    try:
        return usual_addresses(test.arg)
    except ValueError:
        return ""


def _without_capital_i(field: str, tests: Sequence[FieldTest], text: str) -> str:
    """Leaves out the values with an i of which only the store makes an i.

    A store that ignores all case cannot tell them from others: there nothing is left.
    """
    if kind(field) is not Kind.KEYWORD or field in OWN_TEXTS:
        return text
    if not any("i" in part for test in tests if test.op in STRINGS for part in _literals(test)):
        return text
    return f"({text} AND (NOT {name_text(field)}:*{CAPITAL_I}*))"
