"""Why a rule fires on an event or does not: the condition as a tree, with the values looked at.

The tree is evaluated node by node by `detect.evaluate`, not by the generated code, so it also
checks that.
"""

import copy
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

from sigma.conditions import (
    ConditionAND,
    ConditionIdentifier,
    ConditionNOT,
    ConditionOR,
    ConditionSelector,
)
from sigma.rule import SigmaRule
from sigma.rule.detection import SigmaDetections

from detect.build import build
from detect.condition import And, FieldTest, Node, Not, Or, condition_of, relocated, tests_of
from detect.correlate.rule import said
from detect.engine import Engine
from detect.evaluate import FOLDED_OPS, is_true, keyword_text, text_predicate
from detect.logsource import Fields, Router, Source
from detect.overlay import Overlays
from detect.reload import RuleSet
from detect.routes import ROUTING
from detect.rule import LoadReport, Rule, parse_rules, read_rules
from detect.suppression import Bearing, bearings
from detect.text import Slot, View, folded, texts
from samlog.errors import RuleError
from samlog.event import Event

MAX_KEYS = 5
"""So many fields in which a keyword was found are named."""

_WORDS = {
    "eq": "is",
    "contains": "contains",
    "starts": "starts with",
    "ends": "ends with",
    "glob": "is like",
    "num": "=",
    "cidr": "is in",
    "re": "matches",
}


class Part(NamedTuple):
    """A part of a condition. ``looked_at`` has a test's fields and values (None: not there)."""

    text: str
    held: bool
    looked_at: tuple[tuple[str, Any], ...] = ()
    parts: tuple["Part", ...] = ()


class Explanation(NamedTuple):
    """``asked`` is False where the event is not of the rule's logsource: then it never fires.

    ``bearings`` are the filters and overlay entries that name the rule.
    """

    rule: Rule
    asked: bool
    condition: Part
    bearings: Sequence[Bearing] = ()

    @property
    def fires(self) -> bool:
        return self.asked and self.condition.held

    @property
    def told(self) -> bool:
        """Whether the match is told; else a filter or an overlay takes it away."""
        return self.fires and not any(one.suppresses for one in self.bearings)


class Explainer:
    """Explains one rule; raises `RuleError` where it cannot be evaluated at all."""

    def __init__(
        self,
        file: Path,
        rule_id: str,
        placeholders: Mapping[str, Sequence[str]],
        around: RuleSet | None = None,
        today: date = date.min,
    ) -> None:
        """Reads the rule with this id from ``file``; any id does where the file holds one rule.

        ``around`` has the filters and overlays, ``today`` (UTC) says which are in force; without
        it, there are only the filters in the rule's own file.
        """
        built = build([file], mode="ecs", placeholders=placeholders)
        if built.report.refused:
            raise built.report.refused[0]
        if built.report.unmapped:
            found = built.report.unmapped[0]
            raise RuleError(
                f"no event that samlog parses answers to this rule: {found.reason} {found.detail}",
                reason=found.reason,
                path=str(file),
                line=found.rule.line,
                rule_id=found.rule.id,
            )
        numbers = [i for i, rule in enumerate(built.report.loaded) if rule_id in ("", rule.id)]
        for one in built.correlations:
            if rule_id == one.rule.id or (not numbers and not rule_id):
                raise RuleError(
                    f"is a correlation of many events ({said(one)}): explain one of its rules on "
                    "one event; `samlog detect` shows what fires over a file",
                    reason="correlation",
                    path=str(file),
                    line=one.rule.line,
                    rule_id=one.rule.id,
                )
        if not numbers:
            raise RuleError(
                f"holds no rule {rule_id or 'at all'}", reason="not_a_rule", path=str(file)
            )
        self.rule = built.report.loaded[numbers[0]]
        self._around = around or RuleSet(Engine(built, mode="ecs"), Overlays())
        self._today = today
        self._variants = [v for v in built.variants if v.rule == numbers[0]]
        self._sources: Sequence[Source] = built.sources
        self._router = Router(built.sources, ROUTING["ecs"])
        parsed = parse_rules(read_rules([file], LoadReport()), LoadReport())
        self._sigma = next(p.sigma for p in parsed if p.rule.id == self.rule.id)
        self._nodes = dict(_named(self._sigma, placeholders))

    def explain(self, event: Event) -> Explanation:
        """Returns what held and what did not for one normalised event."""
        own = self._router.route(event)
        variant = next((v for v in self._variants if own & v.sources), None)
        sources = (variant or self._variants[0]).sources
        fields = self._sources[min(sources & own or sources)].fields
        view = self._around.engine.view(event)
        named = {name: _explained(name, node, fields, view) for name, node in self._nodes.items()}
        conditions = [
            _condition(c.parse(postprocess=False), self._sigma.detection, named)
            for c in self._sigma.detection.parsed_condition
        ]
        whole = conditions[0]
        if len(conditions) > 1:
            whole = _joined("one of the conditions", conditions, all_=False)
        found = bearings(self._around, self.rule.id, event, fields, view, self._today)
        return Explanation(self.rule, variant is not None, whole, found)


