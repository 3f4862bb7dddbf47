"""Events as XML: wevtutil, WEF's Events and RenderedText, EVTX, agents that pass XML on.

The regular form is read by patterns (137,000 a second against 51,000 by ElementTree on 1.4 kB,
the design study's figures); everything else, such as UserData, CDATA and nested elements, by
ElementTree. A document type is refused, so there are no entities to expand.
"""

import re
from collections.abc import Iterator
from functools import partial
from xml.etree import ElementTree

from normalize.bounded import Bounded
from normalize.windows.record import EventData, WindowsEvent
from normalize.windows.system import (
    identify,
    set_keywords,
    set_level,
    set_number,
    set_opcode,
    set_task,
)
from normalize.windows.times import utc_ms
from samlog.event import Event

ELEMENT = re.compile(
    r"""<([A-Za-z_][\w.-]*+)((?:\s++[\w:.-]++\s*+=\s*+(?:"[^"<]*+"|'[^'<]*+'))*+)\s*+"""
    r"""(?:(/)>|>([^<]*+)</\1\s*+>)"""
)
DATA = re.compile(
    r"""<Data(?:\s++Name\s*+=\s*+(?:"([^"<]*+)"|'([^'<]*+)'))?+\s*+(?:(/)>|>([^<]*+)</Data\s*+>)"""
)
NAMED_DATA = {
    quote: re.compile(rf"<Data Name={quote}([^{quote}<]++){quote}>([^<]*+)</Data>")
    for quote in ('"', "'")
}
_END = r"\s*+(?:/>|></{}>)\s*+"
LATER = re.compile(
    r"""<TimeCreated SystemTime=(["'])([^"'<&]*+)\1"""
    + _END.format("TimeCreated")
    + r"<EventRecordID>([^<&]*+)</EventRecordID>\s*+"
    + r"(?:<Correlation([^<>&/]*+)"
    + _END.format("Correlation")
    + r""")?+<Execution ProcessID=(["'])(\d{1,10})\5 ThreadID=(["'])(\d{1,10})\7"""
    + _END.format("Execution")
    + r"<Channel>([^<&]*+)</Channel>\s*+<Computer>([^<&]*+)</Computer>\s*+"
    + r"<Security([^<>&/]*+)"
    + _END.format("Security")
    + r"\Z"
)
"""What follows the event's kind in the System part, in the order in which Windows writes it."""
CHANNEL = 9
"""The group of `LATER` that is the channel."""
MAX_HEAD = 1_024
ATTRIBUTE = re.compile(r"""([\w:.-]++)\s*+=\s*+(?:"([^"<]*+)"|'([^'<]*+)')""")
REFERENCE = re.compile(r"&(?:#(\d{1,7}+)|#x([0-9A-Fa-f]{1,6}+)|(lt|gt|amp|quot|apos));")
NAMED = {"lt": "<", "gt": ">", "amp": "&", "quot": '"', "apos": "'"}
Element = tuple[str, dict[str, str], str]


def unescape(text: str) -> str:
    """Resolves the five named and all numeric references; what is none stays as it is."""
    return REFERENCE.sub(_resolve, text) if "&" in text else text


def _resolve(match: re.Match[str]) -> str:
    decimal, hexadecimal, name = match.groups()
    if name:
        return NAMED[name]
    number = int(decimal) if decimal else int(hexadecimal, 16)
    return chr(number) if 0 < number < 0xD800 or 0xE000 <= number < 0x110000 else match.group()


def _section(text: str, name: str) -> tuple[str, bool] | None:
    """Returns the inside of the first element ``name`` and whether its end was there."""
    start = text.find("<" + name)
    while start >= 0 and text[start + len(name) + 1 : start + len(name) + 2] not in (
        ">", " ", "/", "\t", "\r", "\n",
    ):  # fmt: skip
        start = text.find("<" + name, start + 1)
    if start < 0:
        return None
    opened = text.find(">", start)
    if opened < 0:
        return "", False
    if text[opened - 1] == "/":
        return "", True
    end = text.find(f"</{name}", opened)
    return (text[opened + 1 : end], True) if end >= 0 else (text[opened + 1 :], False)


def _elements(inside: str) -> tuple[list[Element], bool]:
    """Returns the leaf elements and whether every "<" belongs to one of them."""
    found = ELEMENT.findall(inside)
    whole = inside.count("<") == 2 * len(found) - sum(1 for item in found if item[2])
    return [
        (name, _attributes(attributes), unescape(text)) for name, attributes, _, text in found
    ], whole


def _data(inside: str) -> tuple[list[tuple[str, str]], bool]:
    """Returns name and text of EventData's elements and whether that is all there is.

    ``Data`` with nothing but a Name is read by a pattern of its own, 2.4 times as fast, and by a
    simpler one where it has a Name and is not empty: again 3 times.
    """
    tags = inside.count("<")
    named = NAMED_DATA.get(inside[11:12])
    found = named.findall(inside) if named is not None else []
    if named is not None and tags == 2 * len(found):
        if "&" in inside:
            found = [(unescape(name), unescape(text)) for name, text in found]
        return found, True
    found = DATA.findall(inside)
    if tags == 2 * len(found) - sum(1 for item in found if item[2]):
        return [(unescape(one or other), unescape(text)) for one, other, _, text in found], True
    leaves, whole = _elements(inside)
    return _named(leaves), whole


