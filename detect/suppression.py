"""What filters and units' overlays make of a rule on one event, for `samlog rules explain`."""

from collections.abc import Iterator
from datetime import date
from typing import NamedTuple

from detect.filters import Filter
from detect.logsource import Fields
from detect.overlay import Entry, is_ecs
from detect.places import Placed
from detect.reload import RuleSet
from detect.text import View
from samlog.event import Event


class Bearing(NamedTuple):
    """One filter or overlay entry that names a rule.

    ``kind``: ``filter``, ``disable``, ``exception`` or ``level``. ``unit`` is whose entry it is, ""
    for a filter. ``says`` tells in words what it makes of the event; ``suppresses``: a match on
    this event is not told because of it.
    """

    kind: str
    id: str
    unit: str
    what: str
    place: str
    says: str
    suppresses: bool


def bearings(
    rules: RuleSet, rule_id: str, event: Event, fields: Fields, view: View, today: date
) -> list[Bearing]:
    """Returns everything that bears on a rule beside its condition, in force or not.

    ``fields`` is where the rule's fields are in the event. An entry of another unit than the
    event's suppresses nothing; what it would do is said all the same.
    """
    found = [_of_filter(one, fields, view) for one in rules.engine.filters if rule_id in one.rules]
    return [*found, *_of_overlays(rules, rule_id, event, fields, view, today)]


def _of_filter(one: Filter, fields: Fields, view: View) -> Bearing:
    holds = Placed(one.node).holds(fields, view)
    says = {True: "lets it through", False: "takes it away", None: "cannot be asked here"}[holds]
    place = f"{one.path}:{one.line}"
    return Bearing("filter", one.id, "", one.title, place, says, holds is False)


def _of_overlays(
    rules: RuleSet, rule_id: str, event: Event, fields: Fields, view: View, today: date
) -> Iterator[Bearing]:
    for entry in rules.overlays.entries:
        if rule_id not in entry.rules:
            continue
        says, takes = _said(entry, fields, view)
        if not entry.is_active(today):
            when = f"expired on {entry.expires}" if entry.expires < today else "is not in force yet"
            says, takes = f"{when}; else it {says}", False
        if entry.unit != event.get("samlog.unit"):
            says, takes = f"{says}, in that unit", False
        what = f"{entry.owner}: {entry.reason}"
        place = f"{entry.path}:{entry.line}"
        yield Bearing(entry.action, entry.id, entry.unit, what, place, says, takes)


def _said(entry: Entry, fields: Fields, view: View) -> tuple[str, bool]:
    if entry.action == "level":
        return f"makes it {entry.level}", False
    if entry.node is None:
        return "takes it away", True
    holds = Placed(entry.node, is_ecs).holds(fields, view)
    if holds is None:
        return "cannot be asked here", False
    return ("takes it away", True) if holds else ("leaves it alone", False)
