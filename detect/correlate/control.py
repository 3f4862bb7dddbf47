"""Control records on ``samlog.matches``: JSON objects, where a match begins with an array.

*Progress*: up to which time detect has read a partition of ``samlog.events`` (`progress`).
*Gone*: what fired for another correlation does not stand any more.
*Mark*: where a commit is about to be made, and what was known then (`part`).
*Settle*: compute what matches out of order have changed, and say what is final.
"""

from collections.abc import Mapping
from typing import Any

import orjson

from samlog.bus.base import Record
from samlog.errors import BadEvent
from samlog.event import FORMAT_VERSION, H_VERSION, MATCHES

SETTLE = b'{"settle":1}'
_SHAPES: Mapping[str, Mapping[str, tuple[type, ...]]] = {
    "gone": {"gone": (str,), "from": (int,), "to": (int,)},
    "base": {"base": (int,), "watermark": (int,)},
    "settle": {"settle": (int,)},
    "p": {"p": (int,), "n": (int,), "w": (int, type(None)), "top": (int, type(None))},
}


def read_control(value: bytes) -> dict[str, Any]:
    """Returns a control record whose parts are what they must be.

    Raises `BadEvent` (match_not_json).
    """
    try:
        record = orjson.loads(value)
    except orjson.JSONDecodeError as error:
        raise BadEvent("match_not_json", str(error)) from error
    shape = next((_SHAPES[name] for name in _SHAPES if name in record), None)
    if shape is None:
        raise BadEvent("match_not_json", "no control record that is known")
    for name, kinds in shape.items():
        if not isinstance(record.get(name), kinds):
            raise BadEvent("match_not_json", f"no control record: {name} is {record.get(name)!r}")
    return dict(record)


def control_record(
    value: bytes | Mapping[str, Any], *, key: bytes | None = None, partition: int | None = None
) -> Record:
    """Returns a control record for a partition, or for the group of ``key``."""
    packed = value if isinstance(value, bytes) else orjson.dumps(value)
    return Record(MATCHES, packed, key, {H_VERSION: FORMAT_VERSION}, partition)
