import os
from collections.abc import Iterator
from typing import Any

import pytest

from ingest.source import types
from ingest.sources.stdin import StdinSource


@pytest.fixture
def pipe(bench: Any) -> Iterator[tuple[int, int]]:
    reading, writing = os.pipe()
    yield reading, writing
    bench.close()  # the reading thread ends before its descriptor does
    os.close(reading)


def stdin(bench: Any, descriptor: int, **keys: Any) -> Any:
    config = types()["stdin"](type="stdin", unit="a", **keys)
    source = StdinSource(config, bench.context(), descriptor)  # type: ignore[arg-type]
    bench._opened.append(source)
    return source


def test_lines_are_given_to_the_end(bench: Any, pipe: tuple[int, int]) -> None:
    os.write(pipe[1], b"one\r\ntwo\nthree")
    os.close(pipe[1])
    source = stdin(bench, pipe[0])

    found = bench.wait_for(source, 3)

    assert [one.value for one in found] == [b"one", b"two", b"three"]
    assert len({one.headers["origin"] for one in found}) == 3
    bench.until(lambda: source.finished)


def test_objects_are_given_when_asked_for(bench: Any, pipe: tuple[int, int]) -> None:
    os.write(pipe[1], b'{\n"a": 1}\n{"b": 2}')
    os.close(pipe[1])

    found = bench.wait_for(stdin(bench, pipe[0], framing="json"), 2)

    assert [one.value for one in found] == [b'{\n"a": 1}', b'{"b": 2}']


def test_an_empty_input_is_finished(bench: Any, pipe: tuple[int, int]) -> None:
    os.close(pipe[1])
    source = stdin(bench, pipe[0])

    bench.until(lambda: source.finished)
    assert source.read(10, 1000) == []


def test_a_pipe_nobody_closes_can_be_drained(bench: Any, pipe: tuple[int, int]) -> None:
    os.write(pipe[1], b"one\n")
    source = stdin(bench, pipe[0])
    found = bench.wait_for(source, 1)

    source.drain()

    bench.until(lambda: source.finished)
    assert len(found) == 1
    os.close(pipe[1])
