"""Documents for the store suites: the shared Windows events as `normalize` makes them."""

import gzip
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

from normalize.frame import Normalizer
from normalize.registry import Registry
from samlog.store.base import Document

WINDOWS = (
    Path(__file__).parents[2] / "../shared/data/events/windows-security-datasets-50k.ndjson.gz"
)
_RECEIVED = datetime(2026, 1, 10, 12, tzinfo=UTC)


def windows_documents(unit: str, limit: int | None = None) -> Iterator[Document]:
    """Yields the shared Windows events in their order; ``limit`` takes the first so many lines."""
    normalizer = Normalizer({}, Registry())
    with gzip.open(WINDOWS) as lines:
        for number, line in enumerate(islice(lines, limit)):
            events = normalizer.normalize(
                line.rstrip(b"\n"),
                {},
                unit=unit,
                key=None,
                position=("samlog.raw." + unit, 0, number),
                appended_at=_RECEIVED,
            )
            for event in events:
                stream = f"logs-{event['event.dataset']}-{unit}"
                yield Document(stream, event["event.id"], event)
