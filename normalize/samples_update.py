"""Rewrites ``<sample>.expected.json`` beside every ``normalize/samples/<parser>/<sample>.log``.

    python -m normalize.samples_update [PARSER ...]

One record a line in, one JSON array of events out, receipt frozen. The diff is the review.
"""

import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import orjson

from normalize.frame import Normalizer
from normalize.registry import Registry
from samlog.event import H_TZ, Event

SAMPLES = Path(__file__).parent / "samples"
RECEIVED = datetime(2026, 1, 10, 15, 0, tzinfo=UTC)
UNIT = "enheda"
HEADERS = {H_TZ: b"Europe/Copenhagen"}
LEFT_OUT = ("event.id", "event.hash", "event.created", "ecs.version", "samlog.received")
"""What would change with the place of a line or with every release, and is tested elsewhere."""


def sample_files(*parsers: str) -> list[Path]:
    """Returns the samples of ``parsers``, of all without any, in their order."""
    return sorted(
        path for path in SAMPLES.glob("*/*.log") if not parsers or path.parent.name in parsers
    )


def sample_events(path: Path, normalizer: Normalizer) -> Iterator[Event]:
    """Yields the events of a sample, received at `RECEIVED` from a source in Denmark."""
    for number, line in enumerate(path.read_bytes().split(b"\n")):
        if line:
            yield from normalizer.normalize(
                line,
                HEADERS,
                unit=UNIT,
                key=None,
                position=(path.name, 0, number),
                appended_at=RECEIVED,
            )


def normalizer() -> Normalizer:
    """Returns a normaliser with every parser, for one unit."""
    return Normalizer({UNIT: {"municipality": "kommune-x", "zone": "intern"}}, Registry())


def expected_of(path: Path, normalizer: Normalizer) -> list[Event]:
    """Returns what ``.expected.json`` must hold."""
    return [
        {name: event[name] for name in sorted(event) if name not in LEFT_OUT}
        for event in sample_events(path, normalizer)
    ]


def main(parsers: list[str]) -> None:
    """Writes the expectations of ``parsers``, of all without any."""
    made = normalizer()
    for path in sample_files(*parsers):
        options = orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE
        target = path.with_suffix(".expected.json")
        text = orjson.dumps(expected_of(path, made), option=options)
        changed = not target.exists() or target.read_bytes() != text
        target.write_bytes(text)
        print(f"{'written  ' if changed else 'unchanged'} {target.relative_to(SAMPLES)}")


if __name__ == "__main__":
    main(sys.argv[1:])