def _named(leaves: list[Element]) -> list[tuple[str, str]]:
    return [
        (attributes.get("Name") or ("" if tag == "Data" else tag), text)
        for tag, attributes, text in leaves
    ]


def _attributes(text: str) -> dict[str, str]:
    return _ATTRIBUTES[text] if text else {}


def _read_attributes(text: str) -> dict[str, str]:
    return {name: unescape(double or single) for name, double, single in ATTRIBUTE.findall(text)}


# Providers and accounts repeat: 0.1 us instead of 1.
_ATTRIBUTES: Bounded[str, dict[str, str]] = Bounded(
    _read_attributes, 4_096, lambda text: len(text) <= 256
)


def read(text: str) -> WindowsEvent:
    """Reads one ``<Event>``. What can't be read marks the event irregular and is left out.

    So does a second event in the same text: whoever cuts the input cuts between events.
    """
    event = WindowsEvent()
    system = _section(text, "System")
    usual = _usual_system(event, system[0]) if system else False
    leaves, whole = _elements(system[0]) if system and not usual else ([], usual)
    payload = _section(text, "EventData")
    regular = whole and system is not None and system[1]
    if payload is not None:
        regular = regular and payload[1]
        fields, whole = _data(payload[0])
        regular = regular and whole
    else:
        fields = []
        regular = regular and "<UserData" not in text and "</Event>" in text
    event.settled = True
    if not regular and (tree := _tree(text)) is not None:
        event.out.clear()
        _read_tree(event, tree)
    else:
        if not usual:
            _read_system(event, leaves)
        _read_data(fields, event.data)
        if "<RenderingInfo" in text:
            _read_rendering(event.out, text)
        event.irregular = not regular
    end = text.find("</Event>")
    if end >= 0 and "<Event" in text[end + 8 :]:
        event.irregular = True
    return event


def read_event_data(text: str, data: EventData) -> bool:
    """Reads ``<EventData>...</EventData>`` into ``data``; False where it could not, or not all."""
    section = _section(text, "EventData")
    if section is None:
        return False
    fields, whole = _data(section[0])
    whole = whole and section[1]
    if not whole and (tree := _tree(text)) is not None:
        fields, whole = _named(_leaves(tree)), True
    _read_data(fields, data)
    return whole


def _tree(text: str) -> ElementTree.Element | None:
    start = text.find("<Event")
    if start < 0 or "<!DOCTYPE" in text or "<!ENTITY" in text:
        return None
    try:
        return ElementTree.fromstring(text[start:].rstrip("\x00 \r\n\t"))
    except (ElementTree.ParseError, ValueError):
        return None


def _local(tag: str) -> str:
    return tag.rpartition("}")[2]


def _leaves(parent: ElementTree.Element) -> list[Element]:
    """Returns the children of ``parent``; a child with children gives its text and theirs."""
    found: list[Element] = []
    for child in parent:
        attributes = {_local(name): value for name, value in child.attrib.items()}
        found.append((_local(child.tag), attributes, "".join(child.itertext())))
    return found


def _read_tree(event: WindowsEvent, root: ElementTree.Element) -> None:
    for part in root:
        name = _local(part.tag)
        if name == "System":
            _read_system(event, _leaves(part))
        elif name in ("EventData", "ProcessingErrorData"):
            _read_data(_named(_leaves(part)), event.data)
        elif name == "UserData":
            _read_user_data(event.user_data, part)
        elif name == "RenderingInfo":
            leaves: list[Element] = [
                (_local(item.tag), {}, item.text or "") for item in part.iter() if item is not part
            ]
            _take_rendering(event.out, leaves)


def _read_user_data(target: EventData, part: ElementTree.Element) -> None:
    """Takes the leaves below the one child of UserData; repeated names become lists."""
    for child in part:
        target.setdefault("xml_name", _local(child.tag))
        for leaf in _leaf_nodes(child):
            add(target, _local(leaf.tag), leaf.text or "")


def _leaf_nodes(node: ElementTree.Element) -> Iterator[ElementTree.Element]:
    for item in node.iter():
        if len(item) == 0 and item is not node:
            yield item


def add(target: EventData, name: str, value: str) -> None:
    """Adds one field; a name that comes again gets a list."""
    known = target.get(name)
    if known is None:
        target[name] = value
    elif isinstance(known, list):
        known.append(value)
    else:
        target[name] = [known, value]


