"""Write, rotate, look, crash and start again, in any order: nothing is lost or doubled."""

import gzip
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.checkpoint import Checkpoints
from ingest.source import Context, types
from ingest.sources import file
from samlog.event import H_ORIGIN
from samlog.testing import FakeClock

STEPS = ["append", "append", "look", "look", "crash", "restart", "rename", "copytruncate", "pack"]
STEPS += ["wait"]


class World:
    """A log, what was written to it, and what a collector delivered."""

    def __init__(self, folder: Path, pattern: str, *, look_before_rotation: bool) -> None:
        self._folder = folder
        self._pattern = pattern
        self._look_before_rotation = look_before_rotation
        self._log = folder / "app.log"
        self._clock = FakeClock()
        self._rotations = 0
        self.written: list[bytes] = []
        self.delivered: set[tuple[bytes, bytes]] = set()
        self._start()

    def append(self) -> None:
        new = [b"line %d of the log" % (len(self.written) + n) for n in range(7)]
        self.written += new
        with self._log.open("ab") as target:
            target.write(b"".join(line + b"\n" for line in new))

    def look(self) -> None:
        self._clock.advance(1)
        while some := self._source.read(100, 1 << 20):
            self.delivered |= {(one.headers[H_ORIGIN], one.value) for one in some}
            self._acknowledge()
        self._acknowledge()

    def crash(self) -> None:
        """Delivers, and dies before the positions are saved."""
        self._clock.advance(1)
        some = self._source.read(100, 1 << 20)
        self.delivered |= {(one.headers[H_ORIGIN], one.value) for one in some}
        self.restart()

    def wait(self) -> None:
        """Until rotated files are looked for again."""
        self._clock.advance(file.RESCUE_S)

    def restart(self) -> None:
        self.close()
        self._start()

    def rename(self) -> None:
        self._rotate(lambda new: self._log.rename(new))
        self._log.touch()

    def copytruncate(self) -> None:
        self._rotate(lambda new: shutil.copy(self._log, new))
        self._log.write_bytes(b"")

    def pack(self) -> None:
        """Compresses the newest rotated file, as logrotate does at the next rotation."""
        newest = self._log.with_name(f"app.log.{self._rotations}")
        if newest.exists() and not self._look_before_rotation:
            newest.with_name(newest.name + ".gz").write_bytes(gzip.compress(newest.read_bytes()))
            newest.unlink()

    def close(self) -> None:
        self._source.close()
        self._checkpoints.close()

    def _rotate(self, move: Any) -> None:
        if not self._log.exists():
            return
        if self._look_before_rotation:
            self.append()
            self.look()
            self.append()
        self._rotations += 1
        move(self._log.with_name(f"app.log.{self._rotations}"))

    def _acknowledge(self) -> None:
        with self._checkpoints.transaction():
            self._source.acknowledge()

    def _start(self) -> None:
        self._checkpoints = Checkpoints(self._folder / "state" / "collect.db")
        keys: dict[str, Any] = {"paths": [str(self._folder / self._pattern)], "rotate_wait_s": 2}
        config: Any = types()["file"](**{"type": "file", "unit": "a", **keys})
        context = Context(self._checkpoints, self._clock, "here", "session")
        self._source = file.open(config, context)


def play(steps: list[str], pattern: str, *, look_before_rotation: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder), pattern, look_before_rotation=look_before_rotation)
        try:
            for step in steps:
                getattr(world, step)()
            for _ in range(6):
                world.look()
        finally:
            world.close()
        assert {value for _, value in world.delivered} == set(world.written)
        assert len(world.delivered) == len(world.written)


@given(st.lists(st.sampled_from(STEPS), max_size=25))
@settings(max_examples=60, deadline=None)
def test_with_a_pattern_that_names_rotated_files_too(steps: list[str]) -> None:
    play(steps, "app.log*", look_before_rotation=False)


@pytest.mark.parametrize("pattern", ["app.log", "*.log"])
@given(steps=st.lists(st.sampled_from(STEPS), max_size=25))
@settings(max_examples=60, deadline=None)
def test_with_a_pattern_that_names_the_live_file_only(pattern: str, steps: list[str]) -> None:
    play(steps, pattern, look_before_rotation=True)
