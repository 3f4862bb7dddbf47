"""What every source promises (`ingest.source`), over every kind that samlog has."""

import gzip
import os
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import pytest

from ingest.checkpoint import Checkpoints
from ingest.source import Captured, Context, Source, types
from ingest.sources import file, http, stdin, syslog
from samlog.testing import FakeClock

LIMIT = 2000
NETWORK = ["syslog-tcp", "syslog-udp", "http"]
FILES = ["file", "file-once", "file-gzip"]
ENDLESS = [*NETWORK, "file"]
ALL = [*NETWORK, *FILES, "stdin"]


class Lab:
    """Opens a source of one kind, feeds it lines and reads it."""

    def __init__(self, kind: str, folder: Path) -> None:
        self.kind = kind
        self.clock = FakeClock()
        self.wake = threading.Event()
        self._path = folder / "state" / "collect.db"
        self._input = folder / "input.log"
        self._checkpoints = Checkpoints(self._path)
        self._sessions = 0
        self._threads: list[threading.Thread] = []
        self._opened: list[Source] = []
        self._pipe: tuple[int, int] | None = None
        self._open: dict[str, Callable[[Context], Any]] = {
            "file": lambda c: self._file(c, True),
            "file-once": lambda c: self._file(c, False),
            "file-gzip": lambda c: self._file(c, False),
            "stdin": self._stdin,
            "syslog-tcp": lambda c: syslog.open(self._config("syslog", protocol="tcp"), c),
            "syslog-udp": lambda c: syslog.open(self._config("syslog", protocol="udp"), c),
            "http": lambda c: http.open(self._config("http"), c),
        }

    def open(self) -> Any:
        self._sessions += 1
        session = f"session{self._sessions}"
        context = Context(
            self._checkpoints, self.clock, "here", session, wake=self.wake, max_event_bytes=LIMIT
        )
        source = self._open[self.kind](context)
        self._opened.append(source)
        return source

    def reopen(self) -> Any:
        """Ends as a process does, and starts again."""
        self.close()
        self._checkpoints = Checkpoints(self._path)
        return self.open()

    def write(self, lines: list[bytes]) -> None:
        """Puts ``lines`` where the source finds them once it is open (files: at once)."""
        content = b"".join(line + b"\n" for line in lines)
        if self.kind == "file-gzip":
            content = gzip.compress(content)
        with self._input.open("ab") as target:
            target.write(content)

    def send(self, source: Any, lines: list[bytes]) -> None:
        content = b"".join(line + b"\n" for line in lines)
        if self.kind.startswith("file"):
            return
        if self.kind == "stdin":
            assert self._pipe
            os.write(self._pipe[1], content)
        elif self.kind == "syslog-tcp":
            with socket.create_connection(source.address) as tcp:
                tcp.sendall(content)
        elif self.kind == "syslog-udp":
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
                for line in lines:
                    udp.sendto(line, source.address)
        else:
            url = f"http://127.0.0.1:{source.address[1]}/"
            call = threading.Thread(
                target=lambda: httpx.post(url, content=content, timeout=30, trust_env=False)
            )
            call.start()
            self._threads.append(call)

    def fed(self, lines: list[bytes]) -> Any:
        """Returns an open source for which ``lines`` are there."""
        self.write(lines)
        source = self.open()
        self.send(source, lines)
        return source

    def read(self, source: Any, number: int, max_records: int = 1000) -> list[Captured]:
        found: list[Captured] = []
        deadline = time.monotonic() + 20
        while len(found) < number and time.monotonic() < deadline:
            self.clock.advance(1)
            found += source.read(max_records, 1 << 20)
            if len(found) < number:
                self.wake.wait(0.02)
                self.wake.clear()
        return found

    def acknowledge(self, source: Source) -> None:
        with self._checkpoints.transaction():
            source.acknowledge()

    def until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 20
        while not condition():
            assert time.monotonic() < deadline, "it did not happen"
            self.wake.wait(0.02)
            self.wake.clear()

    def close(self) -> None:
        for source in self._opened:
            self.acknowledge(source) if self._threads else None
            source.close()
        for thread in self._threads:
            thread.join(20)
        self._threads.clear()
        self._opened.clear()
        self._checkpoints.close()
        if self._pipe:
            os.close(self._pipe[0])
            os.close(self._pipe[1])
            self._pipe = None

    def _config(self, name: str, **keys: Any) -> Any:
        listen = {} if name in ("file", "stdin") else {"listen": "127.0.0.1:0"}
        return types()[name](**{"type": name, "unit": "a", **listen, **keys})

    def _file(self, context: Context, follow: bool) -> Source:
        config = self._config("file", paths=[str(self._input)], follow=follow)
        return file.open(config, context)

    def _stdin(self, context: Context) -> Source:
        self._pipe = os.pipe()
        return stdin.StdinSource(self._config("stdin"), context, self._pipe[0])


