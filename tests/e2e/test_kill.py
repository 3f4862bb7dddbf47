"""kill -9 of each stage at each part of the work: the end is that of an undisturbed run.

On servers a broker restart and an Elasticsearch restart come on top. ``make test`` does few rounds;
SAMLOG_ROUNDS and SAMLOG_SERVER_ROUNDS say how many (``make soak``: 20 and 10). Seeds are printed.
"""

import os
import random
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from samlog import pipeline
from samlog.clock import SystemClock
from samlog.errors import SamlogError
from samlog.event import DETECTIONS, EVENTS, raw_topic

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]
COUNT = 4_000
MORE_KILLS = 5
ATTEMPTS = 4
"""A quick path is done before it was killed often enough: then the round is made again, with other
places. Each must end right."""
STORE_BATCH = 100
RULES = "rules/windows/process_creation"
PARTS = (0.05, 0.25, 0.50, 0.75, 0.95)
STAGES = ("collect", "normalize", "detect", "store", "alerts")
INPUT = {"normalize": raw_topic("enheda"), "detect": EVENTS, "store": EVENTS, "alerts": DETECTIONS}


def rounds(default: int, variable: str) -> list[int]:
    count = int(os.environ.get(variable, default))
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
    plan: list[tuple[str, int, Callable[[], bool]]],
    insist: Callable[[], bool] = lambda: False,
) -> tuple[int, int]:
    """Runs to the end and does by plan (stage, at how many records, what).

    A process that dies between two batches is given nothing again: ``insist``, which kills the
    store, is done in mid-batch until one was. Returns how many of the plan were done and how many
    records were delivered again.
    """
    tries, beyond = MORE_KILLS, STORE_BATCH
    process = deployment.start()
    bus = pipeline.open_bus(deployment.settings, SystemClock())
    waiting, happened = list(plan), 0
    seen: dict[int, int] = {}
    while process.poll() is None:
        for entry in list(waiting):
            stage, at, act = entry
            if progress(deployment, bus, stage) >= at and act():
                waiting.remove(entry)
                happened += 1
        repeated = again(deployment, seen)
        # Not what is committed: all may be stored before the first commit, two seconds on.
        begun = batch_under_way(deployment)
        # Further on each time: what three processes die on becomes a dead letter.
        if tries and begun >= beyond and not repeated:
            tries, beyond = tries - bool(insist()), begun + 3 * STORE_BATCH
        try:
            process.wait(0.01)
        except subprocess.TimeoutExpired:
            continue
    bus.close()
    _, told = process.communicate()
    assert process.returncode == 0, told.decode("utf-8", "replace")[-3000:]
    return happened, again(deployment, seen)


def batch_under_way(deployment: Any) -> int:
    """Returns the first offset of the events that the store has noted as under way, else -1."""
    note = deployment.settings.state_path / "journal/store.note"
    try:
        batch = orjson.loads(note.read_bytes()).get("batch", {})
    except (OSError, orjson.JSONDecodeError):
        return -1
    return max((first for name, (first, _) in batch.items() if EVENTS in name), default=-1)


def again(deployment: Any, seen: dict[int, int]) -> int:
    """Returns how many records all processes so far, by pid, say that they were given again."""
    seen |= {s["pid"]: int(s.get("redelivered", 0)) for s in deployment.status().values()}
    return sum(seen.values())


def progress(deployment: Any, bus: Any, stage: str) -> int:
    """Returns how far a stage is, 0 while the bus cannot tell."""
    try:
        return done(deployment, bus, stage)
    except SamlogError:
        return 0


@pytest.fixture
def expected(
    windows_file: Callable[[int], Path],
    sigma_rules: Path,
    embedded: Callable[..., Any],
    undisturbed: dict[str, Any],
) -> Any:
    """What an undisturbed embedded run of the same input gives; made once."""
    if not undisturbed:
        quiet = embedded("quiet", [windows_file(COUNT)], [sigma_rules / RULES])
        quiet.run()
        undisturbed["outcome"] = quiet.outcome()
    return undisturbed["outcome"]


def kills(dice: random.Random, expected: Any, deployment: Any, kill: Any) -> list[Any]:
    """Returns a plan that kills every stage once, each at one of `PARTS` of its work."""
    totals = dict.fromkeys(STAGES, COUNT) | {"alerts": len(expected.detections)}

    def killing(stage: str) -> Callable[[], bool]:
        return lambda: bool(kill(deployment, stage))

    return [(s, max(1, int(dice.choice(PARTS) * totals[s])), killing(s)) for s in STAGES]


@pytest.mark.parametrize("seed", rounds(2, "SAMLOG_ROUNDS"))
def test_killed_stages_lose_nothing_and_double_nothing(
    seed: int,
    windows_file: Callable[[int], Path],
    sigma_rules: Path,
    embedded: Callable[..., Any],
    expected: Any,
    kill: Callable[[Any, str], bool],
) -> None:
    print(f"seed {seed} (again: SAMLOG_SEED={seed} SAMLOG_ROUNDS=1)")
    dice = random.Random(seed)

    def attempt(number: int) -> tuple[int, int]:
        killed = embedded(f"killed-{seed}-{number}", [windows_file(COUNT)], [sigma_rules / RULES])
        killed.config["limits"] = {"batch": 50, "store_batch": STORE_BATCH}
        plan = kills(dice, expected, killed, kill)
        counts = disturb(killed, plan, lambda: kill(killed, "store"))
        assert expected.differences(killed.outcome()) == []
        return counts

    happened, redelivered = often_enough(attempt, 3)

    assert happened >= 3
    assert redelivered > 0


@pytest.mark.kafka
@pytest.mark.elasticsearch
@pytest.mark.parametrize("seed", rounds(1, "SAMLOG_SERVER_ROUNDS"))
def test_on_servers_killed_stages_and_restarted_servers_change_nothing(
    seed: int,
    windows_file: Callable[[int], Path],
    sigma_rules: Path,
    on_servers: Callable[..., Any],
    servers: Any,
    expected: Any,
    kill: Callable[[Any, str], bool],
) -> None:
    print(f"seed {seed} (again: SAMLOG_SEED={seed} SAMLOG_SERVER_ROUNDS=1)")
    dice = random.Random(seed)

    def attempt(number: int) -> tuple[int, int]:
        killed = on_servers(f"killed-{seed}-{number}", [windows_file(COUNT)], [sigma_rules / RULES])
        killed.config["limits"] = {"batch": 50, "store_batch": STORE_BATCH}
        restarts = [
            ("normalize", int(dice.choice(PARTS) * COUNT), restart(servers.kafka)),
            ("store", int(dice.choice(PARTS) * COUNT), restart(servers.elasticsearch)),
        ]
        counts = disturb(killed, [*kills(dice, expected, killed, kill), *restarts])
        assert expected.differences(killed.outcome()) == []
        return counts

    happened, redelivered = often_enough(attempt, 5)

    assert happened >= 5
    assert redelivered > 0


def often_enough(attempt: Callable[[int], tuple[int, int]], kills: int) -> tuple[int, int]:
    """Makes attempts until one had so many kills, and records that were given again."""
    counts = (0, 0)
    for number in range(ATTEMPTS):
        counts = attempt(number)
        if counts[0] >= kills and counts[1]:
            break
    return counts


def restart(server: Any) -> Callable[[], bool]:
    def act() -> bool:
        server.restart()
        return True

    return act
