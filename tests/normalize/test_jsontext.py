"""JSON that is not quite JSON, and JSON that is too much."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from normalize.jsontext import array_in, capped, load, slices

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a":NaN,"b":-Infinity}', {"a": None, "b": None}),
        ('{"a":"tab\there"}', {"a": "tab\there"}),
        ('{"a":"\\ud800x"}', {"a": "\ufffdx"}),
        ('{"a":"\\ud83d\\ude00\\udc00"}', {"a": "😀\ufffd"}),
        ('{"a":"\\\\ud800\\u0001\\ud800"}', {"a": "\\ud800\x01\ufffd"}),
        ('{"a":1e999,"b":-1e999,"c":1}', {"a": None, "b": None, "c": 1}),
    ],
)
def test_what_software_writes_is_read_leniently(text: str, value: object) -> None:
    assert load(text) == (value, True)


def test_of_duplicate_keys_the_last_counts() -> None:
    assert load('{"a":1,"a":2}') == ({"a": 2}, False)


def test_numbers_beyond_64_bits_become_floats_that_can_be_written() -> None:
    value, _ = load('{"a":NaN,"b":' + "9" * 5000 + "}")
    assert orjson.dumps(value) == b'{"a":null,"b":null}'


@pytest.mark.parametrize(
    "text", ["", "{", '{"a":', "[" * 10_000 + "]" * 10_000, '{"a":' * 5_000 + "1" + "}" * 5_000]
)
def test_broken_or_too_deep_is_no_json(text: str) -> None:
    with pytest.raises(ValueError):
        load(text)


def test_values_one_after_the_other_are_told_apart() -> None:
    text = ' {"a":"}{"}\n{"b":1}, [2]  '
    assert [text[a:b] for a, b in slices(text)] == ['{"a":"}{"}', '{"b":1}', "[2]"]


def test_the_array_of_a_batch_is_found_behind_other_keys() -> None:
    text = ' { "x" : [ {"Records":[1]} ], "Records" : [ {"a":1} ] }'
    start = array_in(text, "Records")
    assert [text[a:b] for a, b in slices(text, start)] == ['{"a":1}']


def test_what_lies_too_deep_becomes_text() -> None:
    assert capped({"a": {"b": {"c": 1}}}, 2) == {"a": {"b": '{"c":1}'}}


def test_even_the_deepest_json_can_be_capped_and_written() -> None:
    value, _ = load('{"a":' * 1000 + "1" + "}" * 1000)
    assert len(orjson.dumps(capped(value))) < 200


@given(st.lists(VALUES.map(lambda v: {"v": v}), min_size=1, max_size=5))
def test_the_elements_of_an_array_are_the_values_that_it_was_made_of(values: list[object]) -> None:
    text = orjson.dumps({"n": 1, "Records": values}).decode()
    pieces = [text[a:b] for a, b in slices(text, array_in(text, "Records"))]
    assert [orjson.loads(piece) for piece in pieces] == values
