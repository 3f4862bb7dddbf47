"""Reads topics of the embedded bus as the one consumer of a group."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from samlog.bus.base import Gap, Message, TopicPartition
from samlog.bus.embedded_positions import Positions
from samlog.bus.embedded_topic import TopicFile
from samlog.clock import Clock
from samlog.errors import BusError

_IDLE_S = 0.01
_MAX_POLL_BYTES = 32 * 1024 * 1024


@dataclass(slots=True)
class _Reading:
    """A topic that exists, and the offset wanted next.

    ``oldest`` is where a group without a position began: what was gone by then is no gap for it.
    """

    file: TopicFile
    position: int
    oldest: int


class EmbeddedConsumer:
    """A consumer. Topics that are named and do not exist yet are joined once they do.

    While records wait in several topics, each gets an equal share of a poll, so that a unit with a
    backlog does not hold up the others. A poll gives at most some 32 MiB. ``held`` is what `close`
    releases: the positions, the locks, and each topic that is joined.
    """

    def __init__(
        self,
        group: str,
        topics: Sequence[str],
        *,
        positions: Positions,
        held: ExitStack,
        open_topic: Callable[[str], TopicFile | None],
        clock: Clock,
    ) -> None:
        self.foreign_commits = 0
        """Partitions whose commit was ignored because they were not assigned."""
        self._group = group
        self._positions = positions
        self._held = held
        self._open_topic = open_topic
        self._clock = clock
        self._awaited = list(dict.fromkeys(topics))
        self._reading: dict[str, _Reading] = {}
        self._gaps: list[Gap] = []
        self._turn = 0
        self._paused = False
        self.closed = False
        self._join_new_topics()

    def _join_new_topics(self) -> None:
        for topic in list(self._awaited):
            file = self._open_topic(topic)
            if file is None:
                continue
            try:
                self._reading[topic] = self._begin(file)
            except BaseException:
                file.close()
                raise
            self._held.callback(file.close)
            self._awaited.remove(topic)

    def _begin(self, file: TopicFile) -> _Reading:
        committed = self._positions.get().get(file.paths.topic)
        if committed is None:
            first, _ = file.bounds()
            return _Reading(file, first, first)
        # A group that is ahead of the topic proves that the topic has lost its end: without this
        # new records would get offsets which the group has already passed.
        file.declare_lost(committed)
        return _Reading(file, committed, 0)

    def poll(self, *, max_messages: int = 500, timeout_s: float = 0.5) -> Sequence[Message]:
        """Returns messages, at most ``max_messages``; see `samlog.bus.base.Consumer`."""
        self._check_open("poll")
        if self._paused:
            self._clock.sleep(timeout_s)
            return []
        deadline = self._clock.monotonic_s() + timeout_s
        while True:
            if self._awaited:
                self._join_new_topics()
            messages, moved = self._read(max_messages)
            if messages:
                return messages
            if moved:
                continue
            left = deadline - self._clock.monotonic_s()
            if left <= 0:
                return []
            # Idle, a look costs 8 µs a topic: 0.1 % of a core at 100 a second.
            self._clock.sleep(min(_IDLE_S, left))

    def _read(self, max_messages: int) -> tuple[list[Message], bool]:
        """Returns one round over the topics, and whether a gap moved a position."""
        ready = [one for one in self._rotated() if one.file.bounds()[1] > one.position]
        messages: list[Message] = []
        moved = False
        for index, one in enumerate(ready):
            waiting = len(ready) - index
            share = -(-(max_messages - len(messages)) // waiting)
            if share <= 0:
                break
            batch = one.file.read(
                one.position, max_messages=share, max_bytes=_MAX_POLL_BYTES // len(ready)
            )
            one.position = batch.position
            messages += batch.messages
            self._gaps += batch.gaps
            moved = moved or bool(batch.gaps)
        return messages, moved

    def _rotated(self) -> list[_Reading]:
        everything = list(self._reading.values())
        self._turn = (self._turn + 1) % max(1, len(everything))
        return everything[self._turn :] + everything[: self._turn]

    def commit(self, upto: Mapping[TopicPartition, int]) -> None:
        """Stores the positions in one transaction.

        Raises `BusError` for an offset beyond the end of a topic. Partitions that are not assigned
        are ignored and counted in `foreign_commits`.
        """
        self._check_open("commit")
        wanted: dict[str, int] = {}
        for (topic, partition), offset in upto.items():
            reading = self._reading.get(topic)
            if reading is None or partition != 0:
                self.foreign_commits += 1
                continue
            self._check_within(reading, offset)
            wanted[topic] = offset
        if wanted:
            self._positions.put(wanted)

    def _check_within(self, reading: _Reading, offset: int) -> None:
        if 0 <= offset <= reading.position:
            return
        end = reading.file.bounds()[1]
        if not 0 <= offset <= end:
            raise BusError(
                f"group {self._group} cannot commit offset {offset} of "
                f"{reading.file.paths.topic}: it ends at {end}"
            )

    def committed(self) -> Mapping[TopicPartition, int]:
        """Returns the stored positions of the assigned partitions."""
        self._check_open("ask for positions")
        stored = self._positions.get()
        return {
            one.file.tp: stored[topic] for topic, one in self._reading.items() if topic in stored
        }

    def assigned(self) -> frozenset[TopicPartition]:
        """Returns partition 0 of every named topic that exists."""
        return frozenset(one.file.tp for one in self._reading.values())

    def take_revoked(self) -> frozenset[TopicPartition]:
        """Returns nothing: what the one consumer of a group has, it keeps."""
        return frozenset()

    def seek(self, positions: Mapping[TopicPartition, int]) -> None:
        """Moves the read positions; partitions that are not assigned are ignored."""
        self._check_open("seek")
        for (topic, partition), offset in positions.items():
            if topic in self._reading and partition == 0:
                reading = self._reading[topic]
                reading.position = max(offset, reading.oldest)

    def pause(self) -> None:
        """Makes `poll` wait out its time and give nothing."""
        self._paused = True

    def resume(self) -> None:
        """Reads again after `pause`."""
        self._paused = False

    def take_gaps(self) -> Sequence[Gap]:
        """Returns, once, the gaps met since the last call."""
        gaps, self._gaps = self._gaps, []
        return gaps

    def close(self) -> None:
        """Gives the group's place back without committing; safe to call twice."""
        if self.closed:
            return
        self.closed = True
        self._held.close()

    def _check_open(self, doing: str) -> None:
        if self.closed:
            raise BusError(f"consumer of group {self._group} is closed: join again before {doing}")
