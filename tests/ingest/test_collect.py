import os
import socket
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from ingest.checkpoint import Checkpoints
from ingest.collect import Collector, Counts
from ingest.source import Source
from samlog.bus.base import Producer, Record
from samlog.errors import Unavailable
from samlog.testing import CollectingProducer


def write(path: Path, start: int, end: int) -> Path:
    with path.open("ab") as file:
        file.write(b"".join(b"event number %d\n" % number for number in range(start, end)))
    return path


def collector(
    bench: Any, sources: list[Source], producer: Producer | None = None, **more: Any
) -> Collector:
    more.setdefault("open_producer", lambda: producer)
    return Collector(
        sources,
        checkpoints=bench.checkpoints,
        clock=bench.clock,
        collector="here",
        count=bench._count,
        jitter=lambda: 0.5,
        idle_s=0.001,
        **more,
    )


def run(bench: Any, path: Path, producer: CollectingProducer, **keys: Any) -> Counts:
    source = bench.open("file", paths=[str(path)], follow=False, **keys)
    return collector(bench, [source], producer).run(threading.Event())


def seqs(records: list[Record]) -> list[int]:
    return [int(record.headers["seq"]) for record in records]


def test_events_go_to_the_units_topic_with_their_context(bench: Any, tmp_path: Path) -> None:
    producer = CollectingProducer()
    context = {"source": "linux_auth", "tz": "Europe/Copenhagen", "zone": "dmz", "host": "web1"}
    context |= {"environment": "prod", "log_class": "LC-05", "encoding": "cp1252"}

    run(bench, write(tmp_path / "x.log", 0, 1), producer, **context)

    [record] = producer.durable
    assert record.topic == "samlog.raw.a"
    assert record.value == b"event number 0"
    assert record.headers["samlog-v"] == b"1"
    assert record.headers["collector"] == b"here"
    assert record.headers["received"] == b"2026-01-10T12:00:00.000000000Z"
    assert {name: record.headers[name].decode() for name in context} == context
    assert record.headers["origin"].endswith(b":0")


def test_context_that_is_not_configured_is_no_header(bench: Any, tmp_path: Path) -> None:
    producer = CollectingProducer()

    run(bench, write(tmp_path / "x.log", 0, 1), producer)

    [record] = producer.durable
    assert set(record.headers) == {"samlog-v", "collector", "origin", "received", "seq"}


def test_sequence_numbers_go_on_after_a_restart(bench: Any, tmp_path: Path) -> None:
    producer = CollectingProducer()
    path = write(tmp_path / "x.log", 0, 3)
    run(bench, path, producer)
    bench.restart()
    write(path, 3, 5)

    run(bench, path, producer)

    assert seqs(producer.durable) == [0, 1, 2, 3, 4]


def test_each_stream_counts_for_itself_and_has_its_own_key(bench: Any, tmp_path: Path) -> None:
    write(tmp_path / "a.log", 0, 2)
    write(tmp_path / "b.log", 0, 2)
    producer = CollectingProducer()

    run(bench, tmp_path / "*.log", producer)

    by_key: dict[bytes | None, list[int]] = {}
    for record in producer.durable:
        by_key.setdefault(record.key, []).append(int(record.headers["seq"]))
    assert list(by_key.values()) == [[0, 1], [0, 1]]


def test_a_file_whose_name_is_not_utf8_is_read_and_read_on_after_a_restart(
    bench: Any, tmp_path: Path
) -> None:
    producer = CollectingProducer()
    path = write(tmp_path / os.fsdecode(b"caf\xe9.log"), 0, 2)
    run(bench, tmp_path / "*.log", producer)
    bench.restart()
    write(path, 2, 4)

    run(bench, tmp_path / "*.log", producer)

    assert seqs(producer.durable) == [0, 1, 2, 3]
    assert {record.key for record in producer.durable} == {b"here\x1ffile:" + os.fsencode(path)}


def test_names_in_utf8_are_kept_as_the_releases_before_kept_them(
    bench: Any, tmp_path: Path
) -> None:
    run(bench, write(tmp_path / "blåbær.log", 0, 2), CollectingProducer())
    bench.close()

    with sqlite3.connect(bench.folder / "state" / "collect.db") as kept:
        rows = kept.execute("SELECT path FROM file UNION SELECT stream FROM seq").fetchall()

    assert set(rows) == {(f"{tmp_path}/blåbær.log",), (f"file:{tmp_path}/blåbær.log",)}


