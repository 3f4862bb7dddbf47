"""What only the embedded store does: its lock, its days, crashes, a full disk, damage."""

import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest

from samlog.bus.base import Message
from samlog.clock import SystemClock
from samlog.errors import Unavailable
from samlog.event import EVENTS
from samlog.store import embedded_current
from samlog.store.base import Document, Outcome, Query
from samlog.store.embedded import EmbeddedStore
from samlog.store.embedded_writer import DayWriter
from samlog.store.step import StoreStep
from samlog.testing import FakeClock

CREATED, EXISTS, REFUSED = Outcome.CREATED, Outcome.EXISTS, Outcome.REFUSED
UNIT = "enheda"
ALL = Query("*", [UNIT])
ROOT = Path(__file__).parents[2]


def document(id_: str, unit: str = UNIT, **fields: Any) -> Document:
    return Document(
        f"logs-test.log-{unit}", id_, {"@timestamp": "2026-01-10T00:00:00.000Z", **fields}
    )


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(datetime(2026, 1, 10, 12, tzinfo=UTC))


@pytest.fixture
def store(tmp_path: Path, clock: FakeClock) -> Iterator[EmbeddedStore]:
    with closing(EmbeddedStore(tmp_path, clock=clock)) as opened:
        yield opened


def days(path: Path) -> list[str]:
    return sorted(day.name for day in (path / "events.v3").iterdir())


# One writer


def test_a_second_writer_is_refused_with_a_sentence(
    tmp_path: Path, store: EmbeddedStore, clock: FakeClock
) -> None:
    store.write([document("1")])

    with pytest.raises(Unavailable, match="one process writes an embedded store"):
        EmbeddedStore(tmp_path, clock=clock, writer=True)
    with (
        closing(EmbeddedStore(tmp_path, clock=clock)) as second,
        pytest.raises(Unavailable, match="is written by process"),
    ):
        second.write([document("2")])

    assert store.count(ALL) == 1


def test_the_lock_is_free_after_closing(
    tmp_path: Path, store: EmbeddedStore, clock: FakeClock
) -> None:
    store.write([document("1")])
    store.close()

    with closing(EmbeddedStore(tmp_path, clock=clock, writer=True)) as second:
        assert second.count(ALL) == 1


def test_reading_an_absent_store_finds_nothing_and_makes_no_folder(
    tmp_path: Path, clock: FakeClock
) -> None:
    with closing(EmbeddedStore(tmp_path / "none", clock=clock)) as store:
        assert store.count(ALL) == 0
        assert store.search(ALL).total == 0
        assert store.check().problems == []

    assert not (tmp_path / "none").exists()


def test_setup_tells_what_it_would_make(tmp_path: Path, clock: FakeClock) -> None:
    with closing(EmbeddedStore(tmp_path / "new", clock=clock)) as store:
        would = store.setup([UNIT], dry_run=True)
        assert not (tmp_path / "new").exists()

        assert store.setup([UNIT]) == would
        assert store.setup([UNIT]) == ()


# Days


def test_a_day_of_receipt_is_a_folder(
    tmp_path: Path, store: EmbeddedStore, clock: FakeClock
) -> None:
    store.write([document("1")])
    clock.advance(86_400)
    store.write([document("2")])

    assert days(tmp_path) == ["2026-01-10", "2026-01-11"]
    assert store.count(ALL) == 2


def test_a_day_that_all_units_have_left_is_deleted_whole(
    tmp_path: Path, store: EmbeddedStore, clock: FakeClock
) -> None:
    store.write([document("1"), document("2", "enhedb")])
    midnight = datetime(2026, 1, 11, tzinfo=UTC)

    assert store.delete_before(midnight - timedelta(seconds=1), [UNIT, "enhedb"]) == 0
    assert store.delete_before(midnight, [UNIT]) == 1
    assert days(tmp_path) == ["2026-01-10"]
    assert store.delete_before(midnight, [UNIT, "enhedb"]) == 1

    assert days(tmp_path) == []
    assert store.count(Query("*", [UNIT, "enhedb"])) == 0


def test_a_reader_goes_on_after_retention_took_a_day(
    tmp_path: Path, store: EmbeddedStore, clock: FakeClock
) -> None:
    store.write([document("1")])
    with closing(EmbeddedStore(tmp_path, clock=clock)) as reader:
        assert reader.count(ALL) == 1

        store.delete_before(datetime(2026, 1, 11, tzinfo=UTC), [UNIT])

        assert reader.count(ALL) == 0


