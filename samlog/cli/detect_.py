"""``samlog detect``: rules against files of logs, without a server."""

import gc
import sys
from collections.abc import Callable, Sequence
from typing import Any

import click
import orjson

from detect.correlate.local import Local
from detect.detection import matched
from detect.engine import Engine, Match
from detect.raw import flatten_raw
from ingest.split import Piece
from samlog import pipeline
from samlog.cli.common import config_option, number, summary
from samlog.cli.files import read_file_lists, rule_cache
from samlog.clock import Clock
from samlog.errors import BadEvent, ConfigError, Exit
from samlog.event import Event
from samlog.log import harmless

Read = Callable[[str, bytes], list[Event]]


@click.command(
    help="\b\nExample: samlog detect --rules sigma/rules Security.evtx\n"
    "Example: samlog detect --rules builtin --json auth.log | jq .title\n\n"
    "Match logs against Sigma rules. Default: parse, then match. "
    "Exit 0 when nothing fired or something did; 1 when records were rejected."
)
@click.argument("files", nargs=-1, metavar="FILE...|-")
@click.option("--rules", "-r", multiple=True, help="Folder or file; may be repeated. [builtin]")
@click.option("--raw", is_flag=True, help="Rules' own field names on the JSON as it is.")
@click.option("--ecs", is_flag=True, help="The input is normalised already.")
@click.option("--json", "as_json", is_flag=True, help="NDJSON, one line a match.")
@click.option("--no-prefilter", is_flag=True, help="Ask every rule: slow, the same answer.")
@click.option("--stats", is_flag=True, help="Rules loaded, unmapped, refused; events/s.")
@config_option
def command(
    files: tuple[str, ...],
    rules: tuple[str, ...],
    raw: bool,
    ecs: bool,
    as_json: bool,
    no_prefilter: bool,
    stats: bool,
    config: str | None,
) -> int:
    if raw and ecs:
        raise click.UsageError("--raw and --ecs exclude each other")
    pipeline.refuse_foreign_packages()
    clock = pipeline.system_clock()
    engine = Engine.load(
        pipeline.rule_folders(rules or (pipeline.BUILTIN_RULES,)),
        mode="raw" if raw else "ecs",
        placeholders=pipeline.placeholders(config),
        cache_dir=rule_cache(),
    )
    gc.freeze()  # what was loaded stays; looking through it took a tenth of the time
    for error in engine.report.refused[:10]:
        summary(f"refused: {error}")
    if not engine.rules:
        raise ConfigError(f"no rule could be loaded from {', '.join(rules)}")
    # Parsing alters an event; what is read as it is may be searched for keywords in its line.
    run = _Run(engine, clock, prefilter=not no_prefilter, as_json=as_json, is_whole=raw)
    read: Read = read_raw if raw else read_ecs if ecs else reader_of_logs(clock)
    for name, pieces in read_file_lists(files):
        run.take(name, pieces, read)
    run.tell_correlations()
    sys.stdout.buffer.flush()
    run.tell(stats)
    return Exit.FAILED if run.rejected else Exit.DONE


