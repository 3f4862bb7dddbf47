"""Documents of Linux and VMware agree with the reference, counted as it is and where it is right.

What counts as a difference is in docs/normalize-decisions-linux.md, with the reason for each.
"""

import importlib.util
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import orjson
import pytest

from normalize.frame import Normalizer
from normalize.parse import parse_envelope_line
from normalize.registry import Registry

SHARED = Path(__file__).parents[2] / "../shared"
NOW = datetime(2026, 11, 22, tzinfo=UTC)

_LOGIN = ("event.category", "event.type", "event.outcome", "source.ip", "source.address")
ADDED: Mapping[str, tuple[str, ...]] = {
    "linux_auditd": ("event.outcome", "process.command_line", "host.name", "destination.ip"),
    "linux_auditd_manager": ("@timestamp",),
    "linux_auditbeat_raw": (),
    "linux_auth": (*_LOGIN, "user.name"),
    "linux_syslog": (),
    "vmware_vsphere": (*_LOGIN, "event.action", "user.name", "user.domain"),
}
"""Fields that samlog sets where the reference has nothing."""
LOOKED_UP = (
    *("user.name", "user.audit.name", "user.effective.name", "user.effective.id"),
    *("user.target.name", "user.target.id", "group.name", "file.owner", "file.group"),
    "user.old-auid.name",
)
"""Fields that Auditbeat gets from the machine it runs on."""
NOT_ECS = {"event.outcome": "1", "event.type": "stop"}
"""Values of the reference that ECS does not allow."""
AS_IT_IS = {
    "linux_auditd": 0.95,
    "linux_auditd_manager": 0.92,
    "linux_auditbeat_raw": 0.89,
    "linux_auth": 0.96,
    "linux_syslog": 0.89,
    "vmware_vsphere": 0.76,
}
BY_CONTENT = {"linux_auditbeat_raw": 0.76}
"""Without a hint, Auditbeat's raw records are lines of audit.log like any others."""


@pytest.fixture(scope="module")
def scorer() -> ModuleType:
    path = SHARED / "tools/ecs_score.py"
    if not path.exists() or not (SHARED / "data/ecs-pairs").is_dir():
        pytest.skip("../shared/data is absent: ecs-pairs and its scorer are read in place")
    spec = importlib.util.spec_from_file_location("ecs_score", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def pairs(scorer: ModuleType) -> list[tuple[dict[str, Any], bytes]]:
    found = []
    for path in sorted((SHARED / "data/ecs-pairs").rglob("pairs.ndjson")):
        for line in path.read_bytes().splitlines():
            pair = orjson.loads(line)
            if pair["source"] in ADDED and pair["expected"] is not None:
                found.append((pair, line))
    return found


def differences(
    scorer: ModuleType, pair: Mapping[str, Any], made: Mapping[str, Any]
) -> Iterator[str]:
    """Yields the fields of one document that do not count against it."""
    theirs = scorer.flatten(pair["expected"])
    for field in (*ADDED[pair["source"]], "event.dataset", "event.kind"):
        if field not in theirs:
            yield field
    if pair["source"] == "linux_auditbeat_raw":
        yield from (field for field in LOOKED_UP if field not in made)
    yield from (field for field, value in NOT_ECS.items() if value in theirs.get(field, ()))


Score = Callable[..., dict[str, tuple[float, float, float]]]


@pytest.fixture(scope="module")
def score(scorer: ModuleType, pairs: list[tuple[dict[str, Any], bytes]]) -> Score:
    """Returns (precision, recall, F1) per source."""

    def scored(
        *, hints: bool = True, right: bool = False, only: frozenset[str] | None = None
    ) -> dict[str, tuple[float, float, float]]:
        normalizer = Normalizer({}, Registry(), hints=hints)
        rows = {source: scorer.Score() for source in ADDED}
        for pair, line in pairs:
            (written,) = parse_envelope_line(line, normalizer, received=NOW)
            made = orjson.loads(written)["doc"]
            skipped = set(pair.get("dynamic") or ())
            if right:
                skipped.update(differences(scorer, pair, made))
            scorer.score_event(
                rows[pair["source"]],
                pair["expected"],
                made,
                dynamic=skipped,
                only=only,
            )
        return {source: row.groups["core"].strict() for source, row in rows.items()}

    return scored


def test_documents_agree_with_the_reference_as_it_is(score: Score) -> None:
    low = {s: f1 for s, (_, _, f1) in score().items() if f1 < AS_IT_IS[s]}
    assert low == {}


def test_documents_agree_where_the_reference_is_right(score: Score) -> None:
    low = {s: f1 for s, (_, _, f1) in score(right=True).items() if f1 < 0.97}
    assert low == {}


def test_sources_are_known_by_their_content(score: Score) -> None:
    found = score(hints=False)
    assert {s: f for s, (_, _, f) in found.items() if f < BY_CONTENT.get(s, AS_IT_IS[s])} == {}


def test_fields_that_rules_read_are_there(score: Score) -> None:
    only = frozenset((SHARED / "tools/sigma_ecs_fields.txt").read_text("utf-8").split())
    low = {s: r for s, (_, r, _) in score(right=True, only=only).items() if r < 0.97}
    assert low == {}
