"""A rule finds its fields in normalised events of its logsource, and in no others."""

from collections.abc import Callable
from typing import Any

import pytest

from detect.engine import Engine
from detect.mappings import RAW_SOURCES, SOURCES

Load = Callable[..., Engine]
Answer = Callable[..., bool]

SYSMON = {
    "event.dataset": "windows.sysmon_operational",
    "winlog.channel": "Microsoft-Windows-Sysmon/Operational",
}
AUDIT = {
    "event.dataset": "system.security",
    "winlog.channel": "Security",
    "event.code": "4688",
    "winlog.event_data.NewProcessName": "C:\\Windows\\cmd.exe",
    "winlog.event_data.ParentProcessName": "C:\\Office\\winword.exe",
    "winlog.event_data.CommandLine": "cmd /c whoami",
    "winlog.event_data.SubjectUserName": "KARI",
}


@pytest.fixture
def answers(load: Load, rule: Any) -> Answer:
    """Returns a function that tells whether a rule for a logsource fires on a normalised event."""

    def fired(logsource: str, detection: dict[str, Any] | list[Any], event: dict[str, Any]) -> bool:
        product, category, service = logsource.split("/")
        named = {"product": product, "category": category, "service": service}
        source = {name: value for name, value in named.items() if value}
        engine = load(rule({"selection": detection}, logsource=source), mode="ecs")
        assert not engine.report.unmapped, engine.report.unmapped[0].detail
        return bool(engine.match(event))

    return fired


def test_windows_fields_are_read_as_the_provider_sent_them(answers: Answer) -> None:
    event = {
        **SYSMON,
        "event.code": "13",
        "winlog.event_data.Details": "DWORD (0x00000004)",
        "winlog.event_data.User": "NT AUTHORITY\\SYSTEM",
        "user.name": "SYSTEM",
    }

    assert answers("windows/registry_set/", {"Details": "DWORD (0x00000004)"}, event)
    assert answers("windows/registry_event/", {"User|contains": "AUTHORI"}, event)
    assert answers("windows//sysmon", {"EventID": 13}, event)
    assert not answers("windows/file_event/", {"Details|contains": "DWORD"}, event)


def test_a_process_creation_rule_reads_sysmon_and_audit_events(answers: Answer) -> None:
    sysmon = {**SYSMON, "event.code": "1", "winlog.event_data.Image": "C:\\Windows\\CMD.EXE"}

    assert answers("windows/process_creation/", {"Image|endswith": "\\cmd.exe"}, sysmon)
    assert answers(
        "windows/process_creation/",
        {
            "Image|endswith": "\\cmd.exe",
            "ParentImage|endswith": "\\winword.exe",
            "CommandLine|contains": "whoami",
            "User": "kari",
        },
        AUDIT,
    )


def test_a_security_rule_reads_an_audit_event_by_its_own_names(answers: Answer) -> None:
    assert answers(
        "windows//security", {"EventID": 4688, "NewProcessName|endswith": "cmd.exe"}, AUDIT
    )
    assert not answers("windows//security", {"Image|endswith": "cmd.exe"}, AUDIT)


def test_an_audit_event_of_another_id_is_no_process_creation(answers: Answer) -> None:
    assert not answers(
        "windows/process_creation/",
        {"CommandLine|contains": "whoami"},
        {**AUDIT, "event.code": "4689"},
    )


def test_where_only_ecs_has_the_process_that_is_read(answers: Answer) -> None:
    event = {**SYSMON, "event.code": "1", "process.command_line": "whoami /all"}

    assert answers("windows/process_creation/", {"CommandLine|contains": "whoami"}, event)
    assert not answers(
        "windows/process_creation/",
        {"CommandLine|contains": "whoami"},
        {**event, "winlog.event_data.CommandLine": "other"},
    )


def test_channel_provider_and_computer_are_system_fields(answers: Answer) -> None:
    event = {
        "winlog.channel": "System",
        "event.code": "7045",
        "winlog.provider_name": "Service Control Manager",
        "winlog.computer_name": "DC1",
    }

    assert answers(
        "windows//system",
        {"Provider_Name": "Service Control Manager", "EventID": 7045, "Channel": "system"},
        event,
    )
    assert answers("windows//", {"Computer": "dc1"}, event)


