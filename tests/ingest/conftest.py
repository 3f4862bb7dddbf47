"""Sources as tests open them: real files and sockets, a clock that moves on demand."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ingest.checkpoint import Checkpoints
from ingest.source import Captured, Context, Source, open_sources, types
from samlog.testing import FakeClock


class Bench:
    """A collector's surroundings. `open` opens one source of unit ``a``, `reopen` all anew."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = FakeClock()
        self.counted: Counter[str] = Counter()
        self.checkpoints = Checkpoints(folder / "state" / "collect.db")
        self._opened: list[Source] = []
        self._sessions = 0

    def context(self, **changes: Any) -> Context:
        self._sessions += 1
        return Context(
            checkpoints=self.checkpoints,
            clock=self.clock,
            collector="here",
            session=f"session{self._sessions}",
            count=self._count,
            **changes,
        )

    def open(self, type: str, *, context: Context | None = None, **keys: Any) -> Any:
        config = types()[type](**{"type": type, "unit": "a", **keys})
        [source] = open_sources([config], context or self.context())
        self._opened.append(source)
        return source

    def restart(self) -> None:
        """Closes everything, as the end of the process does."""
        self.close()
        self.checkpoints = Checkpoints(self.folder / "state" / "collect.db")

    def forget(self) -> None:
        """Deletes the checkpoints."""
        self.close()
        for path in (self.folder / "state").iterdir():
            path.unlink()
        self.checkpoints = Checkpoints(self.folder / "state" / "collect.db")

    def acknowledge(self, source: Source) -> None:
        with self.checkpoints.transaction():
            source.acknowledge()

    def captured(self, source: Source, *, acknowledge: bool = True) -> list[Captured]:
        """Reads until there is nothing; looks for new files once before."""
        self.clock.advance(1.0)
        found: list[Captured] = []
        while some := source.read(1000, 1 << 20):
            found += some
            if acknowledge:
                self.acknowledge(source)
        if acknowledge:
            self.acknowledge(source)
        return found

    def values(self, source: Source, *, acknowledge: bool = True) -> list[bytes]:
        return [one.value for one in self.captured(source, acknowledge=acknowledge)]

    def wait_for(self, source: Any, number: int, timeout_s: float = 20.0) -> list[Captured]:
        """Reads until ``number`` events came (or the time is over); wakes when something came."""
        found: list[Captured] = []
        deadline = time.monotonic() + timeout_s
        while len(found) < number and time.monotonic() < deadline:
            found += source.read(1000, 1 << 20)
            if len(found) < number:
                source._context.wake.wait(0.05)
                source._context.wake.clear()
        return found

    def until(self, condition: Callable[[], bool], timeout_s: float = 20.0) -> None:
        """Waits for what another thread does."""
        deadline = time.monotonic() + timeout_s
        pause = threading.Event()
        while not condition():
            assert time.monotonic() < deadline, "it did not happen"
            pause.wait(0.005)

    def close(self) -> None:
        for source in self._opened:
            source.close()
        self._opened.clear()
        self.checkpoints.close()

    def _count(self, name: str, n: float = 1, **labels: str) -> None:
        self.counted[labels.get("kind") or labels.get("reason") or name] += int(n)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.close()
