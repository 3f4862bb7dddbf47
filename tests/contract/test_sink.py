"""What every alert sink promises: accepted means delivered, down means later, refused is noted."""

import os
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import orjson
import pytest

from alerts.database import Database
from alerts.delivery import Delivery
from alerts.outbox import Outbox
from alerts.sink import Sink, modules, open_sink
from alerts.sinks import file as file_sink
from alerts.sinks import webhook as webhook_sink
from samlog.errors import BadEvent, Unavailable
from samlog.metrics import Metrics
from samlog.testing import FakeClock

ALERTS = [
    orjson.dumps({"id": f"id-{n}", "seq": n, "producer": {"unit": "enheda"}, "text": "æøå"})
    for n in range(3)
]


class Webhook:
    """A real HTTP server whose answers the test chooses."""

    def __init__(self) -> None:
        got: list[tuple[str, bytes]] = []
        tokens: list[str] = []
        self.answers: list[tuple[int, dict[str, str]]] = []
        answers = self.answers

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:  # noqa: N802 - the name that http.server calls
                body = self.rfile.read(int(self.headers["Content-Length"]))
                code, headers = answers.pop(0) if answers else (204, {})
                tokens.append(self.headers["Authorization"])
                if code < 300:
                    got.append((self.headers["Idempotency-Key"], body))
                self.send_response_only(code)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()

            def do_HEAD(self) -> None:  # noqa: N802 - the name that http.server calls
                self.send_response(204)
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                return

        self.got, self.tokens = got, tokens
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/alerts"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    made = Webhook()
    yield made
    made.close()


Made = tuple[Sink, Callable[[], list[bytes]]]


@pytest.fixture(
    params=["file", "webhook", "stdout", pytest.param("kafka", marks=pytest.mark.kafka)]
)
def sink(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Made]:
    """A sink of each kind, and what tells which alerts it delivered."""
    made, delivered = request.getfixturevalue(f"{request.param}_made")
    yield made, delivered
    made.close()


@pytest.fixture
def file_made(tmp_path: Path) -> Made:
    path = tmp_path / "deep/alerts.ndjson"
    config = file_sink.Config(path=path)
    return open_sink(config), lambda: path.read_bytes().splitlines()


@pytest.fixture
def webhook_made(webhook: Webhook) -> Made:
    config = webhook_sink.Config(url=webhook.url)
    return open_sink(config), lambda: [body for _, body in webhook.got]


@pytest.fixture
def stdout_made(capfdbinary: pytest.CaptureFixture[bytes]) -> Made:
    config = modules()["stdout"].Config()
    return open_sink(config), lambda: capfdbinary.readouterr().out.splitlines()


@pytest.fixture
def kafka_made(kafka_address: str) -> Iterator[Made]:
    import secrets

    from samlog.bus.kafka import KafkaBus

    topic = f"samlog.cert{secrets.token_hex(4)}"
    bus = KafkaBus([kafka_address], partitions=1)
    bus.create_topics([topic])
    config = modules()["kafka"].Config(brokers=[kafka_address], topic=topic)

    def delivered() -> list[bytes]:
        consumer = bus.consumer(f"look-{secrets.token_hex(4)}", [topic])
        found = [m.value for m in consumer.poll(max_messages=100, timeout_s=10)]
        consumer.close()
        return found

    yield open_sink(config), delivered
    bus.close()


def test_what_send_accepted_is_delivered_in_order(sink: Made) -> None:
    opened, delivered = sink

    opened.send(ALERTS)

    assert delivered() == ALERTS


def test_a_usable_sink_has_nothing_to_complain_about(sink: Made) -> None:
    opened, _ = sink

    assert opened.check() == ""


def test_closing_twice_is_harmless(sink: Made) -> None:
    opened, _ = sink

    opened.close()
    opened.close()


def test_every_sink_module_has_a_type_of_its_own() -> None:
    assert set(modules()) == {"stdout", "file", "webhook", "kafka"}


@pytest.mark.parametrize("code", [408, 425, 429, 500, 502, 503])
def test_a_busy_webhook_is_tried_again(webhook: Webhook, code: int) -> None:
    webhook.answers.append((code, {"Retry-After": "7"}))
    opened = open_sink(webhook_sink.Config(url=webhook.url))

    with pytest.raises(Unavailable) as caught:
        opened.send(ALERTS[:1])

    assert caught.value.retry_after_s == 7
    opened.close()


