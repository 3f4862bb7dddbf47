"""The English text of an event back to EventData, for Snare, which carries nothing else.

Whoever chooses an account's name or a command line writes into that text, so what is read here is
never as certain as EventData. The first value of a field counts; a command line, which stands last,
reaches to its end whatever labels it holds.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from itertools import pairwise

from normalize.windows.inserts import names_of
from normalize.windows.record import EventData
from normalize.windows.tables_labels import (
    EXCEPTIONS,
    SECTIONS,
    SERVICE_INSTALLED,
    SESSION_CHANGED,
)

Spot = tuple[int, int, int]
"""Place of a name among its event's names, where it begins in the text, where its value begins."""
MAX_LABELS = 4096
LISTS = frozenset(("PrivilegeList", "AccessList", "AccessReason", "AuditPolicyChanges"))
"""Several lines in the text, so that a gap does not end them."""
LAST = frozenset(("CommandLine", "TaskContent", "TaskContentNew"))
"""Free text that stands last."""
GAP = re.compile(r"\s{3}")
EXPLANATIONS = ("Token Elevation Type indicates", "This event is generated", "The subject fields")
SYSMON = "microsoft-windows-sysmon"
SCRIPT = re.compile(r"Creating Scriptblock text \((\d{1,9}) of (\d{1,9})\):\s")


def _pattern(words: Iterable[str]) -> re.Pattern[str]:
    longest = sorted(map(re.escape, words), key=len, reverse=True)
    return re.compile(rf"(?<!\S)({'|'.join(longest)}):(?!\S)")


AUDIT = _pattern({*SECTIONS, *(label for labels in SECTIONS.values() for label in labels)} - {""})
INSTALLED = _pattern(SERVICE_INSTALLED)
CHANGED = _pattern(SESSION_CHANGED)


def read(provider: str, code: str, text: str) -> EventData:
    """Returns the fields that the text of an event shows, {} where its template is unknown."""
    provider = provider.lower()
    if provider in ("microsoft-windows-security-auditing", "security"):
        return _read_audit(code, text)
    if provider == SYSMON:
        return _read_in_order(names_of(provider, code, 0), text)
    if provider == "service control manager" and code == "7045":
        return _read_flat(INSTALLED, SERVICE_INSTALLED, text)
    if provider == "microsoft-windows-terminalservices-localsessionmanager":
        return _read_flat(CHANGED, SESSION_CHANGED, text)
    if provider == "microsoft-windows-powershell" and code == "4104":
        return _read_script(text)
    return {}


def _labelled(pattern: re.Pattern[str], text: str) -> Iterator[tuple[str, int, int]]:
    """Yields each label with the bounds of the text up to the next one."""
    before: tuple[str, int] | None = None
    for number, match in enumerate(pattern.finditer(text)):
        if before is not None:
            yield (*before, match.start())
        if number >= MAX_LABELS:
            return
        before = match.group(1), match.end()
    if before is not None:
        yield (*before, len(text))


def _read_audit(code: str, text: str) -> EventData:
    data: EventData = {}
    section = ""
    for label, start, end in _labelled(AUDIT, text):
        shown = text[start:end].strip()
        field = _field(code, section, label)
        if field is None or (not shown and label in SECTIONS):
            section = label if label in SECTIONS else section
        elif field in LAST and field not in data:
            data[field] = _explained(text[start:]).strip()
            return data
        elif shown:
            data.setdefault(field, _value(field, shown))
    return data


def _field(code: str, section: str, label: str) -> str | None:
    return (
        EXCEPTIONS.get((code, section, label))
        or SECTIONS[section].get(label)
        or SECTIONS[""].get(label)
    )


def _value(field: str, shown: str) -> str:
    if field in LISTS:
        return _explained(shown).strip()
    return GAP.split(shown, maxsplit=1)[0]


def _explained(text: str) -> str:
    """Returns ``text`` without what Windows explains below every event of its kind.

    The last explanation counts: one that an attacker put into a command line stays part of it.
    """
    for words in EXPLANATIONS:
        cut = text.rfind(words)
        if cut >= 0:
            return text[:cut]
    return text


def _read_flat(pattern: re.Pattern[str], fields: Mapping[str, str], text: str) -> EventData:
    data: EventData = {}
    for label, start, end in _labelled(pattern, text):
        if shown := text[start:end].strip():
            data.setdefault(fields[label], GAP.split(shown, maxsplit=1)[0])
    return data


@lru_cache(maxsize=128)
def _names(names: tuple[str, ...]) -> re.Pattern[str]:
    return _pattern(names)


def _read_in_order(names: tuple[str, ...], text: str) -> EventData:
    """Reads ``Name: value`` of Sysmon, whose fields stand in the order of its manifest.

    Names up to the command line are taken from the front, those behind it from the end, so that a
    command line which holds such names neither hides nor replaces a field.
    """
    if not names:
        return {}
    pivot = names.index("CommandLine") if "CommandLine" in names else len(names)
    spots = [
        (names.index(match.group(1)), match.start(), match.end())
        for match in _names(names).finditer(text)
    ]
    kept = _ascending(spots, pivot)
    data: EventData = {}
    for (place, _, start), (_, end, _) in pairwise([*kept, (len(names), len(text), 0)]):
        data[names[place]] = text[start:end].strip()
    return data


def _ascending(spots: list[Spot], pivot: int) -> list[Spot]:
    front: list[Spot] = []
    turn = read = 0
    while read < len(spots) and turn <= pivot:
        if turn <= spots[read][0] <= pivot:
            front.append(spots[read])
            turn = spots[read][0] + 1
        read += 1
    behind: list[Spot] = []
    for spot in reversed(spots[read:]):
        if pivot < spot[0] and (not behind or spot[0] < behind[-1][0]):
            behind.append(spot)
    return front + behind[::-1]


def _read_script(text: str) -> EventData:
    match = SCRIPT.search(text[:256])
    if match is None:
        return {}
    script, found, rest = text[match.end() :].rpartition("ScriptBlock ID:")
    if not found:
        script, rest = rest, ""
    identity, _, path = rest.partition("Path:")
    data: EventData = {
        "MessageNumber": match.group(1),
        "MessageTotal": match.group(2),
        "ScriptBlockText": script.strip(),
        "ScriptBlockId": identity.strip(),
        "Path": path.strip(),
    }
    return {name: value for name, value in data.items() if value}
