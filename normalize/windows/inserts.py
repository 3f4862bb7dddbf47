"""Bare values of EventData ("string inserts") back to the names that the provider gave them."""

from collections.abc import Sequence

from normalize.windows.record import EventData, Text
from normalize.windows.tables_fields import FIELDS, VARIANTS
from samlog.remember import remembered

SYSMON = "microsoft-windows-sysmon"


@remembered(1_024)
def names_of(provider: str, code: str, count: int) -> tuple[str, ...]:
    """Returns the names of an event's fields in their order, () where they are unknown."""
    provider = provider.lower()
    listed = VARIANTS.get((provider, code, count)) or FIELDS.get(provider, {}).get(code, "")
    return tuple(listed.split())


def add_inserts(data: EventData, provider: str, code: str, values: Sequence[Text]) -> None:
    """Writes ``values`` under their names.

    Without a name they are the list ``Data`` and ``param1``, ``param2``, as unnamed Data of XML. A
    Sysmon before version 10 had no RuleName, which stands first: the time in its place tells.
    """
    names = names_of(provider, code, len(values))
    has_rule_name = names[:1] == ("RuleName",) and provider.lower() == SYSMON
    if has_rule_name and values and _is_time(values[0]):
        names = names[1:]
    for name, value in zip(names, values, strict=False):
        data[name] = value
    for number, value in enumerate(values[len(names) :], len(names) + 1):
        data.setdefault(f"param{number}", value)
    if not names:
        data["Data"] = [str(value) for value in values]


def _is_time(value: Text) -> bool:
    return type(value) is str and len(value) == 23 and value[4:5] == "-" and value[13:14] == ":"
