"""The stage ``store``: events, alert revisions and dead letters into the event store.

What may have been delivered before is written with a look-up (``maybe_seen``). A record that was
appended to the bus before this process started, or before it last had to step back or lost a
partition, may have been written by whoever read it then; one appended later cannot. So the
append time alone decides, and no position has to be remembered.

A commit of the embedded store makes a segment, and segments have to be merged. So batches are
written as they come and committed together, which goes on while the next one is read; likewise
Elasticsearch writes one batch beside the next. Messages are held until they are durable.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from samlog.bus.base import Message, Record, TopicPartition
from samlog.clock import Clock, iso_ms
from samlog.errors import BadEvent, ConfigError
from samlog.event import ALERTS, DLQ, EVENTS, FORMAT_VERSION, H_REPLACE, H_VERSION
from samlog.step import Rejection
from samlog.store.base import (
    PLATFORM_UNIT,
    Answers,
    Document,
    EventStore,
    Outcome,
)
from samlog.store.step_documents import (
    alert_document,
    event_document,
    minimal_rejected,
    rejected_document,
)

REFUSED = "store_refused"
COMMIT_S = 5.0
"""So long after it was written an event may be found."""
COMMIT_AT_ONCE = 20_000
"""So many documents are committed before their time."""
CLOCK_MARGIN_S = 5.0
"""How far the broker's clock may be ahead of ours."""

_DOCUMENT_OF: Mapping[str, Callable[[Message], Document]] = {
    EVENTS: event_document,
    ALERTS: alert_document,
    DLQ: rejected_document,
}


class _Waiting(NamedTuple):
    message: Message
    document: Document


class _Started(NamedTuple):
    """A batch that is being written."""

    waiting: Sequence[_Waiting]
    results: Answers


def _hold(held: dict[TopicPartition, int], waiting: Sequence[_Waiting]) -> None:
    """Notes the first offset of each partition where there is none."""
    for message, _ in waiting:
        held.setdefault(TopicPartition(message.topic, message.partition), message.offset)


def _stamped(waiting: _Waiting, ingested: str) -> _Waiting:
    """Returns what waits with ``event.ingested``, and for an event with its JSON as it came.

    To write the JSON anew took 8 µs of an event of 6.8 kB. Elasticsearch refuses two members of
    one name.
    """
    message, document = waiting
    is_new = "event.ingested" not in document.source
    document.source["event.ingested"] = ingested
    if message.topic != EVENTS or not is_new:
        return waiting
    json = b'%b,"event.ingested":"%b"}' % (message.value.rstrip()[:-1], ingested.encode())
    return _Waiting(message, Document(document.stream, document.id, document.source, json))


