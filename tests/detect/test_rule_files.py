"""Every rule is loaded or refused by name, and no file does harm."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from detect.document import MAX_FILE_BYTES, rule_files
from detect.engine import Engine

Refusal = Callable[..., tuple[str, str]]
Load = Callable[..., Engine]

GOOD = """
title: Good
id: 22222222-2222-4222-8222-222222222222
logsource: {product: windows, category: process_creation}
detection:
  selection: {Image: x}
  condition: selection
"""


def with_detection(text: str) -> str:
    return GOOD.replace("  selection: {Image: x}", text)


def test_a_rule_says_who_wrote_it_and_where_it_is(load: Load, rule: Any) -> None:
    engine = load(
        rule(
            {"selection": {"A": "x"}},
            tags=["attack.t1059.001", "attack.execution", "samlog.lc-07"],
            status="test",
            falsepositives=["backup"],
            samlog={"entity": "source.ip"},
        )
    )

    found = engine.rules[0]
    assert found.author == "Kari"
    assert found.level == "high"
    assert found.attack == ("T1059.001",)
    assert found.log_class == "LC-07"
    assert found.entity == "source.ip"
    assert found.falsepositives == ("backup",)
    assert found.logsource == ("windows", "test", "")
    assert found.path == "rule0.yml"
    assert len(found.sha256) == 64


def test_a_rule_without_an_id_gets_the_same_one_each_time(load: Load) -> None:
    text = GOOD.replace("id: 22222222-2222-4222-8222-222222222222\n", "")

    first, second = load(text).rules[0].id, load(text).rules[0].id

    assert first == second
    assert len(first) == 36


def test_all_documents_of_a_file_are_rules(load: Load) -> None:
    other = GOOD.replace("22222222-2", "33333333-3")

    engine = load(f"---\n{GOOD}\n---\n{other}\n---\n")

    assert [found.line for found in engine.rules] == [3, 12]


def test_the_second_rule_with_an_id_is_refused_and_the_first_runs(load: Load) -> None:
    engine = load(GOOD, GOOD.replace("title: Good", "title: Copy"))

    assert [found.title for found in engine.rules] == ["Good"]
    error = engine.report.refused[0]
    assert error.reason == "duplicate_id"
    assert error.path.endswith("rule1.yml")
    assert "rule0.yml" in str(error)


def test_one_bad_rule_stops_no_other_and_all_problems_come_at_once(load: Load) -> None:
    engine = load(
        GOOD,
        "a: [1",
        with_detection("  selection: {Image|endswiht: x}").replace("2222-2", "2222-3"),
        "just text",
    )

    assert len(engine.rules) == 1
    assert engine.report.reasons() == {"not_yaml": 1, "unknown_modifier": 1, "not_a_rule": 1}


def test_a_misspelt_modifier_is_refused_with_the_nearest_valid_one(refusal: Refusal) -> None:
    reason, message = refusal(with_detection("  selection: {Image|endswiht: x}"))

    assert reason == "unknown_modifier"
    assert "'endswith'" in message
    assert "rule0.yml:5:" in message


@pytest.mark.parametrize(
    "key",
    [
        "F|re|contains",
        "F|cidr|contains",
        "F|startswith|endswith",
        "F|i",
        "F|contains|contains",
        "F|exists|contains",
        "F|gt|lt",
        "F|hour|minute",
        "F|base64|base64offset",
        "F|gt|contains",
        "F|re|cased",
        "F|contains|base64",
    ],
)
def test_a_chain_of_modifiers_without_a_meaning_is_refused(refusal: Refusal, key: str) -> None:
    value = "true" if "exists" in key else "1" if "gt" in key or "hour" in key else "x"

    reason, _ = refusal(with_detection(f"  selection: {{{key}: {value}}}"))

    assert reason in {"illegal_modifiers", "invalid_value"}


@pytest.mark.parametrize(
    ("detection", "reason"),
    [
        ("  selection: {F|re: '(unclosed'}", "invalid_regular_expression"),
        ("  selection: {F|re: 'a(?=b)'}", "regex_not_linear"),
        ("  selection: {F|re: '(a)\\1'}", "regex_not_linear"),
        ("  selection: {F|cidr: 300.1.1.0/8}", "invalid_type"),
        ("  selection: {F|gt: many}", "invalid_type"),
        ("  selection: {F|expand: '%admins%'}", "placeholder_without_values"),
        ("  selection: {F|contains|expand: 'x%admins%y'}", "placeholder_without_values"),
        ("  selection: {F|windash: '-a -b -c -d'}", "too_many_dashes"),
        ("  selection: {}", "invalid_detection"),
        ("  selection: {F: 2024-01-01}", "invalid_type"),
        ("  selection: {F: {a: b}}", "invalid_type"),
        ("  selection: {1: x}", "invalid_detection"),
        ("  other: {F: x}", "invalid_condition"),
        ("  selection: {F|base64: 'a*'}", "invalid_value"),
        ("  selection: {F|wide|base64: 'blå'}", "invalid_value"),
    ],
)
def test_a_detection_that_cannot_be_evaluated_is_refused(
    refusal: Refusal, detection: str, reason: str
) -> None:
    assert refusal(with_detection(detection))[0] == reason


@pytest.mark.parametrize(
    ("condition", "reason"),
    [
        ("selection and", "invalid_condition"),
        ("selection and other", "invalid_condition"),
        ("1 of nothing*", "selector_matches_nothing"),
        ("selection and 1 of filter_*", "selector_matches_nothing"),
        ("selection | count() > 5", "invalid_condition"),
        ("(" * 200 + "selection" + ")" * 200, "condition_too_large"),
        ("not " * 900 + "selection", "condition_too_large"),
        ("selection or " * 1000 + "selection", "condition_too_large"),
        ("5", "invalid_condition"),
        ("", "invalid_condition"),
    ],
)
def test_a_condition_that_says_nothing_is_refused(
    refusal: Refusal, condition: str, reason: str
) -> None:
    text = GOOD.replace("condition: selection", f"condition: '{condition}'")

    assert refusal(text)[0] == reason


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (("title: Good", "title: ''"), None),
        (("title: Good\n", ""), "invalid_title"),
        (("id: 2222", "id: zzzz"), "invalid_identifier"),
        (("title: Good", "title: Good\nlevel: urgent"), "invalid_level"),
        (("title: Good", "title: Good\nstatus: maybe"), "invalid_status"),
        (("{product: windows, category: process_creation}", "{}"), "invalid_logsource"),
        (("{product: windows, category: process_creation}", "{product: [a]}"), "invalid_logsource"),
        (("{product: windows, category: process_creation}", "windows"), "not_a_rule"),
        (("title: Good", "title: [a]"), "invalid_title"),
        (("title: Good", "title: Good\ntags: [nodot]"), "invalid_value"),
    ],
)
def test_a_rule_without_the_required_parts_is_refused(
    load: Load, change: tuple[str, str], reason: str | None
) -> None:
    report = load(GOOD.replace(*change)).report

    assert [error.reason for error in report.refused] == ([] if reason is None else [reason])


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[" * 200_000, "yaml_bomb"),
        ("{a: " * 50_000, "yaml_bomb"),
        ("- " * 50_000, "yaml_bomb"),
        ("\n".join(" " * i + "a:" for i in range(1_000)), "yaml_bomb"),
        ("a: &a [x]\n" + "\n".join(f"b{i}: *a" for i in range(200)), "yaml_bomb"),
        ("a:\n\tb: c", "not_yaml"),
        ("title: a\ntitle: b", "not_yaml"),
        ("a: !!python/object:os.system x", "not_yaml"),
        ("\x00\x01", "not_yaml"),
        ("a: 0000-00-00", "not_yaml"),
        ("- just\n- a list", "not_a_rule"),
        ("correlation: {type: event_count}\ntitle: x", "invalid_correlation"),
        ("correlation: x\ntitle: x", "invalid_correlation"),
        ("filter: {rules: any}\ntitle: x", "invalid_condition"),
        ("filter: x\ntitle: x", "not_a_filter"),
    ],
)
def test_a_file_that_is_no_rule_is_refused(refusal: Refusal, text: str, reason: str) -> None:
    assert refusal(text)[0] == reason


def test_aliases_that_multiply_are_refused(refusal: Refusal) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 9)]
    text = GOOD.replace("detection:", "\n".join(lines) + "\ndetection:\n  other: *a8")

    assert refusal(text)[0] in {"rule_too_large", "yaml_bomb"}


def test_an_alias_that_holds_itself_is_refused(refusal: Refusal) -> None:
    assert refusal(with_detection("  selection: &a [*a]"))[0] == "rule_too_large"


def test_a_file_over_a_megabyte_is_refused(load: Load, tmp_path: Path) -> None:
    (tmp_path / "big.yml").write_bytes(b"#" * (MAX_FILE_BYTES + 1))

    assert load().report.reasons() == {"file_too_large": 1}


def test_a_file_that_is_not_utf8_is_refused(load: Load, tmp_path: Path) -> None:
    (tmp_path / "x.yml").write_bytes(b"title: \xe6\xff")

    assert load().report.reasons() == {"not_yaml": 1}


def test_nesting_cannot_hide_in_another_encoding(load: Load, tmp_path: Path) -> None:
    (tmp_path / "x.yml").write_bytes(("- " * 50_000).encode("utf-16"))

    assert load().report.reasons() == {"not_yaml": 1}


def test_a_path_that_does_not_exist_is_refused_by_name(tmp_path: Path) -> None:
    report = Engine.load([tmp_path / "absent"]).report

    assert [error.reason for error in report.refused] == ["no_such_file"]
    assert "absent" in str(report.refused[0])


def test_an_empty_folder_gives_no_rules_and_no_problem(tmp_path: Path) -> None:
    engine = Engine.load([tmp_path])

    assert engine.rules == []
    assert engine.match({"event.dataset": "system.auth"}) == []


def test_hidden_files_and_other_suffixes_are_left_out(tmp_path: Path) -> None:
    for name in ("a.yml", "b.yaml", "c.txt", ".d.yml", ".git/e.yml", "f/g.yml"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(GOOD)

    assert [str(p.relative_to(tmp_path)) for p in rule_files(tmp_path)] == [
        "a.yml",
        "b.yaml",
        "f/g.yml",
    ]


def test_links_to_folders_are_followed_and_capitals_are_no_other_suffix(tmp_path: Path) -> None:
    rules, elsewhere = tmp_path / "rules", tmp_path / "elsewhere"
    elsewhere.mkdir()
    rules.mkdir()
    (elsewhere / "a.YML").write_text(GOOD)
    (rules / "linked").symlink_to(elsewhere)
    (elsewhere / "back").symlink_to(rules)

    assert rule_files(rules) == [rules / "linked" / "a.YML"]


def test_a_folder_that_cannot_be_read_is_refused_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.yml").write_text(GOOD)
    (tmp_path / "closed").mkdir()
    scan = os.scandir

    def refusing(path: Any) -> Any:
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", refusing)

    report = Engine.load([tmp_path], mode="raw").report

    assert len(report.loaded) == 1
    (error,) = report.refused
    assert (error.reason, error.path) == ("unreadable", str(tmp_path / "closed"))


def test_a_file_that_is_reached_twice_is_read_once(tmp_path: Path) -> None:
    (tmp_path / "a.yml").write_text(GOOD)

    report = Engine.load([tmp_path, tmp_path / "a.yml"], mode="raw").report

    assert len(report.loaded) == 1
    assert not report.refused


def test_an_empty_document_is_nothing(load: Load) -> None:
    report = load("", "# only a comment\n", "---\n---\n").report

    assert not report.refused
    assert not report.loaded


def test_no_value_of_a_rule_becomes_code(load: Load, rule: Any) -> None:
    hostile = "'\"]) or __import__('os').abort() #{}\\n"

    engine = load(rule({"selection": {hostile: hostile, "B|contains": [hostile, "x"]}}))

    assert engine.match({hostile: hostile, "B": "x"})
    assert not engine.match({hostile: "y", "B": "x"})
