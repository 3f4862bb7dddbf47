"""Data streams and their backing indices, read from index settings, which every server has.

(The minimal distribution has no ``GET _data_stream``, no ILM and no data stream life cycle.)
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby

from samlog.clock import Clock, iso_ms
from samlog.errors import ConfigError
from samlog.event import Event
from samlog.store.base import DATASET
from samlog.store.elastic_client import Server
from samlog.store.fields import TIME_OF_RECEIPT

UNIT = re.compile(r"[a-z][a-z0-9]{0,29}")
STREAM = re.compile(rf"logs-({DATASET.pattern})-({UNIT.pattern})")
_BACKING = re.compile(r"\.ds-(.+)-\d{4}\.\d{2}\.\d{2}-(\d{6,})")

CLOCK_ERROR = timedelta(days=1)
"""How wrong a source's clock may be before a repeated event is stored twice after a rollover."""

HISTORY_S = 60.0
"""How long samlog may not notice a rollover that somebody else made."""


@dataclass(frozen=True, slots=True)
class Backing:
    """One backing index; ``created_ms`` since 1970, by the server's clock."""

    name: str
    stream: str
    generation: int
    created_ms: int


def pattern(units: Iterable[str]) -> str:
    """Returns the index expression of all streams of ``units``, and of no other.

    Raises `ConfigError` for a name that could reach beyond.
    """
    names = list(units)
    if not names:
        raise ConfigError("no unit is named: an empty name would be every index")
    for name in names:
        if not UNIT.fullmatch(name):
            raise ConfigError(f"{name!r} is no unit: lower-case letters and digits, at most 30")
    return ",".join(f"logs-*-{name}" for name in names)


def stream_of(index: str) -> str:
    """Returns the data stream that the backing index ``index`` belongs to."""
    found = _BACKING.search(index)
    return found.group(1) if found else index


def backing_indices(server: Server, units: Sequence[str]) -> list[list[Backing]]:
    """Returns per data stream of ``units`` its backing indices, oldest first."""
    if not units:
        return []
    answer = server.call(
        "GET",
        f"/{pattern(units)}/_settings/index.creation_date",
        params={"ignore_unavailable": "true"},
    )
    found = []
    for name, told in answer.items():
        if match := _BACKING.search(name):
            created = int(told["settings"]["index"]["creation_date"])
            found.append(Backing(name, match.group(1), int(match.group(2)), created))
    found.sort(key=lambda index: (index.stream, index.generation))
    return [list(group) for _, group in groupby(found, key=lambda index: index.stream)]


class History:
    """Knows which events may lie in an index from before a stream's last rollover.

    ``create`` answers "exists" within the current backing index only. An event cannot have been
    stored before it happened: one that happened after the rollover needs no look-up. Clocks are
    trusted to `CLOCK_ERROR`, both ways.
    """

    def __init__(self, server: Server, units: Sequence[str], clock: Clock) -> None:
        self._server = server
        self._units = units
        self._clock = clock
        self._read_at: float | None = None
        self._since: dict[str, str] = {}
        self._until = ""

    def forget(self) -> None:
        """Makes the next question look at the server again."""
        self._read_at = None

    def read(self) -> None:
        """Asks the server for rollovers, at most once in `HISTORY_S`."""
        now = self._clock.monotonic_s()
        if self._read_at is not None and now - self._read_at < HISTORY_S:
            return
        rolled = {}
        for indices in backing_indices(self._server, self._units):
            if len(indices) > 1:
                moment = timedelta(milliseconds=indices[-1].created_ms) + CLOCK_ERROR
                rolled[indices[-1].stream] = iso_ms(_EPOCH + moment)
        if any(self._since.get(stream) != since for stream, since in rolled.items()):
            self._server.call("POST", f"/{pattern(self._units)}/_refresh")
        self._since = rolled
        self._until = iso_ms(self._clock.now() + CLOCK_ERROR)
        self._read_at = now

    def may_hold(self, stream: str, event: Event) -> bool:
        """Tells whether an older index of ``stream`` may hold ``event`` already."""
        since = self._since.get(stream)
        if since is None:
            return False
        happened = event.get("@timestamp")
        # ISO 8601 in UTC with milliseconds sorts as text; anything else is looked up.
        if not (isinstance(happened, str) and since < happened < self._until):
            return True
        return not TIME_OF_RECEIPT.isdisjoint(event.get("tags") or ())


_EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")
