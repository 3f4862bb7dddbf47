"""XML in Windows' own order is read by one pattern; any other order gives the same event."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from normalize.windows import xml_event

NAME = st.text(st.characters(exclude_characters="<>&'\"", min_codepoint=32), max_size=12)
HEAD = (
    "<Provider Name={q}{provider}{q} Guid={q}{{guid}}{q}/><EventID>{code}</EventID>"
    "<Version>2</Version><Level>4</Level><Task>1</Task><Opcode>0</Opcode>"
    "<Keywords>0x8020000000000000</Keywords>"
)
TIME = "<TimeCreated SystemTime={q}2026-01-10T12:00:00.5Z{q}/>"
TAIL = (
    "<EventRecordID>7</EventRecordID><Correlation ActivityID={q}{{a}}{q}/>"
    "<Execution ProcessID={q}4{q} ThreadID={q}8{q}/><Channel>{channel}</Channel>"
    "<Computer>srv-ø.example.dk</Computer><Security UserID={q}S-1-5-18{q}/>"
)


def event_of(system: str, data: str) -> tuple[object, ...]:
    event = xml_event.read(f"<Event><System>{system}</System><EventData>{data}</EventData></Event>")
    return (event.out, event.data, event.channel, event.provider, event.code, event.irregular)


@given(
    NAME,
    NAME,
    st.integers(0, 65535),
    st.dictionaries(NAME, NAME, max_size=4),
    st.sampled_from("'\""),
)
def test_the_order_of_the_system_part_does_not_matter(
    provider: str, channel: str, code: int, fields: dict[str, str], quote: str
) -> None:
    known = {"provider": provider, "channel": channel, "code": code, "q": quote}
    head, time, tail = (part.format(**known) for part in (HEAD, TIME, TAIL))
    data = "".join(
        f"<Data Name={quote}{name}{quote}>{text}</Data>" for name, text in fields.items()
    )
    assert event_of(head + time + tail, data) == event_of(time + head + tail, data)
    assert event_of(head + time + tail, data)[5] is False


@pytest.mark.parametrize("end", ["/>", "></{}>", " />"])
def test_empty_elements_end_as_windows_and_the_evtx_library_write_them(end: str) -> None:
    head, time, tail = (
        part.format(provider="p", channel="c", code=1, q='"') for part in (HEAD, TIME, TAIL)
    )
    usual = event_of(head + time + tail, "")
    written = (head + time + tail).split("/>")
    names = ("Provider", "TimeCreated", "Correlation", "Execution", "Security")
    other = "".join(part + end.format(name) for part, name in zip(written, names, strict=False))
    assert event_of(other, "") == usual


def test_events_of_one_kind_do_not_share_their_keywords() -> None:
    head, time, tail = (
        part.format(provider="p", channel="c", code=1, q='"') for part in (HEAD, TIME, TAIL)
    )
    system = head + time + tail
    text = f"<Event><System>{system}</System><EventData></EventData>"
    rendered = "<RenderingInfo><Keywords><Keyword>Own</Keyword></Keywords></RenderingInfo></Event>"
    first = xml_event.read(text + rendered).out["winlog.keywords"]
    second = xml_event.read(text + "</Event>").out["winlog.keywords"]
    assert "Own" in first
    assert "Own" not in second


def test_hostile_system_parts_are_read_in_linear_time() -> None:
    for part in ("<TimeCreated SystemTime=", " " * 9, "<Correlation", "</TimeCreated>", "'"):
        text = f"<Event><System>{HEAD.format(provider='p', code=1, q='`')}{part * 8_000}"
        assert xml_event.read(text).irregular
