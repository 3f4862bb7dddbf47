"""Which fields of an event made a rule fire, for those who read the alert.

Made for a rule when it fires first: most rules never do.
"""

from collections.abc import Callable
from typing import Any

from detect.compile import Predicate, bind, compile_rules
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
    """Returns what notes the alternatives that hold; those of one field are one question."""
    by_slot: dict[Slot, list[Node]] = {}
    words: list[FieldTest] = []
    choices: list[tuple[Node, Noter]] = []
    for node in nodes:
        if not isinstance(node, FieldTest):
            choices.append((node, noter(node)))
        elif node.slot is None:
            words.append(node)
        else:
            by_slot.setdefault(node.slot, []).append(node)
    for slot, tests in by_slot.items():
        choices.append((tests[0] if len(tests) == 1 else Or(tuple(tests)), _field(slot)))
    if len(choices) == 1 and not words:
        return choices[0][1]
    asked = bind(compile_rules([node for node, _ in choices]))
    parts = [_if(holds, note) for holds, (_, note) in zip(asked, choices, strict=True)]
    return _all([*parts, _keywords(words)] if words else parts)


def _if(holds: Predicate, note: Noter) -> Noter:
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
    plain = [(t.arg, keyword_text(t)) for t in tests if t.op == "contains" and "\0" not in t.arg]
    others = [t for t in tests if t.op != "contains" or "\0" in t.arg]
    asked = list(zip(bind(compile_rules(others)), map(keyword_text, others), strict=True))

    def note(view: View, found: dict[str, Any]) -> None:
        haystack = view.haystack()
        words = [text for word, text in plain if word in haystack]
        words += [text for holds, text in asked if holds(view.low, view.raw, view)]
        if words:
            found.setdefault("keywords", []).extend(words)

    return note
