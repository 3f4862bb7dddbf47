"""Documents of Auditbeat's modules, of every version."""

from collections.abc import Callable, Mapping
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from normalize.frame import Normalizer
from normalize.parsers import auditbeat
from normalize.registry import Registry
from normalize.samples_update import RECEIVED
from samlog.errors import BadEvent
from samlog.event import Event, RawEvent

One = Callable[..., Event]
NORMALIZER = Normalizer({}, Registry())


def document(module: str, dataset: str, action: object, **more: Any) -> bytes:
    event = {"module": module, "dataset": dataset, "action": action}
    return orjson.dumps({"@timestamp": "2026-01-10T12:00:00.000Z", "event": event, **more})


@pytest.mark.parametrize(
    ("dataset", "action", "category", "kind"),
    [
        ("process", "process_started", ["process"], ["start"]),
        ("process", "existing_process", ["process"], ["info"]),
        ("socket", "network_flow", ["network"], ["connection", "info"]),
        ("login", "user_login", ["authentication"], ["start"]),
        ("user", "user_removed", ["iam"], ["user", "deletion"]),
        ("package", "package_updated", ["package"], ["change"]),
        ("host", "hostname_changed", ["host"], ["change"]),
    ],
)
def test_old_documents_get_their_categories_from_the_action(
    one: One, dataset: str, action: str, category: list[str], kind: list[str]
) -> None:
    event = one(document("system", dataset, action))
    assert event["event.dataset"] == f"auditbeat.{dataset}"
    assert (event["event.category"], event["event.type"]) == (category, kind)


def test_what_the_agent_says_about_its_event_is_believed(one: One) -> None:
    event = one(
        b'{"event":{"module":"file_integrity","action":["deleted"],"category":["file"],'
        b'"type":["deletion"],"kind":"event","dataset":"fim.event"},"file":{"path":"/a"}}'
    )
    assert event["event.dataset"] == "fim.event"
    assert event["event.type"] == ["deletion"]
    assert event["file.path"] == "/a"


def test_hashes_of_old_versions_belong_to_the_file(one: One) -> None:
    event = one(document("file_integrity", "file", ["created", "updated"], hash={"sha1": "a" * 40}))
    assert event["file.hash.sha1"] == "a" * 40
    assert event["related.hash"] == ["a" * 40]
    assert event["event.type"] == ["creation", "change"]


def test_a_process_has_the_command_line_that_rules_read(one: One) -> None:
    process = {"args": ["nc", "-e", "/bin/sh"], "executable": "/usr/bin/nc", "ppid": 7}
    event = one(document("system", "process", "process_started", process=process))
    assert event["process.command_line"] == "nc -e /bin/sh"
    assert event["process.parent.pid"] == 7


@pytest.mark.parametrize(
    "record",
    [
        {"event": {"module": "system", "dataset": "system.cpu"}, "metricset": {"name": "cpu"}},
        {"event": {"module": "system", "dataset": "system.auth"}, "message": "x"},
        {"event": {"module": "windows"}},
        {"event": "system"},
        {"event.module": ["system"]},
    ],
)
def test_other_beats_also_have_a_module_called_system(record: Mapping[str, Any]) -> None:
    raw = RawEvent("enheda", b"", "", RECEIVED, json=dict(record))
    assert not auditbeat.matches(raw)


ROOTS = ("file", "hash", "process", "system", "socket", "user", "agent", "tags")
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=12,
)


@given(
    st.fixed_dictionaries(
        {},
        optional=dict.fromkeys(
            ("file", "hash", "process", "system", "socket", "user", "agent", "tags"), json_values
        ),
    ),
    st.dictionaries(
        st.sampled_from(["action", "category", "type", "kind", "outcome"]), json_values
    ),
)
def test_no_document_breaks_the_parser(more: Mapping[str, Any], event: Mapping[str, Any]) -> None:
    record = {"event": {**event, "module": "file_integrity"}, **more}
    try:
        text = orjson.dumps(record)
    except TypeError:
        return
    try:
        made = NORMALIZER.normalize(
            text, {}, unit="enheda", key=None, position=("t", 0, 0), appended_at=RECEIVED
        )
    except BadEvent:
        return
    assert made[0]["samlog.parser"] == "auditbeat/1"
