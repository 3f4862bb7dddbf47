"""One file that is being read: its content, its place in it, and by what it is known."""

import os
from dataclasses import replace
from pathlib import Path

from ingest.checkpoint import FilePosition, Key, digest
from ingest.content import Gzip, Plain, open_content, splitter_for
from ingest.evtx_chunks import EvtxSplitter
from ingest.split import WINDOW, Piece, Splitter


def key_of(stat: os.stat_result) -> Key:
    return stat.st_dev, stat.st_ino


class Tail:
    """Reads a file from its beginning, or from where `continues` puts it.

    The fingerprint of an event is the hash of the file's first `WINDOW` bytes, or of all bytes up
    to the event's end where those are fewer: so it depends on nothing that may still be written,
    and is the same in every copy of the content, under any name, compressed or not. ``seed`` keeps
    apart what is equal and yet not the same: the logs of two hosts that do not name themselves.
    """

    def __init__(self, path: Path, limit: int, framing: str = "auto", *, seed: bytes = b"") -> None:
        self.path = path
        self._seed = seed
        self._content: Plain | Gzip = open_content(path)
        self._limit = limit
        self._make = splitter_for(self._content, path, framing)
        self._splitter: Splitter = self._make(limit)
        self._read_to = 0
        self._head = b""
        self._prefix = b""
        self._ended = b""
        self._see_head()
        self.key = key_of(self._content.stat())
        self.row = FilePosition(str(path), *self.key)
        self.whole = self._content.whole or self._make is EvtxSplitter
        """Tells that it is read to its end once and reopened when it changes (gzip, EVTX)."""
        self.asleep = False
        self.slept_at = (0, 0)
        self.quiet_since: float | None = None
        self.gone_since: float | None = None
        """When the file was first missed under every name that is watched."""

    def continues(self, known: FilePosition) -> bool:
        """Goes on behind ``known`` if this is the same content; tells whether it is."""
        if digest(self._head[: known.head_length]) != known.head:
            return False
        before = self._content.go_to(known.position, known.before_length)
        if len(before) < known.before_length or digest(before) != known.before:
            self._content.go_to(0, 0)
            return False
        self._splitter = self._make(self._limit, known.position, before)
        self._read_to = known.position
        self.row = replace(self.row, id=known.id if self.key == known.key else None)
        self._ended = known.end
        return True

    def head_digest(self, length: int) -> bytes | None:
        """Returns the hash of the first ``length`` bytes; None if there are fewer."""
        return digest(self._head[:length]) if length <= len(self._head) else None

    def pull(self) -> list[Piece] | None:
        """Returns the events that the next chunk completes; None at the end of the file."""
        data = self._content.read()
        if not data:
            return None
        self._read_to += len(data)
        if len(self._head) < WINDOW:
            self._see_head()
        return self._splitter.feed(data)

    def finish(self) -> list[Piece]:
        """Returns what has no line end, for a file to which nothing will be added.

        Empty where the checkpoint says that this same end was given before.
        """
        pieces = self._splitter.finish()
        return [] if self._ended == digest(self._splitter.seen) else pieces

    def origin(self, piece: Piece) -> bytes:
        """Returns the same for the same content, whatever the file's name."""
        if piece.origin:
            return piece.origin
        if piece.end >= WINDOW:
            return self._prefix + b"%d" % piece.offset
        return b"%s%d" % (self._fingerprint(self._head[: piece.end]), piece.offset)

    def size(self) -> int:
        return self._content.stat().st_size

    @property
    def lost(self) -> int:
        """How many events could not be read where the file is damaged, as far as it tells."""
        return self._splitter.lost if isinstance(self._splitter, EvtxSplitter) else 0

    @property
    def problem(self) -> str:
        """What is wrong with the file, "" if nothing is."""
        if isinstance(self._splitter, EvtxSplitter) and self._splitter.truncated:
            return "truncated EVTX"
        return "damaged EVTX" if self.lost else self._content.problem

    def was_rewritten(self) -> bool:
        """Tells whether what was read is no longer there: truncated, or written anew."""
        if self.whole or not isinstance(self._content, Plain):
            return False
        seen = self._splitter.seen
        return (
            self.size() < self._read_to
            or self._content.head(len(self._head)) != self._head
            or self._content.before(self._read_to, len(seen)) != seen
        )

    def has_more(self) -> bool:
        return self.size() > self._read_to

    def mark(self, *, at_end: bool = False) -> FilePosition:
        """Returns the position behind the last event that `pull` returned.

        ``at_end``: what `finish` returned was delivered too.
        """
        position = self._splitter.position
        head = self._head if at_end else self._head[:position]
        before = self._splitter.before
        return FilePosition(
            path=str(self.path),
            device=self.key[0],
            inode=self.key[1],
            head_length=len(head),
            head=digest(head),
            position=position,
            before_length=len(before),
            before=digest(before),
            end=digest(self._splitter.seen) if at_end else b"",
            size=self.size() if at_end else 0,
            id=self.row.id,
        )

    def state(self) -> tuple[int, int]:
        """Returns size and time of change, to see later whether the file changed since."""
        status = self.path.stat() if self.asleep else self._content.stat()
        return status.st_size, status.st_mtime_ns

    def sleep(self) -> None:
        """Gives the file handle back; `wake_if_changed` takes it again."""
        self.slept_at = self.state()
        self._content.close()
        self.asleep = True

    def wake_if_changed(self) -> bool:
        """Opens the file again where it changed since `sleep`; tells whether it did."""
        try:
            if self.state() == self.slept_at:
                return False
            content = open_content(self.path)
        except OSError:
            return False
        if key_of(content.stat()) != self.key or not isinstance(content, Plain):
            content.close()
            return False
        content.go_to(self._read_to, 0)
        self._content, self.asleep = content, False
        return True

    def close(self) -> None:
        self._content.close()

    def _see_head(self) -> None:
        self._head = self._content.head()
        self._prefix = self._fingerprint(self._head)

    def _fingerprint(self, head: bytes) -> bytes:
        return digest(self._seed + head).hex().encode() + b":"