def _read_data(fields: list[tuple[str, str]], data: EventData) -> None:
    """Takes Data by its Name; unnamed ones become the list ``Data`` and ``param1``, ``param2``."""
    named: EventData = dict(fields)
    if not data and len(named) == len(fields) and "" not in named:
        data |= named
        return
    unnamed: list[str] = []
    for name, text in fields:
        if not name:
            unnamed.append(text)
        elif name in data:
            add(data, name, text)
        else:
            data[name] = text
    if unnamed:
        data["Data"] = unnamed
        for number, text in enumerate(unnamed, 1):
            data.setdefault(f"param{number}", text)


def _read_head(key: tuple[str, str]) -> WindowsEvent | None:
    """Returns what the beginning of a System part and the channel tell; None where that is unclear.

    Provider, event id, version, level, task, opcode and keywords are the kind of an event.
    """
    head, channel = key
    leaves, whole = _elements(head)
    if not whole:
        return None
    event = WindowsEvent()
    _read_system(event, [*leaves, ("Channel", {}, channel)])
    return event


_HEADS: Bounded[tuple[str, str], WindowsEvent | None] = Bounded(
    _read_head, 2_048, lambda key: len(key[0]) + len(key[1]) <= MAX_HEAD
)


def _usual_system(event: WindowsEvent, inside: str) -> bool:
    """Reads the System part as Windows writes it, 5 us instead of 21; False where it is another."""
    start = inside.find("<TimeCreated")
    later = LATER.match(inside, start) if 0 < start <= MAX_HEAD else None
    head = _HEADS[inside[:start], later[CHANNEL]] if later is not None else None
    if later is None or head is None:
        return False
    _, created, record, activity, _, pid, _, tid, _, computer, security = later.groups()
    event.channel, event.provider, event.code = head.channel, head.provider, head.code
    out = event.out
    out.update(head.out)
    out["winlog.time_created"] = created
    event.when = partial(utc_ms, created)
    out["winlog.record_id"] = record.strip()
    if activity:
        _take_system(event, "Correlation", _attributes(activity), "")
    out["winlog.process.pid"], out["winlog.process.thread.id"] = int(pid), int(tid)
    out["winlog.computer_name"] = computer.strip()
    if security:
        _take_system(event, "Security", _attributes(security), "")
    return True


def _read_system(event: WindowsEvent, leaves: list[Element]) -> None:
    out = event.out
    channel = provider = code = ""
    for tag, attributes, text in leaves:
        if tag == "Provider":
            provider = attributes.get("Name") or attributes.get("EventSourceName", "")
            if guid := attributes.get("Guid"):
                out["winlog.provider_guid"] = guid
            if source := attributes.get("EventSourceName"):
                out["winlog.event_source_name"] = source
        elif tag == "EventID":
            code = text.strip()
            if qualifiers := attributes.get("Qualifiers"):
                out["winlog.qualifiers"] = qualifiers
        elif tag == "Channel":
            channel = text.strip()
        else:
            _take_system(event, tag, attributes, text.strip())
    identify(event, channel, provider, code)


def _take_system(event: WindowsEvent, tag: str, attributes: dict[str, str], text: str) -> None:
    out = event.out
    if tag == "TimeCreated":
        created = attributes.get("SystemTime", "")
        out["winlog.time_created"] = created
        event.when = partial(utc_ms, created)
    elif tag == "EventRecordID":
        out["winlog.record_id"] = text
    elif tag == "Computer":
        out["winlog.computer_name"] = text
    elif tag == "Level":
        set_level(out, text)
    elif tag == "Task":
        set_task(out, text)
    elif tag == "Opcode":
        set_opcode(out, text)
    elif tag == "Keywords":
        set_keywords(out, text)
    elif tag == "Version":
        set_number(out, "winlog.version", text)
    elif tag == "Execution":
        set_number(out, "winlog.process.pid", attributes.get("ProcessID", ""))
        set_number(out, "winlog.process.thread.id", attributes.get("ThreadID", ""))
    elif tag == "Security":
        if sid := attributes.get("UserID") or attributes.get("UserId"):
            out["winlog.user.identifier"] = sid
    elif tag == "Correlation":
        for name, field in (
            ("ActivityID", "winlog.activity_id"),
            ("RelatedActivityID", "winlog.related_activity_id"),
        ):
            if value := attributes.get(name):
                out[field] = value
    elif text:
        out["winlog." + tag.lower()] = text


def _read_rendering(out: Event, text: str) -> None:
    section = _section(text, "RenderingInfo")
    if section is None:
        return
    leaves, _ = _elements(section[0].replace("<Keywords>", "").replace("</Keywords>", ""))
    _take_rendering(out, leaves)


def _take_rendering(out: Event, leaves: list[Element]) -> None:
    for tag, _, text in leaves:
        text = text.strip()
        if not text:
            continue
        if tag == "Message":
            out["message"] = text
        elif tag == "Level":
            out["winlog.level"] = text.lower()
            out.setdefault("log.level", text.lower())
        elif tag == "Task":
            out["winlog.task"] = text
        elif tag == "Opcode":
            out["winlog.opcode"] = text
        elif tag == "Keyword":
            words = out.get("winlog.keywords", [])
            if text not in words:
                out["winlog.keywords"] = [*words, text]
