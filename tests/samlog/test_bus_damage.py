"""Damage of the embedded bus's files is found, told, and repaired as far as it can be proved."""

import random
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from samlog.bus import EmbeddedBus
from samlog.bus.base import Message, Record, TopicPartition
from samlog.bus.embedded_format import PAGE_BYTES, TopicPaths
from samlog.bus.embedded_recovery import salvaged
from samlog.clock import SystemClock
from samlog.errors import BusError

TOPIC = "samlog.test"
TP = TopicPartition(TOPIC, 0)
COUNT = 400


def open_bus(path: Path) -> EmbeddedBus:
    bus = EmbeddedBus(path, clock=SystemClock())
    bus.create_topics([TOPIC])
    return bus


def value(number: int) -> bytes:
    """Some long enough to spill over pages; nothing that could be compressed."""
    size = 90_000 if number % 50 == 7 else 1_500
    return b"%d|" % number + random.Random(number).randbytes(size)


def append(bus: EmbeddedBus, numbers: Sequence[int]) -> None:
    producer = bus.producer("test")
    for number in numbers:
        producer.send(Record(TOPIC, value(number), b"key", {"seq": b"%d" % number}))
        if number % 10 == 9:
            producer.flush()
    producer.close()


@pytest.fixture
def db(tmp_path: Path) -> Path:
    """Gives the file of a topic with 400 records, closed cleanly: everything is in one file."""
    bus = open_bus(tmp_path)
    append(bus, range(COUNT))
    bus.close()
    return tmp_path / "bus" / f"{TOPIC}.sqlite"


def flip(path: Path, start: int, length: int = 64) -> None:
    data = bytearray(path.read_bytes())
    start = start % len(data)
    for at in range(start, min(start + length, len(data))):
        data[at] ^= 0xA5
    path.write_bytes(bytes(data))


def poll_all(bus: EmbeddedBus) -> tuple[list[Message], int]:
    """Reads to the end from the oldest; returns the messages and how many gaps said are missing."""
    consumer = bus.consumer("reader", [TOPIC])
    try:
        messages: list[Message] = []
        while page := consumer.poll(timeout_s=0.0):
            messages += page
        return messages, sum(gap.missing for gap in consumer.take_gaps())
    finally:
        consumer.close()


def read_with_restarts(path: Path) -> tuple[list[Message], int, list[str]]:
    """Reads to the end, starting anew after each stop; returns also what was said then."""
    told: list[str] = []
    for _ in range(3):
        bus = EmbeddedBus(path, clock=SystemClock())
        try:
            messages, missing = poll_all(bus)
        except BusError as stop:
            told.append(str(stop))
        else:
            return messages, missing, told
        finally:
            bus.close()
    raise AssertionError(f"still not readable: {told}")


def assert_all_accounted_for(messages: Sequence[Message], missing: int) -> None:
    assert all(m.value == value(m.offset) for m in messages)
    assert all(m.headers == {"seq": b"%d" % m.offset} and m.key == b"key" for m in messages)
    assert len({m.offset for m in messages}) + missing == COUNT


def damage_last_page(db: Path) -> None:
    flip(db, -PAGE_BYTES + 20_000, 2_000)


