"""Bytes to text, losing nothing: UTF-8, else Windows-1252, else what the source is known to use.

``text.encode(encoding)`` gives the bytes back in every case, so that ``event.original`` can always
be compared with ``event.hash``.
"""

import codecs
import re
from typing import NamedTuple

from samlog.errors import BadEvent

_BOMS = (
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_CHARSET = re.compile(r"(?:utf|cp|iso|latin|windows|ibm|mac|koi)[\w-]{0,24}", re.IGNORECASE)
"""Encodings of text; Python's codecs include transformations that are none, and slow ones."""
_CONTROLS = bytes(b for b in range(32) if b not in b"\t\n\r\x1b") + b"\x7f"
_CP1252 = "".join(
    bytes([b]).decode("cp1252", "ignore") or chr(b)  # five bytes are unassigned: kept as C1
    for b in range(256)
)
_TO_CP1252 = codecs.charmap_build(_CP1252)


class Decoded(NamedTuple):
    """``tags`` say what had to be done; ``encoding`` is a name that `encode` takes."""

    text: str
    encoding: str
    tags: tuple[str, ...] = ()


def decode(data: bytes, encoding: str = "") -> Decoded:
    """Returns the text of a raw record.

    A byte order mark and the ``encoding`` header are believed as far as they decode. Raises
    `BadEvent` with reason ``empty`` (nothing but white space) or ``binary`` (no text: more than
    a third control characters, or a tenth in bytes that are not UTF-8).
    """
    if not data or data.isspace():
        raise BadEvent("empty", f"{len(data)} bytes of white space")
    if data[0] >= 0xFE:
        for bom, name in _BOMS:
            if data.startswith(bom):
                return _declared(data, name) or _fallback(data)
    if encoding and encoding.lower() not in ("utf-8", "utf8"):
        declared = _declared(data, encoding) if _CHARSET.fullmatch(encoding) else None
        if declared is not None:
            return declared
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return _fallback(data)
    if b"\0" in data:
        if _controls(data) * 3 > len(data):
            raise BadEvent("binary", f"{_controls(data)} of {len(data)} bytes are control bytes")
        return Decoded(text, "utf-8", ("nul_bytes",))
    # as Decoded(text, "utf-8"), at half the price
    return tuple.__new__(Decoded, (text, "utf-8", ()))


def encode(text: str, encoding: str) -> bytes:
    """Returns the bytes that `decode` made ``text`` of."""
    if encoding == "cp1252":
        return codecs.charmap_encode(text, "strict", _TO_CP1252)[0]
    return text.encode(encoding)


def _declared(data: bytes, encoding: str) -> Decoded | None:
    try:
        text = data.decode(encoding)
        if text.encode(encoding) != data:
            return None
    except (ValueError, LookupError):
        return None
    return Decoded(text, encoding.lower())


def _fallback(data: bytes) -> Decoded:
    if _controls(data) * 10 > len(data):
        raise BadEvent("binary", f"{_controls(data)} of {len(data)} bytes are control bytes")
    text = codecs.charmap_decode(data, "strict", _CP1252)[0]
    return Decoded(text, "cp1252", ("encoding_fallback",))


def _controls(data: bytes) -> int:
    return len(data) - len(data.translate(None, _CONTROLS))
