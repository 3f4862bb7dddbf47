"""The bus: `base` says what one is, `embedded` and `kafka` are the two there are."""

from collections.abc import Mapping
from pathlib import Path

from samlog.bus.embedded import (
    DEFAULT_MAX_RECORD_BYTES,
    DEFAULT_RESERVE_BYTES,
    EmbeddedBus,
    Retention,
)
from samlog.clock import Clock

__all__ = ["EmbeddedBus", "Retention", "open_embedded"]


def open_embedded(
    path: Path,
    *,
    clock: Clock,
    max_record_bytes: int = DEFAULT_MAX_RECORD_BYTES,
    retention: Mapping[str, Retention] | None = None,
    reserve_bytes: int = DEFAULT_RESERVE_BYTES,
) -> EmbeddedBus:
    """Returns the bus below ``path``; the folder is made when the first topic is."""
    return EmbeddedBus(
        path,
        clock=clock,
        max_record_bytes=max_record_bytes,
        retention=retention,
        reserve_bytes=reserve_bytes,
    )
