"""Which fields of an event made a rule fire, for those who read the alert.

Made for a rule that has fired often (`detect.engine.OFTEN`): most never do.
"""

from collections.abc import Callable
from itertools import groupby
from typing import Any

from detect.compile import bind, compile_rules
from detect.condition import And, FieldTest, Node, Not, Or
from detect.evaluate import keyword_text
from detect.text import Slot, View

Noter = Callable[[View, dict[str, Any]], None]
"""Adds the fields, with their values, to the dictionary; for an event on which the rule fires."""


def noter(node: Node) -> Noter:
    """Returns what notes the fields that made ``node`` hold: those of positive tests that hold.

    The words found of a list of keywords are noted under ``keywords``.
    """
    if isinstance(node, And):
        parts = [noter(part) for part in node.nodes if not isinstance(part, Not)]
        return parts[0] if len(parts) == 1 else _all(parts)
    if isinstance(node, Not):
        return _all([])
    return _alternatives(node.nodes if isinstance(node, Or) else (node,))


def _all(parts: list[Noter]) -> Noter:
    def note(view: View, found: dict[str, Any]) -> None:
        for part in parts:
            part(view, found)

    return note


def _alternatives(nodes: tuple[Node, ...]) -> Noter:
    """Returns what notes the alternatives that hold, in order; those of one field at once."""
    by_slot: dict[Slot, list[Node]] = {}
    for node in nodes:
        if isinstance(node, FieldTest) and node.slot is not None:
            by_slot.setdefault(node.slot, []).append(node)
    if len(by_slot) == 1 and len(nodes) == len(next(iter(by_slot.values()))):
        return _field(next(iter(by_slot)))  # one of them holds, whichever it is
    parts: list[Noter] = []
    for is_word, group in groupby(nodes, lambda n: isinstance(n, FieldTest) and n.slot is None):
        if is_word:
            parts.append(_keywords([node for node in group if isinstance(node, FieldTest)]))
            continue
        for node in group:
            if not isinstance(node, FieldTest):
                parts.append(_if(node, noter(node)))
            elif tests := by_slot.pop(node.slot, None):  # type: ignore[arg-type]  # no word here
                parts.append(_if(Or(tuple(tests)), _field(node.slot)))  # type: ignore[arg-type]
    return _all(parts)


def _if(node: Node, note: Noter) -> Noter:
    (holds,) = bind(compile_rules([node]))

    def ask(view: View, found: dict[str, Any]) -> None:
        if holds(view.low, view.raw, view):
            note(view, found)

    return ask


def _field(slot: Slot) -> Noter:
    if isinstance(slot, frozenset):
        keys = sorted(slot)

        def every(view: View, found: dict[str, Any]) -> None:
            for key in keys:
                if (value := view.event.get(key)) is not None:
                    found[key] = value

        return every
    first = (slot,) if isinstance(slot, str) else slot

    def one(view: View, found: dict[str, Any]) -> None:
        for key in first:
            if (value := view.event.get(key)) is not None:
                found[key] = value
                return

    return one


def _keywords(tests: list[FieldTest]) -> Noter:
    predicates = bind(compile_rules(tests))
    asked = [
        (t.arg if t.op == "contains" and "\0" not in t.arg else None, holds, keyword_text(t))
        for t, holds in zip(tests, predicates, strict=True)
    ]

    def note(view: View, found: dict[str, Any]) -> None:
        haystack = view.haystack()
        words = [
            text
            for word, holds, text in asked
            if (holds(view.low, view.raw, view) if word is None else word in haystack)
        ]
        if words:
            found.setdefault("keywords", []).extend(words)

    return note