@pytest.mark.parametrize(
    ("code", "to_do"),
    [
        (301, "correct url"),
        (401, "renew token_file"),
        (403, "allow this token"),
        (404, "correct url"),
        (405, "correct url"),
        (407, ""),
        (410, ""),
        (415, ""),
    ],
)
def test_alerts_wait_for_what_is_not_about_the_alert(
    webhook: Webhook, code: int, to_do: str
) -> None:
    webhook.answers.append((code, {"Location": "https://elsewhere.example/"}))
    opened = open_sink(webhook_sink.Config(url=webhook.url))

    with pytest.raises(Unavailable, match=f"answers {code}.*{to_do}"):
        opened.send(ALERTS[:1])

    opened.close()


def test_a_renewed_token_is_used_without_a_restart(webhook: Webhook, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("expired")
    opened = open_sink(webhook_sink.Config(url=webhook.url, token_file=token))
    opened.send(ALERTS[:1])
    token.write_text("fresh")

    opened.send(ALERTS[:1])

    assert webhook.tokens == ["Bearer expired", "Bearer fresh"]
    opened.close()


@pytest.mark.parametrize(
    ("said", "wait_s"),
    [
        ("120", 120),
        ("0", 1),
        ("86400", 3600),
        ("Sat, 10 Jan 2026 12:02:00 GMT", 120),
        ("Sat, 10 Jan 2026 11:00:00 GMT", 5),
        ("soon", 5),
    ],
)
def test_a_webhook_says_when_to_come_again_in_seconds_or_by_date(
    webhook: Webhook, said: str, wait_s: float
) -> None:
    date = "Sat, 10 Jan 2026 12:00:00 GMT"
    webhook.answers.append((503, {"Retry-After": said, "Date": date}))
    opened = open_sink(webhook_sink.Config(url=webhook.url))

    with pytest.raises(Unavailable) as caught:
        opened.send(ALERTS[:1])

    assert caught.value.retry_after_s == wait_s
    opened.close()


def test_what_a_webhook_took_is_not_sent_again_after_it_stopped_taking(
    webhook: Webhook, tmp_path: Path
) -> None:
    clock, config = FakeClock(), webhook_sink.Config(url=webhook.url)
    database = Database(tmp_path)
    outbox = Outbox(database)
    outbox.join("webhook")
    with database.transaction() as db:
        for alert in ALERTS:
            sql = "INSERT INTO revisions (alert, unit, priority, body, made_at) VALUES (?,?,?,?,0)"
            db.execute(sql, ("a", "enheda", 1, alert))
    opened = open_sink(config)
    delivery = Delivery(tmp_path, config, opened, "me", clock, Metrics())
    webhook.answers += [(204, {}), (204, {}), (429, {"Retry-After": "60"})]

    clock.advance(delivery.turn(outbox))
    delivery.turn(outbox)

    assert [body for _, body in webhook.got] == ALERTS
    opened.close()
    database.close()


@pytest.mark.parametrize("code", [400, 409, 413, 422])
def test_what_a_webhook_refuses_for_good_is_not_repeated(webhook: Webhook, code: int) -> None:
    webhook.answers.append((code, {}))
    opened = open_sink(webhook_sink.Config(url=webhook.url))

    with pytest.raises(BadEvent, match=str(code)):
        opened.send(ALERTS[:1])

    opened.close()


def test_a_webhook_that_is_down_is_unavailable_and_check_says_so(webhook: Webhook) -> None:
    opened = open_sink(webhook_sink.Config(url=webhook.url))
    webhook.close()

    with pytest.raises(Unavailable):
        opened.send(ALERTS[:1])

    assert "webhook" in opened.check()
    opened.close()


def test_each_revision_has_its_own_idempotency_key(webhook: Webhook) -> None:
    opened = open_sink(webhook_sink.Config(url=webhook.url))

    opened.send(ALERTS)

    assert [key for key, _ in webhook.got] == ["id-0:0", "id-1:1", "id-2:2"]
    opened.close()


def test_half_a_line_left_by_a_crash_does_not_swallow_the_next_alert(tmp_path: Path) -> None:
    path = tmp_path / "alerts.ndjson"
    path.write_bytes(b'{"half": ')

    open_sink(file_sink.Config(path=path)).send(ALERTS[:1])

    assert path.read_bytes().splitlines() == [b'{"half": ', ALERTS[0]]


def test_a_file_that_cannot_be_written_is_unavailable_with_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "in-the-way").write_text("")
    opened = open_sink(file_sink.Config(path=tmp_path / "in-the-way/alerts.ndjson"))

    with pytest.raises(Unavailable, match="alert file"):
        opened.send(ALERTS)


def test_a_closed_pipe_behind_stdout_keeps_alerts_waiting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    pipe = os.fdopen(writer, "w")
    monkeypatch.setattr("sys.stdout", pipe)

    with pytest.raises(Unavailable, match="Broken pipe"):
        open_sink(modules()["stdout"].Config()).send(ALERTS)

    with pytest.raises(BrokenPipeError):
        pipe.close()
