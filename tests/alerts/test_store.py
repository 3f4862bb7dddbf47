"""The alert store: counted once, in whatever order, by however many processes."""

import random
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest

from alerts.database import Database
from alerts.outbox import LEASE_S, Outbox
from alerts.register import Register
from alerts.store import UPDATE_INTERVAL_S, AlertStore, Sighting
from samlog.errors import ConfigError, Unavailable
from samlog.testing import FakeClock

Make = Callable[..., Sighting]


def told(database: Database) -> list[tuple[Any, ...]]:
    """Returns what does not depend on the order of arrival."""
    return sorted(
        (row["dedup_key"], row["count"], row["first_seen"], row["last_seen"], row["entity"])
        for row in Register(database).rows()
    )


def test_a_detection_delivered_twice_is_counted_once(
    store: AlertStore, database: Database, clock: FakeClock, sighting: Make
) -> None:
    store.add([sighting(1), sighting(1), sighting(2)], clock.now())
    store.add([sighting(2)], clock.now())

    [row] = Register(database).rows()
    assert row["count"] == 2


def test_an_alert_keeps_its_id_through_all_revisions(
    store: AlertStore, database: Database, clock: FakeClock, sighting: Make
) -> None:
    store.add([sighting(1)], clock.now())
    store.revise(clock.now())
    store.add([sighting(2)], clock.now())
    store.revise(clock.now(), everything=True)

    bodies = [orjson.loads(b) for (b,) in database.sql.execute("SELECT body FROM revisions")]
    assert len({body["id"] for body in bodies}) == 1
    assert [(b["type"], b["revision"], b["count"]) for b in bodies] == [
        ("alert", 1, 1),
        ("update", 2, 2),
    ]


def test_sequence_numbers_of_a_unit_have_no_gap(
    store: AlertStore, database: Database, clock: FakeClock, sighting: Make
) -> None:
    store.add([sighting(n, rule={"id": f"rule-{n}"}) for n in range(20)], clock.now())
    store.add([sighting(99, unit="enhedb")], clock.now())
    store.revise(clock.now())

    rows = database.sql.execute("SELECT unit, body FROM revisions ORDER BY number").fetchall()
    seqs = [orjson.loads(body)["seq"] for unit, body in rows if unit == "enheda"]
    assert seqs == list(range(1, 21))
    assert [orjson.loads(body)["seq"] for unit, body in rows if unit == "enhedb"] == [1]


def test_a_new_alert_is_told_at_once_and_updates_wait(
    store: AlertStore, clock: FakeClock, sighting: Make
) -> None:
    store.add([sighting(1)], clock.now())
    assert store.revise(clock.now()) == 1
    store.add([sighting(2)], clock.now())

    assert store.revise(clock.now()) == 0
    clock.advance(UPDATE_INTERVAL_S)
    assert store.revise(clock.now()) == 1


@pytest.mark.parametrize("seed", range(25))
def test_the_order_of_arrival_changes_nothing(
    tmp_path: Path, clock: FakeClock, sighting: Make, seed: int
) -> None:
    dice = random.Random(seed)
    all_of_them = [
        sighting(
            n,
            timestamp=f"2026-01-10T{dice.randrange(10, 14)}:{dice.randrange(60):02d}:00.000Z",
            context={"user.name": dice.choice(["anna", "bo"]), "host.name": f"srv{n % 3}"},
        )
        for n in range(30)
    ]
    outcomes = []
    for attempt in range(2):
        order = all_of_them + dice.sample(all_of_them, 10)
        dice.shuffle(order)
        database = Database(tmp_path / str(attempt))
        store = AlertStore(database, {})
        while order:
            size = dice.randrange(1, 9)
            store.add(order[:size], clock.now())
            del order[:size]
        outcomes.append(told(database))
        database.close()

    assert outcomes[0] == outcomes[1]


WORKER = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from conftest import make_sighting
from alerts.database import Database
from alerts.store import AlertStore
from samlog.clock import SystemClock
store = AlertStore(Database(Path(sys.argv[1])), {})
for start in range(0, 600, 20):
    store.add([make_sighting(n) for n in range(start, start + 20)], SystemClock().now())
    store.revise(SystemClock().now(), everything=True)
