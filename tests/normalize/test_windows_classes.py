"""Each event names the one class of the common logging practice that it serves."""

from collections.abc import Callable

import pytest

from normalize.parser import CLASSES as PRACTICE
from normalize.parsers import windows
from normalize.windows.classes import CLASSES, log_class
from samlog.event import Event

SECURITY = ("Security", "Microsoft-Windows-Security-Auditing")
SYSMON = ("Microsoft-Windows-Sysmon/Operational", "Microsoft-Windows-Sysmon")
DEFENDER = ("Microsoft-Windows-Windows Defender/Operational", "Microsoft-Windows-Windows Defender")
SESSIONS = "Microsoft-Windows-TerminalServices-LocalSessionManager"


@pytest.mark.parametrize(
    ("channel", "provider", "code", "expected"),
    [
        (*SECURITY, "4624", "LC-01"),
        (*SECURITY, "4740", "LC-01"),
        (*SECURITY, "4769", "LC-01"),
        (*SECURITY, "4728", "LC-02"),
        (*SECURITY, "4739", "LC-02"),
        (*SECURITY, "4672", "LC-03"),
        (*SECURITY, "4688", "LC-04"),
        (*SECURITY, "4698", "LC-04"),
        (*SECURITY, "5156", "LC-07"),
        (*SECURITY, "4778", "LC-16"),
        ("Security", "Microsoft-Windows-Eventlog", "1102", "LC-22"),
        ("System", "Microsoft-Windows-Eventlog", "104", "LC-22"),
        ("System", "Service Control Manager", "7045", "LC-04"),
        ("System", "Service Control Manager", "104", "LC-04"),
        (*SYSMON, "1", "LC-04"),
        (*SYSMON, "22", "LC-11"),
        (*SYSMON, "16", "LC-22"),
        ("", "Microsoft-Windows-Sysmon", "22", "LC-11"),
        ("Microsoft-Windows-PowerShell/Operational", "", "4104", "LC-03"),
        ("Microsoft-Windows-WMI-Activity/Operational", "", "5861", "LC-03"),
        (*DEFENDER, "1116", "LC-06"),
        (f"{SESSIONS}/Operational", SESSIONS, "21", "LC-16"),
        ("DNS Server", "Microsoft-Windows-DNS-Server-Service", "770", "LC-11"),
        ("Application", "MSSQLSERVER", "18456", "LC-17"),
        ("MSExchange Management", "MSExchange CmdletLogs", "1", "LC-14"),
        ("Leverandør/Drift", "Leverandør", "1", "LC-04"),
    ],
)
def test_the_narrowest_class_is_named(
    channel: str, provider: str, code: str, expected: str
) -> None:
    assert log_class(channel, provider, code) == expected


def test_the_parser_declares_every_class_that_it_names() -> None:
    assert set(windows.LOG_CLASSES) == set(CLASSES)
    assert set(CLASSES) <= set(PRACTICE)


def test_a_finished_event_has_its_class_and_the_collectors_word_goes_first(
    one: Callable[..., Event],
) -> None:
    logon = '{"EventID": 4624, "Channel": "Security", "SourceName": "x"}'
    assert one(logon)["samlog.log_class"] == "LC-01"
    assert one(logon, {"log_class": b"LC-21"})["samlog.log_class"] == "LC-21"


def test_an_event_cannot_claim_a_class(one: Callable[..., Event]) -> None:
    claiming = {
        "flat": '{"EventID": 4624, "Channel": "Security", "samlog.log_class": "LC-22"}',
        "winlog": '{"winlog": {"event_id": 4624, "channel": "Security"}, '
        '"samlog": {"log_class": "LC-22"}, "samlog.log_class": "LC-22"}',
    }
    for line in claiming.values():
        assert one(line)["samlog.log_class"] == "LC-01"