class StoreStep:
    """Implements `samlog.step.Step` over any `EventStore`.

    Args:
        store: The store; closed with the step.
        clock: Time of ``event.ingested``.
        units: With units named, the store is set up for them before the first batch is written,
            so that a store which is down at the start is waited for like any other time.
    """

    name = "store"

    def __init__(self, store: EventStore, clock: Clock, units: Sequence[str] = ()) -> None:
        self.store = store
        self._clock = clock
        self._set_up = tuple(units)
        self._waiting: list[_Waiting] = []
        self._started: _Started | None = None
        self._boundary_ms = self._now_ms()
        self._outcomes: Counter[Outcome] = Counter()
        self._held: dict[TopicPartition, int] = {}
        self._committing: dict[TopicPartition, int] = {}
        self._written = 0
        self._commit_at_s = 0.0

    def process(self, message: Message) -> Iterable[Record]:
        """Takes one event, alert revision or dead letter; nothing is written before `settle`.

        Raises `BadEvent` for what is none, and `ConfigError` for a format of the future.
        """
        version = message.headers.get(H_VERSION, FORMAT_VERSION)
        if version.split(b".")[0] != FORMAT_VERSION:
            raise ConfigError(
                f"{message.topic} holds records of format {version.decode('utf-8', 'replace')}, "
                f"this samlog reads {FORMAT_VERSION.decode()}; upgrade the store stage first"
            )
        made = _DOCUMENT_OF.get(message.topic)
        if made is None:
            raise BadEvent("wrong_topic", f"the store does not read {message.topic}")
        self._waiting.append(_Waiting(message, made(message)))
        return ()

    def settle(self) -> Iterable[Rejection]:
        """Starts to write the batch; returns what the store refused of the one before.

        So a server writes while the next batch is read. Without a batch, and with one of a single
        message, nothing is left under way. A refused dead letter is no rejection, which would come
        back for ever: it is written again without its content.
        """
        if self._set_up:
            self.store.setup(self._set_up)
            self._set_up = ()
        rejections: list[Rejection] = []
        if any(H_REPLACE in waiting.message.headers for waiting in self._waiting):
            rejections += self._finish()
        # Alone comes what is suspected to kill the process: it has to do so before the next one.
        is_last = len(self._waiting) <= 1
        before, self._started = self._started, self._begin()
        rejections += self._told(before)
        if is_last or self.store.uncommitted:
            # A store of this process has the answers already; the batch need not stay in memory.
            rejections += self._finish()
        self._commit(now=is_last)
        return rejections

    def _begin(self) -> _Started | None:
        if not self._waiting:
            return None
        if not self._written:
            self._commit_at_s = self._clock.monotonic_s() + COMMIT_S
        self._written += len(self._waiting)
        ingested = iso_ms(self._clock.now())
        waiting = [_stamped(one, ingested) for one in self._waiting]
        self._waiting.clear()
        _hold(self._held, waiting)
        return _Started(waiting, self._write(waiting))

    def _finish(self) -> list[Rejection]:
        started, self._started = self._started, None
        return self._told(started)

    def _told(self, started: _Started | None) -> list[Rejection]:
        """Waits for the answers and counts them; returns what was refused."""
        rejections: list[Rejection] = []
        if started is None:
            return rejections
        poor: list[_Waiting] = []
        for waiting, result in zip(started.waiting, started.results(), strict=True):
            if result.outcome is not Outcome.REFUSED:
                self._outcomes[result.outcome] += 1
            elif waiting.message.topic == DLQ:
                poor.append(waiting)
            else:
                self._outcomes[result.outcome] += 1
                rejections.append(Rejection(waiting.message, REFUSED, result.reason))
        self._write_without_content(poor)
        return rejections

    def _commit(self, *, now: bool) -> None:
        """Begins a commit when it is time, and lets go of what is durable.

        One takes less time than lies between two; where it does not, the next one waits for it.
        """
        is_time = self._clock.monotonic_s() >= self._commit_at_s or self._written >= COMMIT_AT_ONCE
        if self.store.uncommitted and (now or is_time):
            self.store.commit(wait=now)
            self._committing, self._held, self._written = self._held, {}, 0
        if self.store.is_committed(wait=now):
            self._committing = {}
        if not self.store.uncommitted:
            self._written = 0
            self._held = {}
            if self._started is not None:
                _hold(self._held, self._started.waiting)

    def _write(self, waiting: Sequence[_Waiting]) -> Answers:
        """Returns what gives one result a document, in their order."""
        over = [n for n, w in enumerate(waiting) if H_REPLACE in w.message.headers]
        new = [n for n, w in enumerate(waiting) if H_REPLACE not in w.message.headers]
        maybe_seen = any(waiting[n].message.appended_ms <= self._boundary_ms for n in new)
        begun = self.store.begin([waiting[n].document for n in new], maybe_seen=maybe_seen)
        if not over:
            return begun
        results = dict(zip(new, begun(), strict=True))
        replaced = self.store.replace([waiting[n].document for n in over])
        results |= zip(over, replaced, strict=True)
        return lambda: [results[n] for n in range(len(waiting))]

    def _write_without_content(self, poor: Sequence[_Waiting]) -> None:
        for unit in ("", PLATFORM_UNIT):
            if not poor:
                return
            documents = [minimal_rejected(w.message, unit=unit) for w in poor]
            results = self.store.begin(documents, maybe_seen=True)()
            self._outcomes.update(r.outcome for r in results if r.outcome is not Outcome.REFUSED)
            poor = [
                waiting
                for waiting, result in zip(poor, results, strict=True)
                if result.outcome is Outcome.REFUSED
            ]
        self._outcomes[Outcome.REFUSED] += len(poor)

    def tick(self, now: datetime) -> Iterable[Record]:
        return ()

    def flush(self) -> Iterable[Record]:
        return ()

    def held(self) -> Mapping[TopicPartition, int]:
        """Returns the oldest offsets that are not durable yet or have no answer."""
        return {**self._held, **self._committing}

    def reset(self) -> None:
        """Forgets the batch; everything on the bus by now may be a repeat."""
        self._waiting.clear()
        self._started = None
        self._held = {}
        self._committing = {}
        self._written = 0
        self._boundary_ms = self._now_ms()

    def _now_ms(self) -> int:
        return int((self._clock.now().timestamp() + CLOCK_MARGIN_S) * 1000)

    def figures(self) -> Mapping[str, float]:
        """Returns documents created, existing before and refused since the start."""
        return {outcome.value: float(self._outcomes[outcome]) for outcome in Outcome}

    def close(self) -> None:
        self.store.close()
