"""Whatever bytes come, a parser gives a document or `BadEvent`, in linear time."""

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from normalize.parsers import windows
from normalize.windows.values import split_args
from samlog.errors import BadEvent
from samlog.event import RawEvent

SAMPLES = sorted(
    path
    for path in (Path(__file__).parents[2] / "normalize/samples/windows").iterdir()
    if not path.name.endswith(".expected.json")
)
CONTENTS = [path.read_bytes() for path in SAMPLES]
OBJECTS = [orjson.loads(data) for path, data in zip(SAMPLES, CONTENTS, strict=True)
           if path.suffix == ".json"]  # fmt: skip
RECEIVED = datetime(2026, 3, 3, tzinfo=UTC)
EXAMPLES = int(os.environ.get("SAMLOG_FUZZ", "20000")) // 20

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**64 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=20),
    st.sampled_from(
        ["0x", "%%", "-", "2026-13-01T00:00:00.000Z", "0001-01-01 00:00:00.000", "\x00"]
    ),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=10,
)
KEYS = st.sampled_from(sorted({key for obj in OBJECTS for key in obj} | {"EventData", "UserData"}))


def run(data: bytes, obj: Any = None) -> None:
    text = data.decode("utf-8", "replace")
    raw = RawEvent("enheda", data, text, RECEIVED, json=obj, body=text)
    windows.matches(raw)
    try:
        event = windows.parse(raw)
    except BadEvent:
        return
    assert event["@timestamp"]
    assert event["event.dataset"]
    orjson.dumps(event)


@settings(max_examples=EXAMPLES, deadline=None)
@given(
    data=st.sampled_from(CONTENTS),
    cuts=st.lists(st.tuples(st.integers(0, 4000), st.binary(max_size=6)), max_size=4),
    end=st.integers(0, 6000),
)
def test_mutated_bytes_never_raise_anything_but_bad_event(
    data: bytes, cuts: list[tuple[int, bytes]], end: int
) -> None:
    for position, replacement in cuts:
        data = data[:position] + replacement + data[position + len(replacement) :]
    data = data[:end]
    try:
        obj = orjson.loads(data)
    except orjson.JSONDecodeError:
        obj = None
    run(data, obj if isinstance(obj, dict) else None)


@settings(max_examples=EXAMPLES, deadline=None)
@given(obj=st.sampled_from(OBJECTS), changes=st.dictionaries(KEYS, VALUES, max_size=5))
def test_wrong_types_in_an_object_never_raise(obj: dict[str, Any], changes: dict[str, Any]) -> None:
    run(b"{}", obj | changes)


@settings(max_examples=EXAMPLES, deadline=None)
@given(
    part=st.sampled_from(["event_data", "user_data", "process", "user", "keywords", "event_id"]),
    value=VALUES,
    code=st.sampled_from(["1", "3", "13", "22", "4624", "4688", "4719", "4769", "800", "4103"]),
    provider=st.sampled_from(
        ["Microsoft-Windows-Sysmon", "Microsoft-Windows-Security-Auditing", "PowerShell"]
    ),
)
def test_wrong_types_inside_winlog_never_raise(
    part: str, value: Any, code: str, provider: str
) -> None:
    winlog = {"channel": "X", "event_id": code, "provider_name": provider, part: value}
    run(b"{}", {"winlog": winlog})


@settings(max_examples=EXAMPLES, deadline=None)
@given(
    code=st.sampled_from(["1", "3", "12", "13", "22", "4624", "4625", "4688", "4719", "5156"]),
    provider=st.sampled_from(
        ["Microsoft-Windows-Sysmon", "Microsoft-Windows-Security-Auditing"]
    ),
    names=st.sets(
        st.sampled_from(
            ["UtcTime", "Image", "CommandLine", "Hashes", "TargetObject", "Details", "QueryResults",
             "QueryName", "SourceIp", "SourcePort", "DestinationIp", "Protocol", "IpAddress",
             "ProcessId", "NewProcessId", "TicketOptions", "NewSd", "MemberName", "ImagePath",
             "AuditPolicyChanges", "LogonType", "User"]
        ),
        max_size=8,
    ),
    value=st.one_of(st.text(max_size=40), st.lists(st.text(max_size=5), max_size=3)),
)  # fmt: skip
def test_any_text_in_any_mapped_field_never_raises(
    code: str, provider: str, names: set[str], value: Any
) -> None:
    data = dict.fromkeys(sorted(names), value)
    run(b"{}", {"winlog": {"event_id": code, "provider_name": provider, "event_data": data}})


@given(st.text(alphabet='ab "\\\t', max_size=60))
def test_arguments_hold_no_more_characters_than_their_line(line: str) -> None:
    assert sum(map(len, split_args(line))) <= len(line)


HOSTILE = [
    "<Event" * 200_000,
    "<Event><System>" + "<a b='" * 150_000,
    "<Event><System>" + "<a " * 300_000,
    "<Event><EventData>" + "<Data Name='x'>" * 60_000,
    "<Event><EventData>" + "<Data>a</Data" * 80_000,
    "<Event><System" + " " * 900_000,
    "<Event><EventData><Data>" + "&#" * 400_000 + "</Data></EventData></Event>",
    "<Event><UserData>" + "<a>" * 300_000,
    "<Event><EventData>" + "<Data Name=\"" * 80_000 + "</EventData></Event>",
    "<Event><RenderingInfo>" + "<Keywords>" * 90_000,
]  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
@pytest.mark.timeout(20)
def test_hostile_xml_of_a_megabyte_is_read_in_linear_time(text: str) -> None:
    run(text.encode())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CommandLine", '"\\' * 400_000),
        ("Hashes", "MD5=," * 200_000),
        ("QueryResults", "type:  5 a;" * 90_000),
        ("QueryName", "a." * 400_000),
        ("TargetObject", "HKLM\\" * 200_000),
    ],
)
@pytest.mark.timeout(20)
def test_hostile_values_of_a_megabyte_are_read_in_linear_time(name: str, value: str) -> None:
    for code in ("1", "13", "22"):
        data = {name: value, "UtcTime": value}
        provider = "Microsoft-Windows-Sysmon"
        run(b"{}", {"winlog": {"event_id": code, "provider_name": provider, "event_data": data}})


def test_deep_nesting_is_flattened_to_a_bound() -> None:
    deep: Any = "bund"
    for _ in range(200):
        deep = {"a": deep}
    run(b"{}", {"winlog": {"event_id": 1, "event_data": deep, "x": deep}, "host": deep})
