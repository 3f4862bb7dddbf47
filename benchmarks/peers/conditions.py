"""Sigma conditions as Logprep's filters: Lucene with wildcards, in any case where the rule says so.

pySigma reads the rules, not samlog, so that a misreading of ours shows up as a difference. Logprep
writes each filter out as a disjunction of conjunctions, so a filter's terms are counted before
it is given to it.

Source: Logprep 21.1.0, ``logprep.filter.lucene_filter`` and ``filter_expression``.
"""

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from sigma.conditions import (
    ConditionAND,
    ConditionFieldEqualsValueExpression,
    ConditionNOT,
    ConditionOR,
)
from sigma.types import (
    SigmaBool,
    SigmaCasedString,
    SigmaCIDRExpression,
    SigmaCompareExpression,
    SigmaExists,
    SigmaExpansion,
    SigmaNull,
    SigmaNumber,
    SigmaRegularExpression,
    SigmaString,
    SpecialChars,
)

ANYTHING = "(?s:.*)"
_WILD = {SpecialChars.WILDCARD_MULTI: "*", SpecialChars.WILDCARD_SINGLE: "?"}
_AS_REGEX = {SpecialChars.WILDCARD_MULTI: ANYTHING, SpecialChars.WILDCARD_SINGLE: "(?s:.)"}
_RANGES = {"LT": "{{* TO {}}}", "LTE": "[* TO {}]", "GT": "{{{} TO *}}", "GTE": "[{} TO *]"}

Names = Callable[[str], str]
"""From the rule's field to that of the event."""


class Untranslatable(Exception):
    """Logprep has no words for this; the text says for what."""


@dataclass(frozen=True)
class Leaf:
    """One comparison. ``kind``: text (wildcards, any case), regex, range, null or exists."""

    field: str
    kind: str
    value: str = ""

    def __str__(self) -> str:
        if self.kind == "text":
            return f'{self.field}:"{_quoted(self.value)}"'
        if self.kind == "regex":
            return f"{self.field}:/{self.value}/"
        return self.field if self.kind == "exists" else f"{self.field}:{self.value}"


@dataclass(frozen=True)
class Not:
    leaf: Leaf

    def __str__(self) -> str:
        return f"(NOT {self.leaf})"


@dataclass(frozen=True)
class Group:
    """Two or more nodes joined by ``word``: AND or OR."""

    word: str
    nodes: tuple["Node", ...]

    def __str__(self) -> str:
        return "(" + f" {self.word} ".join(map(str, self.nodes)) + ")"


Node = Leaf | Not | Group


def convert(condition: Any, names: Names) -> Node:
    """Returns a condition that pySigma has parsed. Raises `Untranslatable`."""
    if isinstance(condition, ConditionAND | ConditionOR):
        word = "AND" if isinstance(condition, ConditionAND) else "OR"
        return joined(word, [convert(part, names) for part in condition.args])
    if isinstance(condition, ConditionNOT):
        return negated(convert(condition.args[0], names))
    if isinstance(condition, ConditionFieldEqualsValueExpression):
        return comparison(names(condition.field), condition.value)
    raise Untranslatable("a keyword without a field")


def joined(word: str, nodes: list[Node]) -> Node:
    """Returns the nodes as one, with groups of the same word dissolved in it."""
    flat: list[Node] = []
    for node in nodes:
        flat += node.nodes if isinstance(node, Group) and node.word == word else (node,)
    flat = list(dict.fromkeys(flat))
    return flat[0] if len(flat) == 1 else Group(word, tuple(flat))


def negated(node: Node) -> Node:
    """Returns the opposite, the negations at the leaves."""
    if isinstance(node, Not):
        return node.leaf
    if isinstance(node, Leaf):
        return Not(node)
    other = "OR" if node.word == "AND" else "AND"
    return joined(other, [negated(part) for part in node.nodes])


