"""A rule's condition as a small tree, independent of pySigma's classes.

`condition_of` turns what pySigma parsed into `Node`s; `relocated` puts the places of an event's
fields for the rule's names. Everything downstream (generated code, candidates, explanations)
reads only this tree.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from sigma.conditions import (
    ConditionAND,
    ConditionFieldEqualsValueExpression,
    ConditionNOT,
    ConditionOR,
    ConditionValueExpression,
)
from sigma.rule import SigmaRule
from sigma.types import (
    Placeholder,
    SigmaBool,
    SigmaCasedString,
    SigmaCIDRExpression,
    SigmaCompareExpression,
    SigmaExists,
    SigmaExpansion,
    SigmaFieldReference,
    SigmaNull,
    SigmaNumber,
    SigmaRegularExpression,
    SigmaRegularExpressionFlag,
    SigmaString,
    SigmaTimestampPart,
    SpecialChars,
)

from detect.text import Slot, fold
from samlog.errors import RuleError

MAX_DEPTH = 40
"""Nesting of and/or/not in one condition; Python's own parser gives up at about 90."""
MAX_TESTS = 20_000

Piece = tuple[str | None, ...]
"""What stands between two ``*``: literal strings, and None for one ``?``."""


class Pattern(NamedTuple):
    """A string with wildcards: ``pieces`` in order, with anything between them."""

    pieces: tuple[Piece, ...]
    from_start: bool
    to_end: bool


class FieldTest(NamedTuple):
    """One test of one slot, or of all texts of the event where ``slot`` is None (a keyword).

    ``op`` and ``arg``: ``eq``, ``contains``, ``starts``, ``ends`` a folded string; ``glob`` a
    folded `Pattern`; the same with ``c`` before the name as written (modifier ``cased``); ``any``
    (a lone ``*``) None; ``num`` a number; ``cmp`` (operator, number); ``null`` None; ``exists`` a
    bool; ``re`` (pattern, flags of i, m, s); ``cidr`` a network; ``ref`` (slot, mode of eq, starts,
    ends, contains, cased); ``part`` (unit of time, operator, number).
    """

    slot: Slot | None
    op: str
    arg: Any


class And(NamedTuple):
    nodes: tuple["Node", ...]


class Or(NamedTuple):
    nodes: tuple["Node", ...]


class Not(NamedTuple):
    node: "Node"


Node = FieldTest | And | Or | Not

Placeholders = Mapping[str, Sequence[str]]

_OPERATORS = {"LT": "<", "LTE": "<=", "GT": ">", "GTE": ">="}
_FLAGS = {
    SigmaRegularExpressionFlag.IGNORECASE: "i",
    SigmaRegularExpressionFlag.MULTILINE: "m",
    SigmaRegularExpressionFlag.DOTALL: "s",
}


def condition_of(rule: SigmaRule, placeholders: Placeholders) -> Node:
    """Returns the condition of ``rule`` with the rule's own field names as slots.

    Several conditions are alternatives of one rule. Raises `RuleError` with reason
    ``placeholder_without_values``, ``unsupported_value``, ``empty_condition`` or
    ``condition_too_large``; pySigma's own errors pass through.
    """
    builder = _Builder(placeholders)
    nodes = [builder.node(condition.parsed, 0) for condition in rule.detection.parsed_condition]
    return either(nodes)


def relocated(node: Node, places: Mapping[str, Slot]) -> Node:
    """Returns the condition with every field name replaced by its place."""
    if isinstance(node, And):
        return And(tuple([relocated(part, places) for part in node.nodes]))
    if isinstance(node, Or):
        return Or(tuple([relocated(part, places) for part in node.nodes]))
    if isinstance(node, Not):
        return Not(relocated(node.node, places))
    slot, op, arg = node
    if slot is None:
        return node
    if op == "ref":
        arg = (places[arg[0]], arg[1])
    return FieldTest(places[slot], op, arg)  # type: ignore[index]  # a name as long as unplaced


def tests_of(node: Node) -> Iterator[FieldTest]:
    """Yields every test in the condition."""
    if isinstance(node, And | Or):
        for part in node.nodes:
            yield from tests_of(part)
    elif isinstance(node, Not):
        yield from tests_of(node.node)
    else:
        yield node


def both(nodes: Sequence[Node]) -> Node:
    """Returns the conjunction, flattened."""
    flat: list[Node] = []
    for node in nodes:
        flat.extend(node.nodes if isinstance(node, And) else (node,))
    return flat[0] if len(flat) == 1 else And(tuple(flat))


def either(nodes: Sequence[Node]) -> Node:
    """Returns the disjunction, flattened."""
    flat: list[Node] = []
    for node in nodes:
        flat.extend(node.nodes if isinstance(node, Or) else (node,))
    return flat[0] if len(flat) == 1 else Or(tuple(flat))


