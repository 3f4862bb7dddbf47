"""The generated table says what ECS says."""

import subprocess
import sys
from pathlib import Path

import pytest

from samlog import ecs
from samlog.event import ECS_VERSION

ROOT = Path(__file__).parents[2]
SCHEMA = ROOT / "../shared/data/ecs/ecs_flat-9.4.0.yml"


def test_table_is_of_the_version_that_events_carry() -> None:
    assert ecs.ECS_VERSION == ECS_VERSION


@pytest.mark.parametrize(
    ("name", "es_type"),
    [
        ("@timestamp", "date"),
        ("message", "match_only_text"),
        ("source.ip", "ip"),
        ("destination.port", "long"),
        ("process.command_line", "wildcard"),
        ("tls.established", "boolean"),
        ("event.risk_score", "float"),
        ("dns.answers", "object"),
    ],
)
def test_type_of_well_known_fields(name: str, es_type: str) -> None:
    assert ecs.FIELDS[name] == es_type


def test_arrays_are_those_that_ecs_normalises_to_arrays() -> None:
    assert {"event.category", "event.type", "tags", "related.ip", "host.ip"} <= ecs.ARRAYS
    assert not {"event.kind", "source.ip", "user.name"} & ecs.ARRAYS


def test_expected_types_of_every_category_are_allowed_types() -> None:
    assert set(ecs.EXPECTED_TYPES) <= ecs.ALLOWED["event.category"]
    assert set().union(*ecs.EXPECTED_TYPES.values()) <= ecs.ALLOWED["event.type"]


def test_values_that_hold_a_space_stay_whole() -> None:
    assert "Office 365" in ecs.EXPECTED["threat.software.platforms"]


def test_committed_table_is_what_the_generator_writes() -> None:
    if not SCHEMA.exists():
        pytest.skip("../shared/data is absent: the table cannot be compared with the schema")

    done = subprocess.run(
        [sys.executable, str(ROOT / "tools/generate_ecs.py"), "--check"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")
