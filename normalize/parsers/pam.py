"""PAM modules of any program, and the log-in programs: sessions opened, closed and refused.

Reads lines of any program that a PAM module wrote (``pam_unix(gdm:session): ..``), and those of
login, systemd-logind, polkit, unix_chkpwd, pkexec and doas. What pkexec and doas ran is in
``system.auth.<program>.command``, for whom in ``user.effective.name``.
"""

import re

from normalize.address import set_endpoint
from normalize.header import program_key
from normalize.linux_auth import LINUX, decide, is_pam, user_line
from samlog.event import Event, RawEvent

NAME = "pam"
VERSION = 4
HINTS = frozenset({"linux_auth", "system.auth"})
PROGRAMS = frozenset(
    ("login", "systemd-logind", "polkitd", "gdm", "unix_chkpwd", "systemd-user", "pkexec", "doas")
    + ("gdm-password", "gdm-fingerprint", "gdm-smartcard", "gdm-launch-environment", "lightdm")
    + ("polkit-agent-helper-1", "sddm", "sddm-helper", "xrdp-sesman")
)
LOGSOURCES = LINUX
LOG_CLASSES = ("LC-05", "LC-01")
CONTENT = "text"
ORDER = 90
SPECIFICATION = (
    "Linux-PAM, \"The Linux-PAM Module Writers' Guide\", pam_syslog(3); the modules' own "
    "manual pages (pam_unix(8), pam_faillock(8), pam_access(8))",
    "SSSD, pam_sss(8); Samba, pam_winbind(8)",
    "polkit, pkexec(1); OpenDoas, doas(1); util-linux, login(1)",
)
SETTINGS = """
Nothing to set. `pam_faillock` with `audit` in faillock.conf(5) also names users that do not
exist. Send the facilities auth and authpriv.
"""


_CHECK = re.compile(r"password check failed for user \(?([^\s()]{1,256})")
_LOGIN = re.compile(
    r"FAILED LOGIN (?:SESSION )?(?:\(\d{1,4}\)|\d{1,4})? ?(?:FROM|on) '?(\S{1,255}?)'? FOR"
    r" [`'\"]?([^\s,'\"]{1,256})"
)
_LOGGED_IN = re.compile(
    r"(?:LOGIN ON (\S{1,64}) BY ([^\s,]{1,256})|ROOT LOGIN +(?:ON|on) '?(\S{1,63}[^\s'])'?)"
    r"(?: FROM (\S{1,255}))?"
)
_PKEXEC = re.compile(
    r"(\S{1,256}): (Executing command|[^\[\n]{1,200}) \[USER=([^\]]{1,256})\] \[TTY=[^\]]{0,64}\]"
    r" \[CWD=[^\]]{0,1024}\] \[COMMAND=(.*)\]\Z",
    re.DOTALL,
)
_DOAS_RAN = re.compile(r"(\S{1,256}) ran command (.{1,8000}) as (\S{1,256}) from ")
_DOAS_REFUSED = re.compile(r"(?:failed auth for|command not permitted for) ([^\s:]{1,256})")
_POLKIT = re.compile(
    r"Operator of .{1,200} FAILED to authenticate .*\(owned by unix-user:([^)]+)\)"
)


def matches(raw: RawEvent) -> bool:
    """A PAM module wrote it, whatever the program."""
    return raw.json is None and is_pam(raw.body)


def parse(raw: RawEvent) -> Event:
    """Returns the event; never refuses a line."""
    read = _READERS.get(program_key(raw.program)) if raw.program else None
    return user_line(raw, read)


def _chkpwd(event: Event, body: str) -> None:
    if match := _CHECK.match(body):
        event["user.name"] = match[1]
        decide(event)


def _login(event: Event, body: str) -> None:
    """util-linux and shadow: ``FAILED LOGIN 1 FROM tty1 FOR kari, Authentication failure``."""
    if match := _LOGIN.match(body):
        event["user.name"] = match[2]
        decide(event)
    elif match := _LOGGED_IN.match(body):
        event["user.name"] = match[2] or "root"
        decide(event, "login", "success")
        if match[4]:
            set_endpoint(event, "source", match[4])


def _pkexec(event: Event, body: str) -> None:
    if match := _PKEXEC.match(body):
        event["user.name"], event["user.effective.name"] = match[1], match[3]
        event["system.auth.pkexec.command"] = match[4]
        if match[2] != "Executing command":
            event["event.outcome"] = "failure"


def _doas(event: Event, body: str) -> None:
    if match := _DOAS_RAN.match(body):
        event["user.name"], event["user.effective.name"] = match[1], match[3]
        event["system.auth.doas.command"] = match[2]
    elif match := _DOAS_REFUSED.match(body):
        event["user.name"] = match[1]
        event["event.outcome"] = "failure"


def _polkit(event: Event, body: str) -> None:
    if match := _POLKIT.match(body[:2_000]):
        event["user.name"] = match[1]
        decide(event)


_READERS = {
    "unix_chkpwd": _chkpwd,
    "login": _login,
    "pkexec": _pkexec,
    "doas": _doas,
    "polkitd": _polkit,
}
