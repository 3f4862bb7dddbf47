"""What each stage's process says of itself: a small JSON file a stage, replaced whole.

The supervisor reads them for /livez, /readyz and the summary line. They are no source of truth:
a killed process leaves its last word behind.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from samlog.clock import Clock

INTERVAL_S = 1.0


def folder(state: Path) -> Path:
    """Returns where the files are, below the state folder."""
    return state / "run"


class StatusFile:
    """Writes one stage's status, at most once a second unless forced."""

    def __init__(self, state: Path, stage: str, clock: Clock) -> None:
        self._path = folder(state) / f"{stage}.json"
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._clock = clock
        self._written_s = float("-inf")

    def write(self, status: Mapping[str, Any], *, now: bool = False) -> None:
        """Replaces the file with ``status`` and the time; a full disk is no reason to stop."""
        if not now and self._clock.monotonic_s() - self._written_s < INTERVAL_S:
            return
        self._written_s = self._clock.monotonic_s()
        told = {**status, "pid": os.getpid(), "at": self._clock.now().timestamp()}
        fresh = self._path.with_suffix(f".{os.getpid()}.tmp")
        try:
            fresh.write_bytes(orjson.dumps(told))
            fresh.replace(self._path)
        except OSError:
            fresh.unlink(missing_ok=True)


def read_all(state: Path) -> dict[str, dict[str, Any]]:
    """Returns the status of every stage that ever wrote one here."""
    found = {}
    for path in sorted(folder(state).glob("*.json")):
        try:
            found[path.stem] = orjson.loads(path.read_bytes())
        except (OSError, orjson.JSONDecodeError):
            continue
    return found


def clear(state: Path) -> None:
    """Removes what earlier runs left behind."""
    for path in folder(state).glob("*.json"):
        path.unlink(missing_ok=True)
