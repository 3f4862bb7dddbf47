"""Where one syslog message ends and the next begins on a TCP connection (RFC 6587).

Per message, not per connection: a message that starts with a count, a space and a priority
(``83 <34>1 2026-…``) is octet-counted (section 3.4.1), any other ends at its line feed (section
3.4.2). So senders of both kinds are understood, and after a wrong count the next line is whole.

A counted message may hold line feeds and whole log lines, so nothing in its content can tell that
its count is wrong. What tells is its size: no sender has messages of many times what is kept of
one. A larger count is text of a line, and a framing error. A wrong count below that takes at most
so many bytes of the connection into one message; what comes after them is understood again.
"""

import re

from ingest.cut import Full, Long

Message = tuple[bytes, Full | None]

_COUNT = re.compile(rb"([1-9]\d{0,8}) (?=<\d{1,3}>)")
_MAYBE_COUNT = re.compile(rb"[1-9]\d{0,8}(?: (?:<\d{0,3})?)?")
_COUNT_MAX = 15
COUNT_TIMES_LIMIT = 4
"""Largest count taken for one, in times of the limit: 4 MiB where 1 MiB of an event is kept. Syslog
daemons send 8 KiB at most unless told otherwise; so this leaves what is cut room enough."""
_LINE_FEED = 0x0A


class Framer:
    """Cuts what one connection sends into messages, the same whatever the chunks.

    A message over ``limit`` bytes is cut there; memory stays at ``limit`` and a chunk. Line ends
    at the end of a message are no part of it; empty messages are left out. ``errors`` goes up by
    one for each count that can't be one.
    """

    def __init__(self, limit: int) -> None:
        self.errors = 0
        self._limit = limit
        self._buffer = bytearray()
        self._searched = 0
        self._left = 0
        self._long: Long | None = None

    def feed(self, data: bytes) -> list[Message]:
        """Returns the messages that ``data`` completed."""
        self._buffer += data
        messages: list[Message] = []
        at = 0
        while (after := self._next(at, messages)) is not None:
            at = after
        del self._buffer[:at]
        self._searched = max(0, self._searched - at)
        return messages

    def finish(self) -> list[Message]:
        """Returns what is left when the sender has gone: a message that may be cut short."""
        messages: list[Message] = []
        self._grow(0, len(self._buffer))
        self._end(messages)
        return messages

    def _next(self, at: int, messages: list[Message]) -> int | None:
        """Takes one message, or a part of a long one, from ``at``; None = more is needed."""
        buffer = self._buffer
        if at >= len(buffer):
            return None
        if self._left:
            return self._counted(at, messages)
        if self._long is None and 0x31 <= buffer[at] <= 0x39:
            found = _COUNT.match(buffer, at)
            if found and int(found[1]) <= COUNT_TIMES_LIMIT * self._limit:
                self._left = int(found[1])
                return found.end()
            if found:
                after = self._line(at, messages)
                self.errors += after is not None
                return after
            if (
                _MAYBE_COUNT.fullmatch(buffer, at, at + _COUNT_MAX)
                and len(buffer) - at < _COUNT_MAX
            ):
                return None
        return self._line(at, messages)

    def _counted(self, at: int, messages: list[Message]) -> int | None:
        available = len(self._buffer) - at
        if available < self._left and available <= self._limit and self._long is None:
            return None
        taken = min(available, self._left)
        if self._long is None and taken == self._left <= self._limit:
            self._left = 0
            self._add(bytes(self._buffer[at : at + taken]), messages)
            return at + taken
        self._grow(at, at + taken, line=False)
        self._left -= taken
        if not self._left:
            self._end(messages)
        return at + taken

    def _line(self, at: int, messages: list[Message]) -> int | None:
        end = self._buffer.find(b"\n", max(at, self._searched))
        if end >= 0 and self._long is None and end - at <= self._limit:
            self._add(bytes(self._buffer[at:end]), messages)
            return end + 1
        if end >= 0:
            self._grow(at, end)
            self._end(messages)
            return end + 1
        if self._long is None and len(self._buffer) - at <= self._limit + 1:
            self._searched = len(self._buffer)
            return None
        self._grow(at, len(self._buffer))
        return len(self._buffer)

    def _grow(self, start: int, end: int, *, line: bool = True) -> None:
        if self._long is None:
            self._long = Long(self._limit, line=line)
        self._long.add(self._buffer[start:end])

    def _end(self, messages: list[Message]) -> None:
        if self._long is None:
            return
        value, full = self._long.finish()
        self._long = None
        if full:
            messages.append((value, full))
        else:
            self._add(value, messages)

    def _add(self, value: bytes, messages: list[Message]) -> None:
        if stripped := without_line_end(value):
            messages.append((stripped, None))


def without_line_end(value: bytes) -> bytes:
    r"""Returns ``value`` without the ``\n``, ``\r`` and NUL that some senders put at its end."""
    return value.rstrip(b"\r\n\0")
