"""What the indexes of an engine remember, within one bound of memory for all of them."""

from collections.abc import Callable

MOST_BYTES = 64 << 20


class Kept:
    """Adds up, roughly, what is kept, and has all of it forgotten when it is too much.

    SigmaHQ's rules have 181 kinds of events and 982 tables of values; a bound for each of them is
    one of gigabytes for whoever sends all kinds. Real logs keep some megabytes.
    """

    def __init__(self, forget: Callable[[], None], most: int = MOST_BYTES) -> None:
        self.bytes = 0
        self._forget = forget
        self._most = most

    def add(self, size: int) -> None:
        """Takes note of ``size`` bytes more; may have everything forgotten first."""
        self.bytes += size
        if self.bytes > self._most:
            self._forget()
            self.bytes = size

    def give_back(self, size: int) -> None:
        """Takes note of ``size`` bytes less."""
        self.bytes -= size