def test_what_a_failing_bus_did_not_take_is_sent_again_unchanged(
    bench: Any, tmp_path: Path
) -> None:
    producer = CollectingProducer(failures=3)
    path = write(tmp_path / "x.log", 0, 10)

    counts = run(bench, path, producer)

    seen = [(one.value, tuple(sorted(one.headers.items()))) for one in producer.durable]
    assert len(seen) == 25
    assert sorted(set(seen)) == sorted(seen[-10:])
    assert (counts.events, counts.retried) == (10, 3)


def test_positions_do_not_move_before_the_bus_has_taken_everything(
    bench: Any, tmp_path: Path
) -> None:
    path = write(tmp_path / "x.log", 0, 10)
    stop = threading.Event()
    producer = CollectingProducer(failures=10**9)
    producer.on_failure = stop.set
    source = bench.open("file", paths=[str(path)])
    with pytest.raises(Unavailable):
        collector(bench, [source], producer).run(stop)
    bench.restart()
    producer = CollectingProducer()

    run(bench, path, producer)

    assert seqs(producer.durable) == list(range(10))


def test_a_bus_that_is_not_there_at_the_start_is_waited_for(bench: Any, tmp_path: Path) -> None:
    producer = CollectingProducer()
    answers: Iterator[Any] = iter([Unavailable("no broker"), Unavailable("no broker"), producer])

    def open_producer() -> Producer:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer  # type: ignore[no-any-return]

    source = bench.open("file", paths=[str(write(tmp_path / "x.log", 0, 2))], follow=False)

    collector(bench, [source], open_producer=open_producer).run(threading.Event())

    assert len(producer.durable) == 2
    assert bench.clock.monotonic_s() >= 1.0


