import gzip
import json
import socket
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from samlog.errors import Unavailable


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as made:
        yield made


def http(bench: Any, **keys: Any) -> Any:
    return bench.open("http", listen="127.0.0.1:0", **keys)


def url(source: Any, path: str = "/") -> str:
    return f"http://127.0.0.1:{source.address[1]}{path}"


def post(
    pool: ThreadPoolExecutor, source: Any, content: Any, path: str = "/", **headers: str
) -> Future[httpx.Response]:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return pool.submit(
        httpx.post, url(source, path), content=content, headers=names, timeout=20, trust_env=False
    )


def delivered(bench: Any, source: Any, number: int) -> list[bytes]:
    found = bench.wait_for(source, number)
    bench.acknowledge(source)
    return [one.value for one in found]


@pytest.mark.parametrize("path", ["/", "/events"])
def test_each_line_of_a_body_is_an_event(bench: Any, pool: ThreadPoolExecutor, path: str) -> None:
    source = http(bench)
    answer = post(pool, source, b'{"a":1}\n{"b":2}\r\n\nplain text', path)

    assert delivered(bench, source, 3) == [b'{"a":1}', b'{"b":2}', b"plain text"]
    assert answer.result().status_code == 200
    assert answer.result().json() == {"events": 3}


def test_the_answer_comes_only_after_the_events_are_durable(
    bench: Any, pool: ThreadPoolExecutor
) -> None:
    source = http(bench)
    answer = post(pool, source, b"one\ntwo\n")

    bench.wait_for(source, 2)
    assert not answer.done()
    bench.acknowledge(source)

    assert answer.result().status_code == 200


def test_gzip_is_unpacked(bench: Any, pool: ThreadPoolExecutor) -> None:
    source = http(bench)
    answer = post(pool, source, gzip.compress(b"one\ntwo\n"), content_encoding="gzip")

    assert delivered(bench, source, 2) == [b"one", b"two"]
    assert answer.result().status_code == 200


def test_json_may_be_an_array_or_stretch_over_lines(bench: Any, pool: ThreadPoolExecutor) -> None:
    source = http(bench)
    events = [{"n": 1, "t": "}"}, {"n": 2}]
    body = json.dumps(events, indent=1).encode()
    post(pool, source, body, content_type="application/json; charset=utf-8")

    assert [json.loads(one) for one in delivered(bench, source, 2)] == events


def test_an_empty_body_is_answered_at_once(bench: Any, pool: ThreadPoolExecutor) -> None:
    assert post(pool, http(bench), b"").result().json() == {"events": 0}


@pytest.mark.parametrize(
    "body", [b"no gzip", gzip.compress(b"cut" * 1000)[:-9], gzip.compress(b"a") + b"more"]
)
def test_broken_gzip_is_refused_and_nothing_of_it_taken(
    bench: Any, pool: ThreadPoolExecutor, body: bytes
) -> None:
    source = http(bench)

    answer = post(pool, source, body, content_encoding="gzip").result()

    assert answer.status_code == 400
    assert "gzip" in answer.json()["error"]
    assert source.read(10, 1000) == []


def test_an_unknown_encoding_is_refused(bench: Any, pool: ThreadPoolExecutor) -> None:
    assert post(pool, http(bench), b"x", content_encoding="br").result().status_code == 415


@pytest.mark.parametrize("chunked", [True, False])
def test_a_body_over_the_limit_is_refused(
    bench: Any, pool: ThreadPoolExecutor, chunked: bool
) -> None:
    source = http(bench, max_body_bytes=2000)
    body: Any = (b"x" * 500 for _ in range(10)) if chunked else b"x" * 5000

    answer = post(pool, source, body).result()

    assert answer.status_code == 413
    assert source.read(10, 1000) == []


def test_a_gzip_bomb_is_refused(bench: Any, pool: ThreadPoolExecutor) -> None:
    source = http(bench, max_body_bytes=100_000)
    bomb = gzip.compress(b"\0" * 50_000_000)
    assert len(bomb) < 100_000

    assert post(pool, source, bomb, content_encoding="gzip").result().status_code == 413


@pytest.mark.parametrize("media_type", ["application/json", "text/plain"])
def test_a_body_of_too_many_events_is_refused(
    bench: Any, pool: ThreadPoolExecutor, media_type: str
) -> None:
    source = http(bench, max_body_events=10)

    answer = post(pool, source, b"{}\n" * 11, content_type=media_type).result()

    assert answer.status_code == 413
    assert source.read(10, 1000) == []


def test_a_sender_is_told_to_come_back_when_the_queue_is_full(
    bench: Any, pool: ThreadPoolExecutor
) -> None:
    source = http(bench, queue_bytes=1 << 16)
    first = post(pool, source, b"x" * 70_000)
    bench.until(lambda: source._inbox.full)

    refused = post(pool, source, b"y").result()
    assert refused.status_code == 429
    assert int(refused.headers["Retry-After"]) >= 1

    assert delivered(bench, source, 1) == [b"x" * 70_000]
    assert first.result().status_code == 200
    again = post(pool, source, b"y")
    assert delivered(bench, source, 1) == [b"y"]
    assert again.result().status_code == 200


