"""Where the names of a condition are in the events of one kind, and the condition put there.

Filters and the exceptions of a unit are written with the field names of the rules they belong to.
They are asked only about events on which a rule fired, so each is placed and compiled when a kind
of event needs it for the first time.
"""

from collections.abc import Callable

from detect.compile import Predicate, bind, compile_rules
from detect.condition import Node, relocated
from detect.logsource import Fields
from detect.text import Slot, View


class NoField(Exception):
    """A condition reads a field that the events of a source do not have."""


class Places(dict[str, Slot]):
    """Names → slots of one `Fields`; notes the names that it has no place for."""

    def __init__(
        self,
        fields: Fields,
        missing: set[str],
        own: Callable[[str], bool] = lambda name: False,
    ) -> None:
        """``own`` tells which names, if ``fields`` does not list them, are keys of the event."""
        super().__init__()
        self._fields = fields
        self._missing = missing
        self._own = own

    def __missing__(self, name: str) -> Slot:
        listed = name in self._fields.names
        slot = name if not listed and self._own(name) else self._fields.slot(name)
        if slot is None:
            self._missing.add(name)
            raise NoField(name)
        self[name] = slot
        return slot


class Placed:
    """A condition in the names of rules, ready to be asked about events of any kind."""

    def __init__(self, node: Node, own: Callable[[str], bool] = lambda name: False) -> None:
        self._node = node
        self._own = own
        self._by_fields: dict[Fields, Predicate | None] = {}

    def holds(self, fields: Fields, view: View) -> bool | None:
        """Tells whether the condition holds; None where these events lack one of its fields."""
        if fields not in self._by_fields:
            self._by_fields[fields] = self._compiled(fields)
        predicate = self._by_fields[fields]
        return None if predicate is None else predicate(view.low, view.raw, view)

    def missing(self, fields: Fields) -> set[str]:
        """Returns the names that events with ``fields`` have no place for; {} = it can be asked."""
        missing: set[str] = set()
        try:
            relocated(self._node, Places(fields, missing, self._own))
        except NoField:
            return missing
        return set()

    def _compiled(self, fields: Fields) -> Predicate | None:
        try:
            placed = relocated(self._node, Places(fields, set(), self._own))
        except NoField:
            return None
        return bind(compile_rules([placed]))[0]
