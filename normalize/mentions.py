"""Addresses and users that a text line merely mentions, for ``related.*``.

A line that has no fields of its own is found by them all the same.
"""

import re

from normalize.address import is_ip
from samlog.event import Event

_WITHIN = 1_000
MAX_MENTIONS = 8
_ANY = frozenset({"0.0.0.0", "::"})
_ADDRESS = re.compile(r"[0-9A-Fa-f:.]{3,45}")
_WORDS = ("ser ", "Starting session: ")
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
    found: list[str] = []
    for one in _ADDRESS.findall(text) if text.count(".") > 2 or text.count(":") > 1 else ():
        # Dots and colons are counted before anything is tried: 2 us a line instead of 7.
        if one.count(".") >= 3 or one.count(":") >= 2:
            one = _bare(one)
            if one not in _ANY and one not in found and is_ip(one):
                found.append(one)
    if found:
        event["related.ip"] = found[:MAX_MENTIONS]
    if not any(word in text for word in _WORDS):
        return
    if users := [name.rstrip(".") for name in _USER.findall(text)[:MAX_MENTIONS]]:
        event["related.user"] = list(dict.fromkeys(users))


def _bare(text: str) -> str:
    """Returns an address without the punctuation of its sentence and without a port."""
    text = text.strip(".") if text.endswith("::") else text.rstrip(".:").lstrip(".")
    if text[:1] == ":" and text[:2] != "::":
        text = text[1:]
    return text.partition(":")[0] if "." in text and text.count(":") == 1 else text