"""


def test_several_processes_count_each_detection_once(tmp_path: Path) -> None:
    argv = [sys.executable, "-c", WORKER, str(tmp_path), str(Path(__file__).parent)]
    workers = [subprocess.Popen(argv) for _ in range(3)]

    assert [worker.wait() for worker in workers] == [0, 0, 0]

    database = Database(tmp_path)
    rows = list(Register(database).rows())
    bodies = database.sql.execute("SELECT body FROM revisions ORDER BY number").fetchall()
    seqs = [orjson.loads(body)["seq"] for (body,) in bodies]
    database.close()
    assert sum(row["count"] for row in rows) == 600
    assert len({row["dedup_key"] for row in rows}) == len(rows)
    assert seqs == list(range(1, len(seqs) + 1))


def test_a_sink_gets_every_revision_in_order_and_none_twice(
    store: AlertStore, database: Database, clock: FakeClock, sighting: Make
) -> None:
    outbox = Outbox(database)
    outbox.join("file")
    store.add([sighting(n, rule={"id": f"rule-{n}"}) for n in range(5)], clock.now())
    store.revise(clock.now())

    first = outbox.take("file", "me", clock.now(), limit=3)
    outbox.sent("file", "me", first[-1].number)
    second = outbox.take("file", "me", clock.now())
    outbox.sent("file", "me", second[-1].number)

    numbers = [r.number for r in (*first, *second)]
    assert numbers == sorted(set(numbers))
    assert len(numbers) == 5
    assert outbox.take("file", "me", clock.now()) == []


def test_what_one_process_is_sending_no_other_takes_until_it_is_dead(
    store: AlertStore, database: Database, clock: FakeClock, sighting: Make
) -> None:
    outbox = Outbox(database)
    outbox.join("file")
    store.add([sighting(1)], clock.now())
    store.revise(clock.now())

    assert len(outbox.take("file", "one", clock.now())) == 1
    assert outbox.take("file", "two", clock.now()) == []
    clock.advance(LEASE_S + 1)
    assert len(outbox.take("file", "two", clock.now())) == 1


def test_a_new_sink_is_not_flooded_with_the_past(
    store: AlertStore, database: Database, clock: FakeClock, sighting: Make
) -> None:
    outbox = Outbox(database)
    store.add([sighting(1)], clock.now())
    store.revise(clock.now())

    outbox.join("late")

    assert outbox.take("late", "me", clock.now()) == []


def test_closing_a_high_alert_needs_a_cause(
    store: AlertStore, database: Database, clock: FakeClock, sighting: Make
) -> None:
    store.add([sighting(1)], clock.now())
    store.revise(clock.now())
    register = Register(database)
    [row] = register.rows()

    with pytest.raises(ConfigError, match="needs a cause"):
        register.change(row["id"], "closed", "eva", clock.now())

    register.change(row["id"], "closed", "eva", clock.now(), cause="test account")
    store.revise(clock.now())
    closed = orjson.loads(register.latest(row["id"]))
    assert closed["type"] == "close"
    assert closed["state"]["actor"] == "eva"
    assert register.history(row["id"])[0]["note"] == "test account"


def closed_alert(store: AlertStore, database: Database, clock: FakeClock) -> str:
    """Returns the id of the one alert, which was told and then closed, and that told too."""
    store.revise(clock.now())
    register = Register(database)
    [row] = register.rows()
    register.change(row["id"], "closed", "eva", clock.now(), cause="test account")
    store.revise(clock.now())
    return str(row["id"])


def types(database: Database) -> list[tuple[str, str]]:
    bodies = database.sql.execute("SELECT body FROM revisions ORDER BY number")
    told = [orjson.loads(body) for (body,) in bodies]
    return [(one["type"], one["state"]["status"]) for one in told]


def test_a_closed_alert_that_is_detected_again_is_new_again_and_told_at_once(
    store: AlertStore, database: Database, clock: FakeClock, sighting: Make
) -> None:
    store.add([sighting(1)], clock.now())
    alert = closed_alert(store, database, clock)

    store.add([sighting(2), sighting(3)], clock.now())
    store.revise(clock.now())

    assert types(database) == [("alert", "new"), ("close", "closed"), ("update", "new")]
    again = Register(database).history(alert)[-1]
    assert (again["actor"], again["note"]) == ("system", "detected again after it was closed")


def test_a_detection_that_is_repeated_after_the_alert_was_closed_does_not_open_it(
    store: AlertStore, database: Database, clock: FakeClock, sighting: Make
) -> None:
    store.add([sighting(1)], clock.now())
    closed_alert(store, database, clock)

    store.add([sighting(1)], clock.now())
    store.revise(clock.now(), everything=True)

    assert types(database) == [("alert", "new"), ("close", "closed")]


def test_an_alert_that_was_opened_again_can_be_closed_again(
    store: AlertStore, database: Database, clock: FakeClock, sighting: Make
) -> None:
    store.add([sighting(1)], clock.now())
    closed_alert(store, database, clock)
    store.add([sighting(2)], clock.now())

    closed_alert(store, database, clock)

    assert types(database)[-2:] == [("update", "new"), ("close", "closed")]


def test_updates_go_on_after_a_clock_that_was_ahead_was_corrected(
    store: AlertStore, clock: FakeClock, sighting: Make
) -> None:
    right = clock.now()
    clock.set_wall(right + timedelta(hours=2))
    store.add([sighting(1)], clock.now())
    store.revise(clock.now())
    store.add([sighting(2)], clock.now())
    clock.set_wall(right)

    assert store.revise(clock.now()) == 1


def test_a_lease_of_a_clock_that_was_ahead_holds_nobody_up(
    store: AlertStore, database: Database, clock: FakeClock, sighting: Make
) -> None:
    outbox = Outbox(database)
    outbox.join("file")
    store.add([sighting(1)], clock.now())
    store.revise(clock.now())
    right = clock.now()
    outbox.take("file", "killed", right + timedelta(hours=2))

    assert len(outbox.take("file", "successor", right)) == 1


def test_a_lease_holds_against_whoever_looked_at_the_clock_a_little_before(
    store: AlertStore, database: Database, clock: FakeClock, sighting: Make
) -> None:
    outbox = Outbox(database)
    outbox.join("file")
    store.add([sighting(1)], clock.now())
    store.revise(clock.now())
    outbox.take("file", "one", clock.now() + timedelta(seconds=1))

    assert outbox.take("file", "two", clock.now()) == []


def test_an_id_that_fits_no_alert_says_how_to_list_them(database: Database) -> None:
    with pytest.raises(ConfigError, match="samlog alerts ls"):
        Register(database).resolve("0")


def test_a_store_that_cannot_be_opened_is_unavailable_with_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")

    with pytest.raises(Unavailable, match="alert store"):
        Database(tmp_path / "file")
