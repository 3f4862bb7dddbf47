"""An explanation names each part of a condition, whether it held, and what was looked at."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from detect.explain import Explainer, Explanation, Part
from samlog.errors import RuleError
from samlog.event import Event

Explain = Callable[..., Explanation]

PROCESS = {
    "event.dataset": "system.security",
    "winlog.channel": "Security",
    "event.code": "4688",
    "winlog.event_data.NewProcessName": "C:\\Windows\\cmd.exe",
    "winlog.event_data.CommandLine": "cmd /c WHOAMI",
}


@pytest.fixture
def explain(tmp_path: Path, rule: Callable[..., dict[str, Any]]) -> Explain:
    """Returns a function that explains detections on an event, process creation by default."""

    def explained(
        detection: dict[str, Any],
        event: Event = PROCESS,
        logsource: str = "windows/process_creation/",
        **placeholders: list[str],
    ) -> Explanation:
        names = zip(("product", "category", "service"), logsource.split("/"), strict=True)
        document = rule(detection, logsource={name: value for name, value in names if value})
        file = tmp_path / "x.yml"
        file.write_text(yaml.safe_dump(document, sort_keys=False), "utf-8")
        return Explainer(file, "", placeholders).explain(event)

    return explained


def flat(part: Part) -> list[tuple[bool, str]]:
    return [(part.held, part.text), *(line for child in part.parts for line in flat(child))]


def test_the_tree_has_the_names_and_words_of_the_rule(explain: Explain) -> None:
    found = explain(
        {
            "selection": {"Image|endswith": "\\cmd.exe", "CommandLine|contains": ["whoami", "net"]},
            "filter_own": {"ParentImage": "x"},
            "filter_other": {"CommandLine|contains": "/quiet"},
            "condition": "selection and not 1 of filter_*",
        }
    )

    assert found.fires
    assert flat(found.condition) == [
        (True, "and"),
        (True, "selection (all of)"),
        (True, "Image ends with '\\cmd.exe'"),
        (True, "one of"),
        (True, "CommandLine contains 'whoami'"),
        (False, "CommandLine contains 'net'"),
        (True, "not"),
        (False, "1 of filter_*"),
        (False, "filter_own"),
        (False, "ParentImage is 'x'"),
        (False, "filter_other"),
        (False, "CommandLine contains '/quiet'"),
    ]


def test_a_test_shows_the_field_of_the_event_and_its_value(explain: Explain) -> None:
    condition = explain({"selection": {"Image": "x", "OriginalFileName": "y"}}).condition

    image, original = condition.parts
    assert image.looked_at == (("winlog.event_data.NewProcessName", "C:\\Windows\\cmd.exe"),)
    assert original.looked_at == (("winlog.event_data.OriginalFileName", None),)


def test_an_event_of_another_logsource_is_never_asked(explain: Explain) -> None:
    found = explain({"selection": {"CommandLine|contains": "x"}}, {"event.dataset": "zeek.dns"})

    assert not found.asked
    assert not found.fires


def test_a_condition_that_holds_does_not_fire_on_an_event_that_is_not_asked(
    explain: Explain,
) -> None:
    found = explain({"selection": {"CommandLine": None}}, {"event.dataset": "zeek.dns"})

    assert found.condition.held
    assert not found.fires


def test_the_fields_of_the_source_that_the_event_is_of_are_read(explain: Explain) -> None:
    sysmon = {
        "event.dataset": "windows.sysmon_operational",
        "winlog.channel": "Microsoft-Windows-Sysmon/Operational",
        "event.code": "1",
        "winlog.event_data.Image": "C:\\x.exe",
    }

    found = explain({"selection": {"Image|endswith": "x.exe"}}, sysmon)

    assert found.fires
    assert found.condition.parts[0].looked_at == (("winlog.event_data.Image", "C:\\x.exe"),)


def test_keywords_are_shown_where_they_were_found(explain: Explain) -> None:
    event = {"event.dataset": "system.auth", "message": "Evil deed", "event.original": "evil"}

    found = explain({"keywords": ["evil", "worse"], "condition": "keywords"}, event, "linux//auth")

    evil, worse = found.condition.parts
    assert (evil.text, evil.looked_at) == ("any text contains 'evil'", (("message", "Evil deed"),))
    assert (worse.held, worse.looked_at) == (False, ())


def test_all_of_several_urls_are_shown(explain: Explain) -> None:
    event = {"event.dataset": "nginx.access", "url.original": "/%61", "url.path": "/a"}

    found = explain({"selection": {"cs-uri|contains": "/a"}}, event, "/webserver/")

    looked_at = found.condition.parts[0].looked_at
    assert looked_at == (("url.original", "/%61"), ("url.path", "/a"))


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [
        ("Image", None, "Image is missing or null"),
        ("Image", "*", "Image is there"),
        ("Image", "a*b?c", "Image is like 'a*b?c'"),
        ("Image|exists", False, "Image does not exist"),
        ("Image|cased", "X", "Image is 'X' in this case"),
        ("Image|re|i", "a.c", "Image matches 'a.c' with flags i"),
        ("Image|cidr", "192.0.2.0/24", "Image is in 192.0.2.0/24"),
        ("Image|fieldref", "User", "Image is field User"),
        ("ProcessId|gte", 5, "ProcessId >= 5"),
        ("ProcessId", 5, "ProcessId = 5"),
        ("UtcTime|hour", 3, "hour of UtcTime == 3"),
    ],
)
def test_each_kind_of_test_reads_as_a_sentence(
    explain: Explain, key: str, value: Any, text: str
) -> None:
    assert explain({"selection": {key: value}}).condition.parts[0].text == text


def test_several_conditions_are_alternatives(explain: Explain) -> None:
    detection = {"a": {"Image": "x"}, "b": {"CommandLine|contains": "cmd"}, "condition": ["a", "b"]}

    found = explain(detection)

    assert found.fires
    assert found.condition.text == "one of the conditions"
    assert [part.held for part in found.condition.parts] == [False, True]


def test_placeholders_are_filled_in(explain: Explain) -> None:
    found = explain({"selection": {"CommandLine|expand": "%words%"}}, words=["cmd*"])

    assert found.fires


def test_a_rule_that_cannot_be_evaluated_is_refused_by_name(explain: Explain) -> None:
    with pytest.raises(RuleError, match="beos"):
        explain({"selection": {"A": "x"}}, logsource="beos//")
    with pytest.raises(RuleError, match="no values are configured"):
        explain({"selection": {"Image|expand": "%words%"}})