def test_what_a_stopped_deletion_left_is_cleared(tmp_path: Path, clock: FakeClock) -> None:
    left = tmp_path / "events.v3" / ".dropped-2026-01-01"
    left.mkdir(parents=True)

    EmbeddedStore(tmp_path, clock=clock, writer=True).close()

    assert not left.exists()


def test_a_clock_that_goes_back_writes_the_earlier_day_again(
    store: EmbeddedStore, clock: FakeClock
) -> None:
    store.write([document("1")])
    clock.advance(86_400)
    store.write([document("2")])
    clock.set_wall(datetime(2026, 1, 10, 13, tzinfo=UTC))

    assert store.write([document("3")])[0].outcome is CREATED

    assert store.count(ALL) == 3


# Repeats


def test_a_repeat_beyond_the_remembered_ids_is_found_by_a_look_up(
    store: EmbeddedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded_current, "RECENT_IDS", 2)
    store.write([document(str(n)) for n in range(5)])

    results = store.write([document("0"), document("4")], maybe_seen=True)

    assert [result.outcome for result in results] == [EXISTS, EXISTS]
    assert store.count(ALL) == 5


@pytest.mark.parametrize("id_", ["", "x" * 513, "\u00e9" * 257])
def test_an_id_of_no_or_too_great_length_is_refused(store: EmbeddedStore, id_: str) -> None:
    (result,) = store.write([document(id_)])

    assert result.outcome is REFUSED
    assert "an id has 1 to 512 bytes" in result.reason


@pytest.mark.parametrize("value", [2**70, "\ud800"])
def test_what_json_cannot_hold_is_refused(store: EmbeddedStore, value: Any) -> None:
    results = store.write([document("1"), document("2", **{"vendor.x": value})])

    assert [result.outcome for result in results] == [CREATED, REFUSED]


def test_a_refused_replacement_leaves_the_old_one(store: EmbeddedStore) -> None:
    store.write([document("1")])

    (result,) = store.replace([document("1", **{"source.ip": "x"})])

    assert result.outcome is REFUSED
    assert store.count(ALL) == 1


def test_blocks_of_large_and_many_events_are_read_back(store: EmbeddedStore) -> None:
    sizes = [10, 900_000, 10, 700_000, 600_000, *[10] * 70]
    batch = [document(f"{n:02}", message="x" * size) for n, size in enumerate(sizes)]

    store.write(batch)

    hits = store.search(ALL, newest_first=False).hits
    assert [(hit.id, len(hit.source["message"])) for hit in hits] == [
        (f"{n:02}", size) for n, size in enumerate(sizes)
    ]


# Failures

WRITER = """
import sys
from pathlib import Path
from samlog.clock import SystemClock
from samlog.store.base import Document
from samlog.store.embedded import EmbeddedStore

store = EmbeddedStore(Path(sys.argv[1]), clock=SystemClock(), writer=True)
batch = 0
while True:
    event = {"@timestamp": "2026-01-10T00:00:00.000Z", "vendor.batch": str(batch)}
    store.write(
        [Document("logs-test.log-enheda", f"{batch}-{n}", dict(event)) for n in range(50)]
    )
    print(batch, flush=True)
    batch += 1
"""


def test_what_was_answered_survives_kill_9_and_the_repeat_adds_the_rest(tmp_path: Path) -> None:
    for _ in range(3):
        process = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path)],
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        assert process.stdout is not None
        for _ in range(4):
            last = int(process.stdout.readline())
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()

        with closing(EmbeddedStore(tmp_path, clock=SystemClock())) as store:
            for batch in range(last + 1):
                assert store.count(Query(f"vendor.batch:{batch}", [UNIT])) == 50
            again = [document(f"{batch}-{n}") for batch in range(last + 3) for n in range(50)]
            store.write(again, maybe_seen=True)
            assert store.count(ALL) % 50 == 0
            store.delete_before(datetime(9999, 1, 1, tzinfo=UTC), [UNIT])


def test_a_full_disk_is_unavailable_and_nothing_is_lost_or_doubled(
    store: EmbeddedStore,
) -> None:
    batch = [document(f"{n}", message=f"{n} " * 2_000) for n in range(100)]
    store.write(batch[:10])
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        # No file may grow beyond this: what a full disk says, to this process only.
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, hard))
        with pytest.raises(Unavailable, match="cannot write to the store"):
            store.write(batch)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)

    results = store.write(batch, maybe_seen=True)

    assert {result.outcome for result in results[:10]} == {EXISTS}
    assert {result.outcome for result in results[10:]} == {CREATED}
    assert store.count(ALL) == 100