def test_powershell_categories_are_told_by_channel_and_id(answers: Answer) -> None:
    event = {
        "winlog.channel": "PowerShellCore/Operational",
        "event.code": "4104",
        "winlog.event_data.ScriptBlockText": "IEX (New-Object Net.WebClient)",
    }

    assert answers("windows/ps_script/", {"ScriptBlockText|contains": "iex"}, event)
    assert not answers("windows/ps_module/", {"ScriptBlockText|contains": "iex"}, event)


def test_linux_keywords_are_found_in_lines_of_their_program(answers: Answer) -> None:
    line = {
        "event.dataset": "system.auth",
        "process.name": "sshd",
        "message": "error: buffer_get_ret: trying to get more bytes",
    }

    for logsource in ("linux//sshd", "linux//auth", "linux//syslog", "linux//"):
        assert answers(logsource, ["buffer_get_ret"], line)
    assert not answers("linux//sudo", ["buffer_get_ret"], line)


def test_keywords_are_looked_for_in_what_sudo_ran(answers: Answer) -> None:
    line = {
        "event.dataset": "system.auth",
        "process.name": "sudo",
        "system.auth.sudo.command": "ln -s -f /etc/passwd /tmp/x",
    }

    for logsource in ("linux//sudo", "linux//auth", "linux//"):
        assert answers(logsource, ["ln -s -f /etc/passwd"], line)


def test_keywords_are_not_looked_for_in_what_samlog_adds(answers: Answer) -> None:
    line = {
        "event.dataset": "system.auth",
        "event.original": "needle",
        "samlog.unit": "needle",
        "related.user": ["needle"],
        "message": "hay",
    }

    assert not answers("linux//", ["needle"], line)


def test_a_linux_process_is_read_from_ecs(answers: Answer) -> None:
    event = {
        "event.dataset": "auditd_manager.auditd",
        "event.action": "executed",
        "process.executable": "/usr/bin/nc",
        "process.command_line": "nc -e /bin/sh",
        "auditd.log.a0": "nc",
    }

    assert answers(
        "linux/process_creation/", {"Image|endswith": "/nc", "CommandLine|contains": "-e"}, event
    )
    assert answers("linux//auditd", {"a0": "nc"}, event)


@pytest.mark.parametrize(
    ("kind", "asked"), [("creation", True), ("change", True), ("deletion", False), ("info", False)]
)
def test_files_are_asked_when_they_are_written(answers: Answer, kind: str, asked: bool) -> None:
    event = {
        "event.dataset": "auditbeat.file_integrity",
        "event.type": [kind],
        "file.path": "/etc/cron.d/x",
    }

    assert answers("linux/file_event/", {"TargetFilename|startswith": "/etc/cron"}, event) is asked


def test_auditbeats_processes_are_asked_when_they_start(answers: Answer) -> None:
    event = {
        "event.dataset": "auditbeat.process",
        "event.action": "process_started",
        "process.executable": "/usr/bin/nc",
        "process.command_line": "nc -e /bin/sh",
    }
    test = {"Image|endswith": "/nc", "CommandLine|contains": "-e"}

    assert answers("linux/process_creation/", test, event)
    assert not answers(
        "linux/process_creation/", test, event | {"event.action": "existing_process"}
    )


@pytest.mark.parametrize("dataset", ["nginx.access", "apache.access", "iis.access"])
def test_a_request_is_read_by_its_w3c_names(answers: Answer, dataset: str) -> None:
    event = {
        "event.dataset": dataset,
        "http.request.method": "GET",
        "http.response.status_code": 404,
        "url.original": "/cgi-bin/x?cmd=%63at%20/etc/passwd",
        "url.path": "/cgi-bin/x",
        "url.query": "cmd=cat /etc/passwd",
        "user_agent.original": "Nikto",
        "source.ip": "203.0.113.7",
        "http.request.referrer": "-",
    }

    assert answers("/webserver/", {"cs-method": "get", "sc-status": 404}, event)
    assert answers("/webserver/", {"cs-uri-query|contains": "/cgi-bin/"}, event)
    assert answers("/webserver/", {"cs-uri-query|contains": "cat /etc"}, event)
    assert answers("/webserver/", {"cs-uri-query|contains": "%63at"}, event)
    assert answers("/webserver/", {"cs-uri-stem|endswith": "/x", "c-ip": "203.0.113.7"}, event)
    assert answers("/webserver/", {"cs-user-agent|contains": "nikto", "cs-referer": "-"}, event)
    assert answers("/webserver/", ["/etc/passwd"], event)
    assert not answers("/proxy/", {"cs-method": "GET"}, event)


