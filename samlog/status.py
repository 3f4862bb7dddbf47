"""What each stage's process says of itself: a small JSON file a process, replaced whole.

The supervisor reads them for /livez, /readyz and the summary line. They are no source of truth:
a killed process leaves its last word behind, up to a second old.
"""

import os
from collections import defaultdict
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import orjson

from samlog import slot
from samlog.clock import Clock
from samlog.errors import Unavailable

INTERVAL_S = 1.0
States = dict[str, dict[str, Any]]
_NO_FIGURES = {"pid", "at", "began", "ended", "starting", "finished"}
_JOINED: Mapping[str, Any] = {"began": min, "ended": max, "finished": max}


def folder(state: Path) -> Path:
    """Returns where the files are, below the state folder."""
    return state / "run"


class StatusFile:
    """Writes one process's status, at most once a second unless forced."""

    def __init__(self, state: Path, stage: str, clock: Clock, *, suffix: str = "") -> None:
        self._stage = stage
        self._path = folder(state) / f"{stage}{suffix}.json"
        self._clock = clock
        self._written_s = float("-inf")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise Unavailable(f"state folder {state}: {error.strerror}") from error

    def write(self, status: Mapping[str, Any], *, now: bool = False) -> None:
        """Replaces the file with ``status`` and the time; a full disk is no reason to stop."""
        if not now and self._clock.monotonic_s() - self._written_s < INTERVAL_S:
            return
        self._written_s = self._clock.monotonic_s()
        about = {"stage": self._stage, "pid": os.getpid(), "at": self._clock.now().timestamp()}
        fresh = self._path.with_suffix(f".{os.getpid()}.tmp")
        try:
            fresh.write_bytes(orjson.dumps({**status, **about}))
            fresh.replace(self._path)
        except OSError:
            with suppress(OSError):
                fresh.unlink(missing_ok=True)


def read_all(state: Path) -> States:
    """Returns the status of every process that wrote one here: ``normalize``, ``normalize-1`` …"""
    found = {}
    for path in sorted(folder(state).glob("*.json")):
        try:
            told = orjson.loads(path.read_bytes())
        except (OSError, orjson.JSONDecodeError):
            continue
        if isinstance(told, dict) and isinstance(told.get("at"), int | float):
            found[path.stem] = told
    return found


def clear(state: Path) -> None:
    """Removes what earlier runs left behind; what another run's processes say stays."""
    for path in folder(state).glob("*.json"):
        stage, _, number = path.stem.partition("-")
        if not slot.holder(state, stage, int(number) if number.isdecimal() else 0):
            path.unlink(missing_ok=True)


class Tally:
    """What the processes of one run said, those that were started again included."""

    def __init__(self, state: Path) -> None:
        self._state = state
        self._last_words: dict[int, dict[str, Any]] = {}

    def ended(self, pid: int) -> None:
        """Keeps the last word of a process, before its successor overwrites the file."""
        for told in read_all(self._state).values():
            if told.get("pid") == pid:
                self._last_words[pid] = told

    def present(self, pids: Collection[int]) -> States:
        """Returns what is in the files of these processes now."""
        return {n: told for n, told in read_all(self._state).items() if told.get("pid") in pids}

    def totals(self, pids: Collection[int]) -> States:
        """Returns per stage the figures of all its processes added up, and its last problem."""
        words = dict(self._last_words)
        words |= {told["pid"]: told for told in self.present(pids).values()}
        found: States = defaultdict(dict)
        for told in words.values():
            stage = found[str(told.get("stage", ""))]
            for name, value in told.items():
                if name in _JOINED and value:
                    stage[name] = _JOINED[name](stage.get(name) or value, value)
                elif isinstance(value, int | float) and name not in _NO_FIGURES:
                    stage[name] = stage.get(name, 0) + value
                elif name == "problem" and value:
                    stage[name] = value
        return dict(found)
