"""samlog's processing pipeline as sigma-cli finds and uses it."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from sigma.backends.elasticsearch import LuceneBackend
from sigma.cli.convert import convert
from sigma.cli.list import list_group
from sigma.collection import SigmaCollection
from sigma.exceptions import SigmaTransformationError
from sigma.rule import SigmaRule

from detect.document import documents
from detect.rule import LoadReport, parse_document, read_rules
from detect.search.pipeline import parsed, samlog_pipeline
from detect.search.query import query_of, source_text
from samlog.errors import RuleError

RULE: dict[str, Any] = {
    "title": "a rule under test",
    "id": "11111111-1111-4111-8111-111111111111",
    "logsource": {"product": "windows", "service": "security"},
    "detection": {"selection": {"EventID": 4688, "NewProcessName|endswith": "\\cmd.exe"}},
}
SECURITY = 'winlog.channel.caseless:"Security"'


def rule(detection: dict[str, Any], **extra: Any) -> dict[str, Any]:
    return RULE | extra | {"detection": {"condition": "selection", **detection}}


def converted(document: dict[str, Any]) -> str:
    backend = LuceneBackend(samlog_pipeline())
    return str(backend.convert(SigmaCollection([SigmaRule.from_dict(document)]))[0])


def test_sigma_lists_the_pipeline() -> None:
    shown = CliRunner().invoke(list_group, ["pipelines"]).output

    assert "| samlog " in shown


def test_sigma_converts_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "rule.yml"
    file.write_text(yaml.safe_dump(rule(RULE["detection"])), "utf-8")
    # In a folder with a folder samlog, sigma-cli would take that for pipelines.
    monkeypatch.chdir(tmp_path)

    answer = CliRunner().invoke(convert, ["-t", "lucene", "-p", "samlog", str(file)])

    assert answer.exit_code == 0, answer.output
    assert (
        f'({SECURITY} AND (event.code.caseless:"4688" AND '
        "winlog.event_data.NewProcessName.caseless:*\\\\cmd\\.exe))"
    ) in answer.output


def test_braces_in_a_rule_stay_braces() -> None:
    query = converted(rule({"selection": {"A|contains": "{field}", "B|contains": "{0}"}}))

    assert "*\\{field\\}*" in query
    assert "*\\{0\\}*" in query


def test_rules_are_read_as_the_specification_says_not_as_pysigma_does() -> None:
    assert "(NOT" not in converted(
        rule({"notepad": {"A": "x"}, "condition": "notepad and 1 of note*"})
    )


def test_a_rule_without_a_query_is_refused_with_the_reason() -> None:
    with pytest.raises(SigmaTransformationError, match="cannot be compared with another field"):
        converted(rule({"selection": {"A|fieldref": "B"}}))
    with pytest.raises(SigmaTransformationError, match="product nothing"):
        converted(rule({"selection": {"A": "b"}}, logsource={"product": "nothing"}))


@pytest.mark.parametrize(
    "detection",
    [
        ["a\\\\*b", "\\\\\\*", "c"],
        "one",
        [{"A": 1, "B|contains|all": ["x", "y"]}, {"C": None}],
        {"A|re": "a\\\\.b", "B": ["", "\\\\\\\\*\\"]},
        {"|all": ["x", "y"]},
        ["word", {"A": "b"}],
    ],
)
def test_a_rule_that_pysigma_read_is_written_back_as_it_was(detection: Any) -> None:
    document = rule({"selection": [detection] if isinstance(detection, str) else detection})

    again = parsed(SigmaRule.from_dict(document))

    assert query_of(again) == query_of(
        parse_document(next(iter(_documents(document))), _file(document))
    )


def _file(document: dict[str, Any]) -> Any:
    from detect.rule import RuleFile

    return RuleFile(Path("rule.yml"), "rule.yml", yaml.safe_dump(document).encode())


def _documents(document: dict[str, Any]) -> Any:
    file = _file(document)
    return documents(file.path, file.data)


def test_a_rule_that_another_pipeline_changed_is_refused() -> None:
    sigma = SigmaRule.from_dict(rule({"selection": {"A": "x"}}))
    for detection in sigma.detection.detections.values():
        for item in detection.detection_items:
            item.disable_conversion_to_plain()  # type: ignore[union-attr]

    with pytest.raises(RuleError, match="another pipeline"):
        parsed(sigma)


def from_file(tmp_path: Path, detection: str) -> SigmaRule:
    file = tmp_path / "rule.yml"
    other = {**RULE, "detection": {"a": {"B": "c"}, "condition": "a"}}
    del other["id"]
    head = {name: part for name, part in RULE.items() if name != "detection"}
    text = f"{yaml.safe_dump(other)}---\n{yaml.safe_dump(head)}detection: {detection}\n"
    file.write_text(text, "utf-8")
    rules = SigmaCollection.load_ruleset([str(file)]).rules
    return next(each for each in rules if isinstance(each, SigmaRule) and each.id is not None)


def test_a_number_keeps_the_digits_that_its_file_has(tmp_path: Path) -> None:
    rule = from_file(tmp_path, "{s: {TargetLogonId: 9007199254740993}, condition: s}")

    assert '"9007199254740993"' in query_of(parsed(rule))


def test_tests_that_pysigma_takes_for_one_are_both_asked(tmp_path: Path) -> None:
    rule = from_file(tmp_path, "{s: {A|re|i: aaa, A|re|ignorecase: bbb}, condition: s}")

    query = query_of(parsed(rule))
    assert "/.*aaa.*/" in query
    assert "/.*bbb.*/" in query


def test_what_another_pipeline_made_of_a_rule_is_converted_not_its_file(tmp_path: Path) -> None:
    rule = from_file(tmp_path, "{s: {A: x}, condition: s}")
    for detection in rule.detection.detections.values():
        for item in detection.detection_items:
            item.field = "Renamed"  # type: ignore[union-attr]

    assert "winlog.event_data.Renamed" in query_of(parsed(rule))


@pytest.mark.parametrize(
    "detection",
    [
        "{s: {A: x}, timeframe: 5m, condition: s}",
        "{s: x, condition: s}",
        "{s: {A: []}, condition: s}",
    ],
)
def test_what_the_stream_refuses_is_not_converted(tmp_path: Path, detection: str) -> None:
    rule = from_file(tmp_path, detection)

    with pytest.raises(RuleError):
        parsed(rule)


@pytest.mark.parametrize(
    "detection",
    [
        {"selection": {"A": 9007199254740993}},
        {"selection": {"A|re|i": "aaa", "A|re|ignorecase": "bbb"}},
        {"selection": {"A": "x"}, "timeframe": "5m"},
        {"selection": {"A": []}},
    ],
)
def test_without_a_file_what_pysigma_may_have_lost_is_refused(detection: dict[str, Any]) -> None:
    with pytest.raises(RuleError):
        parsed(SigmaRule.from_dict(rule(detection)))


@pytest.mark.slow
def test_all_of_sigmahq_converts_as_samlog_loads_it(sigmahq: Path) -> None:
    different = []
    for file in read_rules([sigmahq], LoadReport()):
        for document in documents(file.path, file.data):
            answers = []
            for read in (
                lambda: parse_document(document, file),  # noqa: B023
                lambda: parsed(SigmaRule.from_dict(document.data)),  # noqa: B023
            ):
                try:
                    answers.append(query_of(read()))
                except RuleError as error:
                    answers.append(error.reason)
            if answers[0] != answers[1]:
                different.append(file.name)

    assert different == []


def test_sources_that_others_include_are_left_out() -> None:
    channel = {"winlog.channel": ("Security",)}
    audit = {"winlog.channel": ("Security",), "event.code": ("4688",)}
    anything: dict[str, tuple[str, ...]] = {"winlog.channel": ()}

    assert source_text([audit, channel]) == SECURITY
    assert source_text([audit, channel, anything]) == "_exists_:winlog.channel"
    assert source_text([channel, channel]) == SECURITY


def test_sources_that_differ_in_their_last_field_become_one() -> None:
    twelve = {"winlog.channel": ("S",), "event.code": ("12",)}
    thirteen = {"winlog.channel": ("S",), "event.code": ("13", "12")}
    fourteen = {"winlog.channel": ("S",), "event.code": ("14",)}

    assert source_text([twelve, thirteen, fourteen]) == (
        '(winlog.channel.caseless:"S" AND event.code.caseless:("13" OR "12" OR "14"))'
    )
