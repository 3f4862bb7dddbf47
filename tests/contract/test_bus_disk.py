"""The embedded bus on a disk that is full or read-only: a real small file system, a real limit."""

import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from samlog.bus import EmbeddedBus, Retention
from samlog.bus.base import Message, Record, TopicPartition
from samlog.bus.embedded_consumer import EmbeddedConsumer
from samlog.clock import SystemClock
from samlog.errors import SamlogError, Unavailable

ROOT = Path(__file__).parents[2]
TOPIC = "samlog.test"
TP = TopicPartition(TOPIC, 0)
MEBI = 1024 * 1024


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """Gives a file system of 8 MiB of its own."""
    point = tmp_path / "disk"
    point.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8m", "samlog-test", str(point)],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip(f"a small file system needs the right to mount: {mounted.stderr.strip()}")
    try:
        yield point
    finally:
        subprocess.run(["umount", "--lazy", str(point)], check=True)


def open_bus(path: Path, *, reserve_bytes: int = 0, **keep: object) -> EmbeddedBus:
    bus = EmbeddedBus(
        path,
        clock=SystemClock(),
        reserve_bytes=reserve_bytes,
        retention={"": Retention(**keep)},  # type: ignore[arg-type]
    )
    bus.create_topics([TOPIC])
    return bus


def value(number: int, size: int) -> bytes:
    """Nothing that could be compressed."""
    return b"%d|" % number + random.Random(number).randbytes(size)


def fill(bus: EmbeddedBus) -> tuple[int, Unavailable]:
    """Appends until the disk refuses; returns how many records were acknowledged, and why."""
    producer = bus.producer("test")
    for number in range(0, 100_000, 10):
        for one in range(number, number + 10):
            producer.send(Record(TOPIC, value(one, 2_000)))
        try:
            producer.flush()
        except Unavailable as refused:
            return number, refused
    raise AssertionError("the disk never filled")


def leave_free(disk: Path, bytes_: int) -> None:
    (disk / "ballast").write_bytes(b"x" * (shutil.disk_usage(disk).free - bytes_))


def drain(consumer: EmbeddedConsumer) -> list[Message]:
    messages: list[Message] = []
    while page := consumer.poll(timeout_s=0.0):
        messages += page
    return messages


def number_of(message: Message) -> int:
    return int(message.value.partition(b"|")[0])


def test_a_full_disk_is_told_with_place_free_bytes_and_advice(disk: Path) -> None:
    _, refused = fill(open_bus(disk))

    sentence = str(refused)
    assert "the disk is full" in sentence
    assert str(disk / "bus" / f"{TOPIC}.sqlite") in sentence
    assert "bytes free" in sentence
    assert "Free space there" in sentence
    assert refused.retry_after_s >= 1


def test_nothing_acknowledged_is_lost_on_a_full_disk_and_nothing_refused_is_read(
    disk: Path,
) -> None:
    bus = open_bus(disk)
    consumer = bus.consumer("group", [TOPIC])
    acknowledged, _ = fill(bus)

    got = [number_of(m) for m in drain(consumer)]

    assert acknowledged > 0
    assert got == list(range(acknowledged))


def test_appending_goes_on_when_there_is_room_again(disk: Path) -> None:
    ballast = disk / "ballast"
    ballast.write_bytes(b"x" * 2 * MEBI)
    bus = open_bus(disk)
    producer = bus.producer("waits")
    acknowledged, _ = fill(bus)
    producer.send(Record(TOPIC, value(acknowledged, MEBI)))
    with pytest.raises(Unavailable):
        producer.flush()

    ballast.unlink()
    producer.send(Record(TOPIC, value(acknowledged, MEBI)))
    producer.flush()

    got = [number_of(m) for m in drain(bus.consumer("group", [TOPIC]))]
    assert got == list(range(acknowledged + 1))


def test_consumers_commit_and_retention_cuts_while_producers_are_refused(disk: Path) -> None:
    bus = open_bus(disk, reserve_bytes=2 * MEBI, max_age_s=0.0)
    consumer = bus.consumer("group", [TOPIC])
    acknowledged, _ = fill(bus)
    messages = drain(consumer)

    consumer.commit({TP: len(messages)})
    deleted = bus.apply_retention()
    more, _ = fill(bus)

    assert len(messages) == acknowledged
    assert deleted == {TOPIC: acknowledged}
    assert more > 0


def test_a_damaged_topic_stays_as_it_is_when_there_is_no_room_to_rebuild_it(
    disk: Path, tmp_path: Path
) -> None:
    bus = open_bus(disk, reserve_bytes=2 * MEBI)
    acknowledged, _ = fill(bus)
    bus.close()
    (disk / "bus" / f"{TOPIC}.damage").write_text("noted by another process")
    leave_free(disk, MEBI)
    with pytest.raises(Unavailable, match="the disk is full"):
        open_bus(disk).consumer("group", [TOPIC])

    shutil.copytree(disk / "bus", tmp_path / "roomy" / "bus")
    messages = drain(open_bus(tmp_path / "roomy").consumer("group", [TOPIC]))

    assert [number_of(m) for m in messages] == list(range(acknowledged))


def test_a_read_only_disk_is_told_with_what_to_check(disk: Path) -> None:
    open_bus(disk).close()
    remount(disk, "ro")
    try:
        bus = EmbeddedBus(disk, clock=SystemClock())

        for use in (
            lambda: bus.create_topics(["samlog.new"]),
            lambda: bus.consumer("group", [TOPIC]),
            lambda: bus.producer("test").send(Record(TOPIC, b"x")),
        ):
            with pytest.raises(Unavailable, match="not writable for user .* check the mount"):
                use()
    finally:
        remount(disk, "rw")


def test_a_consumer_cannot_join_a_full_disk_and_says_why(disk: Path) -> None:
    bus = open_bus(disk)
    leave_free(disk, 0)

    with pytest.raises(Unavailable, match="the disk is full"):
        bus.consumer("group", [TOPIC])


def remount(disk: Path, mode: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{mode}", str(disk)], check=True, capture_output=True)


def test_a_quota_on_file_size_is_told_as_a_full_disk_and_loses_nothing(tmp_path: Path) -> None:
    code = (
        "import os, resource, sys\n"
        "from pathlib import Path\n"
        "from samlog.bus import open_embedded\n"
        "from samlog.bus.base import Record\n"
        "from samlog.clock import SystemClock\n"
        "from samlog.errors import Unavailable\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (3_000_000, 3_000_000))\n"
        "bus = open_embedded(Path(sys.argv[1]), clock=SystemClock())\n"
        "bus.create_topics(['samlog.test'])\n"
        "producer = bus.producer('test')\n"
        "for number in range(0, 100_000, 10):\n"
        "    for one in range(number, number + 10):\n"
        "        producer.send(Record('samlog.test', b'%d|' % one + os.urandom(2_000)))\n"
        "    try:\n"
        "        producer.flush()\n"
        "    except Unavailable as refused:\n"
        "        print(number)\n"
        "        print(refused)\n"
        "        break\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    acknowledged, sentence = run.stdout.splitlines()

    got = [number_of(m) for m in drain(open_bus(tmp_path).consumer("group", [TOPIC]))]

    assert int(acknowledged) > 0
    assert got == list(range(int(acknowledged)))
    assert f"{TOPIC}.sqlite" in sentence and "samlog" in sentence


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")

    with pytest.raises(SamlogError, match="file"):
        EmbeddedBus(tmp_path / "file", clock=SystemClock()).create_topics([TOPIC])
