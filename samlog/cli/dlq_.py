"""``samlog dlq``: what could not be processed, why, and putting it back after a fix."""

import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any

import click

from samlog import pipeline
from samlog.bus.base import Bus, Message, Producer, Record, TopicPartition
from samlog.cli.common import (
    Examples,
    check_units,
    config_option,
    emit,
    json_option,
    number,
    summary,
    table,
)
from samlog.cli.search_ import moment
from samlog.config import Settings
from samlog.errors import ConfigError, Exit
from samlog.event import DLQ, H_TOPIC, REPLAY, raw_topic
from samlog.replay import Handled, Place, letter_again, place_of, raw_again, raw_place, read

FLUSH_EVERY = 1_000
NAMES = ("unit", "stage", "reason", "source")


@click.group(
    cls=Examples,
    name="dlq",
    help="\b\nExample: samlog dlq ls\n\nList, show, replay and drop dead letters.",
)
def command() -> None:
    pass


@dataclass(frozen=True)
class Opened:
    """What every verb here works on."""

    settings: Settings
    bus: Bus
    handled: Handled

    def letters(self, unit: str, reason: str, *, everything: bool = False) -> Iterator[Message]:
        """Yields dead letters, oldest first; those that were handled only on request."""
        for message in read(self.bus, [DLQ]):
            wanted = unit in ("", told(message, "unit")) and reason in ("", told(message, "reason"))
            if wanted and (everything or not self.handled.how(message)):
                yield message


@contextmanager
def opened(config: str | None) -> Iterator[Opened]:
    settings = pipeline.load_settings(config).settings
    bus = pipeline.open_bus(settings, pipeline.system_clock())
    with closing(bus), closing(Handled(settings.state_path)) as handled:
        yield Opened(settings, bus, handled)


def told(message: Message, name: str) -> str:
    return message.headers.get(name, b"").decode("utf-8", "replace")


def row(message: Message, handled: str) -> dict[str, Any]:
    """Returns a dead letter with stable keys, for ``--json`` and the table."""
    return {
        "offset": f"{message.partition}/{message.offset}",
        "rejected": told(message, "rejected"),
        "unit": told(message, "unit"),
        "stage": told(message, "stage"),
        "reason": told(message, "reason"),
        "detail": told(message, "detail"),
        "topic": told(message, "topic"),
        "source": told(message, "orig-source"),
        "bytes": len(message.value),
        "handled": handled,
    }


UNIT = click.option("--unit", default="", help="Only this unit.")
REASON = click.option("--reason", default="", help="Only this reason, e.g. binary.")


@command.command(
    "ls",
    help="\b\nExample: samlog dlq ls --unit enheda\n\n"
    "Count dead letters by unit, stage, reason and source. "
    "What was replayed or dropped is left out.",
)
@UNIT
@REASON
@click.option("--each", is_flag=True, help="A line each instead of counts.")
@click.option("--all", "everything", is_flag=True, help="Also what was replayed or dropped.")
@config_option
@json_option
def ls(
    unit: str, reason: str, each: bool, everything: bool, config: str | None, as_json: bool
) -> int:
    with opened(config) as here:
        check_units(here.settings, [unit])
        rows = [
            row(message, here.handled.how(message))
            for message in here.letters(unit, reason, everything=everything)
        ]
    if not each:
        counts = Counter(tuple(r[name] for name in NAMES) for r in rows)
        rows = [dict(zip((*NAMES, "count"), (*k, n), strict=True)) for k, n in counts.most_common()]
    if as_json:
        emit(rows)
    elif rows:
        table(tuple(rows[0]), ([r[name] for name in rows[0]] for r in rows))
    else:
        summary("no dead letters")
    return Exit.DONE


@command.command(
    "show",
    help="\b\nExample: samlog dlq show 0/17\n\n"
    "Show one dead letter: headers, reason, and the bytes as they came (escaped where not text). "
    "OFFSET is in the list: samlog dlq ls --each.",
)
@click.argument("offset")
@click.option("--bytes", "raw", is_flag=True, help="Only the original bytes, to stdout.")
@config_option
def show(offset: str, raw: bool, config: str | None) -> int:
    with opened(config) as here:
        message = _find(here, offset)
    if raw:
        sys.stdout.buffer.write(message.value)
        sys.stdout.buffer.flush()
        return Exit.DONE
    for name, value in message.headers.items():
        click.echo(f"{name:20} {ascii(value.decode('utf-8', 'backslashreplace'))[1:-1]}")
    click.echo(ascii(message.value[:2000])[2:-1])
    return Exit.DONE


def _find(here: Opened, offset: str) -> Message:
    match = re.fullmatch(r"(\d{1,6})/(\d{1,18})", offset)
    if match:
        tp = TopicPartition(DLQ, int(match[1]))
        for message in read(here.bus, [DLQ], {tp: int(match[2])}):
            if message.tp == tp and message.offset == int(match[2]):
                return message
    raise ConfigError(f"no dead letter {offset}; see: samlog dlq ls --each")


