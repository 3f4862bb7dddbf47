"""What a collector did, in figures: for its summary, and for the metrics."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ingest.source import Captured, Count
from samlog.event import H_FULL_LENGTH, raw_topic


@dataclass(slots=True)
class Counts:
    """What one run did. ``cut`` are bytes beyond the limit, ``retried`` failed deliveries,
    ``lost`` events that were accepted and neither delivered nor will come again."""

    events: int = 0
    bytes: int = 0
    cut: int = 0
    retried: int = 0
    lost: int = 0


class Figures:
    """Adds to `counts` and to the metrics at once."""

    def __init__(self, count: Count) -> None:
        self.counts = Counts()
        self._count = count

    def delivered(
        self, batch: Iterable[tuple[str, Sequence[Captured]]], shortened: Mapping[str, int]
    ) -> None:
        """The bus has the events of these units; ``shortened`` bytes of a topic it did not take."""
        left = Counter(shortened)
        for unit, captured in batch:
            topic = raw_topic(unit)
            refused = left.pop(topic, 0)
            self.counts.events += len(captured)
            self.counts.bytes += sum(len(one.value) for one in captured) - refused
            self._count("events_received_total", len(captured), stage="collect", unit=unit)
            self._count("events_sent_total", len(captured), stage="collect", topic=topic)
            if cut := refused + sum(_cut(one) for one in captured):
                self.counts.cut += cut
                self._count("bytes_cut_total", cut, unit=unit)

    def retried(self) -> None:
        """The bus was not there; the same is sent again."""
        self.counts.retried += 1
        self._count("errors_total", stage="collect", kind="unavailable")

    def lost(self, events: Mapping[str, int]) -> None:
        """So many events of these units were accepted and will never be delivered."""
        for unit, number in events.items():
            labels = {"stage": "collect", "unit": unit, "reason": "not_delivered"}
            self.counts.lost += number
            self._count("events_dropped_total", number, **labels)


def _cut(one: Captured) -> int:
    length = one.headers.get(H_FULL_LENGTH)
    return int(length) - len(one.value) if length else 0
