"""``samlog dlq``: what could not be processed, why, and putting it back after a fix."""

import sys
from collections import Counter
from collections.abc import Iterator
from typing import Any

import click

from samlog import pipeline
from samlog.bus.base import Bus, Message
from samlog.cli.common import config_option, emit, json_option, number, summary, table
from samlog.config import Settings
from samlog.deadletter import original
from samlog.errors import ConfigError, Exit
from samlog.event import DLQ


@click.group(
    name="dlq",
    help="\b\nExample: samlog dlq ls\n\nList, show, replay and drop dead letters.",
)
def command() -> None:
    pass


def told(message: Message, name: str) -> str:
    return message.headers.get(name, b"").decode("utf-8", "replace")


def dead_letters(bus: Bus, group: str, unit: str, reason: str) -> Iterator[Message]:
    """Yields the dead letters that ``group`` has not committed, oldest first."""
    if DLQ not in bus.topics():
        return
    consumer = bus.consumer(group, [DLQ])
    try:
        ends = bus.end_offsets([DLQ])
        consumer.poll(max_messages=1, timeout_s=5.0)
        consumer.seek({tp: consumer.committed().get(tp, 0) for tp in ends})
        left = sum(bus.lag(group, [DLQ]).values())
        while left > 0:
            messages = consumer.poll(max_messages=1_000, timeout_s=5.0)
            if not messages:
                return
            left -= len(messages)
            for message in messages:
                if unit in ("", told(message, "unit")) and reason in ("", told(message, "reason")):
                    yield message
    finally:
        consumer.close()


def row(message: Message) -> dict[str, Any]:
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
    }


def _open(config: str | None) -> tuple[Settings, Bus]:
    settings = pipeline.load_settings(config).settings
    return settings, pipeline.open_bus(settings, pipeline.system_clock())


UNIT = click.option("--unit", default="", help="Only this unit.")
REASON = click.option("--reason", default="", help="Only this reason, e.g. binary.")


@command.command(
    "ls", help="\b\nExample: samlog dlq ls --unit enheda\n\nCount dead letters by unit and reason."
)
@UNIT
@REASON
@click.option("--each", is_flag=True, help="A line each instead of counts.")
@config_option
@json_option
def ls(unit: str, reason: str, each: bool, config: str | None, as_json: bool) -> int:
    _, bus = _open(config)
    rows = [row(message) for message in dead_letters(bus, "samlog.dlq.ls", unit, reason)]
    bus.close()
    names = ("unit", "stage", "reason", "source")
    if not each:
        counts = Counter(tuple(r[name] for name in names) for r in rows)
        rows = [dict(zip((*names, "count"), (*k, n), strict=True)) for k, n in counts.most_common()]
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
    "Show one dead letter: headers, reason, and the bytes as they came (hex where not text).",
)
@click.argument("offset")
@click.option("--bytes", "raw", is_flag=True, help="Only the original bytes, to stdout.")
@config_option
def show(offset: str, raw: bool, config: str | None) -> int:
    _, bus = _open(config)
    for message in dead_letters(bus, "samlog.dlq.ls", "", ""):
        if f"{message.partition}/{message.offset}" == offset:
            if raw:
                sys.stdout.buffer.write(message.value)
                return Exit.DONE
            for name, value in message.headers.items():
                click.echo(f"{name:20} {value.decode('utf-8', 'backslashreplace')}")
            click.echo(ascii(message.value[:2000])[2:-1])
            return Exit.DONE
    raise ConfigError(f"no dead letter {offset}; see: samlog dlq ls --each")


@command.command(
    "replay",
    help="\b\nExample: samlog dlq replay --reason unparsed\n\n"
    "Put dead letters back where they came from. Their ids do not change, so nothing doubles.",
)
@UNIT
@REASON
@click.option("--dry-run", is_flag=True, help="Only count.")
@config_option
def replay(unit: str, reason: str, dry_run: bool, config: str | None) -> int:
    _, bus = _open(config)
    producer = bus.producer("samlog-dlq-replay")
    count = 0
    for message in dead_letters(bus, "samlog.dlq.replay", unit, reason):
        if not dry_run:
            producer.send(original(message))
        count += 1
    producer.flush()
    producer.close()
    bus.close()
    summary(f"{number(count)} dead letters {'would be' if dry_run else 'were'} put back")
    return Exit.DONE


@command.command(
    "drop",
    help="\b\nExample: samlog dlq drop --yes\n\n"
    "Hide the present dead letters from `ls`. They stay in the store and, until retention, "
    "on the bus.",
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@config_option
def drop(yes: bool, config: str | None) -> int:
    _, bus = _open(config)
    ends = bus.end_offsets([DLQ]) if DLQ in bus.topics() else {}
    waiting = sum(bus.lag("samlog.dlq.ls", [DLQ]).values()) if ends else 0
    if waiting and not yes:
        click.confirm(f"hide {number(waiting)} dead letters?", abort=True, err=True)
    if waiting:
        consumer = bus.consumer("samlog.dlq.ls", [DLQ])
        consumer.poll(max_messages=1, timeout_s=5.0)
        consumer.commit(ends)
        consumer.close()
    bus.close()
    summary(f"{number(waiting)} dead letters hidden")
    return Exit.DONE
