"""Measures the embedded bus: appends/s with every batch durable, then reads/s, one process each.

Run it with ``python -m benchmarks.bus``. Records are alike as those of one source are: names and
most values repeat, ``--random`` bytes of each do not. The figures are also given as a ratio to
plain ``write`` + ``fdatasync`` of the same bytes on the same disk.
"""

import argparse
import os
import tempfile
import time
from pathlib import Path

from samlog.bus import open_embedded
from samlog.bus.base import Bus, Record, TopicPartition
from samlog.clock import SystemClock

TOPIC = "samlog.bench"
HEADERS = {
    "samlog-v": b"1",
    "source": b"linux_auth",
    "origin": b"8f3a2b1c:123456",
    "received": b"2026-01-10T13:37:01.123456789Z",
}


def values(count: int, size: int, random: int) -> list[bytes]:
    """Returns values of ``size`` bytes that share all but ``random`` of them."""
    common = os.urandom(max(0, size - random))
    half = len(common) // 2
    return [common[:half] + os.urandom(random) + common[half:] for _ in range(count)]


def append(bus: Bus, records: int, kept: list[bytes], batch: int) -> float:
    """Returns appends per second, flushed every ``batch`` records."""
    producer = bus.producer("bench")
    started = time.perf_counter()
    for number in range(1, records + 1):
        value = kept[number % len(kept)]
        producer.send(Record(TOPIC, value, b"enheda/host1", HEADERS))
        if number % batch == 0:
            producer.flush()
    producer.flush()
    took = time.perf_counter() - started
    producer.close()
    return records / took


def read(bus: Bus, records: int, batch: int) -> float:
    """Returns reads per second, committed every ``batch`` records."""
    consumer = bus.consumer("bench", [TOPIC])
    seen = 0
    started = time.perf_counter()
    while seen < records:
        messages = consumer.poll(max_messages=batch, timeout_s=5.0)
        seen += len(messages)
        consumer.commit({TopicPartition(TOPIC, 0): messages[-1].offset + 1})
    took = time.perf_counter() - started
    consumer.close()
    return records / took


def plain_file(folder: Path, records: int, kept: list[bytes], batch: int) -> float:
    """Returns records per second written to a plain file, synced every ``batch`` records."""
    value = kept[0] * batch
    with (folder / "plain").open("wb", buffering=0) as file:
        started = time.perf_counter()
        for _ in range(0, records, batch):
            file.write(value)
            os.fdatasync(file.fileno())
        return records / (time.perf_counter() - started)


def main() -> None:
    """Prints one line a round."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=100_000)
    parser.add_argument("--size", type=int, default=2_000, help="bytes of a value")
    parser.add_argument("--random", type=int, default=100, help="bytes of a value that are its own")
    parser.add_argument("--batch", type=int, default=500, help="records a flush, poll and commit")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--dir", type=Path, help="folder on the disk to measure")
    options = parser.parse_args()
    kept = values(10_000, options.size, options.random)
    for _ in range(options.rounds):
        with tempfile.TemporaryDirectory(dir=options.dir) as name:
            bus = open_embedded(Path(name), clock=SystemClock())
            bus.create_topics([TOPIC])
            plain = plain_file(Path(name), options.records, kept, options.batch)
            written = append(bus, options.records, kept, options.batch)
            got = read(bus, options.records, options.batch)
            bus.close()
            size = sum(path.stat().st_size for path in Path(name).glob("bus/*.sqlite"))
        print(
            f"append {written:,.0f}/s ({written / plain:.2f} of a plain synced file), "
            f"read {got:,.0f}/s ({got / plain:.2f}), "
            f"{size / options.records:,.0f} bytes on disk a record"
        )


if __name__ == "__main__":
    main()
