"""What samlog itself has to say of an event: that rules saw only a part of it, or too many fire."""

from collections.abc import Sequence
from uuid import NAMESPACE_URL, uuid5

from detect.engine import Match
from detect.rule import Rule


def _own(name: str, title: str, level: str, description: str, falsepositive: str) -> Rule:
    return Rule(
        id=str(uuid5(NAMESPACE_URL, f"samlog:{name}")),
        title=title,
        level=level,
        status="stable",
        author="samlog",
        description=description,
        tags=("attack.defense-evasion", "attack.t1027.001"),
        attack=("T1027.001",),
        falsepositives=(falsepositive,),
        references=(),
        logsource=("", "", ""),
        log_class="",
        entity="",
        path="",
        line=0,
        sha256="",
    )


IN_PART = _own(
    "matched-in-part",
    "Event too long to be matched whole",
    "medium",
    "Rules saw only a part of a value, for its length or the number of its members.",
    "A source that writes whole scripts or objects into one field",
)
"""The rule under which is told that something may be hidden behind the length of a value."""


def in_part(fields: Sequence[str]) -> Match:
    """Returns the match of an event of which rules saw these fields in part only."""
    return Match(IN_PART, {"samlog.matched_in_part": list(fields)})


FLOOD = _own(
    "too-many-rules",
    "Event fires more rules than are told",
    "high",
    "One event fires so many rules that only the most severe are told; all are counted and listed.",
    "A file of signatures that was logged as a value",
)
"""The rule under which is told that matches on an event were listed and not told each."""


def flood(rest: Sequence[Match]) -> Match:
    """Returns the match of an event that fires so many rules that these are not told."""
    first = [match.rule.id for match in rest]
    return Match(FLOOD, {"samlog.rules_not_told": len(rest), "samlog.rules": first})
