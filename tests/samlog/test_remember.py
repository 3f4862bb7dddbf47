"""Caches are bounded in bytes, too: one sender's endless names stay in nobody's memory."""

import ast
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from detect import text
from normalize.address import is_ip
from normalize.windows import values
from samlog.remember import remembered

ROOT = Path(__file__).parents[2]
PACKAGES = ("samlog", "ingest", "normalize", "detect", "alerts")
BOUNDED_BY_ITS_CALLER = {
    "_checked_ip": "64 characters",
    "_ip_of": "raises for what is longer than an address, and an error is not kept",
    "_plan": "64 KiB of names",
    "_day_before": "10 characters",
    "_minute": "a time stamp by its regex",
    "_second": "a time stamp by its regex",
    "_column_of": "128 characters",
    "_snake": "255 characters",
    "plain": "MAX_NAME characters",
    "read_access": "one line",
}


def test_a_short_text_is_asked_once_and_a_long_one_each_time() -> None:
    asked: list[str] = []

    @remembered(10, longest=3)
    def size(word: str) -> int:
        asked.append(word)
        return len(word)

    assert [size("abc"), size("abc"), size("abcd"), size("abcd")] == [3, 3, 4, 4]
    assert asked == ["abc", "abcd", "abcd"]


@pytest.mark.parametrize(
    "question", [is_ip, values.ip, text.number, text.address, text.moment], ids=lambda f: f.__name__
)
def test_no_question_of_any_length_is_kept(question: Callable[[str], object]) -> None:
    class Word(str):
        """A text of which can be told whether somebody still holds it."""

    word = Word("1" + "x" * 100_000)
    gone = weakref.ref(word)
    question(word)
    del word

    assert gone() is None


def cached() -> Iterator[tuple[str, ast.FunctionDef]]:
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if isinstance(node, ast.FunctionDef) and any(
                    isinstance(mark, ast.Call) and ast.unparse(mark.func) == "lru_cache"
                    for mark in node.decorator_list
                ):
                    yield str(path.relative_to(ROOT)), node


def is_text(arg: ast.arg) -> bool:
    words = ast.unparse(arg.annotation).split() if arg.annotation else ()
    return "str" in words or "bytes" in words


def test_lru_cache_is_for_what_is_no_text() -> None:
    """It keeps keys of any length: `remembered` is for texts that an event brings."""
    takes_text = [
        f"{path}: {node.name}"
        for path, node in cached()
        if node.name not in BOUNDED_BY_ITS_CALLER
        and any(
            arg.annotation is not None
            and {"str", "bytes"} & set(ast.unparse(arg.annotation).split())
            for arg in node.args.args
        )
    ]

    assert takes_text == []