@command.command(
    "replay",
    help="\b\nExample: samlog dlq replay --reason binary\n"
    "Example: samlog dlq replay --raw --since 24h --unit enheda\n\n"
    "Put dead letters back where they came from, once each. Ids do not change, so nothing doubles. "
    "After a parser was mended, --raw reads the raw records of the bus once more and writes over "
    "what is stored of them, also where the dataset changes. The stages have to run (samlog run).",
)
@UNIT
@REASON
@click.option("--replace", is_flag=True, help="Write over what is stored under the same ids.")
@click.option(
    "--raw",
    is_flag=True,
    help="Not dead letters but all raw records that the bus still has; implies --replace.",
)
@click.option("--since", help="Only what was received since: 2026-01-10, or 15m, 24h, 7d for ago.")
@click.option("--until", help="Only what was received before; written likewise.")
@click.option("--again", is_flag=True, help="Also dead letters that were replayed or dropped.")
@click.option("--dry-run", is_flag=True, help="Only count.")
@config_option
def replay(
    unit: str,
    reason: str,
    replace: bool,
    raw: bool,
    since: str | None,
    until: str | None,
    again: bool,
    dry_run: bool,
    config: str | None,
) -> int:
    if raw and reason:
        raise click.UsageError("raw records have no --reason")
    now = pipeline.system_clock().now()
    first_ms = moment(since, now).timestamp() * 1000 if since else 0
    end_ms = moment(until, now).timestamp() * 1000 if until else float("inf")
    with opened(config) as here:
        check_units(here.settings, [unit])
        found = _raw_records(here, unit) if raw else here.letters(unit, reason, everything=again)
        chosen = (m for m in found if first_ms <= _received_ms(m) < end_ms)
        letters = _letters_of_raw(here, unit) if raw and not dry_run else {}
        back = _PutBack(here, letters, replace=replace or raw, dry_run=dry_run)
        count = back.all(chosen)
    what = "raw records" if raw else "dead letters"
    summary(f"{number(count)} {what} {'would be' if dry_run else 'were'} put back")
    for why, n in back.lost.items():
        summary(f"{number(n)} could not: {why}")
    return Exit.FAILED if back.lost else Exit.DONE


def _received_ms(message: Message) -> int:
    appended = message.headers.get("appended", b"") if message.topic == DLQ else b""
    return int(appended) if appended.isdigit() else message.appended_ms


def _raw_records(here: Opened, unit: str) -> Iterator[Message]:
    units = [unit] if unit else list(here.settings.units)
    return read(here.bus, [raw_topic(name) for name in units])


def _letters_of_raw(here: Opened, unit: str) -> dict[tuple[str, str], list[Place]]:
    """Returns which letters wait of which raw record, as of now.

    When the record is put back they are done with; one that it becomes again is a new letter.
    """
    found: dict[tuple[str, str], list[Place]] = {}
    for letter in here.letters(unit, ""):
        if told(letter, "stage") == "normalize":
            found.setdefault(raw_place(letter), []).append(place_of(letter))
    return found


class _PutBack:
    """Puts records back on the bus and notes which dead letters are done with by it."""

    def __init__(
        self,
        here: Opened,
        letters: Mapping[tuple[str, str], list[Place]],
        *,
        replace: bool,
        dry_run: bool,
    ) -> None:
        self._here = here
        self._letters = letters
        self._replace = replace
        self._dry_run = dry_run
        self._sent: list[Place] = []
        self.lost: Counter[str] = Counter()
        """Why records could not be put back, and how many."""
        self._read = {
            topic for topics in pipeline.stage_topics(here.settings).values() for topic in topics
        }

    def all(self, messages: Iterable[Message]) -> int:
        """Returns how many records were put back, or would be."""
        count = 0
        if not self._dry_run:
            self._here.bus.create_topics([REPLAY])
        with closing(self._here.bus.producer("samlog-replay")) as producer:
            for message in messages:
                try:
                    record = self._record(message)
                except ValueError as why:
                    self.lost[str(why)] += 1
                    continue
                count += 1
                if self._dry_run:
                    continue
                producer.send(record)
                self._sent += self._done_with(message)
                if count % FLUSH_EVERY == 0:
                    self._flush(producer)
            self._flush(producer)
        return count

    def _record(self, message: Message) -> Record:
        """Returns what is sent. Raises `ValueError` with the reason why nothing can be."""
        if message.topic != DLQ:
            return raw_again(message, replace=self._replace)
        record = letter_again(message, replace=self._replace)
        first = record.headers.get(H_TOPIC, b"").decode("utf-8", "replace")
        if not {record.topic, first or record.topic} <= self._read:
            raise ValueError("nobody reads their topic (a unit that was removed?)")
        return record

    def _done_with(self, message: Message) -> Sequence[Place]:
        if message.topic == DLQ:
            return [place_of(message)]
        return self._letters.get((message.topic, f"{message.partition}/{message.offset}"), [])

    def _flush(self, producer: Producer) -> None:
        producer.flush()
        self._here.handled.note(self._sent, "replayed")
        self._sent.clear()


@command.command(
    "drop",
    help="\b\nExample: samlog dlq drop --reason empty --yes\n\n"
    "Hide dead letters from `ls` and `replay`. They stay in the store and, until retention, "
    "on the bus.",
)
@UNIT
@REASON
@click.option("--yes", is_flag=True, help="Do not ask.")
@config_option
def drop(unit: str, reason: str, yes: bool, config: str | None) -> int:
    with opened(config) as here:
        letters = list(here.letters(unit, reason))
        if letters and not yes:
            click.confirm(f"hide {number(len(letters))} dead letters?", abort=True, err=True)
        here.handled.note(map(place_of, letters), "dropped")
    summary(f"{number(len(letters))} dead letters hidden")
    return Exit.DONE
