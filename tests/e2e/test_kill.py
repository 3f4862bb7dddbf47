"""kill -9 of each stage at each part of the work: the end is that of an undisturbed run.

``make test`` does a few rounds; SAMLOG_ROUNDS says how many (``make soak``: 20). Seeds are printed.
"""

import os
import random
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from samlog import pipeline
from samlog.clock import SystemClock
from samlog.event import DETECTIONS, EVENTS, raw_topic

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
COUNT = 4_000
PARTS = (0.05, 0.25, 0.50, 0.75, 0.95)
STAGES = ("collect", "normalize", "detect", "store", "alerts")
INPUT = {"normalize": raw_topic("enheda"), "detect": EVENTS, "store": EVENTS, "alerts": DETECTIONS}


def rounds() -> list[int]:
    count = int(os.environ.get("SAMLOG_ROUNDS", "2"))
    first = int(os.environ.get("SAMLOG_SEED", "0")) or random.randrange(1_000_000)
    return [first + number for number in range(count)]


@pytest.fixture(scope="module")
def undisturbed() -> dict[str, Any]:
    return {}


def done(deployment: Any, bus: Any, stage: str) -> int:
    """Returns how many records a stage has behind it."""
    if stage == "collect":
        return sum(bus.end_offsets([raw_topic("enheda")]).values())
    ends = bus.end_offsets([INPUT[stage]])
    return sum(ends.values()) - sum(bus.lag(f"samlog.{stage}", [INPUT[stage]]).values())


def disturb(
    deployment: Any,
    plan: list[tuple[str, int]],
    kill: Callable[[Any, str], bool],
) -> tuple[int, int]:
    """Runs to the end and kills by plan (stage, after records); returns (killed, redelivered)."""
    process = deployment.start()
    bus = pipeline.open_bus(deployment.settings, SystemClock())
    killed = 0
    waiting = list(plan)
    while process.poll() is None:
        for stage, at in list(waiting):
            if done(deployment, bus, stage) >= at and kill(deployment, stage):
                waiting.remove((stage, at))
                killed += 1
        try:
            process.wait(0.01)
        except subprocess.TimeoutExpired:
            continue
    bus.close()
    _, told = process.communicate()
    assert process.returncode == 0, told.decode("utf-8", "replace")[-3000:]
    redelivered = sum(int(s.get("redelivered", 0)) for s in deployment.status().values())
    return killed, redelivered


@pytest.mark.parametrize("seed", rounds())
def test_killed_stages_lose_nothing_and_double_nothing(
    seed: int,
    windows_file: Callable[[int], Path],
    sigma_rules: Path,
    embedded: Callable[..., Any],
    undisturbed: dict[str, Any],
    kill: Callable[[Any, str], bool],
) -> None:
    print(f"seed {seed} (again: SAMLOG_SEED={seed} SAMLOG_ROUNDS=1)")
    dice = random.Random(seed)
    files = [windows_file(COUNT)]
    rules = [sigma_rules / "rules/windows/process_creation"]
    if not undisturbed:
        quiet = embedded("quiet", files, rules)
        quiet.run()
        undisturbed["outcome"] = quiet.outcome()
    expected = undisturbed["outcome"]
    totals = dict.fromkeys(STAGES, COUNT) | {"alerts": len(expected.detections)}
    plan = [(stage, max(1, int(dice.choice(PARTS) * totals[stage]))) for stage in STAGES]
    killed_one = embedded(f"killed-{seed}", files, rules)
    killed_one.config["limits"] = {"batch": 200, "store_batch": 200}

    killed, redelivered = disturb(killed_one, plan, kill)

    assert expected.differences(killed_one.outcome()) == []
    assert killed >= 3
    assert redelivered > 0
