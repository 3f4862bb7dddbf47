"""The whole path on real Windows events, embedded: nothing lost, nothing doubled.

``make test`` takes the first 4,000 events and some rules; SAMLOG_TEST_EVENTS=50233 and
SAMLOG_TEST_RULES=. take all (``make soak``).
"""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
COUNT = int(os.environ.get("SAMLOG_TEST_EVENTS", "4000"))
RULES = os.environ.get("SAMLOG_TEST_RULES", "rules/windows/process_creation")


@pytest.fixture
def deployment(
    windows_file: Callable[[int], Path], embedded: Callable[..., Any], sigma_rules: Path
) -> Any:
    return embedded("one", [windows_file(COUNT)], [sigma_rules / RULES])


def test_every_record_is_stored_and_none_is_rejected(deployment: Any) -> None:
    deployment.run()

    outcome = deployment.outcome()
    assert outcome.stored == len(outcome.documents) == COUNT
    assert outcome.rejected == 0
    assert len(outcome.detections) > 0
    assert sum(outcome.alerts.values()) == len(outcome.detections)


def test_reading_everything_again_adds_nothing(deployment: Any, tmp_path: Path) -> None:
    deployment.run()
    before = deployment.outcome()
    [source] = deployment.config["sources"]
    copy = tmp_path / "another-name.ndjson"
    shutil.copy(source["paths"][0], copy)
    source["paths"] = [str(copy)]
    for checkpoint in (deployment.folder / "data").glob("collect*.db*"):
        checkpoint.unlink()

    told = deployment.run()

    assert f"read {COUNT:,}" in told
    assert before.differences(deployment.outcome()) == []


def test_alerts_in_the_file_are_valid_and_name_the_rules_author(deployment: Any) -> None:
    import orjson

    from alerts.envelope import problems

    deployment.run()

    lines = (deployment.folder / "alerts.ndjson").read_bytes().splitlines()
    alerts = [orjson.loads(line) for line in lines]
    assert alerts
    assert [problem for alert in alerts for problem in problems(alert)] == []
    assert all(alert["rule"]["author"] not in ("", "unknown") for alert in alerts)
