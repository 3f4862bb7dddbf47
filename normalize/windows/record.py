"""The one internal shape that every adapter fills and every mapper reads."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from samlog.event import Event

Text = str | list[str]
EventData = dict[str, Text]
"""Fields of EventData by the names that Windows gives them; values are text as it was sent."""

MAX_DEPTH = 16
MAX_NAMES = 8192
MAX_FIELDS = 1000
"""Fields that one event may have; the rest stands in event.original only, and a tag says so."""


@dataclass(slots=True)
class WindowsEvent:
    """One event, taken off its shipper's format and not yet mapped.

    ``out`` holds the System part under ``winlog.*`` and what the shipper said in ECS already.
    ``data`` is EventData, ``user_data`` the leaves of UserData. ``when`` finds the instant of the
    event as ISO 8601 in UTC with ms, "" where the shipper gave none; it is called only when
    EventData holds no better one. ``irregular`` says that a part of the input was unreadable,
    ``settled`` that ``out`` holds nothing but ``winlog.*``, level and message, of the right types.
    """

    out: Event = field(default_factory=dict)
    data: EventData = field(default_factory=dict)
    user_data: EventData = field(default_factory=dict)
    channel: str = ""
    provider: str = ""
    code: str = ""
    when: Callable[[], str] = str
    irregular: bool = False
    settled: bool = False


def text_of(value: Any) -> Text:
    """Returns ``value`` as Windows would print it; lists stay lists, objects become ``repr``s."""
    if type(value) is str:
        return value
    if value is True:
        return "true"
    if value is False:
        return "false"
    if isinstance(value, list):
        return [str(text_of(item)) for item in value if item is not None]
    return str(value)


def safe_name(name: str) -> str:
    """Returns a field name that a store takes: no empty part between its dots, at most 256 long."""
    name = name[:256]
    if not name.strip() or name[0] == "." or name[-1] == "." or ".." in name:
        return name.replace(".", "_").strip() or "_"
    return name


class Names(dict[str, str]):
    """Full names by short ones, made once: names repeat in every event. Bounded."""

    __slots__ = ("prefix",)

    def __init__(self, prefix: str) -> None:
        super().__init__()
        self.prefix = prefix

    def __missing__(self, name: str) -> str:
        full = self.prefix + safe_name(name)
        if len(self) < MAX_NAMES:
            self[name] = full
        return full


def flatten(prefix: str, value: Any, out: Event, depth: int = 0) -> None:
    """Writes the leaves of a JSON value below ``prefix`` into ``out``; null is left out.

    Lists of scalars stay lists. What lies deeper than `MAX_DEPTH` is kept as one string.
    """
    if isinstance(value, dict) and depth < MAX_DEPTH and len(out) <= MAX_FIELDS:
        for key, inner in value.items():
            name = safe_name(key)
            flatten(f"{prefix}.{name}" if prefix else name, inner, out, depth + 1)
    elif isinstance(value, dict):
        out[prefix] = str(value)
    elif isinstance(value, list):
        kept = [item if not isinstance(item, dict | list) else str(item) for item in value]
        out[prefix] = [item for item in kept if item is not None]
    elif value is not None:
        out[prefix] = value
