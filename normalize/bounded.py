"""A bounded dictionary of things that are made from their key."""

from collections.abc import Callable
from typing import TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Bounded(dict[K, V]):
    """Values by key, each made once by ``make``; emptied when ``size`` of them are there.

    For what follows from the shape of an event alone: sources have few shapes, an attacker has
    endless ones. ``fits`` tells which keys are kept, so that keys of any length take no memory.
    functools.lru_cache is as fast and keeps every key.
    """

    __slots__ = ("_fits", "_make", "_size")

    def __init__(self, make: Callable[[K], V], size: int, fits: Callable[[K], bool]) -> None:
        super().__init__()
        self._make, self._size, self._fits = make, size, fits

    def __missing__(self, key: K) -> V:
        value = self._make(key)
        if self._fits(key):
            if len(self) >= self._size:
                self.clear()
            self[key] = value
        return value
