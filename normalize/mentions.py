"""Addresses and users that a text line merely mentions, for ``related.*``.

A line that has no fields of its own is found by them all the same.
"""

import re

from normalize.address import is_ip
from samlog.event import Event

_WITHIN = 1_000
MAX_MENTIONS = 8
_ANY = frozenset({"0.0.0.0", "::"})
_ADDRESS = re.compile(
    r"(?<![\w.:-])(\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}"
    r"|[0-9A-Fa-f]{1,4}:[0-9A-Fa-f:.]{1,40}[0-9A-Fa-f]|::[0-9A-Fa-f:.]{1,40})(?![\w.])(?!:\w*:)"
)
_USER = re.compile(
    r"(?:(?:by|from|Disconnecting) (?:(?:invalid|illegal|authenticating) )?user"
    r"|^User|input_userauth_request: (?:invalid|illegal) user|^New session \S{1,64} of user"
    r"|(?:opened|closed) for local user"
    r"|^Starting session: [^\n]{1,100}? for) ([^\s'\"]{1,256})(?=[ .])"
)


def add_mentions(event: Event, text: str) -> None:
    """Adds ``related.ip`` and ``related.user`` of ``text``; reads its first 1,000 characters.

    Users are those that sshd and systemd-logind name in texts without fields.
    """
    text = text[:_WITHIN]
    found = [one for one in _ADDRESS.findall(text)[:MAX_MENTIONS] if one not in _ANY and is_ip(one)]
    if found:
        event["related.ip"] = list(dict.fromkeys(found))
    if users := [name.rstrip(".") for name in _USER.findall(text)[:MAX_MENTIONS]]:
        event["related.user"] = list(dict.fromkeys(users))
