"""The same on a real Kafka and a real Elasticsearch as embedded: ids, documents, detections.

``make test`` takes the first 4,000 events and some rules; SAMLOG_TEST_EVENTS=50233 and
SAMLOG_TEST_RULES=. take all (``make soak``).
"""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from samlog import pipeline
from samlog.clock import SystemClock

pytestmark = [
    pytest.mark.slow,
    pytest.mark.kafka,
    pytest.mark.elasticsearch,
    pytest.mark.timeout(900),
]
COUNT = int(os.environ.get("SAMLOG_TEST_EVENTS", "4000"))
RULES = os.environ.get("SAMLOG_TEST_RULES", "rules/windows/process_creation")


def test_servers_and_embedded_give_the_same_and_a_second_reading_adds_nothing(
    windows_file: Callable[[int], Path],
    sigma_rules: Path,
    embedded: Callable[..., Any],
    on_servers: Callable[..., Any],
    tmp_path: Path,
) -> None:
    files = [windows_file(COUNT)]
    rules = [sigma_rules / RULES]
    at_home, away = embedded("home", files, rules), on_servers("away", files, rules)

    at_home.run()
    away.run()
    expected, found = at_home.outcome(), away.outcome()

    assert found.stored == COUNT
    assert expected.differences(found) == []

    copy = tmp_path / "another-name.ndjson"
    shutil.copy(files[0], copy)
    away.config["sources"][0]["paths"] = [str(copy)]
    (away.folder / "data/collect.db").unlink()
    store = pipeline.open_store(away.settings, SystemClock(), writer=True)
    store.rollover()
    store.close()

    away.run()

    assert expected.differences(away.outcome()) == []
