"""PAM modules of any program, and the log-in programs: sessions opened, closed and refused.

Reads lines of any program that a PAM module wrote (``pam_unix(gdm:session): ..``), and those of
login, systemd-logind, polkit, pkexec and doas.
"""

from normalize.linux_auth import LINUX, is_pam, user_line
from samlog.event import Event, RawEvent

NAME = "pam"
VERSION = 2
HINTS = frozenset({"linux_auth", "system.auth"})
PROGRAMS = frozenset(
    ("login", "systemd-logind", "polkitd", "gdm", "unix_chkpwd", "systemd-user", "pkexec", "doas")
)
LOGSOURCES = LINUX
LOG_CLASSES = ("LC-05", "LC-01")
CONTENT = "text"
ORDER = 90


def matches(raw: RawEvent) -> bool:
    """A PAM module wrote it, whatever the program."""
    return raw.json is None and is_pam(raw.body)


def parse(raw: RawEvent) -> Event:
    """Returns the event; never refuses a line."""
    return user_line(raw)