class SlowWriter:
    """Commits when it is told to; a document may not be added meanwhile."""

    ids = None

    def __init__(self, writer: DayWriter) -> None:
        self._writer = writer
        self.may_commit = threading.Event()
        self.is_committing = False

    def add(self, documents: Sequence[Any]) -> None:
        assert not self.is_committing
        self._writer.add(documents)

    def commit(self) -> None:
        self.is_committing = True
        assert self.may_commit.wait(30)
        self._writer.commit()
        self.is_committing = False

    def close(self) -> None:
        self._writer.close()


def test_batches_that_come_during_a_commit_are_written_after_it(
    store: EmbeddedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[SlowWriter] = []

    def slow(path: Path) -> SlowWriter:
        made.append(SlowWriter(DayWriter(path)))
        return made[-1]

    monkeypatch.setattr(embedded_current, "DayWriter", slow)
    store.begin([document("1")])()
    store.commit(wait=False)

    answers = store.begin([document("1"), document("2")])()

    assert [answer.outcome for answer in answers] == [EXISTS, CREATED]
    assert not store.is_committed()
    assert store.uncommitted
    made[0].may_commit.set()
    assert [answer.outcome for answer in store.begin([document("3")])()] == [CREATED]
    store.commit()
    assert store.count(ALL) == 3


def test_a_commit_that_fails_beside_is_told_and_the_repeat_adds_everything(
    store: EmbeddedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(writer: DayWriter) -> None:
        raise OSError("no space left on device")

    store.begin([document("1")])()
    with monkeypatch.context() as broken:
        broken.setattr(DayWriter, "commit", full)
        store.commit(wait=False)
        with pytest.raises(Unavailable, match="no space left"):
            store.is_committed(wait=True)

    results = store.write([document("1"), document("2")])

    assert [result.outcome for result in results] == [CREATED, CREATED]
    assert store.count(ALL) == 2


def test_a_damaged_index_is_a_problem_with_a_sentence_and_no_wrong_answer(
    tmp_path: Path, store: EmbeddedStore, clock: FakeClock
) -> None:
    store.write([document("1")])
    store.close()
    day = tmp_path / "events.v3" / "2026-01-10"
    for part in day.glob("*.store"):
        part.write_bytes(b"damaged")

    with closing(EmbeddedStore(tmp_path, clock=clock)) as opened:
        (problem,) = opened.check().problems
        with pytest.raises(Unavailable, match="2026-01-10"):
            opened.search(ALL)

    assert "the index of 2026-01-10" in problem
    assert "replay that day" in problem


def test_an_index_of_another_version_is_named(tmp_path: Path, store: EmbeddedStore) -> None:
    (tmp_path / "events.v0").mkdir()

    assert "another version of samlog" in store.check().problems[0]


def test_many_readers_search_while_one_writes(
    tmp_path: Path, store: EmbeddedStore, clock: FakeClock
) -> None:
    done = threading.Event()
    counts: list[list[int]] = [[], []]

    def read(seen: list[int]) -> None:
        with closing(EmbeddedStore(tmp_path, clock=clock)) as reader:
            while not done.is_set() or not seen or seen[-1] < 1_000:
                seen.append(reader.count(ALL))

    readers = [threading.Thread(target=read, args=(seen,)) for seen in counts]
    for reader in readers:
        reader.start()
    for start in range(0, 1_000, 100):
        store.write([document(str(n)) for n in range(start, start + 100)])
    done.set()
    for reader in readers:
        reader.join()

    for seen in counts:
        assert seen == sorted(seen)
        assert {count % 100 for count in seen} == {0}
        assert seen[-1] == 1_000


# What is kept


def test_an_event_is_kept_as_it_came_with_the_time_of_storing(
    store: EmbeddedStore, clock: FakeClock
) -> None:
    event = {
        "@timestamp": "2026-01-10T00:00:00.000Z",
        "data_stream.dataset": "test.log",
        "data_stream.namespace": UNIT,
        "event.id": "1",
        "event.ingested": "2020-01-01T00:00:00.000Z",
        "message": "Tv\u00e5 \u2028 rader\n",
    }
    value = b"  " + orjson.dumps(event) + b" \n"
    step = StoreStep(store, clock)

    step.process(Message(EVENTS, 0, 0, None, value, {}, 0))

    assert step.settle() == []
    (hit,) = store.search(ALL).hits
    assert hit.source == event | {"event.ingested": "2026-01-10T12:00:00.000Z"}


def test_an_event_that_came_with_a_value_too_long_is_kept_with_its_tag(
    store: EmbeddedStore,
) -> None:
    long = document("1", **{"vendor.a": "x" * 9_000})

    store.write([long._replace(json=orjson.dumps(long.source))])

    (hit,) = store.search(Query("tags:search_truncated", [UNIT])).hits
    assert hit.source["tags"] == ["search_truncated"]
