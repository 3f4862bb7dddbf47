"""Rules of a megabyte, thousands of them, and bombs: refused by name or run, and the rest runs."""

from collections.abc import Callable
from pathlib import Path

import pytest

from detect.engine import Engine

GOOD_ID = "33333333-3333-4333-8333-333333333333"
HEAD = """\
title: Big
id: 22222222-2222-4222-8222-222222222222
logsource: {product: windows, category: test}
detection:
"""
GOOD = f"""\
title: Good
id: {GOOD_ID}
logsource: {{product: windows, category: test}}
detection:
  selection: {{A: good}}
  condition: selection
"""


def rule_with(detections: str, condition: str = "selection") -> str:
    return f"{HEAD}{detections}  condition: {condition}\n"


def values(key: str, form: str, n: int) -> str:
    return f"  selection:\n    {key}:\n" + "".join(
        f"      - {form.format(i=i)}\n" for i in range(n)
    )


@pytest.fixture
def beside_a_good_one(tmp_path: Path) -> Callable[[str], Engine]:
    """Returns a function that loads a text beside a rule that is right."""

    def loaded(text: str) -> Engine:
        (tmp_path / "a.yml").write_text(text, "utf-8")
        (tmp_path / "good.yml").write_text(GOOD, "utf-8")
        return Engine.load([tmp_path], mode="raw")

    return loaded


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (rule_with("  selection: {A: " + "x" * 1_000_000 + "}\n"), ""),
        (rule_with("  selection: {A: '" + "*a" * 100_000 + "'}\n"), ""),
        (rule_with("  selection: {A: '" + "?" * 300_000 + "'}\n"), ""),
        (rule_with(values("A", "v{i}", 18_000)), ""),
        (rule_with("".join(f"  s{i}: {{A: x{i}}}\n" for i in range(9_000)), "1 of s*"), ""),
        (rule_with(values("A", "v{i}", 30_000)), "condition_too_large"),
        (rule_with(values("A", "v{i}", 60_000)), "rule_too_large"),
        (rule_with(values("A|re", "v{i}x+", 1_001)), "rule_too_large"),
        (rule_with("  selection: {A|re: '" + "a" * 200_000 + "'}\n"), "regex_too_large"),
        (rule_with(values("A|windash|contains", "-a /b -c{i}", 200)), "rule_too_large"),
        (rule_with(values("A|base64offset|contains", "abc{i}", 9_000)), "condition_too_large"),
        ("#" * 1_048_577, "file_too_large"),
        ("\tx: y\n", "not_yaml"),
        ("[" * 100_000, "yaml_bomb"),
        (GOOD.replace("Good", "Twice"), "duplicate_id"),
    ],
)
def test_a_rule_of_a_megabyte_is_read_or_refused_by_name_and_the_rest_runs(
    beside_a_good_one: Callable[[str], Engine], text: str, reason: str
) -> None:
    engine = beside_a_good_one(text)

    assert [error.reason for error in engine.report.refused] == ([reason] if reason else [])
    assert [match.rule.id for match in engine.match({"A": "good"})] == [GOOD_ID]
    assert all(len(str(error)) < 1_000 for error in engine.report.refused)


@pytest.mark.slow
def test_ten_thousand_rules_are_loaded_but_for_the_broken_one(tmp_path: Path) -> None:
    per_file = 500
    for file in range(20):
        texts = [
            rule_with(f"  selection: {{A|contains: needle{file * per_file + i:05d}x}}\n").replace(
                "222222222222", f"{file * per_file + i:012d}"
            )
            for i in range(per_file)
        ]
        if file == 7:
            texts[3] = texts[3].replace("contains", "contians")
        (tmp_path / f"{file}.yml").write_text("---\n".join(texts))

    engine = Engine.load([tmp_path], mode="raw")

    assert len(engine.rules) == 9_999
    error = engine.report.refused[0]
    assert (error.reason, Path(error.path).name) == ("unknown_modifier", "7.yml")
    assert "'contains'" in str(error)
    found = engine.match({"A": "a needle00017x and a needle09999x"})
    assert [match.rule.id[-5:] for match in found] == ["00017", "09999"]
    assert engine.stats.candidates == 2
