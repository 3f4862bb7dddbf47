"""`samlog parse`: lines alone and lines in an envelope with an id."""

from datetime import UTC, datetime

import orjson
import pytest

from normalize.frame import Normalizer
from normalize.parse import parse_envelope_line, parse_record
from normalize.registry import Registry
from samlog.errors import BadEvent

NOW = datetime(2026, 1, 10, 15, 0, tzinfo=UTC)
LINE = "Jan 10 13:37:01 web1 sshd[811]: Invalid user x from 203.0.113.7 port 1"


@pytest.fixture
def normalizer(registry: Registry) -> Normalizer:
    return Normalizer({}, registry)


def answer(line: object, normalizer: Normalizer) -> list[dict[str, object]]:
    found = parse_envelope_line(orjson.dumps(line), normalizer, received=NOW)
    return [orjson.loads(one) for one in found]


def test_the_id_comes_back_with_the_document(normalizer: Normalizer) -> None:
    (found,) = answer({"id": "a-1", "source": "linux_auth", "input": {"message": LINE}}, normalizer)
    assert found["id"] == "a-1"
    assert found["doc"]["source.ip"] == "203.0.113.7"  # type: ignore[index]  # a document is there


def test_nothing_to_store_is_null(normalizer: Normalizer) -> None:
    assert answer({"id": 7, "input": {"message": " "}}, normalizer) == [{"id": 7, "doc": None}]


def test_a_batch_gives_a_line_for_each_event(normalizer: Normalizer) -> None:
    batch = {"id": 1, "input": {"Records": [{"a": 1}, {"a": 2}]}}
    assert [found["id"] for found in answer(batch, normalizer)] == [1, 1]


@pytest.mark.parametrize("line", [b"", b"{", b"[]", b'{"id":1}', b'{"id":1,"input":"x"}'])
def test_what_is_no_envelope_is_refused(line: bytes, normalizer: Normalizer) -> None:
    with pytest.raises(BadEvent, match="invalid_envelope"):
        parse_envelope_line(line, normalizer, received=NOW)


def test_a_raw_line_needs_no_envelope(normalizer: Normalizer) -> None:
    (event,) = parse_record(LINE.encode(), normalizer, received=NOW)
    assert event["event.action"] == "ssh_login"
