"""``samlog rules stats`` and ``suppressed``: what rules did, from the ledgers of this machine."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest

from detect.counters import Counters, Suppressed
from detect.ledger import Ledger, folder

Call = Callable[..., Any]
RULE_ID = "55555555-5555-4555-8555-555555555555"
OTHER_ID = "55555555-5555-4555-8555-555555555556"


def hidden(n: int, unit: str = "enheda", **changes: str) -> Suppressed:
    row = Suppressed(
        f"d{n}", unit, RULE_ID, "Asks for /evil", "disable", "e1", "kari", "known", f"event{n}",
        f"logs-nginx.access-{unit}", "2026-01-10T12:00:00.000Z", f"2026-01-10T12:00:0{n}.000Z",
    )  # fmt: skip
    return row._replace(**changes)


@pytest.fixture
def ran(tmp_path: Path) -> None:
    """Two detect processes counted something, today and 40 days ago."""
    now = datetime.now(UTC)
    for number in (0, 1):
        name = f"detect-{number}.db" if number else "detect.db"
        ledger = Ledger(folder(tmp_path / "data") / name)
        facts = {"version": "2026-01", "sha256": "ab", "loaded": "x", "rules": "3"}
        ledger.tell(facts, now, fresh=True)
        counters = Counters()
        counters.matches.update({("enheda", OTHER_ID): 3, ("enhedb", OTHER_ID): 4})
        counters.times[OTHER_ID] = [2, 30_000]
        counters.suppressed += [hidden(number), hidden(number + 2, "enhedb", by="exception")]
        ledger.add(counters, [], now)
        old = Counters()
        old.matches["enheda", RULE_ID] = 100
        ledger.add(old, [], now - timedelta(days=40))
        ledger.close()


def rule_rows(answer: Any) -> dict[str, dict[str, Any]]:
    return {row["rule"]: row for row in answer.rows if row["kind"] == "rule"}


@pytest.mark.usefixtures("ran")
def test_counts_of_all_processes_are_added_up(call: Call, deployment: Callable[..., Path]) -> None:
    rows = rule_rows(call("stats", "-c", deployment(), "--json"))

    assert rows[OTHER_ID]["matches"] == 14
    assert rows[OTHER_ID]["mean_us"] == 15.0
    assert rows[RULE_ID]["suppressed"] == 4
    assert rows[RULE_ID]["matches"] == 0


@pytest.mark.usefixtures("ran")
def test_a_unit_and_a_longer_time_can_be_asked_for(
    call: Call, deployment: Callable[..., Path]
) -> None:
    config = deployment()

    of_unit = rule_rows(call("stats", "-c", config, "--json", "--unit", "enhedb"))
    long = rule_rows(call("stats", "-c", config, "--json", "--days", "60"))

    assert (of_unit[OTHER_ID]["matches"], of_unit[RULE_ID]["suppressed"]) == (8, 2)
    assert long[RULE_ID]["matches"] == 200


@pytest.mark.usefixtures("ran")
def test_rules_that_never_fired_are_shown_when_asked_for(
    call: Call, deployment: Callable[..., Path]
) -> None:
    config = deployment()

    assert len(rule_rows(call("stats", "-c", config, "--json"))) == 2
    assert len(rule_rows(call("stats", "-c", config, "--json", "--all"))) == 3


@pytest.mark.usefixtures("ran")
def test_a_rule_that_is_set_aside_is_shown_with_its_reason(
    call: Call, deployment: Callable[..., Path], tmp_path: Path
) -> None:
    ledger = Ledger(folder(tmp_path / "data") / "detect.db")
    ledger.aside(RULE_ID, "Asks for /evil", "ValueError: as if", datetime.now(UTC))
    ledger.close()

    answer = call("stats", "-c", deployment(), "--json")

    row = rule_rows(answer)[RULE_ID]
    assert (row["set_aside"], row["exceptions"]) == ("ValueError: as if", 1)
    assert "1 set aside" in answer.err


def test_overlay_entries_are_shown_in_force_expired_and_refused(
    call: Call,
    deployment: Callable[..., Path],
    entry: Callable[..., dict[str, Any]],
    today: date,
) -> None:
    over = today - timedelta(days=1)
    config = deployment([entry(), entry(expires=over), entry(owner="")])

    answer = call("stats", "-c", config, "--json")

    states = [row["state"] for row in answer.rows if row["kind"] == "overlay"]
    assert sorted(states) == ["active", "expired"]
    assert "refused: " in answer.err
    assert "has no owner" in answer.err
    assert "1 overlay entries expired" in answer.err


@pytest.mark.usefixtures("ran")
def test_each_process_says_which_rules_it_has_and_what_it_refused(
    call: Call, deployment: Callable[..., Path], tmp_path: Path
) -> None:
    status = tmp_path / "data" / "run" / "detect.json"
    status.parent.mkdir()
    status.write_bytes(orjson.dumps({"at": 1, "rules_problem": "bad.yml: is not YAML"}))

    rows = [r for r in call("stats", "-c", deployment(), "--json").rows if r["kind"] == "process"]

    assert [(row["process"], row["version"], row["problem"]) for row in rows] == [
        ("detect", "2026-01", "bad.yml: is not YAML"),
        ("detect-1", "2026-01", ""),
    ]


def test_a_deployment_that_never_ran_has_no_counts(
    call: Call, deployment: Callable[..., Path]
) -> None:
    answer = call("stats", "-c", deployment())

    assert answer.code == 0
    assert answer.err.startswith("0 rules · 0 matches")


@pytest.mark.usefixtures("ran")
def test_the_tables_for_people_hold_the_same(call: Call, deployment: Callable[..., Path]) -> None:
    out = call("stats", "-c", deployment()).out

    assert "Asks for /bad" in out
    assert "Rule sets in force" in out


@pytest.mark.usefixtures("ran")
def test_suppressed_matches_are_listed_newest_first(
    call: Call, deployment: Callable[..., Path]
) -> None:
    answer = call("suppressed", "-c", deployment(), "--json")

    assert [row["event_id"] for row in answer.rows] == ["event3", "event2", "event1", "event0"]
    assert answer.rows[0]["owner"] == "kari"
    assert "4 of 4 suppressed matches" in answer.err


@pytest.mark.usefixtures("ran")
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("--unit", "enhedb"), ["event3", "event2"]),
        (("--rule", OTHER_ID), []),
        (("--entry", "e1", "--limit", "1"), ["event3"]),
        (("--rule", "x' OR '1'='1"), []),
    ],
)
def test_suppressed_matches_are_chosen_by_unit_rule_and_entry(
    call: Call, deployment: Callable[..., Path], words: tuple[str, ...], expected: list[str]
) -> None:
    answer = call("suppressed", "-c", deployment(), "--json", *words)

    assert [row["event_id"] for row in answer.rows] == expected


@pytest.mark.usefixtures("ran")
def test_a_ledger_that_cannot_be_read_is_named(
    call: Call, deployment: Callable[..., Path], tmp_path: Path
) -> None:
    (folder(tmp_path / "data") / "detect-2.db").write_bytes(b"x" * 4096)

    answer = call("suppressed", "-c", deployment())

    assert "not read: " in answer.err
    assert "detect-2.db" in answer.err
    assert "event3" in answer.out
