"""``samlog check`` and ``samlog doctor`` say what overlays and running rules are up to."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
from click.testing import CliRunner

from detect.ledger import Ledger, folder
from samlog.cli.check_ import command as check
from samlog.cli.doctor_local import check_rules
from samlog.cli.finding import Finding, Surroundings
from samlog.clock import SystemClock
from samlog.errors import Exit
from samlog.pipeline import load_settings

RULE_ID = "55555555-5555-4555-8555-555555555555"

Entry = Callable[..., dict[str, Any]]


def findings(config: Path) -> list[Finding]:
    around = Surroundings(load_settings(str(config), {}).settings, SystemClock())
    return list(check_rules(around))


def test_check_fails_on_a_refused_entry_and_names_an_expired_one(
    deployment: Callable[..., Path], entry: Entry, today: date
) -> None:
    config = deployment([entry(expires=today - timedelta(days=1)), entry(owner="")])

    result = CliRunner().invoke(check, [str(config)], standalone_mode=False)

    assert result.return_value == Exit.FAILED
    assert "expired: " in result.stderr
    assert "disable of unit enheda expired on" in result.stderr
    assert "unit enheda: has no owner" in result.stderr


def test_an_overlay_in_force_is_no_problem(deployment: Callable[..., Path], entry: Entry) -> None:
    config = deployment([entry()])

    result = CliRunner().invoke(check, [str(config)], standalone_mode=False)

    assert result.return_value == Exit.DONE
    assert {f.exit for f in findings(config)} == {Exit.DONE}


def test_doctor_says_what_to_do_about_expired_and_refused_entries(
    deployment: Callable[..., Path], entry: Entry, today: date
) -> None:
    config = deployment([entry(expires=today - timedelta(days=1)), entry(owner="")])

    found = [f for f in findings(config) if f.about == "overlay"]

    assert [f.exit for f in found] == [Exit.FAILED, Exit.FAILED]
    assert "has no owner" in found[0].what
    assert "expired on" in found[1].what
    assert all(f.next for f in found)


def test_doctor_names_a_refused_reload_and_rules_that_are_set_aside(
    deployment: Callable[..., Path], tmp_path: Path
) -> None:
    config = deployment()
    ledger = Ledger(folder(tmp_path / "data") / "detect.db")
    ledger.aside(RULE_ID, "Asks for /evil", "ValueError: as if", datetime.now(UTC))
    ledger.close()
    status = tmp_path / "data" / "run" / "detect.json"
    status.parent.mkdir()
    status.write_bytes(orjson.dumps({"at": 1, "rules_problem": "bad.yml: is not YAML"}))

    found = [f.what for f in findings(config) if f.exit == Exit.FAILED]

    assert found == [
        "detect goes on with the rules it had: bad.yml: is not YAML",
        "Asks for /evil is not asked any more: ValueError: as if",
    ]
