"""Windows event logs (EVTX): a header of 4 KiB, then chunks of 64 KiB that stand for themselves.

Each chunk is parsed alone, so that memory is bounded and a damaged or missing chunk costs nothing
but itself. One record becomes one event: its XML, UTF-8. Its origin is what Windows numbers:
computer, channel and EventRecordID; the same record from another export has the same.
"""

import io
import re
import struct
import warnings
import zlib
from collections.abc import Iterator

from evtx import PyEvtxParser

from ingest.cut import cut
from ingest.split import Piece

MAGIC = b"ElfFile\0"
HEADER = 4096
CHUNK = 65536
_CHUNK_MAGIC = b"ElfChnk\0"
_ORIGIN = re.compile(
    r"<EventRecordID>(\d+)</EventRecordID>.*?<Channel>([^<]*)</Channel>\s*"
    r"<Computer>([^<]*)</Computer>",
    re.DOTALL,
)
_SYSTEM_MAX = 4096


def _file_header() -> bytes:
    """Returns the header of a clean file with one chunk; the file's own may be damaged or dirty."""
    header = bytearray(HEADER)
    struct.pack_into("<8sQQQIHHHH", header, 0, MAGIC, 0, 0, 1, 128, 1, 3, HEADER, 1)
    struct.pack_into("<I", header, 124, zlib.crc32(header[:120]))
    return bytes(header)


_HEADER = _file_header()


class EvtxSplitter:
    """Gives the records of the chunks that are complete. ``lost`` counts what can't be read,
    ``truncated`` tells that the file ends within a chunk.

    `before` is the whole last chunk: many logs begin with the same header and end with zeros.
    """

    def __init__(self, limit: int, position: int = 0, before: bytes = b"") -> None:
        self.position = position
        self.before = self.seen = before
        self.lost = 0
        self.truncated = False
        self._limit = limit
        self._held = bytearray()

    def feed(self, data: bytes) -> list[Piece]:
        self._held += data
        pieces: list[Piece] = []
        while len(self._held) >= (size := CHUNK if self.position else HEADER):
            part = bytes(self._held[:size])
            del self._held[:size]
            if self.position:
                pieces += self._records(part)
            self.position += size
            self.before = self.seen = part
        return pieces

    def finish(self) -> list[Piece]:
        self.truncated = bool(self._held) or not self.position
        if not self.position or not self._held:
            return []
        return list(self._records(bytes(self._held).ljust(CHUNK, b"\0")))

    def _records(self, chunk: bytes) -> Iterator[Piece]:
        if not chunk.startswith(_CHUNK_MAGIC):
            self.lost += any(chunk)
            return
        first, last = struct.unpack_from("<QQ", chunk, 8)
        announced = last - first + 1 if 0 < first <= last < first + CHUNK else 0
        found = 0
        for xml in _parse(chunk):
            found += 1
            value, full = cut(xml.encode("utf-8", "surrogatepass"), self._limit)
            yield Piece(self.position, self.position + CHUNK, value, full, _origin(xml))
        self.lost += max(0, announced - found)


def _parse(chunk: bytes) -> Iterator[str]:
    """Yields the XML of every record that can be read."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        try:
            parser = PyEvtxParser(
                io.BytesIO(_HEADER + chunk), number_of_threads=1, indent=False, skip_errors=True
            )
            for record in parser.records():
                if record:
                    yield record["data"]
        except (RuntimeError, OSError, ValueError):
            return


def _origin(xml: str) -> bytes:
    found = _ORIGIN.search(xml, 0, _SYSTEM_MAX)
    if not found:
        return b""
    number, channel, computer = found.groups()
    return f"{computer}|{channel}|{number}".encode("utf-8", "surrogatepass")
