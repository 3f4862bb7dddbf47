"""``samlog hunt`` over the embedded store: what it finds, shows and answers to scripts."""

from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml
from click.testing import CliRunner

from samlog.cli.hunt_ import command
from samlog.clock import SystemClock
from samlog.errors import ConfigError
from samlog.store.base import Document
from samlog.store.embedded import EmbeddedStore

SYSMON = {
    "winlog.channel": "Microsoft-Windows-Sysmon/Operational",
    "event.code": "1",
    "event.dataset": "windows.sysmon_operational",
    "host.name": "pc1",
}
Hunt = Callable[..., tuple[int, str, str]]


def event(number: int, **fields: Any) -> dict[str, Any]:
    data = {f"winlog.event_data.{name}": value for name, value in fields.items()}
    return {**SYSMON, "@timestamp": f"2026-01-10T12:00:0{number}.000Z", "samlog.unit": "a", **data}


EVENTS = {
    "upper": event(1, CommandLine="C:\\X\\VSSADMIN delete", Image="C:\\vssadmin.exe"),
    "lower": event(2, CommandLine="vssadmin list", Image="C:\\vssadmin.exe"),
    "long": event(3, CommandLine="x" * 9_000 + " vssadmin", Image="C:\\x.exe"),
    "same": event(4, CommandLine="a", Image="C:\\y.exe", ParentImage="C:\\y.exe"),
    "other": event(5, CommandLine="nothing", Image="C:\\z.exe", ParentImage="C:\\y.exe"),
}


@pytest.fixture
def hunt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hunt:
    """Returns a function that runs the command with a rule's detections: (code, stdout, stderr)."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    config = tmp_path / "samlog.yaml"
    (tmp_path / "mine").mkdir()
    data = str(tmp_path / "data")
    config.write_bytes(
        orjson.dumps(
            {
                "bus": {"type": "embedded", "path": data},
                "store": {"type": "embedded", "path": data},
                "units": {"a": {"title": "A"}, "b": {"title": "B"}},
                "rules": ["builtin", str(tmp_path / "mine")],
            }
        )
    )
    with closing(EmbeddedStore(tmp_path / "data/store", clock=SystemClock(), writer=True)) as store:
        store.setup(["a", "b"])
        stream = "logs-windows.sysmon_operational-a"
        store.write([Document(stream, id_, dict(found)) for id_, found in EVENTS.items()])

    def run(detection: Mapping[str, Any] | str, *words: str, **extra: Any) -> tuple[int, str, str]:
        name = detection
        if not isinstance(detection, str):
            name = str(tmp_path / "rule.yml")
            whole = {
                "title": "A Rule",
                "id": "11111111-1111-4111-8111-111111111111",
                "author": "Kari",
                "level": "high",
                "logsource": {"product": "windows", "category": "process_creation"},
                "detection": {"condition": "selection", **detection},
            }
            Path(name).write_text(yaml.safe_dump(whole | extra), "utf-8")
        given = [str(name), "--config", str(config), *words]
        result = CliRunner().invoke(command, given, standalone_mode=False)
        if result.exception:
            raise result.exception
        return int(result.return_value), result.stdout, result.stderr

    return run


def ids(answer: tuple[int, str, str]) -> list[str]:
    return [orjson.loads(line)["event_id"] for line in answer[1].splitlines()]


def test_hits_are_shown_with_rule_author_and_event_id(hunt: Hunt) -> None:
    code, out, err = hunt({"selection": {"CommandLine|contains": "delete"}})

    assert code == 0
    assert "high  A Rule  [11111111-1111-4111-8111-111111111111]" in out
    assert "by Kari" in out
    assert "upper" in out
    assert "1 hits of 1 rules" in err


def test_json_has_a_line_a_hit(hunt: Hunt) -> None:
    code, out, _ = hunt({"selection": {"CommandLine|contains": "delete"}}, "--json")

    row = orjson.loads(out)
    assert code == 0
    assert (row["rule"], row["author"]) == ("11111111-1111-4111-8111-111111111111", "Kari")
    assert (row["event_id"], row["unit"], row["host"]) == ("upper", "a", "pc1")
    assert row["matched"] == {"winlog.event_data.CommandLine": "C:\\X\\VSSADMIN delete"}


def test_without_hits_the_exit_code_is_1(hunt: Hunt) -> None:
    assert hunt({"selection": {"CommandLine": "absent"}})[0] == 1


@pytest.mark.parametrize(
    ("detection", "found"),
    [
        ({"selection": {"CommandLine|contains": "vssadmin"}}, ["long", "lower", "upper"]),
        ({"selection": {"CommandLine|contains|cased": "VSSADMIN"}}, ["upper"]),
        ({"selection": {"CommandLine|re": "vss.*n"}}, ["long", "lower"]),
        ({"selection": {"CommandLine|re": "^[A-Z].*delete$"}}, ["upper"]),
        (
            {
                "selection": {"Image|endswith": "vssadmin.exe"},
                "filter": {"CommandLine|re": "VSS"},
                "condition": "selection and not filter",
            },
            ["lower"],
        ),
        ({"selection": {"Image|fieldref": "ParentImage"}}, ["same"]),
        (
            {
                "selection": {"ParentImage|contains": "y"},
                "same": {"Image|fieldref": "ParentImage"},
                "condition": "selection and not same",
            },
            ["other"],
        ),
        ({"selection": {"ParentImage": None, "CommandLine|contains": "list"}}, ["lower"]),
        ({"keywords": ["nothing"], "condition": "keywords"}, ["other"]),
        (
            {
                "keywords": ["vssadmin"],
                "selection": {"Image|startswith": "c:"},
                "condition": "selection and not keywords",
            },
            ["other", "same"],
        ),
    ],
)
def test_it_finds_what_the_stream_finds(
    hunt: Hunt, detection: Mapping[str, Any], found: list[str]
) -> None:
    assert ids(hunt(detection, "--json")) == found


def test_only_the_time_that_was_asked_for(hunt: Hunt) -> None:
    detection = {"selection": {"CommandLine|contains": "vssadmin"}}

    span = ("--since", "2026-01-10T12:00:02Z", "--until", "2026-01-10T12:00:03Z")
    assert ids(hunt(detection, "--json", *span)) == ["lower"]


def test_only_the_units_that_were_asked_for(hunt: Hunt) -> None:
    detection = {"selection": {"CommandLine|contains": "vssadmin"}}

    assert hunt(detection, "--unit", "b")[0] == 1
    with pytest.raises(ConfigError, match="unknown unit 'c'; known: a, b"):
        hunt(detection, "--unit", "c")


def test_the_limit_counts_hits_of_a_rule_newest_first(hunt: Hunt) -> None:
    answer = hunt({"selection": {"CommandLine|contains": "vssadmin"}}, "--json", "--limit", "1")

    assert ids(answer) == ["long"]
    assert "the newest 1 hits; --limit shows more" in answer[2]


def test_rules_are_found_by_name(hunt: Hunt) -> None:
    code, _, err = hunt("windows_shadow_copies_deleted")

    assert code in (0, 1)
    assert "1 rules asked" in err


MINE = """
title: Copies
id: 22222222-2222-4222-8222-222222222222
author: Kari
level: high
logsource: {product: windows, category: process_creation}
detection: {selection: {Image|endswith: vssadmin.exe}, condition: selection}
"""
FILTER = """
title: Listing is no crime
logsource: {product: windows, category: process_creation}
filter:
  rules: [22222222-2222-4222-8222-222222222222]
  selection: {CommandLine|contains: list}
  condition: not selection
