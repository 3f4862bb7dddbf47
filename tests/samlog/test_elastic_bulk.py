"""Actions of bulk requests: the same document, written so that every version indexes it rightly."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from samlog.store.base import Document
from samlog.store.elastic_bulk import create_line

PLAIN = '{"a":"C:\\\\x \\"y\\""}'
TEXT = st.text(st.sampled_from('a\\":{}\u00e5,') | st.characters(codec="utf-8"), max_size=60)


def sent(source: dict[str, object], *, as_it_came: bool = False) -> bytes:
    json = orjson.dumps(source) if as_it_came else b""
    line = create_line(0, Document("logs-test.log-enheda", "id1", source, json))
    return line.data.split(b"\n")[1]


@given(
    before=TEXT,
    original=TEXT | st.none() | st.integers(0, 9),
    nested=st.none() | st.fixed_dictionaries({"event.original": TEXT}),
    after=TEXT,
    as_it_came=st.booleans(),
)
def test_what_is_sent_is_the_document(
    before: str, original: object, nested: object, after: str, as_it_came: bool
) -> None:
    source = {"before": before, "nested": nested, "event.original": original, "after": after}

    found = orjson.loads(sent(source, as_it_came=as_it_came))

    assert found == {**source, "samlog.document_id": "id1"}


@pytest.mark.parametrize("name", ["file.path", "event.originals"])
def test_backslashes_and_quotes_of_fields_that_are_searched_are_written_as_numbers(
    name: str,
) -> None:
    line = sent({"event.original": PLAIN, name: 'C:\\x "y"'})

    assert rb'"C:\u005cx \u0022y\u0022"' in line


def test_the_original_which_is_not_searched_stays_as_short_as_it_is() -> None:
    line = sent({"file.path": "C:\\x", "event.original": PLAIN, "user.name": "a\\b"})

    assert orjson.dumps(PLAIN) in line
    assert rb"C:\u005cx" in line
    assert rb"a\u005cb" in line


def test_a_field_that_looks_like_the_original_hides_nothing() -> None:
    line = sent({"nested": {"event.original": "x\\"}, "event.original": "y\\", "z": "z\\"})

    assert b"\\\\" not in line
