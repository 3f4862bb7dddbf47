"""What an alert says of the firings of a correlation: states and numbers, no names of people."""

from collections.abc import Mapping, Sequence
from typing import Any

PROVISIONAL = "provisional"
WITHDRAWN = "withdrawn"
SHOWN = ("state", "type", "count", "value", "first", "timespan_s")


def shown(firings: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Returns what the envelope says of firings: no names of people."""
    return [{name: firing.get(name) for name in SHOWN} for firing in firings]


def total(firings: Sequence[Mapping[str, Any]]) -> int:
    """Returns how many events the firings that stand counted."""
    return sum(int(firing["count"]) for firing in firings if firing["state"] != WITHDRAWN)


def said_of(firings: Sequence[Mapping[str, Any]]) -> tuple[str, str]:
    """Returns the state of an alert's firings in English and Danish: the least certain."""
    states = {firing["state"] for firing in firings}
    if states == {WITHDRAWN}:
        return " (withdrawn)", " (trukket tilbage)"
    return (" (provisional)", " (foreløbig)") if PROVISIONAL in states else ("", "")
