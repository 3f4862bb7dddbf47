"""What `samlog doctor` and `samlog alerts` tell of alerts that a sink refused or never got."""

from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from typing import Any

import orjson
import pytest

from alerts.database import Database
from alerts.outbox import Outbox
from alerts.step import AlertStep
from samlog.bus.base import Message
from samlog.cli.doctor_ import examine
from samlog.cli.finding import Finding
from samlog.clock import SystemClock
from samlog.errors import Exit
from samlog.event import DETECTIONS
from samlog.metrics import Metrics

Cli = Callable[..., Any]
NOW = SystemClock().now()


@pytest.fixture
def database(deployment: Any) -> Iterator[Database]:
    opened = Database(deployment.data)
    yield opened
    opened.close()


@pytest.fixture
def outbox(database: Database) -> Outbox:
    """Returns an outbox in which three alerts wait, made now, an hour and ten days ago."""
    made = Outbox(database)
    for sink in ("file", "webhook"):
        made.join(sink)
    with database.transaction() as db:
        for number, age in enumerate((timedelta(days=10), timedelta(hours=1), timedelta()), 1):
            db.execute(
                "INSERT INTO revisions (alert, unit, priority, body, made_at) VALUES (?,?,?,?,?)",
                (f"alert-{number}", "enheda", 1, b"{}", (NOW - age).timestamp()),
            )
    return made


def accept(outbox: Outbox, sink: str, upto: int, *, refused: str = "") -> None:
    outbox.take(sink, "me", NOW)
    outbox.sent(sink, "me", upto, refused=refused)


def findings(deployment: Any) -> list[Finding]:
    found = examine(deployment.config, SystemClock())
    return [f for f in found if f.about == "sink" and f.exit != Exit.DONE]


def test_doctor_tells_what_a_sink_refused_of_which_time_and_why(
    deployment: Any, outbox: Outbox
) -> None:
    outbox.forget("webhook")
    accept(outbox, "file", 3, refused="413 too large")

    (finding,) = findings(deployment)

    assert finding.what.startswith("file refused a revision of alert alert-3 of 20")
    assert finding.what.endswith("Z: 413 too large")
    assert finding.next.startswith("samlog alerts show alert-3; when that is mended: samlog alerts")
    assert "resend --to 'file' --since 20" in finding.next


def test_doctor_tells_old_refusals_no_more(deployment: Any, outbox: Outbox) -> None:
    outbox.forget("webhook")
    accept(outbox, "file", 1, refused="413 too large")
    accept(outbox, "file", 3)

    assert findings(deployment) == []
    assert [r.alert for r in outbox.refusals()] == ["alert-1"]


def test_what_was_refused_and_is_accepted_the_second_time_is_refused_no_more(
    outbox: Outbox,
) -> None:
    for number in (1, 2, 3):
        accept(outbox, "file", number, refused="422")
    outbox.rewind("file", 1)

    accept(outbox, "file", 3)

    assert [(r.alert, r.reason) for r in outbox.refusals()] == [("alert-1", "422")]


def test_doctor_tells_of_alerts_that_wait_for_a_name_that_no_sink_has(
    deployment: Any, outbox: Outbox
) -> None:
    accept(outbox, "file", 3)
    accept(outbox, "webhook", 1)

    (finding,) = findings(deployment)

    assert finding.what == "webhook: 2 alert revisions wait, and no sink has that name any more"
    assert "samlog alerts resend --from-sink 'webhook' --to NEW" in finding.next
    assert "samlog alerts forget 'webhook'" in finding.next


def test_resend_gives_a_renamed_sink_what_its_old_name_had_not_got(
    cli: Cli, deployment: Any, outbox: Outbox
) -> None:
    accept(outbox, "file", 3)
    accept(outbox, "webhook", 1)

    told = cli(
        "alerts", "resend", "--from-sink", "webhook", "--to", "file", "-c", deployment.config
    )

    assert told.code == 0, told.err
    assert "file: 2 alert revisions wait now" in told.err
    assert [r.alert for r in outbox.take("file", "me", NOW)] == ["alert-2", "alert-3"]
    assert "webhook" not in outbox.waiting()


def test_resend_gives_a_sink_what_was_made_since_a_time(
    cli: Cli, deployment: Any, outbox: Outbox
) -> None:
    accept(outbox, "file", 3)

    cli("alerts", "resend", "--since", "2h", "--to", "file", "-c", deployment.config)

    assert [r.alert for r in outbox.take("file", "me", NOW)] == ["alert-2", "alert-3"]


def test_resend_is_not_undone_by_whoever_is_sending(
    cli: Cli, deployment: Any, outbox: Outbox
) -> None:
    outbox.take("file", "sending", NOW)

    cli("alerts", "resend", "--since", "30d", "--to", "file", "-c", deployment.config)

    assert not outbox.sent("file", "sending", 3)
    assert outbox.waiting()["file"][0] == 3


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["resend", "--to", "cert", "--since", "2h"], 78, "no sink is called 'cert'; known: file"),
        (["resend", "--to", "file", "--from-sink", "x"], 78, "never went to a sink 'x'; known: "),
        (["resend", "--to", "file"], 2, "give either --from-sink or --since"),
        (["forget", "file"], 78, "'file' is a sink of the configuration"),
        (["forget", "x"], 78, "of sinks of the past: webhook"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_what_can(
    cli: Cli, deployment: Any, outbox: Outbox, words: list[str], code: int, told: str
) -> None:
    answer = cli("alerts", *words, "-c", deployment.config)

    assert answer.code == code
    assert told in answer.err
    assert {sink: count for sink, (count, _) in outbox.waiting().items()} == {
        "file": 3,
        "webhook": 3,
    }


def test_forget_drops_what_waits_for_a_sink_of_the_past(
    cli: Cli, deployment: Any, outbox: Outbox
) -> None:
    cli("alerts", "forget", "webhook", "-c", deployment.config)

    assert list(outbox.waiting()) == ["file"]


def test_show_tells_who_refused_an_alert_and_why(
    cli: Cli, deployment: Any, database: Database
) -> None:
    detection = {
        "id": "d1",
        "unit": "enheda",
        "event_id": "e1",
        "event_sha256": "ab" * 32,
        "index": "logs-system.auth-enheda",
        "timestamp": "2026-01-10T12:00:00.000Z",
        "detected": "2026-01-10T12:00:01.000Z",
        "rule": {"id": "r1", "title": "Rule", "level": "high", "author": "A", "tags": []},
        "context": {"user.name": "anna"},
    }
    with closing(AlertStep(deployment.data, {}, (), SystemClock(), Metrics())) as step:
        step.process(Message(DETECTIONS, 0, 1, b"enheda", orjson.dumps(detection), {}, 0))
        step.flush()
    number, body = database.sql.execute("SELECT number, body FROM revisions").fetchone()
    with database.transaction() as db:
        db.execute("INSERT INTO refusals VALUES ('cert', ?, '422 no such unit\x1b[2J')", (number,))

    told = cli("alerts", "show", orjson.loads(body)["id"], "-c", deployment.config)

    (line,) = [line for line in told.out.splitlines() if line.startswith("refused")]
    assert line.startswith("refused   by cert, revision of 20")
    assert line.endswith("Z: 422 no such unit\\x1b[2J")