class _Run:
    """Counts events over all files and writes a line a match."""

    def __init__(
        self, engine: Engine, clock: Clock, *, prefilter: bool, as_json: bool, is_whole: bool
    ) -> None:
        self._engine = engine
        self._local = Local(engine, clock)
        self._clock = clock
        self._prefilter = prefilter
        self._as_json = as_json
        self._write = sys.stdout.buffer.write
        self._is_whole = is_whole
        self._parts: dict[str, tuple[bytes, bytes]] = {}
        self._started = clock.monotonic_s()
        self.events = 0
        self.matches = 0
        self.rejected = 0
        self._in_part = 0

    def take(self, name: str, pieces: Sequence[Piece], read: Read) -> None:
        match, prefilter = self._engine.match, self._prefilter
        for piece in pieces:
            record = piece.value
            try:
                events = read(f"{name}:{piece.offset}", record)
            except BadEvent as bad:
                self._reject(f"{name}:{piece.offset}", bad)
                continue
            line = record if self._is_whole else None
            for event in events:
                matches = match(event, line=line, prefilter=prefilter)
                if matches:
                    self._tell_matches(matches, event)
                if self._engine.cut:
                    self._in_part += 1
                self.events += 1

    def _reject(self, name: str, bad: BadEvent) -> None:
        self.rejected += 1
        self.events += 1
        if self.rejected <= 10:
            summary(f"rejected {name}: {harmless(str(bad))}")

    def _tell_matches(self, matches: Sequence[Match], event: Event) -> None:
        silent = self._local.feeder.silent
        for match in matches:
            if match.rule.id not in silent:
                self.matches += 1
                if self._as_json:
                    self._write(self._line(match, event))
                else:
                    self._print(self._row(match, event), "")
        self._local.take(matches, event, self.events)

    def _line(self, match: Match, event: Event) -> bytes:
        """Returns what `_row` holds as a line of JSON; what a rule always says is made once."""
        rule = match.rule
        parts = self._parts.get(rule.id)
        if parts is None:
            names = {"rule": rule.id, "title": rule.title, "level": rule.level}
            head = orjson.dumps(names | {"author": rule.author})[1:-1]
            parts = self._parts[rule.id] = head, orjson.dumps(list(rule.tags))
        return b'{"event":%d,%b,"@timestamp":%b,"host":%b,"tags":%b,"matched":%b}\n' % (
            self.events,
            parts[0],
            _json_of(event.get("@timestamp")),
            _json_of(event.get("host.name")),
            parts[1],
            orjson.dumps(matched(match.fields), default=repr),
        )

    def tell_correlations(self) -> None:
        """Writes what fired of many events; ``event`` is null, ``evidence`` names them."""
        for found in self._local.end():
            self.matches += 1
            about, rule = found["correlation"], found["rule"]
            row = {
                "event": None,
                "rule": rule["id"],
                "title": rule["title"],
                "level": rule["level"],
                "author": rule["author"],
                "@timestamp": found["timestamp"],
                "host": found["context"].get("host.name"),
                "tags": rule["tags"],
                "matched": found["matched"],
                "correlation": about,
            }
            self._print(row, f"{about['type']} {about['count']} events since {about['first']}")
        if self._local.without_time:
            summary(f"{number(self._local.without_time)} matches without a time: not correlated")
        if self._local.evicted:
            summary(f"{number(self._local.evicted)} matches did not fit into memory")

    def _row(self, match: Match, event: Event) -> dict[str, Any]:
        rule = match.rule
        return {
            "event": self.events,
            "rule": rule.id,
            "title": rule.title,
            "level": rule.level,
            "author": rule.author,
            "@timestamp": event.get("@timestamp"),
            "host": event.get("host.name"),
            "tags": list(rule.tags),
            "matched": matched(match.fields),
        }

    def _print(self, row: dict[str, Any], note: str) -> None:
        if self._as_json:
            line = orjson.dumps(row, default=repr)
        else:
            shown = ", ".join(f"{k}={harmless(str(v), 80)}" for k, v in row["matched"].items())
            shown = "  ".join(filter(None, (shown, note)))
            where = "" if row["event"] is None else row["event"]
            line = (
                f"{where:>8}  {row['level']:13} {row['title']}  [{row['rule']}]  {shown}  "
                f"({harmless(row['author'], 80)})"
            ).encode("utf-8", "replace")
        self._write(line + b"\n")

    def tell(self, stats: bool) -> None:
        seconds = self._clock.monotonic_s() - self._started
        summary(
            f"read {number(self.events)} · matches {number(self.matches)} · "
            f"rejected {number(self.rejected)} · {seconds:.1f} s"
        )
        if self._in_part:
            summary(f"{number(self._in_part)} events matched in part: values are too long")
        if not stats:
            return
        report = self._engine.report
        summary(
            f"rules loaded {number(len(report.loaded))} · "
            f"without a mapping {number(len(report.unmapped))} · "
            f"refused {number(len(report.refused))} · "
            f"{number(self.events / seconds if seconds else 0)} events/s without load time"
        )
        for reason, count in report.reasons().items():
            summary(f"  refused {reason}: {count}")
        for rule, fault in self._engine.stats.faults.items():
            summary(f"  set aside {rule}: {fault}")


def _json_of(value: Any) -> bytes:
    return b"null" if value is None else orjson.dumps(value, default=repr)


def read_ecs(name: str, record: bytes) -> list[Event]:
    return [_object(record)]


def read_raw(name: str, record: bytes) -> list[Event]:
    event = _object(record)
    # One brace, one object: found in a tenth of the time of a look at every value.
    return [event] if record.find(b"{", 1) < 0 else [flatten_raw(event)]


def _object(record: bytes) -> dict[str, Any]:
    try:
        value = orjson.loads(record)
    except orjson.JSONDecodeError as error:
        raise BadEvent("event_not_json", str(error)) from error
    if not isinstance(value, dict):
        raise BadEvent("event_not_json", f"a JSON {type(value).__name__}, expected an object")
    return value


def reader_of_logs(clock: Clock) -> Read:
    """Returns the reader that parses raw logs first."""
    from normalize.frame import Normalizer
    from normalize.parse import parse_record
    from normalize.registry import Registry

    normalizer = Normalizer({}, Registry())

    def read(name: str, record: bytes) -> list[Event]:
        return parse_record(record, normalizer, received=clock.now(), name=name)

    return read
