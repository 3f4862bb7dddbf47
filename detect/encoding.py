"""Values that rules write plain and events carry encoded: base64 and UTF-16.

pySigma 1.5 encodes characters where the specification means bytes: a literal ``*`` becomes
``\\*``, offsets go wrong outside ASCII, and ``utf16`` gets the byte order mark of UTF-8. So the
values of such tests are computed here, from what the rule says, and put in place of pySigma's.
"""

from base64 import b64encode
from collections.abc import Iterator, Sequence
from typing import Any

from sigma.modifiers import (
    SigmaBase64Modifier,
    SigmaBase64OffsetModifier,
    SigmaUTF16BEModifier,
    SigmaUTF16Modifier,
    SigmaValueModifier,
    SigmaWideModifier,
    SigmaWindowsDashModifier,
)
from sigma.rule import SigmaDetection, SigmaDetectionItem, SigmaRule
from sigma.types import Placeholder, SigmaExpansion, SigmaString

from samlog.errors import RuleError

_UTF16: dict[Any, str] = {
    SigmaWideModifier: "utf-16-le",
    SigmaUTF16BEModifier: "utf-16-be",
    SigmaUTF16Modifier: "utf-16-le",
}
_BASE64 = {SigmaBase64Modifier, SigmaBase64OffsetModifier}


def correct_encodings(rule: SigmaRule) -> None:
    """Replaces the values of every test with a base64 modifier by the encoded bytes.

    Raises `RuleError` (``illegal_modifiers``) where anything but dashes and UTF-16 comes first.
    """
    for detection in rule.detection.detections.values():
        for item in _items(detection):
            if _BASE64.intersection(item.modifiers):
                item.value = [_encoded(item, value) for value in item.original_value or []]


def _items(detection: SigmaDetection) -> Iterator[SigmaDetectionItem]:
    for item in detection.detection_items:
        if isinstance(item, SigmaDetection):
            yield from _items(item)
        else:
            yield item


def _encoded(item: SigmaDetectionItem, value: Any) -> Any:
    modifiers = list(item.modifiers)
    plain: list[Any] = [value]
    if modifiers[0] is SigmaWindowsDashModifier:
        plain = SigmaWindowsDashModifier(item, []).modify(value).values
        del modifiers[0]
    codec, mark = "utf-8", b""
    if modifiers[0] in _UTF16:
        codec = _UTF16[modifiers[0]]
        mark = b"\xff\xfe" if modifiers[0] is SigmaUTF16Modifier else b""
        del modifiers[0]
    if modifiers[0] not in _BASE64:
        raise RuleError(
            "base64 and base64offset encode what stands before them: only windash, wide, utf16, "
            "utf16le and utf16be may",
            reason="illegal_modifiers",
        )
    found = [mark + _plain(text).encode(codec) for text in plain]
    if modifiers[0] is SigmaBase64Modifier:
        encoded = [b64encode(data) for data in found]
    else:
        encoded = [variant for data in found for variant in offsets(data)]
        if not all(encoded):
            raise RuleError(
                "base64offset of less than two bytes has no part that is the same everywhere",
                reason="invalid_value",
            )
    return _wrapped([_literal(data) for data in encoded], modifiers[1:], item)


def offsets(data: bytes) -> list[bytes]:
    """Returns what of ``data`` is the same in base64 wherever it begins: at byte 0, 1, 2 of three.

    Characters that also depend on the neighbouring bytes are cut at both ends.
    """
    found = []
    for before, cut in enumerate((0, 2, 3)):
        encoded = b64encode(b"\0" * before + data)
        unsure = (0, 3, 2)[(before + len(data)) % 3]
        found.append(encoded[cut : len(encoded) - unsure])
    return found


def _plain(value: Any) -> str:
    if not isinstance(value, SigmaString) or value.contains_special():
        raise RuleError("base64 takes texts without wildcards", reason="invalid_value")
    return "".join(f"%{p.name}%" if isinstance(p, Placeholder) else str(p) for p in value.s)


def _literal(data: bytes) -> SigmaString:
    return SigmaString.from_str(data.decode("ascii"))


def _wrapped(
    values: list[SigmaString], modifiers: Sequence[Any], item: SigmaDetectionItem
) -> SigmaString | SigmaExpansion:
    """Applies what follows the encoding (contains, cased ..) to each value; not all and neq,
    which pySigma has applied to the whole item."""
    done: list[Any] = list(values)
    for modifier in modifiers:
        if issubclass(modifier, SigmaValueModifier):
            done = [new for old in done for new in modifier(item, [], None).apply(old)]
    return done[0] if len(done) == 1 else SigmaExpansion(done)
