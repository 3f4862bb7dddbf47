"""Which ids one day's index may hold, so that most new documents need no look-up in it."""

from collections.abc import Iterable, Sequence

_BITS = 27
_BYTES = 1 << (_BITS - 3)
_MASK = (1 << _BITS) - 1


class Ids:
    """A Bloom filter of two bits an id in 16 MB, of which the system gives what is touched.

    Holds for what is not in it, and says of 2 % of the ids that are not that they may be when it
    has 10 million. The hash is Python's, which nobody outside this process can aim at.
    """

    def __init__(self) -> None:
        self._bits = bytearray(_BYTES)

    def add(self, ids: Iterable[str]) -> None:
        """Takes ids."""
        bits = self._bits
        for id_ in ids:
            low, high = _places(id_)
            bits[low >> 3] |= 1 << (low & 7)
            bits[high >> 3] |= 1 << (high & 7)

    def possible(self, ids: Sequence[str]) -> list[str]:
        """Returns those that may have been added."""
        bits = self._bits
        found = []
        for id_ in ids:
            low, high = _places(id_)
            if bits[low >> 3] >> (low & 7) & 1 and bits[high >> 3] >> (high & 7) & 1:
                found.append(id_)
        return found


def _places(id_: str) -> tuple[int, int]:
    number = hash(id_)
    return number & _MASK, number >> _BITS & _MASK
