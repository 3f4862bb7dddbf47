"""Several processes of a stage on one machine, with a real Kafka."""

import subprocess
import sys
import threading
import time
from contextlib import closing
from typing import IO, Any

import orjson
import pytest

from samlog import status
from samlog.bus.base import Record
from samlog.bus.kafka import KafkaBus
from samlog.event import EVENTS, raw_topic
from samlog.pipeline import all_topics, load_settings
from samlog.servers import KafkaServer

pytestmark = pytest.mark.kafka
COUNT = 20
UNITS = ("enheda", "enhedb")


def start(deployment: Any, *stages: str) -> "subprocess.Popen[bytes]":
    """Starts ``samlog run`` and returns when its supervisor has started."""
    process = subprocess.Popen(
        [sys.executable, "-m", "samlog", "run", *stages, "-c", deployment.config],
        stderr=subprocess.PIPE,
    )
    assert process.stderr is not None
    for line in process.stderr:
        if b'"running"' in line:
            threading.Thread(target=_drain, args=(process.stderr,), daemon=True).start()
            return process
    raise AssertionError(f"samlog run ended with {process.wait()}")


def _drain(stream: IO[bytes]) -> None:
    with stream:
        for _ in stream:
            continue


def stop(process: "subprocess.Popen[bytes]") -> int:
    process.terminate()
    return process.wait(timeout=60)


def test_two_normalise_processes_share_the_work_and_both_drain(
    own_kafka: KafkaServer, deployment: Any
) -> None:
    deployment.write(
        {
            "bus": {"type": "kafka", "brokers": [own_kafka.address], "partitions": 2},
            "state": str(deployment.data),
            "http": {},
            "sources": [],
        }
    )
    settings = load_settings(deployment.config, {}).settings
    with closing(KafkaBus([own_kafka.address], partitions=2)) as bus:
        bus.create_topics(all_topics(settings))
        both = [start(deployment, "normalize"), start(deployment, "normalize")]
        try:
            _until_both_have_work(bus, deployment)
        finally:
            codes = [stop(process) for process in both]
        topics = [raw_topic(unit) for unit in UNITS]
        lag = sum(bus.lag("samlog.normalize", topics).values())
        sent = sum(bus.end_offsets(topics).values())
        written = sum(bus.end_offsets([EVENTS]).values())

    assert codes == [143, 143]
    told = status.read_all(deployment.data)
    assert set(told) == {"normalize", "normalize-1"}
    assert all(one["taken"] > 0 for one in told.values())
    # What was committed was written: a crash may repeat, a clean end of both does neither.
    assert written >= sum(one["taken"] for one in told.values()) >= sent - lag


def _until_both_have_work(bus: KafkaBus, deployment: Any) -> None:
    """Writes records to both partitions until each process has taken some."""
    with closing(bus.producer("test")) as producer, closing(bus.consumer("look", [EVENTS])) as seen:
        deadline = time.monotonic() + 90
        while time.monotonic() < deadline:
            for number in range(COUNT):
                line = orjson.dumps({"message": "hej", "n": number})
                for unit in UNITS:
                    producer.send(Record(raw_topic(unit), line, b"%d" % number))
            producer.flush()
            seen.poll(timeout_s=0.5)
            told = status.read_all(deployment.data)
            if len(told) == 2 and all(one.get("taken") for one in told.values()):
                return
    raise AssertionError(f"not both processes got work: {status.read_all(deployment.data)}")