def test_bodies_under_way_count_as_queued(bench: Any, pool: ThreadPoolExecutor) -> None:
    source = http(bench, queue_bytes=1 << 16)
    with socket.create_connection(source.address) as slow:
        head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n"
        slow.sendall(head + b"z" * 70_000)
        bench.until(lambda: source._coming_in >= 70_000)

        assert post(pool, source, b"y").result().status_code == 429

    bench.until(lambda: source._coming_in == 0)


def test_a_body_that_breaks_off_is_nothing(bench: Any) -> None:
    source = http(bench)
    with socket.create_connection(source.address) as broken:
        broken.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\none\ntwo\n")
        bench.until(lambda: source._coming_in > 0)
    bench.until(lambda: source._coming_in == 0)

    assert source.read(10, 1000) == []


def test_a_body_that_does_not_come_is_given_up(bench: Any) -> None:
    source = http(bench, body_timeout_s=0.1)
    with socket.create_connection(source.address) as slow:
        slow.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\none")
        slow.settimeout(20)

        assert b" 408 " in slow.recv(1000)


def test_a_body_sent_again_because_nobody_answered_gives_the_same_events(
    bench: Any, pool: ThreadPoolExecutor
) -> None:
    source = http(bench, answer_timeout_s=0.1)
    assert post(pool, source, b"one\ntwo\n").result().status_code == 503
    first = bench.wait_for(source, 2)
    assert post(pool, source, b"one\ntwo\n").result().status_code == 503
    second = bench.wait_for(source, 2)

    assert [one.headers["origin"] for one in first] == [one.headers["origin"] for one in second]


def test_an_equal_body_after_the_answer_is_new_events(bench: Any, pool: ThreadPoolExecutor) -> None:
    source = http(bench)
    origins = []
    for _ in range(2):
        answer = post(pool, source, b"one\n")
        origins += [one.headers["origin"] for one in bench.wait_for(source, 1)]
        bench.acknowledge(source)
        assert answer.result().status_code == 200

    assert len(set(origins)) == 2


def test_equal_bodies_of_two_senders_that_both_wait_are_two(
    bench: Any, pool: ThreadPoolExecutor
) -> None:
    source = http(bench)
    answers = [post(pool, source, b"one\n") for _ in range(2)]

    found = bench.wait_for(source, 2)
    bench.acknowledge(source)

    assert len({one.headers["origin"] for one in found}) == 2
    assert [answer.result().status_code for answer in answers] == [200, 200]
    assert len(source._retries) == 0


def post_and_leave(bench: Any, source: Any) -> bytes:
    """Sends one event, closes without waiting for an answer, returns the event's origin."""
    with socket.create_connection(source.address) as sender:
        sender.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\none\n")
        [event] = bench.wait_for(source, 1)
    bench.until(lambda: source._coming_in == 0)
    return bytes(event.headers["origin"])


def test_a_body_sent_again_after_its_sender_went_away_gives_the_same_events(bench: Any) -> None:
    source = http(bench)

    assert post_and_leave(bench, source) == post_and_leave(bench, source)


def test_a_sender_that_never_waits_for_its_answers_does_not_lose_all_but_one(bench: Any) -> None:
    source = http(bench)

    origins = [post_and_leave(bench, source) for _ in range(6)]

    assert len(set(origins)) == 3


def test_the_unit_in_a_body_or_header_changes_nothing(bench: Any, pool: ThreadPoolExecutor) -> None:
    source = http(bench)
    post(pool, source, b'{"unit":"b"}\n', unit="b", origin="forged")

    [one] = bench.wait_for(source, 1)
    bench.acknowledge(source)

    assert "unit" not in one.headers
    assert one.headers["origin"] != b"forged"


def test_a_line_over_the_limit_is_cut(bench: Any, pool: ThreadPoolExecutor) -> None:
    context = bench.context(max_event_bytes=1000)
    source = bench.open("http", listen="127.0.0.1:0", context=context)
    post(pool, source, b"x" * 3000 + b"\nnext\n")

    first, second = bench.wait_for(source, 2)
    bench.acknowledge(source)

    assert first.headers["full-length"] == b"3000"
    assert second.value == b"next"


def test_what_was_accepted_is_delivered_and_answered_when_it_stops(
    bench: Any, pool: ThreadPoolExecutor
) -> None:
    source = http(bench)
    answer = post(pool, source, b"one\n")
    bench.until(lambda: not source._inbox.empty)
    source.drain()

    assert delivered(bench, source, 1) == [b"one"]
    assert answer.result().status_code == 200
    bench.until(lambda: source.finished)


def test_another_method_or_path_is_refused(bench: Any) -> None:
    source = http(bench)

    assert httpx.get(url(source), trust_env=False).status_code == 405
    assert httpx.post(url(source, "/x"), trust_env=False).status_code == 404


def test_a_port_in_use_is_said_with_what_to_type(bench: Any) -> None:
    source = http(bench)

    with pytest.raises(Unavailable, match="port is in use"):
        bench.open("http", listen=f"127.0.0.1:{source.address[1]}")