@pytest.fixture
def lab(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Lab]:
    made = Lab(request.param, tmp_path)
    yield made
    made.close()


def over(*kinds: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("lab", kinds, indirect=True)


@over(*ALL)
def test_events_come_in_order_and_byte_by_byte(lab: Lab) -> None:
    lines = [b"<34>%d \xff\xfe\x00 \xc3\xa6 {" % number for number in range(50)]

    found = lab.read(lab.fed(lines), 50)

    assert [one.value for one in found] == lines


@over(*ALL)
def test_every_event_has_an_origin_of_its_own_and_a_time_of_receipt(lab: Lab) -> None:
    found = lab.read(lab.fed([b"<34>the same line"] * 20), 20)

    assert len({one.headers["origin"] for one in found}) == 20
    time_of_receipt = rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z"
    assert all(re.fullmatch(time_of_receipt, one.headers["received"]) for one in found)


@over(*ALL)
def test_an_event_over_the_limit_is_cut_with_its_length_and_hash(lab: Lab) -> None:
    big = b"<34>" + b"x" * 9000

    first, second = lab.read(lab.fed([big, b"<34>next"]), 2)

    assert first.value == big[:LIMIT]
    assert first.headers["full-length"] == b"9004"
    assert first.headers["full-sha256"] == sha256(big).hexdigest().encode()
    assert second.value == b"<34>next"
    assert "full-length" not in second.headers


@over(*ALL)
def test_nothing_there_gives_nothing_at_once(lab: Lab) -> None:
    source = lab.open()

    assert list(source.read(10, 1000)) == []


@over(*NETWORK, "stdin")
def test_no_more_is_read_than_asked_for(lab: Lab) -> None:
    source = lab.fed([b"<34>%d" % number for number in range(30)])

    sizes = []
    while sum(sizes) < 30:
        sizes.append(len(lab.read(source, 1, max_records=7)))

    assert max(sizes) <= 7


@over(*ENDLESS)
def test_what_listens_or_follows_is_finished_only_after_it_was_drained(lab: Lab) -> None:
    source = lab.fed([b"<34>one"])
    lab.read(source, 1)
    assert not source.finite
    assert not source.finished

    lab.acknowledge(source)
    source.drain()

    lab.until(lambda: not source.read(10, 1000) and source.finished)


@over("file-once", "file-gzip")
def test_what_has_an_end_is_finished_when_it_was_read(lab: Lab) -> None:
    source = lab.fed([b"one", b"two"])
    assert source.finite
    assert not source.finished

    lab.read(source, 2)
    source.read(10, 1000)

    assert source.finished


@over(*FILES)
def test_what_was_acknowledged_is_not_read_again(lab: Lab) -> None:
    lines = [b"line %d" % number for number in range(200)]
    source = lab.fed(lines)
    lab.read(source, 200)
    lab.acknowledge(source)
    more = [b"line %d" % number for number in range(200, 205)]
    lab.write(more)

    again = lab.read(lab.reopen(), 5)

    assert [one.value for one in again] == more


@over(*FILES)
def test_what_was_not_acknowledged_is_read_again_with_the_same_origins(lab: Lab) -> None:
    lines = [b"line %d" % number for number in range(200)]
    first = lab.read(lab.fed(lines), 200)

    again = lab.read(lab.reopen(), 200)

    assert [one.value for one in again] == lines
    assert [one.headers["origin"] for one in again] == [one.headers["origin"] for one in first]


@over(*NETWORK, "stdin")
def test_what_has_no_position_never_uses_an_origin_again(lab: Lab) -> None:
    lines = [b"<34>%d" % number for number in range(5)]
    first = lab.read(lab.fed(lines), 5)
    source = lab.reopen()
    lab.send(source, lines)

    second = lab.read(source, 5)

    origins = {one.headers["origin"] for one in first + second}
    assert len(origins) == 10


@over("syslog-tcp", "syslog-udp", "stdin")
def test_what_was_accepted_and_does_not_come_again_is_still_read_after_closing(lab: Lab) -> None:
    source = lab.fed([b"<34>%d" % number for number in range(30)])
    found = len(lab.read(source, 1, max_records=1))
    assert not source.repeats

    source.close()

    while rest := source.read(7, 1 << 20):
        found += len(rest)
    assert found == 30


@over(*ALL)
def test_it_may_be_closed_twice(lab: Lab) -> None:
    source = lab.fed([b"<34>one"])
    lab.read(source, 1)
    lab.acknowledge(source)

    source.close()
    source.close()
