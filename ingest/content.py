"""The content of a file: plain, or what is inside gzip; with its windows, by which it is known."""

import os
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, Protocol

from ingest.evtx_chunks import MAGIC, EvtxSplitter
from ingest.split import WINDOW, JsonSplitter, LineSplitter, Piece, Splitter

CHUNK = 128 * 1024
_GZIP = b"\x1f\x8b"
_SNIFF = 64 * 1024


class Content(Protocol):
    """A file's content, read once from front to back. ``problem`` is "" while all is well."""

    whole: bool
    """Tells that the file is written once: it is read to its end and then left alone."""
    problem: str

    def read(self) -> bytes:
        """Returns the next bytes, at most `CHUNK`; b"" at the end of what can be read."""

    def head(self, size: int = WINDOW) -> bytes:
        """Returns up to ``size`` bytes from the beginning; reading goes on where it was."""

    def go_to(self, position: int, length: int) -> bytes:
        """Makes ``position`` the next to be read; returns up to ``length`` bytes before it.

        Shorter than asked where the content ends before.
        """

    def stat(self) -> os.stat_result:
        """Returns what the system knows of the open file."""

    def close(self) -> None:
        """Releases the file; safe to call twice."""


class Plain:
    """The bytes of the file itself."""

    whole = False

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.problem = ""
        self._position = 0

    def read(self) -> bytes:
        data = os.pread(self._file.fileno(), CHUNK, self._position)
        self._position += len(data)
        return data

    def head(self, size: int = WINDOW) -> bytes:
        return os.pread(self._file.fileno(), size, 0)

    def before(self, position: int, length: int) -> bytes:
        """Returns the ``length`` bytes in front of ``position`` as they are now."""
        return os.pread(self._file.fileno(), length, position - length)

    def go_to(self, position: int, length: int) -> bytes:
        self._position = position
        return self.before(position, length)

    def stat(self) -> os.stat_result:
        return os.fstat(self._file.fileno())

    def close(self) -> None:
        self._file.close()


class Gzip:
    """What is inside gzip (RFC 1952), several members in a row included; padding is ignored.

    Cut or damaged data gives what comes before the damage, then ``problem``.
    """

    whole = True

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._rewind()

    def _rewind(self) -> None:
        self._file.seek(0)
        self.problem = ""
        self._ahead = self._packed = b""
        self._member: zlib._Decompress | None = None

    def read(self) -> bytes:
        if self._ahead:
            data, self._ahead = self._ahead, b""
            return data
        while not self.problem and self._fill():
            data = self._inflate()
            if data:
                return data
        return b""

    def _fill(self) -> bool:
        """Has compressed bytes at hand and a member begun; tells False at the end of the file."""
        self._packed = self._packed or self._file.read(CHUNK // 2)
        if self._member is None:
            while self._packed and not self._packed.strip(b"\0"):
                self._packed = self._file.read(CHUNK // 2)
            self._packed = self._packed.lstrip(b"\0")
            self._member = zlib.decompressobj(31) if self._packed else None
        elif not self._packed:
            self.problem = "truncated gzip"
        return bool(self._packed)

    def _inflate(self) -> bytes:
        assert self._member is not None
        try:
            data = self._member.decompress(self._packed, CHUNK)
        except zlib.error:
            self.problem = "damaged gzip"
            return b""
        self._packed = self._member.unconsumed_tail
        if self._member.eof:
            self._packed = self._member.unused_data
            self._member = None
        return data

    def head(self, size: int = WINDOW) -> bytes:
        place = self._file.tell()
        fresh = Gzip(self._file)
        data = b""
        while len(data) < size and (more := fresh.read()):
            data += more
        self._file.seek(place)
        return data[:size]

    def go_to(self, position: int, length: int) -> bytes:
        self._rewind()
        passed, window = 0, b""
        while passed < position and (data := self.read()):
            here = data[: position - passed]
            self._ahead = data[len(here) :]
            passed += len(here)
            window = (window + here)[-length:] if length else b""
        return window

    def stat(self) -> os.stat_result:
        return os.fstat(self._file.fileno())

    def close(self) -> None:
        self._file.close()


def open_content(path: Path) -> Plain | Gzip:
    """Opens a regular file. What is in it is told by its first bytes, never by its name.

    Raises `OSError`.
    """
    # Without blocking: between a look and this a named pipe may have taken the file's place.
    file = os.fdopen(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK), "rb")
    return Gzip(file) if os.pread(file.fileno(), 2, 0) == _GZIP else Plain(file)


Make = Callable[..., Splitter]


def splitter_for(content: Content, path: Path, framing: str = "auto") -> Make:
    """Returns how ``content`` is sliced: as lines, JSON objects, or EVTX by its first bytes.

    A file whose name ends in ``.json`` (or ``.json.gz``) holds objects, unless its first line is
    one by itself: then it is NDJSON, as most ``.json`` logs are.
    """
    if content.head(len(MAGIC)) == MAGIC:
        return EvtxSplitter
    if framing != "auto":
        return JsonSplitter if framing == "json" else LineSplitter
    if not path.name.lower().removesuffix(".gz").endswith(".json"):
        return LineSplitter
    return LineSplitter if _is_ndjson(content.head(_SNIFF)) else JsonSplitter


def _is_ndjson(head: bytes) -> bool:
    first, newline, _ = head.lstrip().partition(b"\n")
    if not newline or first[:1] != b"{":
        return False
    splitter = JsonSplitter(len(first))
    return len(splitter.feed(first)) == 1 and not splitter.finish()


def read_pieces(path: Path, limit: int, framing: str = "auto") -> Iterator[Piece]:
    """Yields what `read_lists` does, one by one."""
    for pieces in read_lists(path, limit, framing):
        yield from pieces


def read_lists(path: Path, limit: int, framing: str = "auto") -> Iterator[list[Piece]]:
    """Yields the events of a finite file from its beginning, for commands that need no bus.

    As many at once as one `CHUNK` of it completes. What is damaged gives what can be read. Raises
    `OSError`.
    """
    content = open_content(path)
    try:
        splitter = splitter_for(content, path, framing)(limit)
        while data := content.read():
            yield splitter.feed(data)
        yield splitter.finish()
    finally:
        content.close()
