"""How well sources are told from content alone: of each parser's samples, who reads them."""

from collections import Counter
from pathlib import Path

from normalize.frame import Normalizer
from normalize.samples_update import RECEIVED, SAMPLES, UNIT
from samlog.errors import BadEvent


def confusion(normalizer: Normalizer) -> dict[str, Counter[str]]:
    """Returns parser → names of the parsers that read its samples, each with its events.

    No source is named, no path either: what a collector that knows nothing would send.
    """
    found: dict[str, Counter[str]] = {}
    for path in sorted(SAMPLES.glob("*/*")):
        if not path.name.endswith(".expected.json"):
            chosen = found.setdefault(path.parent.name, Counter())
            for record in _records(path):
                chosen.update(_parsers(record, normalizer))
    return found


def _records(path: Path) -> list[bytes]:
    data = path.read_bytes()
    return [line for line in data.split(b"\n") if line] if path.suffix == ".log" else [data]


def _parsers(record: bytes, normalizer: Normalizer) -> list[str]:
    try:
        events = normalizer.normalize(
            record, {}, unit=UNIT, key=None, position=("", 0, 0), appended_at=RECEIVED
        )
    except BadEvent as bad:
        return [bad.reason]
    return [event["samlog.parser"].partition("/")[0] for event in events]
