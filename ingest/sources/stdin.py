"""Standard input: what another program writes, line by line, to its end.

```yaml
- {type: stdin, unit: enheda, source: nginx}
```

There is no position in a pipe: what was read and not yet delivered when samlog is killed is gone.
What the bus does not take before a stop has to end is gone too, and counted
(``events_dropped_total``, reason ``not_delivered``).
"""

import os
import select
import threading
from collections.abc import Sequence
from typing import Literal

from ingest import source
from ingest.content import CHUNK
from ingest.inbox import Inbox
from ingest.source import Captured, Context, received
from ingest.split import JsonSplitter, LineSplitter, Piece
from samlog.event import H_ORIGIN, H_RECEIVED

QUEUE_BYTES = 16 << 20
LOOK_S = 0.2
"""How often the reading thread sees whether it should stop."""


class Config(source.Config):
    """What is written to samlog's standard input."""

    type: Literal["stdin"]
    framing: Literal["lines", "json"] = "lines"
    """How events are told apart: by line, or JSON objects that may go over several lines."""


class StdinSource:
    """Reads a pipe in a thread of its own, because a pipe makes who reads it wait."""

    finite = True
    repeats = False

    def __init__(self, config: Config, context: Context, descriptor: int = 0) -> None:
        self.config = config
        self._context = context
        self._descriptor = descriptor
        self._room = threading.Event()
        self._room.set()
        self._inbox = Inbox(QUEUE_BYTES, context.wake, self._room.set)
        self._ended = threading.Event()
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="stdin", daemon=True)
        self._thread.start()

    @property
    def finished(self) -> bool:
        return self._ended.is_set() and self._inbox.empty

    def read(self, max_records: int, max_bytes: int) -> Sequence[Captured]:
        return self._inbox.take(max_records, max_bytes)

    def acknowledge(self) -> None:
        self._inbox.acknowledge()

    def drain(self) -> None:
        self._stopped = True

    def close(self) -> None:
        self._stopped = True
        self._room.set()
        self._thread.join(10 * LOOK_S)

    def _run(self) -> None:
        make = JsonSplitter if self.config.framing == "json" else LineSplitter
        splitter = make(self._context.max_event_bytes)
        try:
            while not self._stopped:
                if not select.select([self._descriptor], [], [], LOOK_S)[0]:
                    continue
                data = os.read(self._descriptor, CHUNK)
                if not data:
                    break
                self._put(splitter.feed(data))
            self._put(splitter.finish())
        finally:
            self._ended.set()
            self._context.wake.set()

    def _put(self, pieces: list[Piece]) -> None:
        at = received(self._context.clock.now())
        events = []
        for piece in pieces:
            origin = f"{self._context.session}:stdin:{piece.offset}".encode()
            headers = {H_ORIGIN: origin, H_RECEIVED: at}
            if piece.full:
                headers |= piece.full.headers()
            events.append(Captured("stdin", piece.value, headers))
        if events:
            self._inbox.put(events)
        if self._inbox.full:
            self._room.clear()
            while self._inbox.full and not self._stopped:
                self._room.wait(LOOK_S)


def open(config: Config, context: Context) -> StdinSource:
    """Begins to read standard input."""
    return StdinSource(config, context)