def damage_a_page_in_the_middle(db: Path) -> None:
    flip(db, db.stat().st_size // PAGE_BYTES // 2 * PAGE_BYTES, 100)


def damage_the_first_page(db: Path) -> None:
    flip(db, 0, 200)


def cut_the_last_page(db: Path) -> None:
    with db.open("r+b") as file:
        file.truncate(db.stat().st_size - PAGE_BYTES)


def cut_in_the_middle_of_a_page(db: Path) -> None:
    with db.open("r+b") as file:
        file.truncate(db.stat().st_size * 2 // 3 + 1_234)


def zero_the_last_pages(db: Path) -> None:
    with db.open("r+b") as file:
        file.seek(-3 * PAGE_BYTES, 2)
        file.write(bytes(3 * PAGE_BYTES))


def damage_the_root_of_the_blocks(db: Path) -> None:
    with sqlite3.connect(db) as connection:
        (root,) = connection.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = 'blocks'"
        ).fetchone()
    connection.close()
    flip(db, (root - 1) * PAGE_BYTES, PAGE_BYTES)


def flip_one_byte_of_a_block(db: Path) -> None:
    with sqlite3.connect(db) as connection:
        (data,) = connection.execute("SELECT data FROM blocks WHERE offset = 350").fetchone()
    connection.close()
    flip(db, db.read_bytes().index(data[:100]) + 70, 1)


DAMAGES = [
    flip_one_byte_of_a_block,
    damage_last_page,
    damage_a_page_in_the_middle,
    damage_the_first_page,
    cut_the_last_page,
    cut_in_the_middle_of_a_page,
    zero_the_last_pages,
    damage_the_root_of_the_blocks,
]


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_every_record_is_read_or_counted_as_missing_after(
    db: Path, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    damage(db)

    messages, missing, _ = read_with_restarts(tmp_path)

    assert_all_accounted_for(messages, missing)
    assert len(messages) >= COUNT // 2
    assert list(db.parent.glob(f"{TOPIC}.sqlite.damaged-*"))
    assert not (db.parent / f"{TOPIC}.damage").exists()


def test_damage_anywhere_is_never_read_over(db: Path, tmp_path: Path) -> None:
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")
    dice = random.Random(seed)
    sound = tmp_path / "sound"
    shutil.copytree(db.parent, sound)
    for round_ in range(25):
        path = tmp_path / f"round{round_}"
        shutil.copytree(sound, path / "bus")
        copy = path / "bus" / db.name
        for _ in range(dice.randrange(1, 4)):
            flip(copy, dice.randrange(copy.stat().st_size), dice.choice([1, 8, 5_000]))

        messages, missing, _ = read_with_restarts(path)

        assert_all_accounted_for(messages, missing)


def test_the_process_that_meets_damage_says_which_file_and_what_to_do(
    db: Path, tmp_path: Path
) -> None:
    damage_last_page(db)
    consumer = open_bus(tmp_path).consumer("reader", [TOPIC])

    with pytest.raises(BusError) as stop:
        while True:
            consumer.poll(timeout_s=0.0)

    sentence = str(stop.value)
    assert str(db) in sentence
    assert "Stop every samlog process that uses this folder and start samlog again" in sentence


def test_what_comes_before_the_damage_is_delivered_first(db: Path, tmp_path: Path) -> None:
    damage_a_page_in_the_middle(db)
    consumer = open_bus(tmp_path).consumer("reader", [TOPIC])
    got: list[int] = []

    with pytest.raises(BusError):
        while True:
            got += [m.offset for m in consumer.poll(timeout_s=0.0)]

    assert got == list(range(len(got)))
    assert len(got) > COUNT // 3


def test_damage_is_not_repaired_while_another_process_has_the_topic_open(
    db: Path, tmp_path: Path
) -> None:
    other = open_bus(tmp_path).producer("other")
    other.send(Record(TOPIC, b"x"))
    (db.parent / f"{TOPIC}.damage").write_text("noted before")

    with pytest.raises(BusError, match="another process still has it open"):
        open_bus(tmp_path).consumer("reader", [TOPIC])
    other.close()

    open_bus(tmp_path).consumer("reader", [TOPIC])


def test_a_consumer_that_is_stopped_by_one_topic_leaves_the_others_free(
    db: Path, tmp_path: Path
) -> None:
    bus = open_bus(tmp_path)
    bus.create_topics(["samlog.a"])
    other = bus.producer("other")
    other.send(Record(TOPIC, b"x"))
    (db.parent / f"{TOPIC}.damage").write_text("noted before")
    with pytest.raises(BusError, match="still has it open"):
        bus.consumer("reader", ["samlog.a", TOPIC])

    (db.parent / "samlog.a.damage").write_text("rebuilding needs it alone")
    consumer = bus.consumer("reader", ["samlog.a"])

    assert consumer.poll(timeout_s=0.0) == []


def test_appending_goes_on_after_the_old_end_when_the_file_was_rebuilt(
    db: Path, tmp_path: Path
) -> None:
    cut_the_last_page(db)
    bus = open_bus(tmp_path)
    producer = bus.producer("test")
    producer.send(Record(TOPIC, b"new"))
    producer.close()

    messages, missing = poll_all(bus)

    assert (messages[-1].offset, messages[-1].value) == (COUNT, b"new")
    assert_all_accounted_for(messages[:-1], missing)


def test_a_rebuilt_topic_knows_what_retention_had_deleted(db: Path, tmp_path: Path) -> None:
    bus = open_bus(tmp_path)
    bus.delete_before({TP: 100})
    bus.close()
    damage_last_page(db)

    messages, missing, _ = read_with_restarts(tmp_path)

    assert messages[0].offset == 100
    assert len(messages) + missing == COUNT - 100


def test_a_hole_is_told_to_each_group_once_and_again_to_one_that_seeks_back(
    db: Path, tmp_path: Path
) -> None:
    damage_a_page_in_the_middle(db)
    _, missing, _ = read_with_restarts(tmp_path)
    bus = open_bus(tmp_path)
    consumer = bus.consumer("second", [TOPIC])
    while consumer.poll(timeout_s=0.0):
        pass
    gaps = consumer.take_gaps()

    (first,) = [gap for gap in gaps if gap.missing > 1][:1]
    consumer.seek({TP: first.first_missing + 1})
    consumer.poll(timeout_s=0.0)

    assert sum(gap.missing for gap in gaps) == missing
    (again,) = consumer.take_gaps()
    assert (again.first_missing, again.missing) == (first.first_missing + 1, first.missing - 1)


# Rebuilding is interrupted


@pytest.mark.parametrize("stage", ["half a copy", "copy not in place", "note left over"])
def test_an_interrupted_rebuild_is_finished_by_the_next_start(
    db: Path, tmp_path: Path, stage: str
) -> None:
    paths = TopicPaths(db.parent, TOPIC)
    paths.damage.write_text("noted")
    if stage == "half a copy":
        (db.parent / f"{TOPIC}.rebuilding").write_bytes(b"SQLite format 3\0" + b"?" * 5_000)
    if stage == "copy not in place":
        shutil.copyfile(db, paths.rebuilt)
        flip(db, 0, 5_000)
        paths.wal.write_bytes(b"the log of the damaged file")

    messages, missing, told = read_with_restarts(tmp_path)

    assert (len(messages), missing, told) == (COUNT, 0, [])
    assert not paths.damage.exists()
    assert not paths.rebuilt.exists()


# The write-ahead log


def crash_with_a_log(tmp_path: Path) -> TopicPaths:
    """Leaves a topic of 300 records as kill -9 does: the last of them only in the log."""
    code = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from samlog.bus import open_embedded\n"
        "from samlog.bus.base import Record\n"
        "from samlog.clock import SystemClock\n"
        "bus = open_embedded(Path(sys.argv[1]), clock=SystemClock())\n"
        "bus.create_topics(['samlog.test'])\n"
        "producer = bus.producer('test')\n"
        "for number in range(300):\n"
        "    producer.send(Record('samlog.test', b'%d|' % number + os.urandom(1_000)))\n"
        "    if number % 30 == 29:\n"
        "        producer.flush()\n"
        "os.kill(os.getpid(), 9)\n"
    )
    root = Path(__file__).parents[2]
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], cwd=root, check=False)
    paths = TopicPaths(tmp_path / "bus", TOPIC)
    assert paths.wal.stat().st_size > PAGE_BYTES
    return paths


