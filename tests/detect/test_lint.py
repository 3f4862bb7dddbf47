"""Everything wrong with rule files comes at once, each with file and line."""

from pathlib import Path

from detect.lint import Finding, lint

GOOD = """\
title: Good
id: 22222222-2222-4222-8222-222222222222
status: test
description: Sees x.
author: Kari
tags:
  - attack.execution
  - attack.t1059
  - samlog.lc-04
logsource:
  product: windows
  category: process_creation
detection:
  selection:
    Image: x
  condition: selection
falsepositives:
  - none
level: high
"""


def findings(folder: Path, *, strict: bool = False, **files: str) -> list[Finding]:
    for name, text in files.items():
        (folder / f"{name}.yml").write_text(text, "utf-8")
    return lint([folder], strict=strict, placeholders={})[0]


def test_a_good_rule_has_no_findings(tmp_path: Path) -> None:
    assert findings(tmp_path, strict=True, good=GOOD) == []


def test_all_files_are_looked_at_and_sorted(tmp_path: Path) -> None:
    found = findings(
        tmp_path,
        c="title: [",
        a=GOOD.replace("Image: x", "Image|endswiht: x"),
        b=GOOD.replace("Image: x", "Image|re: '(?<=a)b'").replace("22222222-2", "33333333-3"),
        good=GOOD.replace("22222222-2", "44444444-4"),
    )

    assert [Path(f.path).name for f in found] == ["a.yml", "b.yml", "c.yml"]
    assert [f.reason for f in found] == ["unknown_modifier", "regex_not_linear", "not_yaml"]
    assert found[0].line == GOOD.splitlines().index("detection:") + 1
    assert str(found[0]).startswith(f"{tmp_path}/a.yml:{found[0].line}: ")
    assert found[0].text.count("a.yml") == 0


def test_a_rule_that_samlog_has_no_events_for_is_no_finding(tmp_path: Path) -> None:
    (tmp_path / "a.yml").write_text(GOOD.replace("windows", "beos"), "utf-8")

    found, built = lint([tmp_path], strict=False, placeholders={})

    assert found == []
    assert len(built.report.unmapped) == 1


def test_strict_names_what_our_own_rules_have_to_say(tmp_path: Path) -> None:
    poor = GOOD.replace("level: high\n", "").replace("falsepositives:\n  - none\n", "")
    poor = poor.replace("  - attack.t1059\n  - samlog.lc-04\n", "")

    found = findings(tmp_path, strict=True, poor=poor)

    reasons = [f.reason for f in found]
    assert reasons == [
        "missing_falsepositives",
        "missing_level",
        "missing_log_class",
        "missing_technique",
    ]
    assert {f.line for f in found if f.reason == "missing_technique"} == {6}
    assert findings(tmp_path, poor=poor) == []


def test_strict_reads_broken_files_only_once(tmp_path: Path) -> None:
    found = findings(tmp_path, strict=True, broken="title: [", list="- 1\n")

    assert [f.reason for f in found] == ["not_yaml", "not_a_rule"]


def test_strict_asks_a_correlation_for_no_logsource_of_its_own(tmp_path: Path) -> None:
    several = GOOD[: GOOD.index("logsource")] + GOOD[GOOD.index("falsepositives") :]
    several = several.replace("22222222-2", "55555555-5") + (
        "correlation:\n"
        "  type: event_count\n"
        "  rules: [22222222-2222-4222-8222-222222222222]\n"
        "  timespan: 5m\n"
        "  condition: {gte: 3}\n"
    )

    assert findings(tmp_path, strict=True, good=GOOD, several=several) == []
