"""Priority: every level under every flag (R-62)."""

import pytest

from alerts.priority import priority

CELLS = {
    "critical": (1, 1),
    "high": (2, 1),
    "medium": (3, 2),
    "low": (4, 3),
    "informational": (4, 3),
    "misspelt": (3, 2),
}
FLAGS = [
    ({}, False),
    ({"zone": "intern"}, False),
    ({"zone": "sikker"}, True),
    ({"life_and_health": True}, True),
    ({"life_and_health": True, "zone": "sikker"}, True),
]


@pytest.mark.parametrize("level", CELLS)
@pytest.mark.parametrize(("subject", "raised"), FLAGS)
def test_a_level_is_raised_one_step_and_never_two(
    level: str, subject: dict[str, object], raised: bool
) -> None:
    found = priority(level, subject)

    assert found.code == CELLS[level][raised]
    assert bool(found.raised_because) == raised


def test_both_reasons_are_named() -> None:
    found = priority("high", {"life_and_health": True, "zone": "sikker"})

    assert found.raised_because == ("life_and_health", "zone_sikker")
    assert found.label == "kritisk"
