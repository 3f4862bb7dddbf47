"""Notes what a process is working on, so that a record which kills it can be recognised.

Before a batch its range is noted, after the commit the note is cleared. A process that starts and
finds a note was killed in that range: it then takes the range record by record, noting each. After
the third death (one in the batch, two alone) that record becomes a dead letter. What lies before
the range was worked on without harm: a step that holds what it has read gets it again after a
restart, as batches, and it counts as given again. The note is a small file that is overwritten in
place: it has to survive a process, not a power cut.
"""

import os
from collections.abc import Mapping
from pathlib import Path

import orjson

SIZE = 4096
DEATHS_ALONE = 2
Range = tuple[int, int]
"""Offsets of the first and the last record."""


class Journal:
    """The note of one process of one stage."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        self._suspects: dict[str, Range] = {}
        self._deaths: dict[str, int] = {}
        self._before: dict[str, int] = {}
        self._read()
        self._worked_on = dict(self._before)

    def _read(self) -> None:
        try:
            note = orjson.loads(os.pread(self._fd, SIZE, 0).rstrip(b" \x00") or b"{}")
        except orjson.JSONDecodeError:
            note = {}
        self._deaths = dict(note.get("deaths", {}))
        self._before = dict(note.get("worked_on", {}))
        for name, found in note.get("batch", {}).items():
            # Older releases noted the last offset only.
            first, last = found if isinstance(found, list) else (0, found)
            self._suspects[name] = (first, last)
        single = note.get("single")
        if single:
            self._deaths[single] = self._deaths.get(single, 0) + 1

    def _write(self, note: dict[str, object]) -> None:
        data = orjson.dumps({**note, "worked_on": self._worked_on})
        if len(data) > SIZE:
            # More than 60 partitions: what is only counted goes.
            data = orjson.dumps(note)
        # 3 µs; the whole size, so that nothing of a longer note stays behind.
        os.pwrite(self._fd, data[:SIZE].ljust(SIZE), 0)

    def careful(self, topic: str, partition: int, offset: int) -> bool:
        """Tells whether this record lies in a range in which a process was killed."""
        found = self._suspects.get(f"{topic}/{partition}")
        return found is not None and found[0] <= offset <= found[1]

    def deadly(self, topic: str, partition: int, offset: int) -> bool:
        """Tells whether `DEATHS_ALONE` processes died on exactly this record."""
        return self._deaths.get(f"{topic}/{partition}/{offset}", 0) >= DEATHS_ALONE

    def given_again(self, ranges: Mapping[str, Range]) -> int:
        """Returns how many records of a batch an earlier process had worked on, all suspects aside.

        These it had read and not committed when it ended.
        """
        return sum(
            max(0, min(last + 1, self._before.get(name, 0)) - first)
            for name, (first, last) in ranges.items()
        )

    def begin_batch(self, ranges: Mapping[str, Range]) -> None:
        """Notes a batch: ``topic/partition`` to its offsets."""
        both = {**self._suspects, **ranges}
        for name in self._suspects.keys() & ranges.keys():
            (first, last), (low, high) = self._suspects[name], ranges[name]
            both[name] = (min(first, low), max(last, high))
        self._write({"batch": both, "deaths": self._deaths})

    def begin_single(self, topic: str, partition: int, offset: int) -> None:
        """Notes one record of a suspect range."""
        name = f"{topic}/{partition}/{offset}"
        self._write({"batch": self._suspects, "deaths": self._deaths, "single": name})

    def put_down(self) -> None:
        """Notes that nothing is under way: who is stopped while it waits died of no record."""
        self._write({"batch": self._suspects, "deaths": self._deaths})

    def done(self, positions: Mapping[str, int]) -> None:
        """Clears the note; suspects before ``positions``, which were worked on, go with it."""
        self._worked_on.update(positions)
        if self._suspects:
            self._suspects = {
                name: found
                for name, found in self._suspects.items()
                if positions.get(name, 0) <= found[1]
            }
            if not self._suspects:
                self._deaths.clear()
        self.put_down()

    def close(self) -> None:
        """Releases the file; safe to call twice."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
