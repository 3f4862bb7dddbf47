"""Which class of the common logging practice (LC-nn) an event belongs to.

One event has one class, the narrowest that names it: a DNS query that Sysmon saw is LC-11, not
LC-04, the class of everything that a Windows host tells about itself.
"""

WINDOWS_HOST = "LC-04"
_LOGON = "LC-01"
_ACCOUNTS = "LC-02"
_PRIVILEGED = "LC-03"
_ANTIMALWARE = "LC-06"
_FIREWALL = "LC-07"
_NAMES = "LC-11"
_MAIL = "LC-14"
_VIRTUALISATION = "LC-15"
_DESKTOP = "LC-16"
_DATABASE = "LC-17"
_BACKUP = "LC-19"
_CONFIGURATION = "LC-20"
_HEALTH = "LC-22"

CLASSES = (
    *(WINDOWS_HOST, _LOGON, _ACCOUNTS, _PRIVILEGED, _ANTIMALWARE, _FIREWALL, _NAMES, _MAIL),
    *(_VIRTUALISATION, _DESKTOP, _DATABASE, _BACKUP, _CONFIGURATION, _HEALTH),
)
"""Every class that `log_class` returns; the first is that of most events."""


def _codes(of: str, listed: str) -> dict[str, str]:
    return dict.fromkeys(listed.split(), of)


def _span(first: int, last: int) -> list[str]:
    return [str(code) for code in range(first, last + 1)]


SECURITY: dict[str, str] = {
    **_codes(_LOGON, "4624 4625 4626 4627 4634 4647 4648 4649 4675 4740 4800 4801"),
    **_codes(_LOGON, "4802 4803 5378 5632 5633 4820 4821 4822 4823 4824 4825"),
    **dict.fromkeys([*_span(4768, 4777), *_span(6272, 6280)], _LOGON),
    **_codes(_LOGON, "528 529 530 531 532 533 534 535 536 537 538 539 540 672 673"),
    **_codes(_LOGON, "674 675 676 677 680 681"),
    **dict.fromkeys([*_span(4720, 4739), *_span(4741, 4767), *_span(4780, 4799)], _ACCOUNTS),
    **_codes(_ACCOUNTS, "4704 4705 4706 4707 4713 4714 4716 4717 4718 4719 4865"),
    **_codes(_ACCOUNTS, "4866 4867 4670 4715 4817 4902 4904 4905 4907 4908 4912"),
    **dict.fromkeys(["4662", *_span(5136, 5141), *_span(624, 671)], _ACCOUNTS),
    **_codes(_PRIVILEGED, "4672 4673 4674 4703 4964"),
    **_codes(_DESKTOP, "4778 4779"),
    **dict.fromkeys(["5031", *_span(5148, 5159)], _FIREWALL),
    **_codes(_HEALTH, "517 1100 1101 1102 1104 1105 1108 4612 4906"),
}
"""By event id of the Security channel."""
SYSMON: dict[str, str] = {"4": _HEALTH, "16": _HEALTH, "255": _HEALTH, "22": _NAMES}
SYSTEM: dict[str, str] = {
    **_codes(_HEALTH, "104 1105 1108 6005 6006"),
}
CHANNELS: tuple[tuple[str, str], ...] = (
    ("microsoft-windows-powershell", _PRIVILEGED),
    ("powershellcore/", _PRIVILEGED),
    ("windows powershell", _PRIVILEGED),
    ("microsoft-windows-wmi-activity/", _PRIVILEGED),
    ("microsoft-windows-windows defender/", _ANTIMALWARE),
    ("microsoft-windows-sense/", _ANTIMALWARE),
    ("microsoft-windows-terminalservices-", _DESKTOP),
    ("microsoft-windows-remotedesktopservices-", _DESKTOP),
    ("microsoft-windows-ntlm/", _LOGON),
    ("microsoft-windows-authentication/", _LOGON),
    ("openssh/", _LOGON),
    ("ad fs/", _LOGON),
    ("dns server", _NAMES),
    ("microsoft-windows-dns", _NAMES),
    ("microsoft-windows-dhcp", _NAMES),
    ("msexchange management", _MAIL),
    ("microsoft-windows-hyper-v-", _VIRTUALISATION),
    ("microsoft-windows-backup", _BACKUP),
    ("microsoft-windows-windowsupdateclient/", _CONFIGURATION),
)
"""By the beginning of a channel's name in lower case."""
PROVIDERS: tuple[tuple[str, str], ...] = (
    ("mssql", _DATABASE),
    ("msexchange", _MAIL),
    ("microsoft-windows-windowsupdateclient", _CONFIGURATION),
    ("microsoft-windows-backup", _BACKUP),
    ("ad fs", _LOGON),
)
"""By the beginning of a provider's name in lower case, in Application and System."""


def log_class(channel: str, provider: str, code: str) -> str:
    """Returns the class of one kind of event, `WINDOWS_HOST` where no narrower one is known."""
    channel, provider = channel.lower(), provider.lower()
    if channel == "security" or provider == "microsoft-windows-security-auditing":
        return SECURITY.get(code, WINDOWS_HOST)
    if "sysmon" in (channel or provider):
        return SYSMON.get(code, WINDOWS_HOST)
    if channel == "system" and provider in ("microsoft-windows-eventlog", "eventlog"):
        return SYSTEM.get(code, WINDOWS_HOST)
    named = CHANNELS if channel not in ("application", "system") else PROVIDERS
    name = channel if named is CHANNELS else provider
    return next((found for start, found in named if name.startswith(start)), WINDOWS_HOST)
