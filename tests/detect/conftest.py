"""What the tests of detection share: rules from Python dicts, and where the shared data is."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from detect.engine import Engine
from detect.evaluate import holds
from detect.text import View

SHARED = Path(__file__).parents[2] / "../shared/data"
RULE_ID = "11111111-1111-4111-8111-111111111111"

Detections = Mapping[str, Any]
Fires = Callable[..., bool]


def rule_of(detection: Detections, **extra: Any) -> dict[str, Any]:
    """Returns a whole rule; ``detection`` may leave out ``condition: selection``."""
    return {
        "title": "a rule under test",
        "id": RULE_ID,
        "author": "Kari",
        "level": "high",
        "logsource": {"product": "windows", "category": "test"},
        "detection": {"condition": "selection", **detection},
        **extra,
    }


@pytest.fixture
def rule() -> Callable[..., dict[str, Any]]:
    """Returns `rule_of`."""
    return rule_of


@pytest.fixture
def load(tmp_path: Path) -> Callable[..., Engine]:
    """Returns a function that loads rules given as dicts or as YAML text."""

    def loaded(*rules: Mapping[str, Any] | str, mode: str = "raw", **options: Any) -> Engine:
        for i, rule in enumerate(rules):
            text = rule if isinstance(rule, str) else yaml.safe_dump(rule, allow_unicode=True)
            (tmp_path / f"rule{i}.yml").write_text(text, encoding="utf-8")
        return Engine.load([tmp_path], mode=mode, **options)  # type: ignore[arg-type]

    return loaded


@pytest.fixture
def fires(load: Callable[..., Engine]) -> Fires:
    """Returns a function that tells whether detections fire on a raw event.

    It holds the prefilter, the full scan and the plain evaluation against each other.
    """

    def answer(detection: Detections, event: Mapping[str, Any], **options: Any) -> bool:
        engine = load(rule_of(detection), **options)
        assert not engine.report.refused, engine.report.refused
        found = bool(engine.match(event))
        assert found is bool(engine.match(event, prefilter=False))
        node = engine._built.variants[0].node
        assert found is holds(node, View(event, lambda key: True))
        assert not engine.stats.faults
        return found

    return answer


@pytest.fixture
def refusal(load: Callable[..., Engine]) -> Callable[..., tuple[str, str]]:
    """Returns a function that gives (reason, message) of the one refused rule."""

    def reason(rule: Mapping[str, Any] | str, **options: Any) -> tuple[str, str]:
        report = load(rule, **options).report
        assert len(report.refused) == 1
        assert not report.loaded
        return report.refused[0].reason, str(report.refused[0])

    return reason


@pytest.fixture
def shared_data() -> Path:
    """Returns the folder of shared data, or skips."""
    if not SHARED.is_dir():
        pytest.skip("../shared/data is absent: rules and events of others are read in place")
    return SHARED


@pytest.fixture(scope="session")
def sigmahq() -> Path:
    """Returns SigmaHQ's rules, or skips."""
    if not (SHARED / "sigmahq").is_dir():
        pytest.skip("../shared/data/sigmahq is absent: SigmaHQ's rules are read in place")
    return SHARED / "sigmahq"


@pytest.fixture(scope="session")
def raw_engine(sigmahq: Path) -> Engine:
    """Returns all of SigmaHQ's rules for events as they were sent."""
    return Engine.load([sigmahq], mode="raw")


@pytest.fixture(scope="session")
def ecs_engine(sigmahq: Path) -> Engine:
    """Returns all of SigmaHQ's rules for normalised events."""
    return Engine.load([sigmahq], mode="ecs")
