"""Files: followed as they grow and are rotated, or read once.

```yaml
- {type: file, unit: enheda, paths: [/var/log/auth.log], source: linux_auth}
- {type: file, unit: enheda, paths: ["/srv/export/*.evtx", "/srv/export/*.gz"], follow: false}
```

What a file holds is told by its first bytes: text lines, gzip of any of these, or EVTX (one event a
record, as XML). A ``.json`` file may hold pretty-printed objects or an array of them.

*Known by content.* A file that was renamed, copied or compressed is the same file: it is read on,
not again. Two files that only begin alike are told apart by the bytes in front of the position.

*Rotation.* By renaming: the old file is read to its end, also when it was rotated while samlog did
not run, as long as it lies in the same folder under a name that begins with the old one. By
copytruncate: likewise from the copy. What is written between copy and truncation is lost by that
method itself. A file that was made and rotated away between two looks, or while samlog did not run,
is found only by a pattern that names rotated files too: ``/var/log/auth.log*``. Nothing is read
twice by it.

*The last line.* A line without its line end is not an event yet: it waits until the line end
comes, or until the file was rotated away, deleted or truncated. Files that are read once
(``follow: false``, gzip, EVTX) give it at the end of the file.

*Damage.* A cut or damaged gzip or EVTX file gives what can be read, a warning and a count, and is
read on when it changes. An event over ``max_event_bytes`` is cut there; length and hash go along.
"""

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import structlog
from pydantic import Field

from ingest import source
from ingest.checkpoint import FilePosition, Key
from ingest.known import KnownFiles, find_rotated
from ingest.patterns import is_named, regular_files
from ingest.source import Captured, Context, received
from ingest.split import Piece
from ingest.tail import Tail
from samlog.event import H_ORIGIN, H_RECEIVED

log = structlog.get_logger(__name__)

SLEEP_AFTER_S = 60.0
SETTLE_S = 1.0
RESCUE_S = 60.0
"""How often rotated files are looked for again that were not found or not readable at first."""
WARN_AGAIN_S = 3600.0
"""How often the log says the same of one path, while each look finds it so."""
LOOK_SHARE = 0.05
"""How much of its time a source looks for files at most."""


class Config(source.Config):
    """Log files on this machine."""

    type: Literal["file"]
    paths: list[str] = Field(min_length=1)
    """Files or patterns (``*``, ``?``, ``[..]``, ``**``)."""
    follow: bool = True
    """Whether files are followed as they grow; else each is read once to its end."""
    framing: Literal["auto", "lines", "json"] = "auto"
    """How events are told apart; auto: JSON objects in ``.json``, lines in all else."""
    poll_s: float = Field(default=0.25, gt=0, le=3600)
    """How often new, grown and rotated files are looked for; less often where a look takes long."""
    rotate_wait_s: float = Field(default=10.0, ge=0, le=86_400)
    """How long a file that was rotated away or deleted may still be written to."""


