"""The bounded queue between the thread that receives and the collector that reads."""

import threading
from collections import deque
from collections.abc import Callable, Sequence

from ingest.source import Captured

OVERHEAD = 512
"""Bytes that an event costs beside its value; so that empty events fill the queue too."""

Done = Callable[[], None]


class Inbox:
    """Holds events until they are read, bounded in bytes. Thread-safe.

    `put` always takes what it is given, so that nothing that was received is lost; who receives
    looks at `full` and stops taking more. ``on_room`` is called, from the reading thread, when a
    full queue has fallen to half.
    """

    def __init__(self, max_bytes: int, wake: threading.Event, on_room: Done = lambda: None) -> None:
        self._max_bytes = max_bytes
        self._wake = wake
        self._on_room = on_room
        self._lock = threading.Lock()
        self._events: deque[Captured | Done] = deque()
        self._bytes = 0
        self._was_full = False
        self._taken: list[Done] = []

    @property
    def full(self) -> bool:
        """Tells that no more should be received now."""
        return self._bytes >= self._max_bytes

    @property
    def size(self) -> int:
        """Bytes that wait, with what each event costs beside its value."""
        return self._bytes

    @property
    def empty(self) -> bool:
        return not self._events

    def put(self, events: Sequence[Captured], done: Done | None = None) -> None:
        """Adds events; ``done`` is called when all of them are acknowledged."""
        size = sum(len(event.value) + OVERHEAD for event in events)
        with self._lock:
            self._events.extend(events)
            if done:
                self._events.append(done)
            self._bytes += size
            self._was_full = self._was_full or self.full
        self._wake.set()

    def take(self, max_records: int, max_bytes: int) -> list[Captured]:
        """Returns the oldest events, in order; empty when there are none."""
        taken: list[Captured] = []
        size = 0
        with self._lock:
            while self._events and len(taken) < max_records and size < max_bytes:
                event = self._events.popleft()
                if isinstance(event, Captured):
                    taken.append(event)
                    size += len(event.value) + OVERHEAD
                else:
                    self._taken.append(event)
            while self._events and not isinstance(self._events[0], Captured):
                self._taken.append(self._events.popleft())  # type: ignore[arg-type]
            self._bytes -= size
            room = self._was_full and self._bytes <= self._max_bytes // 2
            self._was_full = self._was_full and not room
        if room:
            self._on_room()
        return taken

    def acknowledge(self) -> None:
        """Calls the ``done`` of everything that was taken whole."""
        taken, self._taken = self._taken, []
        for done in taken:
            done()