def comparison(field: str, value: Any) -> Node:
    """Returns the node for one value of one field."""
    if isinstance(value, SigmaCasedString):
        return Leaf(field, "regex", _checked(pattern(value)))
    if isinstance(value, SigmaString):
        return text(field, value)
    if isinstance(value, SigmaNumber | SigmaBool):
        return text(field, SigmaString(str(value)))
    if isinstance(value, SigmaRegularExpression):
        return Leaf(field, "regex", expression(value))
    if isinstance(value, SigmaCompareExpression):
        return _range(field, value)
    if isinstance(value, SigmaExists):
        found = Leaf(field, "exists")
        return found if bool(value) else Not(found)
    if isinstance(value, SigmaNull):
        return joined("OR", [Not(Leaf(field, "exists")), Leaf(field, "null", "null")])
    if isinstance(value, SigmaCIDRExpression):
        return joined("OR", [text(field, SigmaString(each)) for each in value.expand()])
    if isinstance(value, SigmaExpansion):
        return joined("OR", [comparison(field, each) for each in value.values])
    raise Untranslatable(type(value).__name__)


def _range(field: str, value: SigmaCompareExpression) -> Leaf:
    form = _RANGES.get(value.op.name)
    if form is None:
        raise Untranslatable(f"comparison {value.op.name}")
    return Leaf(field, "range", form.format(value.number))


def text(field: str, value: SigmaString) -> Leaf:
    """Returns a value with wildcards; as a regex where Logprep's escapes cannot say it."""
    wild = wildcards(value)
    return (
        Leaf(field, "text", wild)
        if wild
        else Leaf(field, "regex", _checked(f"(?i){pattern(value)}"))
    )


def wildcards(value: SigmaString) -> str | None:
    """Returns the value in Logprep's notation, or None where that has none.

    A star counts as a wildcard after no backslash or more than one, of which the first is taken
    away; after one it is a star. So a literal star can follow no backslash.
    """
    out = ""
    for part in value.s:
        if isinstance(part, SpecialChars):
            out += ("\\" if out.endswith("\\") else "") + _WILD[part]
        elif not isinstance(part, str):
            raise Untranslatable("placeholder")
        else:
            for char in part:
                if char in "*?" and out.endswith("\\"):
                    return None
                out += "\\" + char if char in "*?" else char
    return out


def pattern(value: SigmaString) -> str:
    """Returns the value as a regex for the whole of a field."""
    out = []
    for part in value.s:
        if isinstance(part, SpecialChars):
            out.append(_AS_REGEX[part])
        elif isinstance(part, str):
            out.append(re.escape(part).replace("/", r"\/").replace('"', r"\x22"))
        else:
            raise Untranslatable("placeholder")
    return "".join(out)


def expression(value: SigmaRegularExpression) -> str:
    """Returns a regex that is searched for as one for the whole of a field."""
    flags = "".join(sorted(value.sigma_to_re_flag[flag] for flag in value.flags))
    source = re.sub(r"(?<!\\)((?:\\\\)*)/", r"\1\\/", str(value.regexp))
    # Logprep takes away backslashes in front of a quotation mark.
    source = re.sub(r"(?<!\\)((?:\\\\)*)\\?\"", r"\1\\x22", source)
    if leading := re.match(r"\(\?([aiLmsux]+)\)", source):
        source, flags = source[leading.end() :], flags + leading[1]
    inner = f"(?{flags}:{source})" if flags else f"(?:{source})"
    return _checked(ANYTHING + inner + ANYTHING)


def _checked(source: str) -> str:
    try:
        re.compile(source)
    except re.error as error:
        raise Untranslatable(f"regex: {error}") from error
    return source


def _quoted(value: str) -> str:
    """Returns a value as it stands between quotes: a backslash more before each quote in it."""
    return value.replace('"', '\\"')


def terms(node: Node) -> int:
    """Returns how many conjunctions Logprep makes of a filter."""
    if not isinstance(node, Group):
        return 1
    counts = [terms(part) for part in node.nodes]
    return sum(counts) if node.word == "OR" else math.prod(counts)


def leaves(node: Node) -> Iterator[Leaf]:
    """Yields the comparisons of a filter."""
    if isinstance(node, Group):
        for part in node.nodes:
            yield from leaves(part)
    else:
        yield node.leaf if isinstance(node, Not) else node
