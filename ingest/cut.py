"""Keeps the beginning of what is too long, and the length and hash of all of it."""

from hashlib import sha256
from typing import NamedTuple

from samlog.event import H_FULL_LENGTH, H_FULL_SHA256


class Full(NamedTuple):
    """What a cut value was before: length in bytes and SHA-256 in hex."""

    length: int
    sha256: str

    def headers(self) -> dict[str, bytes]:
        """Returns the headers that tell of the cut."""
        return {H_FULL_LENGTH: b"%d" % self.length, H_FULL_SHA256: self.sha256.encode()}


class Long:
    """A value that grew over ``limit`` bytes: memory stays at ``limit``, whatever comes.

    With ``line`` a carriage return at the very end counts as line end and is left out.
    """

    def __init__(self, limit: int, *, line: bool) -> None:
        self._limit = limit
        self._line = line
        self._kept = bytearray()
        self._hash = sha256()
        self._length = 0
        self._held = b""

    def add(self, data: bytes | bytearray) -> None:
        """Takes the next bytes of the value."""
        if self._line:
            data = self._held + data
            self._held = b"\r" if data[-1:] == b"\r" else b""
            data = data[: len(data) - len(self._held)]
        self._hash.update(data)
        self._length += len(data)
        room = self._limit - len(self._kept)
        if room > 0:
            self._kept += data[:room]

    def finish(self) -> tuple[bytes, Full | None]:
        """Returns the kept beginning, and what it was if more than that was taken."""
        full = Full(self._length, self._hash.hexdigest())
        return bytes(self._kept), full if self._length > self._limit else None


def cut(value: bytes, limit: int) -> tuple[bytes, Full | None]:
    """Returns ``value`` with at most ``limit`` bytes, and what it was if that is less."""
    if len(value) <= limit:
        return value, None
    return value[:limit], Full(len(value), sha256(value).hexdigest())
