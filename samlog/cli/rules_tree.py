"""An explanation of a rule as a tree for people, or as JSON."""

import sys
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.text import Text
from rich.tree import Tree

from detect.explain import Explanation, Part
from samlog.event import Event
from samlog.log import harmless

MAX_FAILED_SHOWN = 8
"""Of a list of tests, so many that failed are shown; the rest is counted."""
MAX_VALUE_CHARS = 160

Values = tuple[tuple[str, Any], ...]


def row(name: str, found: Explanation) -> dict[str, Any]:
    """Returns an explanation as an object for JSON."""
    rule = {"rule": found.rule.id, "title": found.rule.title, "author": found.rule.author}
    verdict = {"asked": found.asked, "fires": found.fires, "told": found.told}
    bearings = [one._asdict() for one in found.bearings]
    whole = _part(found.condition)
    return {"event": name, **rule, **verdict, "condition": whole, "bearings": bearings}


def _part(part: Part) -> dict[str, Any]:
    found: dict[str, Any] = {"text": part.text, "held": part.held}
    if part.looked_at:
        found["looked_at"] = dict(part.looked_at)
    if part.parts:
        found["parts"] = [_part(p) for p in part.parts]
    return found


def show(name: str, found: Explanation, event: Event) -> None:
    """Prints an explanation as a tree; what comes from logs and rules is made harmless."""
    rule = found.rule
    verdict = Text("fires", "green") if found.told else Text("does not fire", "red")
    if found.fires and not found.told:
        verdict = Text("fires, and is not told", "yellow")
    head = Text.assemble(f"{harmless(rule.title)} ({harmless(rule.author)}) on {name}: ", verdict)
    tree = Tree(head, guide_style="dim")
    words = " ".join(filter(None, rule.logsource))
    kind = event.get("event.code") or event.get("event.action") or ""
    about = f"{event.get('event.dataset', '')} {harmless(str(kind))}".strip()
    if found.asked:
        tree.add(Text(f"asked: {about} is a log of {words}", "dim"))
    else:
        tree.add(Text(f"never asked: {about} is no log of {words}", "red"))
    _branch(tree, found.condition, ())
    for one in found.bearings:
        whose = f" of unit {one.unit}" if one.unit else ""
        line = f"{one.kind}{whose} {one.says}: {harmless(one.what, 300)}  ({one.place})"
        tree.add(Text(line, "yellow" if one.suppresses else "dim"))
    # Into a pipe nothing is cut, and nothing is filled up with blanks.
    Console(width=None if sys.stdout.isatty() else 4_000, highlight=False).print(tree)


def _branch(tree: Tree, part: Part, told: Values) -> None:
    mark = Text("held   ", "green") if part.held else Text("failed ", "red")
    line = Text.assemble(mark, harmless(part.text, 300))
    values = part.looked_at or _common(part)
    if values != told:
        for key, value in values:
            text = "is not there" if value is None else f"= {harmless(str(value), MAX_VALUE_CHARS)}"
            line.append(f"   {harmless(key)} {text}", "dim")
    below = tree.add(line)
    shown = _worth_showing(part.parts)
    for child in shown:
        _branch(below, child, values)
    if len(shown) < len(part.parts):
        below.add(Text(f"and {len(part.parts) - len(shown)} more that failed", "dim"))


def _common(part: Part) -> Values:
    """Returns what all tests right below looked at, to be shown once; () where they differ."""
    values = [child.looked_at for child in part.parts if not child.parts]
    return values[0] if len(values) > 1 and all(v == values[0] for v in values) else ()


def _worth_showing(parts: Sequence[Part]) -> list[Part]:
    """Returns what held, and as many of the tests that failed as a reader takes in."""
    shown, failed = [], 0
    for part in parts:
        failed += not part.held and not part.parts
        if part.held or part.parts or failed <= MAX_FAILED_SHOWN:
            shown.append(part)
    return shown
