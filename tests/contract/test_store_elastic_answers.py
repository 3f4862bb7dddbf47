"""How the Elasticsearch store takes answers that a healthy server seldom gives.

A loopback server plays what a real one answers when it is busy; nothing of the client is replaced.
"""

import threading
from collections.abc import Iterator, Sequence
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import orjson
import pytest

from samlog.errors import ConfigError, Unavailable
from samlog.store.base import Document, Outcome
from samlog.store.elastic import ElasticsearchStore
from samlog.store.elastic_bulk import MAX_BODY_BYTES, MIN_BODY_BYTES, Line, split
from samlog.testing import FakeClock

CREATED, EXISTS, REFUSED = Outcome.CREATED, Outcome.EXISTS, Outcome.REFUSED


class Playing(ThreadingHTTPServer):
    """Answers bulk requests from a list: statuses of items, or one status of the whole request."""

    daemon_threads = True

    def __init__(self, answers: Sequence[list[int] | int]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers = list(answers)
        self.asked: list[list[str]] = []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def bulk(self, body: bytes) -> tuple[int, dict[str, Any]]:
        self.asked.append([orjson.loads(line)["create"]["_id"] for line in body.splitlines()[::2]])
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, int):
            return answer, {"error": _error(answer), "status": answer}
        items = [
            {"create": {"status": s} | ({"error": _error(s)} if s > 299 else {})} for s in answer
        ]
        return 200, {"items": items}


def _error(status: int) -> dict[str, str]:
    kind = {429: "es_rejected_execution_exception", 403: "cluster_block_exception"}
    return {"type": kind.get(status, "some_exception"), "reason": f"because {status}"}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Playing

    def do_GET(self) -> None:
        self._answer(200, {})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self._answer(*self.server.bulk(body))

    def _answer(self, status: int, value: dict[str, Any]) -> None:
        body = orjson.dumps(value)
        self.send_response(status)
        self.send_header("x-elastic-product", "Elasticsearch")
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def playing() -> Iterator[list[Playing]]:
    servers: list[Playing] = []
    yield servers
    for server in servers:
        server.shutdown()
        server.server_close()


def written(
    playing: list[Playing], clock: FakeClock, answers: Sequence[list[int] | int], n: int = 3
) -> tuple[Playing, list[Outcome]]:
    server = Playing(answers)
    playing.append(server)
    documents = [
        Document("logs-test.events-u", str(number), {"@timestamp": "2020-09-01T00:00:00.000Z"})
        for number in range(n)
    ]
    with closing(
        ElasticsearchStore([server.url], units=["u"], clock=clock, connections=1)
    ) as store:
        return server, [result.outcome for result in store.write(documents)]


def test_only_the_items_that_were_too_many_are_sent_again(
    playing: list[Playing], clock: FakeClock
) -> None:
    server, outcomes = written(playing, clock, [[201, 429, 400], [201]])

    assert outcomes == [CREATED, CREATED, REFUSED]
    assert server.asked == [["0", "1", "2"], ["1"]]


def test_an_item_that_was_written_before_its_repeat_exists(
    playing: list[Playing], clock: FakeClock
) -> None:
    _, outcomes = written(playing, clock, [[503, 409, 201], [409]])

    assert outcomes == [EXISTS, EXISTS, CREATED]


def test_a_request_that_is_too_much_as_a_whole_is_sent_again_whole(
    playing: list[Playing], clock: FakeClock
) -> None:
    server, outcomes = written(playing, clock, [429, 503, [201, 201, 201]])

    assert outcomes == [CREATED] * 3
    assert server.asked == [["0", "1", "2"]] * 3


def test_an_index_that_is_blocked_for_now_is_waited_for(
    playing: list[Playing], clock: FakeClock
) -> None:
    _, outcomes = written(playing, clock, [[403, 201, 201], [201]])

    assert outcomes == [CREATED] * 3


def test_a_server_that_stays_busy_is_unavailable_after_a_bounded_time(
    playing: list[Playing], clock: FakeClock
) -> None:
    with pytest.raises(Unavailable, match="busy.*because 429"):
        written(playing, clock, [[201, 429, 201], [429]])

    assert 10 < clock.monotonic_s() <= 30


@pytest.mark.parametrize("status", [500, 502, 504])
def test_a_request_whose_fate_is_unknown_is_not_repeated_without_a_look(
    playing: list[Playing], clock: FakeClock, status: int
) -> None:
    with pytest.raises(Unavailable, match=str(status)):
        written(playing, clock, [status])

    assert len(playing[0].asked) == 1


@pytest.mark.parametrize(("status", "words"), [(401, "api_key_file"), (403, "roles.yml")])
def test_a_refused_user_stops_the_stage_with_a_sentence(
    playing: list[Playing], clock: FakeClock, status: int, words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        written(playing, clock, [status])


def total(lines: list[Line]) -> int:
    return sum(len(line.data) for line in lines)


def test_parts_are_as_many_as_connections_and_none_too_large() -> None:
    lines = [Line(n, b"x" * MIN_BODY_BYTES) for n in range(10)]

    parts = list(split(lines, total(lines), 4))

    assert [line for part in parts for line in part] == lines
    assert [len(part) for part in parts] == [2, 2, 2, 2, 2]
    large = [Line(n, b"x" * (MAX_BODY_BYTES // 2 + 1)) for n in range(3)]
    assert [len(part) for part in split(large, total(large), 1)] == [1, 1, 1]


def test_what_is_small_is_not_cut() -> None:
    lines = [Line(n, b"x" * (MIN_BODY_BYTES // 4)) for n in range(6)]

    assert [len(part) for part in split(lines, total(lines), 4)] == [4, 2]


def test_a_part_is_given_before_the_next_one_is_made() -> None:
    made: list[int] = []

    def lines() -> Iterator[Line]:
        for n in range(4):
            made.append(n)
            yield Line(n, b"x" * MIN_BODY_BYTES)

    parts = split(lines(), 4 * MIN_BODY_BYTES, 4)

    assert [line.place for line in next(parts)] == [0]
    assert made == [0, 1]
