"""Wildcards and regular expressions of a query, in the case of comparison.

Of regular expressions the part is taken that means the same everywhere and runs in linear time:
literals, ``.``, sets, groups, ``|``, ``* + ? {n,m}``, and ``\\d \\w \\s`` for ASCII. They match the
whole value, as in Elasticsearch. All functions raise ValueError with a sentence.
"""

import re
from collections.abc import Iterator

from samlog.store.fields import caseless
from samlog.store.query_tree import CharSet, Gap, Literal, RegexToken, Wildcard

MAX_PATTERN = 256
"""Longest wildcard or regular expression, in characters."""
MAX_REPEAT = 64

_COUNT = re.compile(r"\{(\d{1,5})(,(\d{1,5})?)?\}", re.ASCII)
_SPACES = (("\t", "\r"), (" ", " "))
_DIGITS = (("0", "9"),)
_WORD = (("0", "9"), ("_", "_"), ("a", "z"))
_CLASSES = {
    "d": CharSet(_DIGITS),
    "D": CharSet(_DIGITS, negated=True),
    "w": CharSet(_WORD),
    "W": CharSet(_WORD, negated=True),
    "s": CharSet(_SPACES),
    "S": CharSet(_SPACES, negated=True),
}


def unescape(text: str) -> str:
    """Returns ``text`` without the backslashes that make the next character a plain one."""
    return re.sub(r"\\(.)", r"\1", text, flags=re.DOTALL)


def wildcard(text: str, longest: int = MAX_PATTERN) -> Wildcard:
    """Returns the pattern of a word in which ``*`` and ``?`` are not escaped.

    A pattern without a gap is a literal; "" gives an empty pattern.
    """
    parts: list[str | Gap] = []
    literal: list[str] = []
    characters = iter(text)
    for character in characters:
        if character not in "*?":
            literal.append(next(characters, character) if character == "\\" else character)
            continue
        if literal:
            parts.append(caseless("".join(literal)))
            literal = []
        gap = Gap(character)
        if not (gap is Gap.MANY and parts and parts[-1] is Gap.MANY):
            parts.append(gap)
    if literal:
        parts.append(caseless("".join(literal)))
    if len(text) > longest and any(isinstance(part, Gap) for part in parts):
        raise ValueError(f"a wildcard has at most {longest} characters, this one {len(text)}")
    return tuple(parts)


def regex(
    text: str, longest: int = MAX_PATTERN, repeat: int = MAX_REPEAT
) -> tuple[RegexToken, ...]:
    """Returns the tokens of a regular expression (without the slashes)."""
    if len(text) > longest:
        raise ValueError(
            f"a regular expression has at most {longest} characters, this one {len(text)}"
        )
    tokens = tuple(_tokens(text, repeat))
    _check(tokens)
    return tokens


def _tokens(text: str, repeat: int) -> Iterator[RegexToken]:
    at = 0
    while at < len(text):
        character = text[at]
        if character == "\\":
            token, at = _escaped(text, at)
            yield token
        elif character == "[":
            token, at = _set(text, at)
            yield token
        elif character == "{":
            found = _COUNT.match(text, at)
            if found is None:
                raise ValueError("{ begins a repetition like {2} or {2,5}; write \\{ for itself")
            yield _repetition(found, repeat)
            at = found.end()
        elif text.startswith("(?", at):
            raise ValueError("groups that begin with (? are not supported")
        elif character in ".|()*+?":
            yield character
            at += 1
        elif character in "^$":
            raise ValueError(f"{character} is not supported: the whole value is compared")
        elif character in "]}":
            raise ValueError(f"{character} without its beginning; write \\{character} for itself")
        else:
            yield from _literal(character)
            at += 1


def _escaped(text: str, at: int) -> tuple[RegexToken, int]:
    character = text[at + 1 : at + 2]
    if not character:
        raise ValueError("a backslash at the end")
    if character in _CLASSES:
        return _CLASSES[character], at + 2
    if character.isalnum():
        raise ValueError(f"\\{character} is not supported")
    return Literal(character), at + 2


def _literal(character: str) -> Iterator[Literal]:
    for lower in caseless(character):
        yield Literal(lower)


def _repetition(found: re.Match[str], most: int) -> str:
    low = int(found[1])
    high = int(found[3]) if found[3] else low
    if max(low, high) > most:
        raise ValueError(f"a part is repeated at most {most} times")
    if high < low:
        raise ValueError("a repetition goes from the smaller to the larger number")
    if found[2] == ",":
        return f"{{{low},}}"
    return f"{{{low},{high}}}"


def _set(text: str, at: int) -> tuple[CharSet, int]:
    at += 1
    negated = text[at : at + 1] == "^"
    at += negated
    ranges: list[tuple[str, str]] = []
    while text[at : at + 1] != "]":
        if at >= len(text):
            raise ValueError("[ without its ]")
        if text[at] == "\\" and text[at + 1 : at + 2] in ("d", "w", "s"):
            ranges += _CLASSES[text[at + 1]].ranges
            at += 2
            continue
        low, at = _member(text, at)
        high = low
        if text[at : at + 1] == "-" and text[at + 1 : at + 2] not in ("]", ""):
            high, at = _member(text, at + 1)
        if high < low:
            raise ValueError(f"a range goes from the smaller to the larger: {high}-{low}")
        ranges += _caseless_range(low, high)
    if not ranges:
        raise ValueError("an empty set")
    return CharSet(tuple(sorted(set(ranges))), negated), at + 1


def _member(text: str, at: int) -> tuple[str, int]:
    character = text[at]
    if character == "[":
        raise ValueError("a set within a set is not supported; write \\[ for itself")
    if character != "\\":
        return character, at + 1
    following = text[at + 1 : at + 2]
    if not following or following.isalnum():
        raise ValueError(f"\\{following} is not supported in a set")
    return following, at + 2


def _caseless_range(low: str, high: str) -> Iterator[tuple[str, str]]:
    """Yields the range, and what its capitals are in the case of comparison."""
    if low == high:
        lower = caseless(low)
        yield (lower, lower) if len(lower) == 1 else (low, low)
        return
    yield low, high
    first, last = max(low, "A"), min(high, "Z")
    if first <= last:
        yield first.lower(), last.lower()


def _check(tokens: tuple[RegexToken, ...]) -> None:
    """Sees to it that parentheses pair and every quantifier has something to repeat."""
    depth = 0
    repeatable = False
    for token in tokens:
        if token == "(":
            depth += 1
            repeatable = False
        elif token == "|":
            repeatable = False
        elif token == ")":
            depth -= 1
            if depth < 0:
                raise ValueError(") without its (; write \\) for itself")
            repeatable = True
        elif isinstance(token, str) and token[0] in "*+?{":
            if not repeatable:
                raise ValueError(f"{token} has nothing before it to repeat")
            repeatable = False
        else:
            repeatable = True
    if depth:
        raise ValueError("( without its )")
