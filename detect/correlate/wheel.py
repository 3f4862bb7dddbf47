"""When to look at a group again, to the minute: many reminders at constant cost."""

import heapq
from collections.abc import Iterator

_MINUTE_MS = 60_000


class Wheel:
    """Keys by the time at which they are due."""

    def __init__(self) -> None:
        self._keys: dict[int, list[bytes]] = {}
        self._order: list[int] = []

    def add(self, key: bytes, due_ms: int) -> None:
        """Has `due` give ``key`` at most a minute after ``due_ms``."""
        minute = due_ms // _MINUTE_MS
        found = self._keys.get(minute)
        if found is None:
            found = self._keys[minute] = []
            heapq.heappush(self._order, minute)
        found.append(key)

    def due(self, now_ms: int) -> Iterator[bytes]:
        """Yields and forgets what is due. What is added meanwhile must be due later."""
        while self._order and (self._order[0] + 1) * _MINUTE_MS <= now_ms:
            yield from self._keys.pop(heapq.heappop(self._order))