def test_cloudtrail_is_read_by_its_own_names(answers: Answer) -> None:
    event = {
        "event.dataset": "aws.cloudtrail",
        "event.action": "ModifyImageAttribute",
        "event.provider": "ec2.amazonaws.com",
        "aws.cloudtrail.request_parameters": '{"attribute":"launch"}',
        "aws.cloudtrail.flattened.request_parameters.attribute": "launch",
        "aws.cloudtrail.user_identity.type": "Root",
        "source.address": "AWS Internal",
    }

    assert answers(
        "aws//cloudtrail",
        {
            "eventName": "ModifyImageAttribute",
            "eventSource": "ec2.amazonaws.com",
            "requestParameters.attribute": "launch",
            "requestParameters|contains": '"launch"',
            "userIdentity.type": "Root",
            "sourceIPAddress": "AWS Internal",
        },
        event,
    )


def test_zeek_is_read_by_its_own_names_and_by_categories(answers: Answer) -> None:
    dns = {
        "event.dataset": "zeek.dns",
        "zeek.dns.query": "evil.example",
        "dns.question.name": "evil.example",
        "destination.port": 53,
        "zeek.dns.answers": ["10.0.0.1"],
    }
    http = {
        "event.dataset": "zeek.http",
        "zeek.http.uri": "/x",
        "url.original": "/x",
        "http.request.method": "GET",
    }

    assert answers("zeek//dns", {"query|endswith": "example", "id.resp_p": 53}, dns)
    assert answers("/dns/", {"query": "evil.example", "answer|contains": "10.0"}, dns)
    assert answers("zeek//http", {"uri": "/x", "c-uri": "/x"}, http)
    assert answers("/proxy/", {"c-uri": "/x", "cs-method": "GET"}, http)
    assert not answers("zeek//http", {"query": "evil.example"}, dns)


def test_cisco_rules_are_keywords_over_its_lines(answers: Answer) -> None:
    line = {
        "event.dataset": "cisco_ios.log",
        "message": "User:admin  logged command:no access-session port-control",
    }

    assert answers("cisco//aaa", ["no access-session"], line)
    assert not answers("cisco//aaa", ["no access-session"], {**line, "event.dataset": "x.y"})


def test_sysmon_for_linux_has_the_fields_of_sysmon(answers: Answer) -> None:
    event = {
        "event.dataset": "sysmon_linux.log",
        "winlog.channel": "Linux-Sysmon/Operational",
        "event.code": "1",
        "winlog.event_data.Image": "/usr/bin/nc",
    }

    assert answers("linux/process_creation/", {"Image|endswith": "/nc"}, event)
    assert not answers(
        "linux/process_creation/", {"Image|endswith": "/nc"}, event | {"event.code": "5"}
    )
    assert not answers("windows/process_creation/", {"Image|endswith": "/nc"}, event)


def test_a_rule_without_events_of_its_kind_is_listed_with_the_reason(load: Load, rule: Any) -> None:
    report = load(
        rule({"selection": {"A": "x"}}, logsource={"product": "onelogin", "service": "onelogin"}),
        rule(
            {"selection": {"cs-cookie": "x"}},
            id="11111111-1111-4111-8111-111111111112",
            logsource={"category": "proxy"},
        ),
        mode="ecs",
    ).report

    assert [(u.reason, u.detail) for u in report.unmapped] == [
        ("unmapped_logsource", "product onelogin, service onelogin"),
        ("unmapped_field", "cs-cookie"),
    ]
    assert not report.loaded
    assert not report.refused


def test_a_rule_that_is_unmapped_is_still_loaded_raw(load: Load, rule: Any) -> None:
    engine = load(rule({"selection": {"A": "x"}}, logsource={"product": "okta"}), mode="raw")

    assert engine.match({"A": "x", "product": "okta"})


def test_raw_audit_events_are_process_creation_under_other_names(load: Load, rule: Any) -> None:
    engine = load(
        rule(
            {"selection": {"Image|endswith": "cmd.exe"}},
            logsource={"product": "windows", "category": "process_creation"},
        )
    )

    assert engine.match({"Channel": "Security", "EventID": 4688, "NewProcessName": "x\\cmd.exe"})
    assert not engine.match(
        {"Channel": "Security", "EventID": 4689, "NewProcessName": "x\\cmd.exe"}
    )


def test_raw_and_normalised_windows_events_are_routed_by_the_same_table() -> None:
    raw = {(s.product, s.category, s.service) for s in RAW_SOURCES}
    normalised = {(s.product, s.category, s.service) for s in SOURCES if s.product == "windows"}

    assert raw == normalised
