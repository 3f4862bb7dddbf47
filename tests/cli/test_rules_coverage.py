"""``samlog rules coverage``: which rules can fire in a unit, and why the others cannot."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from detect.counters import Counters
from detect.coverage import ENOUGH
from detect.engine import Engine
from detect.ledger import Ledger, folder
from samlog.clock import SystemClock
from samlog.errors import ConfigError

Call = Callable[..., Any]
WEB = {"event.dataset": "nginx.access", "url.path": "/x"}


def seen(state: Path, rules: Path, event: dict[str, Any], n: int = 1, unit: str = "enheda") -> None:
    """Writes what a detect process that met such events would write."""
    engine = Engine.load([rules])
    engine.match(event)
    counters = Counters()
    counters.seen[unit, engine.routed.sources] = n
    counters.fields[unit, engine.routed.sources] = set(event)
    ledger = Ledger(folder(state) / "detect.db")
    ledger.add(counters, engine.built.sources, SystemClock().now())
    ledger.close()


def of(answer: Any, product: str) -> dict[str, Any]:
    found: dict[str, Any] = next(row for row in answer.rows if row["product"] == product)
    return found


def test_without_any_event_no_rule_can_fire(call: Call, deployment: Callable[..., Path]) -> None:
    answer = call("coverage", "-c", deployment(), "--unit", "enheda", "--json")

    assert answer.code == 0
    assert of(answer, "(any) webserver")["no_source"] == 2
    assert "0 of 3 rules can fire; 3 cannot fire here" in answer.err
    assert "no event was seen yet" in answer.err


def test_rules_for_events_that_were_seen_can_fire_in_that_unit_alone(
    call: Call, deployment: Callable[..., Path], tmp_path: Path, rules: Path
) -> None:
    config = deployment()
    seen(tmp_path / "data", rules, WEB)

    answer = call("coverage", "-c", config, "--json")

    by_unit = {(row["unit"], row["product"]): row["seen"] for row in answer.rows}
    assert by_unit["enheda", "(any) webserver"] == 2
    assert by_unit["enhedb", "(any) webserver"] == 0
    assert by_unit["enheda", "windows"] == 0


def test_a_source_that_names_its_parser_counts_before_its_first_event(
    call: Call, deployment: Callable[..., Path]
) -> None:
    sources = [
        {"type": "file", "unit": "enheda", "source": "windows", "paths": ["w"]},
        {"type": "file", "unit": "enheda", "paths": ["x"]},
    ]
    answer = call("coverage", "-c", deployment(sources=sources), "--unit", "enheda", "--json")

    assert of(answer, "windows")["configured"] == 1
    assert of(answer, "(any) webserver")["no_source"] == 2
    assert "1 sources name no parser" in answer.err


def test_rules_that_cannot_fire_are_listed_with_why(
    call: Call, deployment: Callable[..., Path], tmp_path: Path, rules: Path
) -> None:
    (rules / "beos.yml").write_text(
        yaml.safe_dump(
            {
                "title": "Beos",
                "logsource": {"product": "beos"},
                "detection": {"selection": {"A": "x"}, "condition": "selection"},
            }
        )
    )
    config = deployment()
    seen(tmp_path / "data", rules, WEB)

    answer = call("coverage", "-c", config, "--unit", "enheda", "--rules", "--json")

    assert {(row["title"], row["why"]) for row in answer.rows} == {
        ("Whoami", "no_source"),
        ("Beos", "unmapped_logsource"),
    }


@pytest.mark.parametrize(("n", "verdict"), [(ENOUGH - 1, "seen"), (ENOUGH, "no_field")])
def test_a_field_that_was_never_there_in_many_events_is_named(
    call: Call, deployment: Callable[..., Path], tmp_path: Path, rules: Path, n: int, verdict: str
) -> None:
    config = deployment()
    seen(tmp_path / "data", rules, {"event.dataset": "nginx.access"}, n)

    answer = call("coverage", "-c", config, "--unit", "enheda", "--json")
    listed = call("coverage", "-c", config, "--unit", "enheda", "--rules", "--json")

    assert of(answer, "(any) webserver")[verdict] == 2
    details = {row["detail"] for row in listed.rows if row["why"] == "no_field"}
    assert details == ({"url.path"} if verdict == "no_field" else set())


def test_the_table_for_people_holds_the_same(call: Call, deployment: Callable[..., Path]) -> None:
    config = deployment()

    assert "(any) webserver" in call("coverage", "-c", config).out
    assert "Whoami" in call("coverage", "-c", config, "--rules").out


def test_an_unknown_unit_is_named(call: Call, deployment: Callable[..., Path]) -> None:
    with pytest.raises(ConfigError, match="unit 'nobody' is not among units"):
        call("coverage", "-c", deployment(), "--unit", "nobody")