def test_a_log_left_behind_by_kill_9_is_read(tmp_path: Path) -> None:
    crash_with_a_log(tmp_path)

    messages, missing, told = read_with_restarts(tmp_path)

    assert (len(messages), missing, told) == (300, 0, [])


def test_records_of_a_log_that_was_deleted_are_counted_as_missing(tmp_path: Path) -> None:
    paths = crash_with_a_log(tmp_path)
    paths.wal.unlink()
    paths.shm.unlink()

    bus = open_bus(tmp_path)
    messages, missing = poll_all(bus)

    assert len(messages) + missing == 300
    assert missing > 0
    assert bus.end_offsets([TOPIC]) == {TP: 300}


def test_records_of_a_log_with_a_damaged_end_are_counted_as_missing(tmp_path: Path) -> None:
    paths = crash_with_a_log(tmp_path)
    flip(paths.wal, -500, 100)

    messages, missing, _ = read_with_restarts(tmp_path)

    assert 0 < missing <= 60
    assert [m.offset for m in messages] == list(range(300 - missing))


def test_records_in_the_log_survive_a_damaged_file(tmp_path: Path) -> None:
    paths = crash_with_a_log(tmp_path)
    flip(paths.db, 0, 200)

    messages, missing, _ = read_with_restarts(tmp_path)

    assert (len(messages), missing) == (300, 0)


def test_what_a_rolled_back_transaction_left_in_the_log_is_not_salvaged(tmp_path: Path) -> None:
    paths = crash_with_a_log(tmp_path)
    data = paths.wal.read_bytes()
    frame = 24 + PAGE_BYTES
    last = (len(data) - 32) // frame - 1
    committed = bytearray(data)
    committed[32 + last * frame + 4 : 32 + last * frame + 8] = bytes(4)
    paths.wal.write_bytes(bytes(committed))

    blocks = salvaged(paths.db, paths.wal)

    assert {n for row in blocks for n in range(row[0], row[0] + row[1])} == set(range(270))


# Positions and formats


def test_a_damaged_position_file_says_what_to_delete(db: Path, tmp_path: Path) -> None:
    bus = open_bus(tmp_path)
    bus.consumer("reader", [TOPIC]).close()
    bus.close()
    positions = db.parent / "groups" / "reader.sqlite"
    flip(positions, 0, 200)

    with pytest.raises(BusError) as stop:
        open_bus(tmp_path).consumer("reader", [TOPIC])

    assert str(positions) in str(stop.value)
    assert "delete the file" in str(stop.value)


def test_a_file_of_another_format_is_refused_and_left_alone(db: Path, tmp_path: Path) -> None:
    with sqlite3.connect(db) as connection:
        connection.execute("PRAGMA user_version=99")
    connection.close()

    with pytest.raises(BusError, match="has format 99, this samlog reads 2"):
        open_bus(tmp_path).consumer("reader", [TOPIC])

    assert not (db.parent / f"{TOPIC}.damage").exists()
