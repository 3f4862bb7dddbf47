"""Makes an alert fit: whoever writes a log must not be able to make his alert too large to send.

A receiver may refuse what is over the limit of soc-alert/1. So each text has its room, each list
its number, and what they take together without evidence and observables is below the limit.
"""

from collections.abc import Mapping
from typing import Any

import orjson

MAX_BYTES = 64 * 1024
ROOM = 256
"""Bytes of one text as JSON writes it: a control character takes six."""
ROOMY = {"author": 512, "summary": 1024}
"""Keys whose texts, and those below, have more room: the licence asks for all authors (DRL 1.1)."""
CUT = "…"


def cut(text: str, room: int = ROOM) -> str:
    """Returns a text that takes at most ``room`` bytes in JSON; where it was cut it ends in …"""
    kept = text[:room]  # No character takes less than a byte.
    if len(kept) == len(text) and _size(kept) <= room:
        return text
    while _size(kept) > room - len(CUT.encode()):
        kept = kept[: len(kept) * 7 // 8]
    return kept + CUT


def _size(text: str) -> int:
    """Returns the bytes of a text as JSON, without its quotes."""
    return len(orjson.dumps(text)) - 2


def short(value: Any, room: int = ROOM) -> Any:
    """Returns a value with all its texts cut, however deep they are."""
    if isinstance(value, str):
        return cut(value, room)
    if isinstance(value, Mapping):
        return {key: short(part, ROOMY.get(key, room)) for key, part in value.items()}
    return [short(part, room) for part in value] if isinstance(value, list | tuple) else value


def packed(envelope: Mapping[str, Any]) -> bytes:
    """Returns an envelope as JSON of at most `MAX_BYTES`: texts are cut, then lists halved."""
    fitting = short(envelope)
    body = orjson.dumps(fitting)
    while len(body) > MAX_BYTES and (fitting["evidence"] or fitting["observables"]):
        for name in ("evidence", "observables"):
            fitting[name] = fitting[name][: len(fitting[name]) // 2]
        body = orjson.dumps(fitting)
    return body
