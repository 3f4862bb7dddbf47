"""Tests of fields that are no text: addresses, numbers, truth values, JSON."""

import re
from collections.abc import Iterable, Sequence

from detect.condition import FieldTest
from detect.search.syntax import NOTHING, joined, name_text, not_searchable, quoted
from detect.text import address as parsed_address
from detect.text import number as parsed_number
from samlog.ecs_types import LONG_MAX, LONG_MIN
from samlog.store.fields import Kind, kind


def address(field: str, tests: Sequence[FieldTest], word: str) -> str:
    """Writes tests of an address: itself, or its network."""
    name = name_text(field)
    parts: list[str] = []
    for test in tests:
        if test.op == "cidr" or (test.op == "eq" and parsed_address(test.arg)):
            parts.append(f"{name}:{quoted(test.arg)}")
        elif test.op == "eq":
            parts.append(NOTHING)
        elif test.op == "starts" and re.fullmatch(r"(\d{1,3}\.){1,3}", test.arg):
            octets = test.arg.rstrip(".").split(".")
            network = ".".join(octets + ["0"] * (4 - len(octets)))
            parts.append(f'{name}:"{network}/{8 * len(octets)}"')
        else:
            raise not_searchable(f"{field}, which is an address,", test.op)
    return joined(parts, word)


def number(field: str, tests: Sequence[FieldTest], word: str) -> str:
    """Writes tests of a number."""
    name = name_text(field)
    parts: list[str] = []
    for test in tests:
        value = parsed_number(test.arg) if test.op == "eq" else test.arg
        if test.op == "cmp":
            parts.append(f"{name}:{_range(*test.arg)}")
        elif test.op not in ("eq", "num"):
            raise not_searchable(f"{field}, which is a number,", test.op)
        else:
            held = _whole(value) if kind(field) is Kind.LONG else value
            parts.append(NOTHING if held is None else f"{name}:{quoted(str(held))}")
    return joined(parts, word)


def _whole(value: float | None) -> int | None:
    """Returns a number as a field of whole numbers holds it; None if it cannot."""
    if value is None or not LONG_MIN <= value <= LONG_MAX or value != value // 1:
        return None
    return int(value)


def _range(operator: str, limit: float) -> str:
    return {
        "<": f"{{* TO {limit}}}",
        "<=": f"[* TO {limit}]",
        ">": f"{{{limit} TO *}}",
        ">=": f"[{limit} TO *]",
        "==": quoted(str(limit)),
    }[operator]


def truth(field: str, tests: Sequence[FieldTest], word: str) -> str:
    """Writes tests of what is true or false."""
    parts = []
    for test in tests:
        if test.op != "eq":
            raise not_searchable(f"{field}, which is true or false,", test.op)
        known = test.arg in ("true", "false")
        parts.append(f"{name_text(field)}:{test.arg}" if known else NOTHING)
    return joined(parts, word)


def leaf(field: str, tests: Sequence[FieldTest], word: str) -> str:
    """Writes tests of what is below a flattened field: whole values, whose case counts there."""
    if any(test.op != "ceq" and not _without_case(test) for test in tests):
        raise not_searchable(f"{field}, which is kept as JSON,", tests[0].op)
    values: Iterable[str] = (quoted(test.arg) for test in tests)
    return f"{name_text(field)}:{joined(list(values), word)}"


def _without_case(test: FieldTest) -> bool:
    return test.op == "eq" and bool(test.arg == test.arg.upper())


def refused(field: str, tests: Sequence[FieldTest], word: str) -> str:
    """Refuses tests of what no query reaches."""
    raise not_searchable(f"{field}, which is {kind(field).value},", tests[0].op)
