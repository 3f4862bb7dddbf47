"""One stage's process: what it tells while it waits, and how it comes to its end."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from ingest.checkpoint import Checkpoints
from ingest.collect import Collector
from ingest.source import Context, open_sources, types
from samlog import pipeline
from samlog.cli.housekeeping import EVERY_S, HOLD_S, Housekeeping
from samlog.cli.stage_ import Control, StageClock
from samlog.errors import Unavailable
from samlog.store.base import PLATFORM_UNIT, Document, Query
from samlog.testing import CollectingProducer, FakeClock


@pytest.fixture
def handlers() -> Iterator[None]:
    before = {n: signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def pipe() -> Iterator[tuple[int, Callable[[], None]]]:
    """The end that a stage reads, and what its supervisor does to close the other."""
    read_end, write_end = os.pipe()
    open_ends = {write_end}

    def close() -> None:
        if write_end in open_ends:
            open_ends.remove(write_end)
            os.close(write_end)

    yield read_end, close
    close()
    os.close(read_end)


def test_the_end_of_the_pipe_means_drain_where_somebody_waits_for_the_end(
    handlers: None, pipe: tuple[int, Callable[[], None]]
) -> None:
    control = Control(pipe[0], until_idle=True)
    assert not control.draining()

    pipe[1]()

    assert control.draining()
    assert not control.stopping()
    assert control.exit_code() == 0


def test_the_end_of_the_pipe_means_stop_where_nobody_does(
    handlers: None, pipe: tuple[int, Callable[[], None]]
) -> None:
    control = Control(pipe[0], until_idle=False)
    assert not control.stopping()

    pipe[1]()

    assert control.stopping()
    assert not control.draining()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_means_stop_and_is_told_from_the_end(
    handlers: None, number: signal.Signals, code: int
) -> None:
    control = Control(-1, until_idle=True)

    os.kill(os.getpid(), number)

    assert control.stopping()
    assert control.exit_code() == code


def test_hup_asks_once_for_new_rules_and_stops_nothing(handlers: None) -> None:
    control = Control(-1, until_idle=True)

    os.kill(os.getpid(), signal.SIGHUP)

    assert [control.take_reload(), control.take_reload()] == [True, False]
    assert not control.stopping()


def test_a_hup_that_came_while_the_stage_was_loading_is_taken(handlers: None) -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGHUP])
    # To this thread: one of the process would be taken by any other, and end it.
    signal.raise_signal(signal.SIGHUP)

    control = Control(-1, until_idle=True)

    assert control.take_reload()
    assert not control.stopping()


def test_a_stage_that_waits_for_a_server_is_woken_to_stop() -> None:
    stop = threading.Event()
    clock = StageClock(stop)
    timer = threading.Timer(0.01, stop.set)
    timer.start()

    clock.sleep(3_600)
    clock.sleep(3_600)

    assert stop.is_set()
    timer.join()


def test_a_collector_that_waits_for_the_bus_is_alive_and_says_why(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_bytes(b"one\n")
    told: list[str] = []
    checkpoints = Checkpoints(tmp_path / "collect.db")
    clock = FakeClock()
    context = Context(checkpoints=checkpoints, clock=clock, collector="c", session="s", finite=True)
    config = types()["file"](type="file", unit="enheda", paths=[str(log)])  # type: ignore[call-arg] # of the type
    collector = Collector(
        open_sources([config], context),
        lambda: CollectingProducer(failures=1),
        checkpoints,
        clock,
        collector="c",
    )

    collector.run(
        threading.Event(), until_idle=True, on_turn=lambda: told.append(collector.problem)
    )

    assert "the broker is gone" in told
    assert collector.problem == ""
    collector.close()
    checkpoints.close()


def test_retention_is_applied_at_the_start_and_every_ten_minutes(tmp_path: Path) -> None:
    clock, calls = FakeClock(), list[float]()

    def keep() -> int:
        calls.append(clock.monotonic_s())
        return 0

    house = Housekeeping(keep, clock, tmp_path / "note")
    for _ in range(3):
        house.turn()
    clock.advance(EVERY_S)
    house.turn()

    assert calls == [0, EVERY_S]


def test_retention_that_cannot_be_applied_now_is_put_off(tmp_path: Path) -> None:
    clock, calls = FakeClock(), list[float]()

    def keep() -> int:
        calls.append(clock.monotonic_s())
        raise Unavailable("the store is down")

    house = Housekeeping(keep, clock, tmp_path / "note")
    house.turn()
    clock.advance(EVERY_S)
    house.turn()

    assert calls == [0, EVERY_S]


@pytest.mark.parametrize(("days", "calls"), [(6, 1), (8, 0), (1_100, 0)])
def test_a_clock_that_is_far_ahead_deletes_nothing(tmp_path: Path, days: int, calls: int) -> None:
    clock, called = FakeClock(), list[float]()

    def keep() -> int:
        called.append(clock.monotonic_s())
        return 0

    Housekeeping(lambda: 0, clock, tmp_path / "note").turn()
    clock.set_wall(clock.now() + timedelta(days=days))

    house = Housekeeping(keep, clock, tmp_path / "note")
    house.turn()

    assert len(called) == calls
    clock.set_wall(clock.now() - timedelta(days=days))
    clock.advance(EVERY_S)
    house.turn()
    assert len(called) == calls + 1


def test_after_a_long_time_off_retention_is_applied_a_day_later(tmp_path: Path) -> None:
    clock, called = FakeClock(), list[float]()

    def keep() -> int:
        called.append(clock.monotonic_s())
        return 0

    (tmp_path / "note").write_text("1")
    house = Housekeeping(keep, clock, tmp_path / "note")
    while not called:
        house.turn()
        clock.advance(EVERY_S)

    assert called[0] == HOLD_S


def test_what_is_older_than_the_configuration_says_is_deleted(deployment: Any) -> None:
    deployment.write({"retention": {"events_days": 30, "bus_hours": 1}})
    settings = pipeline.load_settings(deployment.config, {}).settings
    clock = FakeClock()
    store = pipeline.open_store(settings, clock, writer=True)

    def put(name: str, unit: str) -> None:
        event = {"@timestamp": "2026-01-01T00:00:00.000Z", "event.id": name}
        store.write([Document(f"logs-test.events-{unit}", name, event)])

    put("old", "enheda")
    put("stray", PLATFORM_UNIT)
    clock.advance(timedelta(days=32).total_seconds())
    put("new", "enheda")
    bus = pipeline.open_bus(settings, clock)

    deleted = pipeline.keep_house(settings, clock, bus, store)

    assert deleted == 2
    assert [hit.id for hit in store.search(Query("*", ("enheda", PLATFORM_UNIT))).hits] == ["new"]
    store.close()
    bus.close()