def test_positions_that_cannot_be_saved_are_tried_again(
    bench: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = bench.checkpoints.transaction
    failures = iter([True, True])

    @contextmanager
    def full_disk() -> Iterator[None]:
        with real():
            yield
            if next(failures, False):
                raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(bench.checkpoints, "transaction", full_disk)
    producer = CollectingProducer()
    path = write(tmp_path / "x.log", 0, 4)

    run(bench, path, producer)
    bench.restart()
    run(bench, path, producer)

    assert seqs(producer.durable) == [0, 1, 2, 3] * 3


def test_an_event_that_the_bus_finds_too_large_is_cut_until_it_fits(
    bench: Any, tmp_path: Path
) -> None:
    (tmp_path / "x.log").write_bytes(b"y" * 10_000 + b"\nsmall\n")
    producer = CollectingProducer(max_bytes=3_000)

    run(bench, tmp_path / "x.log", producer)

    big, small = producer.durable
    assert big.value == b"y" * 2_500
    assert big.headers["full-length"] == b"10000"
    assert small.value == b"small"


def test_cut_bytes_are_counted(bench: Any, tmp_path: Path) -> None:
    (tmp_path / "x.log").write_bytes(b"y" * ((1 << 20) + 7) + b"\n")

    counts = run(bench, tmp_path / "x.log", CollectingProducer())

    assert counts.cut == 7
    assert bench.counted["bytes_cut_total"] == 7


def test_bytes_that_the_bus_did_not_take_are_counted_too(bench: Any, tmp_path: Path) -> None:
    (tmp_path / "x.log").write_bytes(b"y" * ((1 << 20) + 7) + b"\n" + b"z" * 10_000 + b"\n")

    counts = run(bench, tmp_path / "x.log", CollectingProducer(failures=2, max_bytes=600_000))

    assert counts.cut == bench.counted["bytes_cut_total"] == (1 << 19) + 7
    assert counts.bytes == (1 << 19) + 10_000


class Endless:
    """A source of the kind that listens: never finished until it is drained."""

    finite = False
    repeats = False

    def __init__(self, config: Any, waiting: list[Any]) -> None:
        self.config = config
        self.waiting = waiting
        self.acknowledged = 0
        self._drained = False

    @property
    def finished(self) -> bool:
        return self._drained and not self.waiting

    def read(self, max_records: int, max_bytes: int) -> list[Any]:
        taken, self.waiting = self.waiting[:max_records], self.waiting[max_records:]
        return taken

    def acknowledge(self) -> None:
        self.acknowledged += 1

    def drain(self) -> None:
        self._drained = True

    def close(self) -> None:
        """What was accepted stays to be counted."""


def endless(bench: Any, tmp_path: Path, number: int) -> Endless:
    path = write(tmp_path / "e.log", 1_000_000, 1_000_000 + number)
    file = bench.open("file", paths=[str(path)], follow=False, collector="other")
    return Endless(file.config, bench.captured(file))


def test_what_was_accepted_is_delivered_before_it_stops(bench: Any, tmp_path: Path) -> None:
    stop = threading.Event()
    stop.set()
    source = endless(bench, tmp_path, 5000)
    producer = CollectingProducer()

    counts = collector(bench, [source], producer).run(stop)

    assert len(producer.durable) == counts.events == 5000
    assert source.acknowledged >= 2


def test_until_idle_ends_when_only_listeners_are_left(bench: Any, tmp_path: Path) -> None:
    listener = endless(bench, tmp_path, 3)
    file = bench.open("file", paths=[str(write(tmp_path / "x.log", 0, 4))], follow=False)
    producer = CollectingProducer()

    collector(bench, [listener, file], producer).run(threading.Event(), until_idle=True)

    assert len(producer.durable) == 7


def test_a_busy_source_does_not_starve_the_others(bench: Any, tmp_path: Path) -> None:
    busy = endless(bench, tmp_path, 50_000)
    file = bench.open("file", paths=[str(write(tmp_path / "x.log", 0, 4))], follow=False)
    producer = CollectingProducer()

    collector(bench, [busy, file], producer).run(threading.Event(), until_idle=True)

    places = [n for n, one in enumerate(producer.durable) if one.headers["collector"] == b"here"]
    assert max(places) < 5_000


def test_giving_up_after_stop_says_so(bench: Any, tmp_path: Path) -> None:
    stop = threading.Event()
    stop.set()
    producer = CollectingProducer(failures=10**9)

    with pytest.raises(Unavailable):
        collector(bench, [endless(bench, tmp_path, 3)], producer, drain_timeout_s=5).run(stop)

    assert bench.clock.monotonic_s() >= 5


def give_up(bench: Any, sources: list[Any]) -> Counts:
    """Stops while the bus is away; returns what was counted."""
    stop = threading.Event()
    stop.set()
    driven = collector(bench, sources, CollectingProducer(failures=10**9), drain_timeout_s=5)
    with pytest.raises(Unavailable):
        driven.run(stop)
    return driven.counts


def test_all_that_is_lost_when_it_gives_up_is_counted_also_what_was_not_read_yet(
    bench: Any, tmp_path: Path
) -> None:
    counts = give_up(bench, [endless(bench, tmp_path, 30_000)])

    assert counts.lost == bench.counted["not_delivered"] == 30_000


def test_what_a_listener_received_is_counted_when_it_is_lost(bench: Any) -> None:
    source = bench.open("syslog", listen="127.0.0.1:0", protocol="tcp")
    with socket.create_connection(source.address) as sender:
        sender.sendall(b"<34>a message\n" * 20_000)
    bench.until(lambda: not source._inbox.empty and not source.connections)

    counts = give_up(bench, [source])

    assert counts.lost == 20_000


def test_what_comes_again_is_not_counted_as_lost(bench: Any, tmp_path: Path) -> None:
    followed = bench.open("file", paths=[str(write(tmp_path / "x.log", 0, 9))])
    bench.values(followed, acknowledge=False)
    write(tmp_path / "x.log", 9, 10)
    listener = endless(bench, tmp_path, 3)
    listener.repeats = True

    assert give_up(bench, [followed, listener]).lost == 0


def test_nothing_more_is_read_while_the_bus_is_away(bench: Any, tmp_path: Path) -> None:
    source = endless(bench, tmp_path, 10_000)
    producer = CollectingProducer(failures=4)
    left: list[int] = []
    producer.on_failure = lambda: left.append(len(source.waiting))

    collector(bench, [source], producer).run(threading.Event(), until_idle=True)

    assert len(set(left)) == 1


def test_a_second_collector_of_one_folder_is_refused(bench: Any) -> None:
    with pytest.raises(Unavailable, match="another collector holds"):
        Checkpoints(bench.folder / "state" / "collect.db", wait_s=0)
