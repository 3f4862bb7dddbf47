"""Notes what a process is working on, so that a record which kills it can be recognised.

Before a batch its range is noted, after the commit the note is cleared. A process that starts and
finds a note was killed in that range: it then takes the range record by record, noting each. After
the third death (one in the batch, two alone) that record becomes a dead letter. The note is a
small file that is overwritten in place: it has to survive a process, not a power cut.
"""

import os
from pathlib import Path

import orjson

SIZE = 4096
DEATHS_ALONE = 2


class Journal:
    """The note of one process of one stage."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        self._suspects: dict[str, int] = {}
        self._deaths: dict[str, int] = {}
        self._read()

    def _read(self) -> None:
        try:
            note = orjson.loads(os.pread(self._fd, SIZE, 0).rstrip(b" \x00") or b"{}")
        except orjson.JSONDecodeError:
            note = {}
        self._deaths = dict(note.get("deaths", {}))
        for name, last in note.get("batch", {}).items():
            self._suspects[name] = last
        single = note.get("single")
        if single:
            self._deaths[single] = self._deaths.get(single, 0) + 1

    def _write(self, note: dict[str, object]) -> None:
        # 3 µs; the whole size, so that nothing of a longer note stays behind.
        os.pwrite(self._fd, orjson.dumps(note)[:SIZE].ljust(SIZE), 0)

    def careful(self, topic: str, partition: int, offset: int) -> bool:
        """Tells whether this record lies in a range in which a process was killed."""
        last = self._suspects.get(f"{topic}/{partition}")
        return last is not None and offset <= last

    def deadly(self, topic: str, partition: int, offset: int) -> bool:
        """Tells whether `DEATHS_ALONE` processes died on exactly this record."""
        return self._deaths.get(f"{topic}/{partition}/{offset}", 0) >= DEATHS_ALONE

    def begin_batch(self, last_offsets: dict[str, int]) -> None:
        """Notes a batch: ``topic/partition`` to last offset."""
        self._write({"batch": {**self._suspects, **last_offsets}, "deaths": self._deaths})

    def begin_single(self, topic: str, partition: int, offset: int) -> None:
        """Notes one record of a suspect range."""
        name = f"{topic}/{partition}/{offset}"
        self._write({"batch": self._suspects, "deaths": self._deaths, "single": name})

    def done(self, positions: dict[str, int]) -> None:
        """Clears the note; suspects below the committed ``positions`` are cleared with it."""
        if self._suspects:
            self._suspects = {
                name: last
                for name, last in self._suspects.items()
                if positions.get(name, 0) <= last
            }
            if not self._suspects:
                self._deaths.clear()
        self._write({"batch": self._suspects, "deaths": self._deaths})

    def close(self) -> None:
        """Releases the file; safe to call twice."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
