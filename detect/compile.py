"""Conditions as generated Python: one expression a rule, compiled once for all rules.

No value of a rule ever becomes source text: the code names constants ``k0``, ``k1`` .., which
`bind` supplies. So a rule cannot inject code, and the code object can be kept by content hash.
"""

from collections.abc import Callable, Sequence
from types import CodeType
from typing import Any, NamedTuple

from detect.condition import And, FieldTest, Node, Not, Or
from detect.evaluate import FOLDED_OPS, one_of, refers, satisfied, text_predicate, words
from detect.many import NOTHING
from detect.text import Folded, Raw, View

Predicate = Callable[[Folded, Raw, View], bool]

_INLINE = {"eq", "contains", "starts", "ends"}
_COST = {"null": 1, "any": 1, "exists": 2, "eq": 2, "num": 3, "starts": 3, "ends": 3, "contains": 4}
_SLOW = 12
AT_ONCE = 250
"""Rules compiled together: Python takes 310 MB for all of SigmaHQ at once, for these 20."""
_KEYWORD = 30


class Constant(NamedTuple):
    """A value that the code refers to: as it is (``op`` "") or as the predicate of a test."""

    op: str
    value: Any


class Program(NamedTuple):
    """The code of many rules: each part defines ``rules``, a tuple of predicates in order."""

    code: tuple[CodeType, ...]
    constants: tuple[Constant, ...]


def compile_rules(nodes: Sequence[Node]) -> Program:
    """Returns the code for ``nodes``. O(total size of the conditions)."""
    emitter = _Emitter()
    parts = []
    for first in range(0, len(nodes), AT_ONCE):
        lines = [f"lambda L, R, V: {emitter.node(n)},\n" for n in nodes[first : first + AT_ONCE]]
        source = "rules = (\n" + "".join(lines) + ")"
        parts.append(compile(source, "<sigma rules>", "exec", optimize=2))
    return Program(tuple(parts), tuple(emitter.constants))


def bind(program: Program) -> tuple[Predicate, ...]:
    """Returns one predicate a rule, in the order given to `compile_rules`.

    A predicate takes ``(view.low, view.raw, view)`` of one `View`.
    """
    names: dict[str, Any] = {
        "__builtins__": {},
        "NOTHING": NOTHING,
        "one_of": one_of,
        "refers": refers,
        "satisfied": satisfied,
        "words": words,
    }
    for i, (op, value) in enumerate(program.constants):
        names[f"k{i}"] = text_predicate(op, value) if op else value
    rules: list[Predicate] = []
    for code in program.code:
        exec(code, names)  # noqa: S102  our own generated code, constants bound by name
        rules += names.pop("rules")
    return tuple(rules)


class _Emitter:
    def __init__(self) -> None:
        self.constants: list[Constant] = []
        self._names: dict[tuple[str, type, Any], str] = {}

    def name(self, value: Any, op: str = "") -> str:
        """Returns the name of a constant; equal ones share it, but never ``1`` and ``True``."""
        key = (op, type(value), repr(value) if isinstance(value, tuple) else value)
        found = self._names.get(key)
        if found is None:
            found = self._names[key] = f"k{len(self.constants)}"
            self.constants.append(Constant(op, value))
        return found

    def node(self, node: Node) -> str:
        if isinstance(node, And):
            return "(" + " and ".join(self.node(part) for part in by_cost(node.nodes)) + ")"
        if isinstance(node, Or):
            return "(" + " or ".join(self.alternatives(by_cost(node.nodes))) + ")"
        if isinstance(node, Not):
            return f"(not {self.node(node.node)})"
        return self.test(node)

    def alternatives(self, nodes: Sequence[Node]) -> list[str]:
        """Returns the parts of a disjunction, with the tests of one slot and kind merged."""
        groups: dict[tuple[Any, str], list[str]] = {}
        for node in nodes:
            if isinstance(node, FieldTest) and node.op in {"eq", "starts", "ends"} and node.slot:
                groups.setdefault((node.slot, node.op), []).append(node.arg)
        parts: list[str] = []
        for node in nodes:
            if not isinstance(node, FieldTest) or (node.slot, node.op) not in groups:
                parts.append(self.node(node))
            elif args := groups[node.slot, node.op]:
                parts.append(self.merged(node, args))
                groups[node.slot, node.op] = []
        return parts

    def merged(self, test: FieldTest, args: list[str]) -> str:
        if len(args) == 1:
            return self.test(test)
        slot = self.name(test.slot)
        if test.op == "eq":
            return f"one_of(L[{slot}], {self.name(frozenset(args))})"
        return f"L[{slot}].{test.op}with({self.name(tuple(args))})"

    def test(self, test: FieldTest) -> str:
        slot, op, arg = test
        if slot is None:
            return self.keyword(op, arg)
        where = self.name(slot)
        if op in {"any", "null"}:
            return f"(L[{where}] {'is not' if op == 'any' else 'is'} NOTHING)"
        if op == "exists":
            return f"(V.exists({where}) is {bool(arg)})"
        if op == "ref":
            return f"refers(V, {where}, {self.name(arg)})"
        texts = f"{'L' if op in FOLDED_OPS else 'R'}[{where}]"
        bare = op.removeprefix("c") if op.removeprefix("c") in _INLINE else op
        if bare == "eq":
            return f"({texts} == {self.name(arg)})"
        if bare == "contains":
            return f"({self.name(arg)} in {texts})"
        if bare in {"starts", "ends"}:
            return f"{texts}.{bare}with({self.name(arg)})"
        return f"satisfied({texts}, {self.name(arg, op)})"

    def keyword(self, op: str, arg: Any) -> str:
        if op == "any":
            return "(V.keywords() != ())"
        if op == "contains" and "\0" not in arg:
            return f"({self.name(arg)} in V.haystack())"
        return f"satisfied(words(V, {op in FOLDED_OPS}), {self.name(arg, op)})"


def by_cost(nodes: Sequence[Node]) -> list[Node]:
    """Returns the parts with the cheap ones first; no test has a side effect."""
    return sorted(nodes, key=cost)


def cost(node: Node) -> int:
    """Returns a rough cost of evaluating ``node``, in units of some 20 ns."""
    if isinstance(node, And | Or):
        return sum(map(cost, node.nodes))
    if isinstance(node, Not):
        return cost(node.node)
    base = _COST.get(node.op, _SLOW)
    return base + _KEYWORD if node.slot is None else base
