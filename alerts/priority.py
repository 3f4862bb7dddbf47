"""Priority of an alert (R-62): from the rule's level, raised one step where more is at stake."""

from collections.abc import Mapping
from typing import Any, NamedTuple

LABELS = {1: "kritisk", 2: "høj", 3: "middel", 4: "lav"}
CODES = {"kritisk": 1, "hoj": 2, "høj": 2, "middel": 3, "lav": 4}
"""What an operator may write as ``min_priority``; ``hoj`` for keyboards without ø."""
LEVELS = {"critical": 1, "high": 2, "medium": 3, "low": 4, "informational": 4}


class Priority(NamedTuple):
    """``code`` 1 (kritisk) to 4 (lav), and which facts raised it."""

    code: int
    raised_because: tuple[str, ...]

    @property
    def label(self) -> str:
        return LABELS[self.code]


def priority(level: str, subject: Mapping[str, Any]) -> Priority:
    """Returns the priority of a rule level (Sigma) for a subject.

    One step up, never two, for ``life_and_health`` or zone ``sikker``. An unknown level counts as
    medium, so that a misspelt one is neither lost nor an emergency.
    """
    reasons = []
    if subject.get("life_and_health"):
        reasons.append("life_and_health")
    if subject.get("zone") == "sikker":
        reasons.append("zone_sikker")
    code = LEVELS.get(level, 3)
    return Priority(max(1, code - 1) if reasons else code, tuple(reasons))