class FileSource:
    """The files of one configuration entry. Not thread-safe."""

    repeats = True

    def __init__(self, config: Config, context: Context) -> None:
        self.config = config
        self.finite = context.finite or not config.follow
        self._context = context
        self._known = KnownFiles(context.checkpoints, f"{config.unit}\x1f{config.host}")
        self._tails: dict[Key, Tail] = {}
        self._ready: OrderedDict[Key, Tail] = OrderedDict()
        self._done: dict[Key, tuple[int, int]] = {}
        self._settling: dict[Key, tuple[tuple[int, int], float]] = {}
        self._warned: dict[str, float] = {}
        self._captured: list[Captured] = []
        self._size = 0
        self._due_at: float | None = None
        self._rescue_at = 0.0
        self._draining = False

    @property
    def finished(self) -> bool:
        read_all = self.finite and self._due_at is not None and not self._ready
        return (self._draining or read_all) and not self._captured

    def read(self, max_records: int, max_bytes: int) -> Sequence[Captured]:
        self._known.settle()
        if self._draining:
            return []
        now = self._context.clock.monotonic_s()
        if self._due_at is None or (now >= self._due_at and not self.finite):
            self._discover(now)
            took_s = self._context.clock.monotonic_s() - now
            self._due_at = now + max(self.config.poll_s, took_s / LOOK_SHARE)
        while self._ready and len(self._captured) < max_records and self._size < max_bytes:
            key, tail = next(iter(self._ready.items()))
            try:
                pieces = tail.pull()
                if pieces is None:
                    del self._ready[key]
                    self._at_end(tail, now)
                    continue
            except OSError as error:
                self._broken(tail, error)
                continue
            tail.quiet_since = None
            if not self.finite:
                self._ready.move_to_end(key)
            if pieces:
                self._capture(tail, pieces)
                self._known.moved(tail, tail.mark())
        captured, self._captured, self._size = self._captured, [], 0
        return captured

    def acknowledge(self) -> None:
        self._known.save()

    def drain(self) -> None:
        self._draining = True

    def close(self) -> None:
        for tail in self._tails.values():
            tail.close()
        self._tails.clear()
        self._ready.clear()

    def _capture(self, tail: Tail, pieces: Iterable[Piece]) -> None:
        stream = f"file:{tail.path}"
        at = received(self._context.clock.now())
        for piece in pieces:
            headers = {H_ORIGIN: tail.origin(piece), H_RECEIVED: at}
            if piece.full:
                headers |= piece.full.headers()
            self._captured.append(Captured(stream, piece.value, headers))
            self._size += len(piece.value)

    def _at_end(self, tail: Tail, now: float) -> None:
        """Decides what becomes of a file that was read to its end."""
        if self.finite or tail.whole:
            self._complete(tail)
        elif tail.gone_since is None:
            tail.quiet_since = now if tail.quiet_since is None else tail.quiet_since
        elif now - tail.gone_since >= self.config.rotate_wait_s:
            self._complete(tail, closed=True)

    def _complete(self, tail: Tail, *, closed: bool = False) -> None:
        """Ends reading: the last line is one even without its line end."""
        self._capture(tail, tail.finish())
        position = replace(tail.mark(at_end=True), closed=closed)
        self._known.moved(tail, position)
        if tail.problem:
            self._damaged(tail)
        if not closed:
            self._done[tail.key] = tail.state()
        self._forget(tail)

    def _forget(self, tail: Tail) -> None:
        self._tails.pop(tail.key, None)
        self._ready.pop(tail.key, None)
        tail.close()

    def _discover(self, now: float) -> None:
        first = self._due_at is None
        present = regular_files(self.config.paths, self._warn)
        for key, path in present.items():
            tail = self._tails.get(key)
            if tail is None:
                self._look_at(key, path, now)
                continue
            try:
                self._look_again(tail, path, now)
            except OSError as error:
                self._broken(tail, error)
        for key in self._tails.keys() - present.keys():
            tail = self._tails[key]
            tail.gone_since = now if tail.gone_since is None else tail.gone_since
            self._ready_or_lost(tail, now)
        if not self.finite and (first or now >= self._rescue_at):
            self._rescue_at = now + RESCUE_S
            self._rescue_rotated(present.values(), now, first=first)

    def _look_at(self, key: Key, path: Path, now: float) -> None:
        """Opens a file that is new or has changed since it was read to its end."""
        try:
            status = path.stat()
        except OSError:
            return
        state = (status.st_size, status.st_mtime_ns)
        if status.st_size == 0 or self._done.get(key) == state:
            return
        tail = self._open(path)
        if tail is None:
            return
        if tail.whole and not self.finite and not self._is_settled(key, state, now):
            tail.close()
            return
        self._settling.pop(key, None)
        try:
            known = self._known.match(tail)
        except OSError as error:
            self._broken(tail, error)
            return
        if (
            known
            and known.end
            and known.key == key
            and known.size == status.st_size
            and (self.finite or tail.whole)
        ):
            self._done[key] = state
            tail.close()
            return
        self._follow(tail)

    def _is_settled(self, key: Key, state: tuple[int, int], now: float) -> bool:
        """Tells whether a file has been the same for a while: somebody may be copying it here."""
        before, since = self._settling.get(key, (None, now))
        if before != state:
            self._settling[key] = (state, now)
            return False
        return now - since >= SETTLE_S

    def _look_again(self, tail: Tail, path: Path, now: float) -> None:
        """Sees whether a file that is open has a new name, grew, or was written anew."""
        tail.path = path
        tail.gone_since = None
        if tail.asleep and not tail.wake_if_changed():
            return
        if tail.was_rewritten():
            self._start_over(tail, now)
        elif tail.has_more():
            self._ready[tail.key] = tail
        elif tail.quiet_since is not None and now - tail.quiet_since > SLEEP_AFTER_S:
            tail.sleep()

    def _ready_or_lost(self, tail: Tail, now: float) -> None:
        if not tail.asleep:
            self._ready[tail.key] = tail
            return
        self._forget(tail)
        self._rescue(tail.mark(), now)

    def _start_over(self, tail: Tail, now: float) -> None:
        """The file was truncated (copytruncate): the copy has what was not read before that."""
        self._forget(tail)
        if not self._rescue(tail.mark(), now):
            self._capture(tail, tail.finish())
            self._give_up(tail.row)
        self._look_at(tail.key, tail.path, now)

    def _rescue_rotated(self, present: Iterable[Path], now: float, *, first: bool) -> None:
        """Finds files that were rotated while nobody looked.

        At the first look also where no new file has the name yet. What was not found then is
        looked for once more when one has, and given up if all candidates could be read.
        """
        there = {str(path) for path in present}
        for row in self._known.unclaimed():
            if row.path not in there and not (first and is_named(row.path, self.config.paths)):
                continue
            if self._rescue(row, now) is False and row.path in there:
                self._give_up(row)

    def _give_up(self, row: FilePosition) -> None:
        log.info("rotated_file_not_found", path=row.path, read_to=row.position)
        self._known.retire(row)

    def _rescue(self, row: FilePosition, now: float) -> bool | None:
        """Reads on in the file that ``row``'s became; None: a candidate can't be read now."""
        try:
            tail = find_rotated(row, self._tails, self._tail)
        except OSError as error:
            self._warn(row.path, "rotated_file_not_readable", str(error.strerror))
            return None
        if tail is None:
            return False
        # It keeps name and row: so it is found again if this process ends in the middle of it.
        tail.path = Path(row.path)
        tail.row = replace(tail.row, path=row.path, id=row.id)
        self._known.claim(row)
        tail.gone_since = now
        self._follow(tail)
        return True

    def _follow(self, tail: Tail) -> None:
        self._tails[tail.key] = self._ready[tail.key] = tail

    def _open(self, path: Path) -> Tail | None:
        try:
            return self._tail(path)
        except OSError as error:
            self._warn(str(path), "file_not_readable", str(error.strerror))
            return None

    def _tail(self, path: Path) -> Tail:
        limit = self._context.max_event_bytes
        return Tail(path, limit, self.config.framing, seed=self.config.host.encode())

    def _broken(self, tail: Tail, error: OSError) -> None:
        """The disk or share failed: the file is opened again at the next look."""
        self._context.count("errors_total", stage="collect", kind="file_not_readable")
        self._warn(str(tail.path), "file_not_readable", str(error.strerror))
        self._known.release(tail.row)
        self._forget(tail)

    def _damaged(self, tail: Tail) -> None:
        kind = tail.problem.replace(" ", "_").lower()
        self._context.count("errors_total", stage="collect", kind=kind)
        if tail.lost:
            labels = {"stage": "collect", "unit": self.config.unit, "reason": "damaged_evtx"}
            self._context.count("events_dropped_total", tail.lost, **labels)
        log.warning(
            "file_damaged",
            problem=tail.problem,
            path=str(tail.path),
            events_lost=tail.lost,
            hint="what could be read was delivered; it is read on when the file changes",
        )

    def _warn(self, path: str, what: str, reason: str) -> None:
        now = self._context.clock.monotonic_s()
        if now >= self._warned.get(path, now):
            self._warned[path] = now + WARN_AGAIN_S
            log.warning(what, path=path, reason=reason, unit=self.config.unit)


def open(config: Config, context: Context) -> FileSource:
    """Opens the files; what can't be read is said in the log, the others go on."""
    return FileSource(config, context)