class _Builder:
    def __init__(self, placeholders: Placeholders) -> None:
        self.placeholders = placeholders
        self.tests = 0

    def node(self, condition: Any, depth: int) -> Node:
        if depth > MAX_DEPTH:
            raise RuleError(
                f"the condition nests deeper than {MAX_DEPTH} levels", reason="condition_too_large"
            )
        if isinstance(condition, ConditionAND):
            return both([self.node(arg, depth + 1) for arg in condition.args])
        if isinstance(condition, ConditionOR):
            return either([self.node(arg, depth + 1) for arg in condition.args])
        if isinstance(condition, ConditionNOT):
            return Not(self.node(condition.args[0], depth + 1))
        if isinstance(condition, ConditionFieldEqualsValueExpression):
            return self.value(condition.field, condition.value)
        if isinstance(condition, ConditionValueExpression):
            return self.value(None, condition.value)
        raise RuleError("the condition selects nothing", reason="empty_condition")

    def value(self, field: str | None, value: Any) -> Node:
        self.tests += 1
        if self.tests > MAX_TESTS:
            raise RuleError(
                f"the condition holds more than {MAX_TESTS:,} tests", reason="condition_too_large"
            )
        if isinstance(value, SigmaExpansion):
            return either([self.value(field, part) for part in value.values])
        if isinstance(value, SigmaString | SigmaRegularExpression):
            return either([self.text(field, plain) for plain in self.expanded(value)])
        return self.other(field, value)

    def expanded(self, value: Any) -> Sequence[Any]:
        if not value.contains_placeholder():
            return (value,)

        def fill(placeholder: Placeholder) -> Any:
            found = self.placeholders.get(placeholder.name)
            if not found:
                raise RuleError(
                    f"no values are configured for %{placeholder.name}%",
                    reason="placeholder_without_values",
                )
            yield from map(SigmaString, found)

        cased = isinstance(value, SigmaCasedString)
        filled = value.replace_placeholders(fill)
        return [SigmaCasedString.from_sigma_string(s) for s in filled] if cased else filled

    def text(self, field: str | None, value: Any) -> FieldTest:
        if isinstance(value, SigmaRegularExpression):
            flags = "".join(sorted(_FLAGS[flag] for flag in value.flags))
            return FieldTest(field, "re", (str(value.regexp), flags))
        return string_test(field, value)

    def other(self, field: str | None, value: Any) -> FieldTest:
        if field is None:
            if isinstance(value, SigmaNumber) and not isinstance(value, SigmaTimestampPart):
                return FieldTest(None, "contains", str(value.number))
            if isinstance(value, SigmaBool):
                return FieldTest(None, "contains", str(value.boolean).lower())
            raise _unsupported(value, "without a field")
        slot = field
        if isinstance(value, SigmaTimestampPart):
            return FieldTest(slot, "part", (value.timestamp_part.name.lower(), "==", value.number))
        if isinstance(value, SigmaNumber):
            return FieldTest(slot, "num", value.number)
        if isinstance(value, SigmaBool):
            return FieldTest(slot, "eq", str(value.boolean).lower())
        if isinstance(value, SigmaNull):
            return FieldTest(slot, "null", None)
        if isinstance(value, SigmaExists):
            return FieldTest(slot, "exists", bool(value))
        if isinstance(value, SigmaCIDRExpression):
            return FieldTest(slot, "cidr", str(value.network))
        if isinstance(value, SigmaCompareExpression):
            return comparison(slot, value)
        if isinstance(value, SigmaFieldReference):
            return FieldTest(slot, "ref", (value.field, reference_mode(value)))
        raise _unsupported(value, "")


def _unsupported(value: Any, where: str) -> RuleError:
    name = type(value).__name__.removeprefix("Sigma")
    return RuleError(f"a value of type {name} {where} has no meaning", reason="unsupported_value")


def comparison(slot: Slot, value: SigmaCompareExpression) -> FieldTest:
    """Returns the test for lt, lte, gt, gte, also of a part of a time (``|hour|gte: 22``)."""
    operator = _OPERATORS[value.op.name]
    if isinstance(value.number, SigmaTimestampPart):
        unit = value.number.timestamp_part.name.lower()
        return FieldTest(slot, "part", (unit, operator, value.number.number))
    return FieldTest(slot, "cmp", (operator, value.number.number))


def reference_mode(value: SigmaFieldReference) -> str:
    """Returns how the two fields are compared; pySigma writes contains as both ends."""
    modes = {(True, True): "contains", (True, False): "starts", (False, True): "ends"}
    return modes.get((value.starts_with, value.ends_with), "eq")


def string_test(slot: Slot | None, value: SigmaString) -> FieldTest:
    """Returns the test for a string with or without wildcards.

    A keyword (no slot) is looked for anywhere in a text, so its outer wildcards say nothing.
    """
    cased = isinstance(value, SigmaCasedString)
    pattern = pattern_of(value.s, cased)
    prefix = "c" if cased else ""
    if slot is None:
        pattern = Pattern(pattern.pieces, False, False)
    if not pattern.pieces:
        return (
            FieldTest(slot, "any", None)
            if not pattern.from_start
            else FieldTest(slot, prefix + "eq", "")
        )
    piece = pattern.pieces[0]
    if len(pattern.pieces) == 1 and len(piece) == 1 and piece[0] is not None:
        ops = {(True, True): "eq", (True, False): "starts", (False, True): "ends"}
        op = ops.get((pattern.from_start, pattern.to_end), "contains")
        return FieldTest(slot, prefix + op, piece[0])
    return FieldTest(slot, prefix + "glob", pattern)


def pattern_of(parts: Sequence[Any], cased: bool) -> Pattern:
    """Returns the parts of a pySigma string as a `Pattern`; adjacent literals are one."""
    pieces: list[list[str | None]] = [[]]
    for part in parts:
        if part is SpecialChars.WILDCARD_MULTI:
            pieces.append([])
        elif part is SpecialChars.WILDCARD_SINGLE:
            pieces[-1].append(None)
        else:
            text = part if cased else fold(part)
            last = pieces[-1]
            if last and last[-1] is not None:
                last[-1] += text
            elif text:
                last.append(text)
    from_start, to_end = bool(pieces[0]), bool(pieces[-1])
    if len(pieces) == 1:
        from_start = to_end = True
    return Pattern(tuple(tuple(piece) for piece in pieces if piece), from_start, to_end)
