"""A collector that kills itself with SIGKILL at a place: ``send``, ``flush`` or ``save``.

Arguments: state folder, pattern, output file, place, how many times the place is passed before.
The output file is the bus: whatever is in it is durable. Ends by itself when all is read.
"""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ingest import collect, content
from ingest.checkpoint import Checkpoints
from ingest.source import Context, open_sources, types
from samlog.bus.base import Record
from samlog.clock import SystemClock


class Place:
    def __init__(self, name: str, left: int) -> None:
        self.name = name
        self.left = left

    def passed(self, name: str) -> None:
        if name == self.name:
            self.left -= 1
            if self.left < 0:
                os.kill(os.getpid(), signal.SIGKILL)


class FileProducer:
    def __init__(self, path: Path, place: Place) -> None:
        self._file = path.open("ab")
        self._place = place

    def send(self, record: Record) -> None:
        headers = b"%b %b %b" % (
            record.headers["origin"],
            record.headers["seq"],
            record.headers["collector"],
        )
        self._file.write(headers + b" " + record.value + b"\n")
        self._place.passed("send")

    def flush(self, timeout_s: float = 30.0) -> None:
        self._file.flush()
        self._place.passed("flush")

    def close(self) -> None:
        self._file.close()


class WatchedCheckpoints(Checkpoints):
    place: Place

    @contextmanager
    def transaction(self) -> Iterator[None]:
        with super().transaction():
            yield
            self.place.passed("save")


def main() -> None:
    state, pattern, output, name, left = sys.argv[1:]
    place = Place(name, int(left))
    checkpoints = WatchedCheckpoints(Path(state) / "collect.db")
    checkpoints.place = place
    clock = SystemClock()
    content.CHUNK = 4096  # so that there are many batches
    collect.BATCH_RECORDS = 50
    context = Context(checkpoints, clock, "here", "session", finite=True)
    config = types()["file"](type="file", unit="a", paths=[pattern])  # type: ignore[call-arg]
    collector = collect.Collector(
        open_sources([config], context),
        lambda: FileProducer(Path(output), place),
        checkpoints,
        clock,
        collector="here",
    )
    collector.run(threading.Event())


if __name__ == "__main__":
    main()
