"""How values are spelt within terms, which Tantivy splits at white space.

All terms of an event are handed over as one text: 62 calls and tokenizers an event are one (27 µs
less of 110 µs in Tantivy, Windows events, batches of 5,000). So no term may hold ASCII white space;
control characters stand for it, and noncharacters of Unicode for those. A value comes back as it
was but for NUL and the noncharacters U+FDD1 to U+FDD6.
"""

from base64 import b64decode, b64encode
from collections.abc import Iterator
from hashlib import blake2b

SEPARATOR = " "
"""Between the terms of an event."""

END = "\0"
"""Ends a value within its term; in values it is replaced."""

EQUALS = "\x02"
"""Stands for ``=`` within a name."""

_NUL_SIGN = "\u2400"
_NONCHARACTER = "\ufffd"
_SPELT = {
    " ": "\x01",
    "\t": "\x03",
    "\n": "\x04",
    "\f": "\x05",
    "\r": "\x06",
    "\x01": "\ufdd1",
    "\x02": "\ufdd2",
    "\x03": "\ufdd3",
    "\x04": "\ufdd4",
    "\x05": "\ufdd5",
    "\x06": "\ufdd6",
}
_REPLACED = {END: _NUL_SIGN} | dict.fromkeys(map(chr, range(0xFDD1, 0xFDD7)), _NONCHARACTER)
_TO_TERM = str.maketrans(_SPELT | _REPLACED)
_FROM_TERM = str.maketrans({letter: char for char, letter in _SPELT.items()})
_ALL = "~"
OWN = "@"
"""Instead of capitals: the value is the document's own id."""
DIGEST = "#"
"""Before what stands for the capitals of a value longer than `MAX_CAPITALS`."""
MAX_CAPITALS = 256
_BIT_OF = bytes(ord("1") if chr(code).isupper() and code < 128 else ord("0") for code in range(256))
_CASE = bytes(0x20 if code == ord("1") else 0 for code in range(256))
_SPECIAL = sorted({*map(ord, _SPELT), *map(ord, _REPLACED)})


def spelt(text: str) -> str:
    """Returns ``text`` as terms have it."""
    if text.isprintable():
        return text.replace(" ", "\x01")
    return text.translate(_TO_TERM)


def plain(text: str) -> str:
    """Returns a part of a term as it was before `spelt`."""
    return text.translate(_FROM_TERM)


def spelt_set(low: str, high: str) -> Iterator[tuple[str, str]]:
    """Yields the ranges of characters that terms have for those from ``low`` to ``high``."""
    first, last = ord(low), ord(high)
    for special in _SPECIAL:
        if first <= special <= last:
            if first < special:
                yield chr(first), chr(special - 1)
            letter = spelt(chr(special))
            yield letter, letter
            first = special + 1
    if first <= last:
        yield chr(first), chr(last)


def capitals(value: str, lower: str) -> str:
    """Returns where ``value`` differs from ``lower``, for `restored`: no white space, no NUL.

    What is written of a value that comes once is the dearest of all (0.2 µs a byte in the
    dictionary of terms), so the value itself is not written twice: 14 µs of 83 µs an event.
    """
    if value == lower:
        return ""
    if len(value) > MAX_CAPITALS:
        # A fifth of the dictionary of terms were capitals of command lines in base64.
        return DIGEST + blake2b(value.encode("utf-8", "replace"), digest_size=8).hexdigest()
    if not value.isascii():
        return spelt(value)
    if value.isupper():
        return _ALL
    bits = value.encode().translate(_BIT_OF).rstrip(b"0")
    size = (len(bits) + 7) // 8
    number = int(bits.ljust(8 * size, b"0"), 2)
    return b64encode(number.to_bytes(size)).decode().rstrip("=")


def is_cut(term: str) -> bool:
    """Tells whether `restored` cannot give the value of a term: its capitals are a digest."""
    differing = term.partition(END)[2]
    return differing.startswith(DIGEST) and differing.isascii()


def restored(lower: str, differing: str) -> str:
    """Returns the value of which `capitals` made ``differing``; ``lower`` as `plain` has it.

    Of a digest that is ``lower``.
    """
    if not differing:
        return lower
    if not differing.isascii():
        return plain(differing)
    if differing == OWN or differing[0] == DIGEST:
        return lower
    if differing == _ALL:
        return lower.upper()
    number = int.from_bytes(b64decode(differing + "=" * (-len(differing) % 4)))
    bits = f"{number:0{len(differing) * 6 // 8 * 8}b}".encode().ljust(len(lower), b"0")
    changed = int.from_bytes(lower.encode()) ^ int.from_bytes(bits[: len(lower)].translate(_CASE))
    return changed.to_bytes(len(lower)).decode()