def _named(sigma: SigmaRule, placeholders: Mapping[str, Sequence[str]]) -> Iterator[Any]:
    """Yields every detection's name and condition, with the rule's own field names."""
    for name in sigma.detection.detections:
        alone = copy.copy(sigma)
        alone.detection = SigmaDetections(sigma.detection.detections, [name])
        yield name, condition_of(alone, placeholders)


def _condition(item: Any, detections: SigmaDetections, named: Mapping[str, Part]) -> Part:
    if isinstance(item, ConditionIdentifier):
        return named[item.identifier]
    if isinstance(item, ConditionSelector):
        names = [i.identifier for i in item.resolve_referenced_detections(detections)]
        text = f"{item.args[0]} of {item.pattern}"
        return _joined(text, [named[n] for n in names], all_=item.cond_class is ConditionAND)
    parts = [_condition(arg, detections, named) for arg in item.args]
    if isinstance(item, ConditionNOT):
        return Part("not", not parts[0].held, (), tuple(parts))
    assert isinstance(item, ConditionAND | ConditionOR)
    all_ = isinstance(item, ConditionAND)
    return _joined("and" if all_ else "or", parts, all_=all_)


def _joined(text: str, parts: Sequence[Part], *, all_: bool) -> Part:
    held = [part.held for part in parts]
    return Part(text, all(held) if all_ else any(held), (), tuple(parts))


def _explained(name: str, node: Node, fields: Fields, view: View) -> Part:
    """Returns a detection under its name; a lone test or list stands directly below it."""
    places = {slot: fields.slot(slot) for test in tests_of(node) for slot in _names(test)}
    placed = relocated(node, {k: v for k, v in places.items() if v is not None})
    part = _node(node, placed, view)
    own = part.parts if isinstance(node, And | Or) else (part,)
    word = " (all of)" if isinstance(node, And) else " (one of)"
    return Part(name + word if len(own) > 1 else name, part.held, (), own)


def _names(test: FieldTest) -> Iterator[str]:
    if isinstance(test.slot, str):
        yield test.slot
    if test.op == "ref":
        yield test.arg[0]


def _node(node: Node, placed: Node, view: View) -> Part:
    """Walks a condition in the rule's names and in the event's side by side."""
    if isinstance(node, And | Or):
        assert isinstance(placed, And | Or)
        parts = [_node(a, b, view) for a, b in zip(node.nodes, placed.nodes, strict=True)]
        all_ = isinstance(node, And)
        return _joined("all of" if all_ else "one of", parts, all_=all_)
    if isinstance(node, Not):
        assert isinstance(placed, Not)
        inner = _node(node.node, placed.node, view)
        return Part("not", not inner.held, (), (inner,))
    assert isinstance(placed, FieldTest)
    return Part(_text(node), is_true(placed, view), tuple(_looked_at(placed, view)))


def _text(test: FieldTest) -> str:
    """Returns a test as a sentence: ``CommandLine contains 'x'``."""
    name = "any text" if test.slot is None else str(test.slot)
    op, arg = test.op, test.arg
    if op == "any":
        return f"{name} is there"
    if op == "null":
        return f"{name} is missing or null"
    if op == "exists":
        return f"{name} {'exists' if arg else 'does not exist'}"
    if op == "ref":
        return f"{name} {_WORDS[arg[1]]} field {arg[0]}"
    if op == "cmp":
        return f"{name} {arg[0]} {arg[1]}"
    if op == "part":
        return f"{arg[0]} of {name} {arg[1]} {arg[2]}"
    if op == "re":
        return f"{name} matches '{arg[0]}'" + (f" with flags {arg[1]}" if arg[1] else "")
    cased = op not in _WORDS
    word = _WORDS[op.removeprefix("c") if cased else op]
    value = str(arg) if op in ("num", "cidr") else f"'{keyword_text(test)}'"
    return f"{name} {word} {value}" + (" in this case" if cased else "")


def _looked_at(test: FieldTest, view: View) -> Iterator[tuple[str, Any]]:
    """Yields the event's fields that a placed test read, with what was in them."""
    if test.slot is None:
        yield from _keys_with(test, view)
        return
    slots: list[Slot] = [test.slot]
    if test.op == "ref":
        slots.append(test.arg[0])
    for slot in slots:
        keys = [slot] if isinstance(slot, str) else sorted(slot, key=_order(slot))
        there = [(key, view.event[key]) for key in keys if view.event.get(key) is not None]
        yield from there[:1] if isinstance(slot, tuple) and there else there
        if not there:
            yield " or ".join(keys), None


def _order(slot: Slot) -> Any:
    """Keeps the order of a tuple, in which the first field with a value counts."""
    return slot.index if isinstance(slot, tuple) else str


def _keys_with(test: FieldTest, view: View) -> Iterator[tuple[str, Any]]:
    if test.op == "any":
        return
    predicate = text_predicate(test.op, test.arg)
    read = folded if test.op in FOLDED_OPS else texts
    found = 0
    for key, value in view.event.items():
        if found < MAX_KEYS and view.searched(key):
            text = read(value)
            if any(map(predicate, (text,) if isinstance(text, str) else text.members)):
                found += 1
                yield key, value