"""


@pytest.mark.parametrize("name", ["copies", "22222222"])
def test_a_rule_found_by_name_is_asked_with_the_filters_of_the_configuration(
    hunt: Hunt, tmp_path: Path, name: str
) -> None:
    (tmp_path / "mine/copies.yml").write_text(MINE)
    (tmp_path / "mine/other.yml").write_text(MINE.replace("2222", "3333"))
    (tmp_path / "mine/filter.yml").write_text(FILTER)

    answer = hunt(name, "--json")

    assert ids(answer) == ["upper"]
    assert "1 rules asked" in answer[2]


def test_a_rule_that_is_found_by_name_and_refused_is_told_of_alone(
    hunt: Hunt, tmp_path: Path
) -> None:
    (tmp_path / "mine/copies.yml").write_text(MINE.replace("vssadmin", "x").replace("high", "?"))
    (tmp_path / "mine/other.yml").write_text(MINE.replace("condition: selection", "condition: x"))
    (tmp_path / "mine/third.yml").write_text(MINE.replace("2222", "3333"))

    with pytest.raises(ConfigError, match="no rule of copies"):
        hunt("copies")

    answer = hunt("third")
    assert answer[0] == 0
    assert "refused" not in answer[2]


def test_a_rule_that_nothing_here_can_answer_is_named(hunt: Hunt) -> None:
    with pytest.raises(ConfigError, match="can be searched for"):
        hunt({"selection": {"A": "b"}}, logsource={"product": "okta_of_old"})


def test_the_queries_are_shown_without_a_store(hunt: Hunt) -> None:
    code, out, _ = hunt({"selection": {"CommandLine|contains": "delete"}}, "--query")

    assert code == 0
    assert out.startswith("# A Rule (Kari)\n(")
    assert "winlog.event_data.CommandLine.caseless:*delete*" in out
    assert "search_truncated" not in out
